//! Node lifecycle: a node whose Lease is not renewed is unknown, what is not ready is tainted, and its Pods are not ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::MANAGER;
use crate::simulated::Settings;
use crate::simulated::effects::{self, Effects, Target, Timer};
use crate::simulated::life::after;
use crate::simulated::status::time;
use crate::simulated::wire::{Condition, Node, Taint, holds};
use crate::simulated::world::{NodeName, World};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that only a kubelet can speak for.
const KUBELETS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What is known of a node's health.
#[derive(Debug)]
struct Health {
    uid: String,
    /// The Lease's time of renewal, as it was last seen.
    renewed: String,
    /// When that was seen to change, by the clock here: no clocks of two machines are compared.
    seen: Timestamp,
    /// Whether its Pods were marked since it stopped being ready.
    marked: bool,
}

/// The health of all nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    settings: Arc<Settings>,
    health: BTreeMap<NodeName, Health>,
}

fn ready(node: &Node) -> Option<&Condition> {
    node.status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
}

impl Nodes {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            health: BTreeMap::new(),
        }
    }

    /// A Node is there, or differs.
    pub(crate) fn node_changed(&mut self, world: &World, node: &Node, now: Timestamp, effects: &mut Effects) {
        let name: NodeName = node.metadata.name.as_str().into();
        if self
            .health
            .get(&name)
            .is_none_or(|health| health.uid != node.metadata.uid)
        {
            let uid = node.metadata.uid.clone();
            let health = Health {
                uid,
                renewed: String::new(),
                seen: now,
                marked: false,
            };
            self.health.insert(name.clone(), health);
            effects.at(
                Timer::Health(name.clone()),
                Some(after(now, self.settings.unknown_after)),
            );
        }
        retaint(&name, node, now, effects);
        self.mark_pods(world, &name, node, now, effects);
    }

    /// A Node is gone.
    pub(crate) fn node_gone(&mut self, name: &NodeName, effects: &mut Effects) {
        self.health.remove(name);
        effects.at(Timer::Health(name.clone()), None);
    }

    /// A Lease was seen.
    pub(crate) fn lease(&mut self, name: &str, renewed: &str, now: Timestamp) {
        if let Some(health) = self
            .health
            .get_mut(name)
            .filter(|health| health.renewed != renewed)
        {
            renewed.clone_into(&mut health.renewed);
            health.seen = now;
        }
    }

    /// It is time to see whether a node was heard of.
    pub(crate) fn due(&mut self, world: &World, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        let Some(health) = self.health.get_mut(name) else {
            return;
        };
        let Some(node) = world.nodes.get(name) else { return };
        let deadline = after(health.seen, self.settings.unknown_after);
        if deadline > now {
            return effects.at(Timer::Health(name.clone()), Some(deadline));
        }
        effects.at(
            Timer::Health(name.clone()),
            Some(after(now, self.settings.lease_every)),
        );
        let is_unknown = ready(node).is_some_and(|condition| condition.status == "Unknown");
        if !is_unknown {
            effects.write(
                Target::NodeHealth(name.clone()),
                effects::node_status(name, MANAGER, &unknown(node, now)),
            );
        }
    }

    /// The Pods of a node that is not ready are not ready either.
    fn mark_pods(
        &mut self,
        world: &World,
        name: &NodeName,
        node: &Node,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let Some(health) = self.health.get_mut(name) else {
            return;
        };
        let is_ready = holds(&node.status.conditions, "Ready");
        if is_ready || ready(node).is_none() {
            health.marked = false;
            return;
        }
        if std::mem::replace(&mut health.marked, true) {
            return;
        }
        let pods = world.bound_to(name);
        for pod in pods.iter().filter(|pod| holds(&pod.status.conditions, "Ready")) {
            let condition = json!({
                "type": "Ready", "status": "False", "lastProbeTime": null, "lastTransitionTime": time(now),
            });
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
            let key = crate::simulated::world::key_of(&pod.metadata);
            effects.write(
                Target::PodUnready(key.clone()),
                effects::pod_status(&key, MANAGER, &patch),
            );
        }
    }
}

