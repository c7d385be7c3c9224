//! What is explained from.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::resources::Resources;
use crate::plan::world::{Definition, Key, Task, World};

/// Seconds that a container has for its end if nothing else is known. (STOP-2)
const STOP_SECONDS: i64 = 30;

/// The planners' world, and what it leaves out that people ask for.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The planners' world.
    pub world: World,
    /// Tasks' own Pods, by task.
    pub pods: BTreeMap<Key, PodFacts>,
    /// Pods that take room on an instance and have no share there, by instance.
    pub others: BTreeMap<String, Vec<OtherPod>>,
    /// What instances say of themselves, by name.
    pub said: BTreeMap<String, Said>,
    /// Seconds in which a task of a definition has ended after it was told to stop, by the definition's key.
    pub stop_seconds: BTreeMap<Key, i64>,
    /// What the picture lacks, and what follows.
    pub notes: Vec<String>,
}

/// A task's own Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Name.
    pub name: String,
    /// When its containers are killed at the latest, once its deletion is asked for.
    pub killed_at: Option<Timestamp>,
    /// Its grace period.
    pub grace_seconds: Option<i64>,
}

/// A Pod that is not ours, or takes more than its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherPod {
    /// Namespace and name.
    pub key: Key,
    /// What it takes beyond a share.
    pub amounts: Resources,
}

/// What an instance says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Why its status is what it is.
    pub status_reason: Option<String>,
    /// Why it takes no new tasks.
    pub unschedulable: Option<String>,
}

impl Picture {
    /// The definition that a task runs.
    #[must_use]
    pub fn definition_of(&self, task: &Task) -> Option<&Definition> {
        let found = self
            .world
            .definition_in_use(&task.key.namespace, &task.definition);
        found.map(AsRef::as_ref)
    }

    /// Seconds in which a task has ended after it was told to stop: its Pod's, or its definition's.
    #[must_use]
    pub fn stop_seconds_of(&self, task: &Task) -> i64 {
        let of_pod = self.pods.get(&task.key).and_then(|pod| pod.grace_seconds);
        let of_definition = || {
            let definition = self.definition_of(task)?;
            self.stop_seconds.get(&definition.key).copied()
        };
        of_pod.or_else(of_definition).unwrap_or(STOP_SECONDS)
    }
}

/// Names that somebody may have meant, the likeliest first.
#[must_use]
pub fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = wanted.chars().count().div_euclid(3).max(2);
    let close = |name: &'a str| {
        let far = distance(wanted, name);
        let part = wanted.len() > 2 && name.contains(wanted);
        (far <= limit || part).then_some((far, name))
    };
    let mut found: Vec<(usize, &str)> = names.filter_map(close).collect();
    found.sort_unstable();
    found.truncate(3);
    found.into_iter().map(|(_, name)| name).collect()
}

/// How many characters have to be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut next = vec![at.saturating_add(1)];
        for (pair, other) in row.windows(2).zip(&b) {
            let [before, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            let changed = before.saturating_add(usize::from(letter != *other));
            next.push(changed.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right_are_found_and_others_not() {
        let names = ["web", "web-canary", "worker", "agent"];
        let near = |wanted| near(wanted, names.into_iter());
        assert_eq!(near("wep"), ["web"]);
        assert_eq!(near("agnet"), ["agent"]);
        assert_eq!(near("canary"), ["web-canary"]);
        assert!(near("database").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
