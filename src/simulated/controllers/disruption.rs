//! The status of PodDisruptionBudgets: how many Pods they select, how many of those are healthy, how many may be disrupted.
//!
//! What a budget selects is kept up to date Pod by Pod; its status is worked out at most once in a second.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt};
use serde_json::{Value, json};

use super::MANAGER;
use crate::simulated::effects::{self, Effects, Target, Timer};
use crate::simulated::life::after;
use crate::simulated::status::time;
use crate::simulated::wire::{Budget, BudgetSpec, BudgetStatus, Pod, holds};
use crate::simulated::world::{Key, World, key_of, parts};

/// How long a granted disruption counts if its Pod stays.
const GRANTED: SignedDuration = SignedDuration::from_mins(2);
/// Between two looks at a budget.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A Pod, as far as budgets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    ready: bool,
    going: bool,
}

#[derive(Debug)]
struct Watched {
    budget: Budget,
    /// None selects nothing.
    selector: Option<Selector>,
    members: BTreeMap<Key, Member>,
    /// When it was last looked at.
    looked: Option<Timestamp>,
}

/// All budgets.
#[derive(Debug, Default)]
pub(crate) struct Disruption {
    budgets: BTreeMap<Key, Watched>,
}

fn member(pod: &Pod) -> Member {
    Member {
        ready: holds(&pod.status.conditions, "Ready"),
        going: pod.metadata.deletion_timestamp.is_some(),
    }
}

/// Whether a key is in a namespace.
fn is_in(key: &Key, namespace: &str) -> bool {
    parts(key).0 == namespace
}

impl Disruption {
    /// A budget is there, or differs.
    pub(crate) fn budget_changed(
        &mut self,
        world: &World,
        budget: Budget,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let key = key_of(&budget.metadata);
        let known = self
            .budgets
            .get(&key)
            .filter(|known| known.budget.metadata.uid == budget.metadata.uid);
        match known {
            Some(known) if known.budget.spec.selector == budget.spec.selector => {
                if let Some(known) = self.budgets.get_mut(&key) {
                    known.budget = budget;
                }
            }
            _ => {
                let selector = budget
                    .spec
                    .selector
                    .clone()
                    .and_then(|selector| Selector::try_from(selector).ok());
                let namespace = &budget.metadata.namespace;
                let pods = world.pods.iter().filter(|(key, _)| is_in(key, namespace));
                let members = pods
                    .filter(|(_, pod)| selector.as_ref().is_some_and(|s| s.matches(&pod.metadata.labels)))
                    .map(|(key, pod)| (key.clone(), member(pod)));
                let members = members.collect();
                self.budgets.insert(
                    key.clone(),
                    Watched {
                        budget,
                        selector,
                        members,
                        looked: None,
                    },
                );
            }
        }
        self.look_soon(&key, now, effects);
    }

    /// A budget is gone.
    pub(crate) fn budget_gone(&mut self, key: &Key, effects: &mut Effects) {
        self.budgets.remove(key);
        effects.at(Timer::Budget(key.clone()), None);
    }

    /// The budgets there are.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.budgets.keys().cloned().collect()
    }

    /// A Pod is there, differs, or (none) is gone.
    pub(crate) fn pod_changed(
        &mut self,
        key: &Key,
        pod: Option<&Pod>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let namespace = parts(key).0;
        let mut concerned = Vec::new();
        for (name, watched) in self.budgets.iter_mut().filter(|(name, _)| is_in(name, namespace)) {
            let selected = pod.filter(|pod| {
                watched
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(&pod.metadata.labels))
            });
            let before = match selected {
                Some(pod) => {
                    let now_is = member(pod);
                    watched.members.insert(key.clone(), now_is) == Some(now_is)
                }
                None => watched.members.remove(key).is_none(),
            };
            if !before {
                concerned.push(name.clone());
            }
        }
        for name in &concerned {
            self.look_soon(name, now, effects);
        }
    }

    fn look_soon(&mut self, key: &Key, now: Timestamp, effects: &mut Effects) {
        let Some(watched) = self.budgets.get(key) else {
            return;
        };
        match watched
            .looked
            .map(|looked| after(looked, PAUSE))
            .filter(|next| *next > now)
        {
            Some(next) => effects.at(Timer::Budget(key.clone()), Some(next)),
            None => self.due(key, now, effects),
        }
    }

    /// It is time to look at a budget.
    pub(crate) fn due(&mut self, key: &Key, now: Timestamp, effects: &mut Effects) {
        let Some(watched) = self.budgets.get_mut(key) else {
            return;
        };
        watched.looked = Some(now);
        let namespace = watched.budget.metadata.namespace.as_str();
        let member = |name: &str| {
            watched
                .members
                .get(format!("{namespace}/{name}").as_str())
                .copied()
        };
        let budget = &watched.budget;
        // granted disruptions that are still to come
        let granted: BTreeMap<&str, Timestamp> = budget
            .status
            .disrupted_pods
            .iter()
            .filter(|(name, since)| {
                after(**since, GRANTED) > now && member(name).is_some_and(|member| !member.going)
            })
            .map(|(name, since)| (name.as_str(), *since))
            .collect();
        let healthy = watched
            .members
            .iter()
            .filter(|(key, member)| member.ready && !member.going && !granted.contains_key(parts(key).1));
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let counted = counted(&budget.spec, count(watched.members.len()), count(healthy.count()));
        let next = granted.values().map(|since| after(*since, GRANTED)).min();
        effects.at(Timer::Budget(key.clone()), next);
        if let Some(patch) = patch(budget, counted, &granted, now) {
            effects.write(
                Target::Budget(key.clone()),
                effects::budget_status(key, MANAGER, &patch),
            );
        }
    }
}