/// Nobody knows how a node is.
fn unknown(node: &Node, now: Timestamp) -> Value {
    let conditions = KUBELETS.map(|type_| {
        let before = node.status.conditions.iter().find(|condition| condition.type_ == type_);
        let (reason, message) = match before {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        json!({
            "type": type_, "status": "Unknown", "reason": reason, "message": message, "lastTransitionTime": time(now),
        })
    });
    json!({"metadata": {"uid": node.metadata.uid}, "status": {"conditions": conditions}})
}

/// Taints that a node is to have by its state.
fn wanted(node: &Node) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    let state = ready(node).map(|condition| condition.status.as_str());
    let of_state = match state {
        Some("True") => None,
        Some("False") => Some(NOT_READY),
        Some(_) => Some(UNREACHABLE),
        // it has not said anything yet: the server's own taint stays
        None => return vec![(NOT_READY, "NoSchedule")],
    };
    if let Some(key) = of_state {
        wanted.extend([(key, "NoSchedule"), (key, "NoExecute")]);
    }
    if node.spec.unschedulable {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    wanted
}

/// Brings the taints in line with the node's state, if they are not.
fn retaint(name: &NodeName, node: &Node, now: Timestamp, effects: &mut Effects) {
    let wanted = wanted(node);
    let is_ours = |taint: &Taint| [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str());
    let is = |taint: &Taint, (key, effect): (&str, &str)| taint.key == key && taint.effect == effect;
    let taints = &node.spec.taints;
    let surplus = taints
        .iter()
        .any(|taint| is_ours(taint) && !wanted.iter().any(|want| is(taint, *want)));
    let missing: Vec<_> = wanted
        .iter()
        .filter(|want| !taints.iter().any(|taint| is(taint, **want)))
        .collect();
    if !surplus && missing.is_empty() {
        return;
    }
    let kept = taints
        .iter()
        .filter(|taint| !is_ours(taint) || wanted.iter().any(|want| is(taint, *want)));
    let kept = kept.map(|taint| {
        let mut value = json!({"key": taint.key, "effect": taint.effect});
        if let Value::Object(members) = &mut value {
            if !taint.value.is_empty() {
                members.insert("value".to_owned(), taint.value.as_str().into());
            }
            if let Some(added) = taint.time_added {
                members.insert("timeAdded".to_owned(), time(added).into());
            }
        }
        value
    });
    let added = missing
        .iter()
        .map(|(key, effect)| json!({"key": key, "effect": effect, "timeAdded": time(now)}));
    let all: Vec<Value> = kept.chain(added).collect();
    let version = &node.metadata.resource_version;
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": (!all.is_empty()).then_some(all)}});
    effects.write(Target::Taints(name.clone()), effects::node(name, MANAGER, &patch));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taints(ready: Option<&str>, taints: &Value) -> Option<Value> {
        let conditions: Vec<_> = ready
            .map(|status| json!({"type": "Ready", "status": status}))
            .into_iter()
            .collect();
        let node = json!({
            "metadata": {"name": "n1", "resourceVersion": "7"},
            "spec": {"taints": taints}, "status": {"conditions": conditions},
        });
        let node: Node = serde_json::from_value(node).unwrap();
        let mut effects = Effects::default();
        retaint(
            &"n1".into(),
            &node,
            "2026-01-01T00:00:00Z".parse().unwrap(),
            &mut effects,
        );
        let request = effects.writes.pop()?.request;
        let patch: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        Some(patch["spec"]["taints"].clone())
    }

    #[test]
    fn taints_follow_the_state_and_leave_others_alone() {
        let new = json!({"key": NOT_READY, "effect": "NoSchedule"});
        let own =
            json!({"key": "own", "effect": "NoExecute", "value": "x", "timeAdded": "2026-01-01T00:00:00Z"});
        assert_eq!(taints(None, &json!([new, own])), None);
        assert_eq!(taints(Some("True"), &json!([new, own])), Some(json!([own])));
        assert_eq!(taints(Some("True"), &json!([own])), None);
        let at = "2026-01-01T00:00:00Z";
        let added = |key: &str, effect: &str| json!({"key": key, "effect": effect, "timeAdded": at});
        let unreachable = json!([
            own,
            added(UNREACHABLE, "NoSchedule"),
            added(UNREACHABLE, "NoExecute")
        ]);
        assert_eq!(taints(Some("Unknown"), &json!([own])), Some(unreachable));
        let not_ready = json!([new, added(NOT_READY, "NoExecute")]);
        assert_eq!(taints(Some("False"), &json!([new])), Some(not_ready));
    }
}