/// Expected, desired healthy, currently healthy, and allowed disruptions.
type Counted = [i64; 4];

fn counted(spec: &BudgetSpec, expected: i64, healthy: i64) -> Counted {
    let desired = match (&spec.min_available, &spec.max_unavailable) {
        (Some(least), _) => share(least, expected),
        (None, Some(most)) => expected.saturating_sub(share(most, expected)).max(0),
        (None, None) => 0,
    };
    let allowed = if expected > 0 {
        healthy.saturating_sub(desired).max(0)
    } else {
        0
    };
    [expected, desired, healthy, allowed]
}

/// A number, or a percentage rounded up.
fn share(of: &IntOrString, whole: i64) -> i64 {
    match of {
        IntOrString::Int(n) => i64::from(*n),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent.saturating_mul(whole);
            product.saturating_add(99).checked_div(100).unwrap_or(0)
        }
    }
}

/// What has to be changed about the status, if anything has.
fn patch(
    budget: &Budget,
    [expected, desired, healthy, allowed]: Counted,
    granted: &BTreeMap<&str, Timestamp>,
    now: Timestamp,
) -> Option<Value> {
    let generation = budget.metadata.generation.unwrap_or(0);
    let old = &budget.status;
    let (status, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let before = old
        .conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionAllowed");
    let same = before.filter(|condition| condition.status == status);
    let is_said = same.is_some_and(|c| c.reason == reason && c.observed_generation == Some(generation));
    let said: BudgetStatus = BudgetStatus {
        observed_generation: generation,
        disruptions_allowed: allowed,
        current_healthy: healthy,
        desired_healthy: desired,
        expected_pods: expected,
        disrupted_pods: granted
            .iter()
            .map(|(name, since)| ((*name).to_owned(), *since))
            .collect(),
        conditions: old.conditions.clone(),
    };
    if said == *old && is_said {
        return None;
    }
    let gone = old
        .disrupted_pods
        .keys()
        .filter(|name| !granted.contains_key(name.as_str()));
    let gone: BTreeMap<&String, Value> = gone.map(|name| (name, Value::Null)).collect();
    let disrupted = (!granted.is_empty()).then_some(gone);
    let since = same
        .and_then(|condition| condition.last_transition_time)
        .unwrap_or(now);
    let condition = json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
        "observedGeneration": generation, "lastTransitionTime": time(since),
    });
    Some(json!({
        "metadata": {"resourceVersion": budget.metadata.resource_version},
        "status": {
            "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
            "desiredHealthy": desired, "expectedPods": expected, "disruptedPods": disrupted, "conditions": [condition],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &Value, expected: i64, healthy: i64) -> (i64, i64) {
        let spec: BudgetSpec = serde_json::from_value(spec.clone()).unwrap();
        let [_, desired, _, allowed] = counted(&spec, expected, healthy);
        (desired, allowed)
    }

    #[test]
    fn numbers_and_percentages_say_how_many_must_stay() {
        assert_eq!(of(&json!({"minAvailable": 3}), 5, 5), (3, 2));
        assert_eq!(of(&json!({"minAvailable": 3}), 5, 2), (3, 0));
        assert_eq!(of(&json!({"minAvailable": "50%"}), 5, 5), (3, 2), "rounded up");
        assert_eq!(of(&json!({"maxUnavailable": 1}), 5, 5), (4, 1));
        assert_eq!(of(&json!({"maxUnavailable": "50%"}), 5, 5), (2, 3), "rounded up");
        assert_eq!(of(&json!({"maxUnavailable": 9}), 5, 5), (0, 5));
        assert_eq!(
            of(&json!({"minAvailable": 0}), 0, 0),
            (0, 0),
            "nothing to disrupt"
        );
    }
}
