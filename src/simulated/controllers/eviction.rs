//! Taint eviction: Pods that do not tolerate a node's NoExecute taints are deleted, at once or when their tolerance ends.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{delete, mark};
use crate::simulated::admission::tolerates;
use crate::simulated::effects::{Effects, Outcome, Target, Timer};
use crate::simulated::life::after;
use crate::simulated::wire::{Node, Pod};
use crate::simulated::world::{Key, World, key_of};

/// The reason and message of the condition.
const REASON: (&str, &str) = (
    "DeletionByTaintManager",
    "Taint manager: deleting due to NoExecute taint",
);

/// When a Pod is to be evicted from its node; never, if it tolerates all that is there.
pub(crate) fn deadline(node: &Node, pod: &Pod, now: Timestamp) -> Option<Timestamp> {
    let taints = node
        .spec
        .taints
        .iter()
        .filter(|taint| taint.effect == "NoExecute");
    let until = taints.filter_map(|taint| {
        let since = taint.time_added.unwrap_or(now);
        let mut tolerations = pod
            .spec
            .tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint))
            .peekable();
        if tolerations.peek().is_none() {
            return Some(since);
        }
        // the shortest of those that end
        let seconds = tolerations
            .filter_map(|toleration| toleration.toleration_seconds)
            .min();
        seconds.map(|seconds| after(since, SignedDuration::from_secs(seconds.max(0))))
    });
    until.min()
}

/// A node's taints differ: each of its Pods is looked at.
pub(crate) fn node_changed(world: &World, node: &Node, now: Timestamp, effects: &mut Effects) {
    for pod in world.bound_to(&node.metadata.name) {
        pod_changed(world, &pod, now, effects);
    }
}

/// A Pod is new, or its tolerations differ.
pub(crate) fn pod_changed(world: &World, pod: &Arc<Pod>, now: Timestamp, effects: &mut Effects) {
    let node = world.nodes.get(pod.node_name.as_str());
    let is_going = pod.metadata.deletion_timestamp.is_some();
    let due = node
        .filter(|_| !is_going)
        .and_then(|node| deadline(node, pod, now));
    effects.at(Timer::Evict(key_of(&pod.metadata)), due);
}

/// The time of a Pod is up: the condition first, then the deletion.
pub(crate) fn due(world: &World, key: &Key, now: Timestamp, effects: &mut Effects) {
    let Some(pod) = world.pods.get(key) else { return };
    let Some(node) = world.nodes.get(pod.node_name.as_str()) else {
        return;
    };
    match deadline(node, pod, now) {
        Some(due) if due <= now && pod.metadata.deletion_timestamp.is_none() => {
            mark(pod, REASON, false, now, effects);
        }
        due => effects.at(
            Timer::Evict(key.clone()),
            due.filter(|_| pod.metadata.deletion_timestamp.is_none()),
        ),
    }
}

/// The condition was written: the Pod is deleted, with its own grace.
pub(crate) fn written(world: &World, target: &Target, outcome: &Outcome, effects: &mut Effects) {
    if let (Target::PodMark(key), Outcome::Done(_)) = (target, outcome)
        && let Some(pod) = world.pods.get(key)
    {
        let has_node = world.nodes.contains_key(pod.node_name.as_str());
        delete(pod, !has_node, effects);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seconds(taints: &Value, tolerations: &Value) -> Option<i64> {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let node: Node = serde_json::from_value(json!({"spec": {"taints": taints}})).unwrap();
        let pod: Pod = serde_json::from_value(json!({"spec": {"tolerations": tolerations}})).unwrap();
        let due = deadline(&node, &pod, after(begin, SignedDuration::from_secs(5)))?;
        Some(due.duration_since(begin).as_secs())
    }

    #[test]
    fn tolerations_say_how_long_a_pod_stays() {
        let at = "2026-01-01T00:00:00Z";
        let gone = json!([{"key": "gone", "effect": "NoExecute", "timeAdded": at}, {"key": "x", "effect": "NoSchedule"}]);
        let for_ =
            |seconds: Value| json!({"key": "gone", "operator": "Exists", "tolerationSeconds": seconds});
        assert_eq!(seconds(&gone, &json!([])), Some(0));
        assert_eq!(seconds(&gone, &json!([for_(json!(300))])), Some(300));
        assert_eq!(
            seconds(&gone, &json!([for_(json!(300)), for_(json!(20))])),
            Some(20)
        );
        assert_eq!(seconds(&gone, &json!([for_(Value::Null)])), None);
        assert_eq!(seconds(&json!([]), &json!([])), None);
        let untimed = json!([{"key": "gone", "effect": "NoExecute"}]);
        assert_eq!(seconds(&untimed, &json!([for_(json!(10))])), Some(15));
        let two = json!([{"key": "gone", "effect": "NoExecute", "timeAdded": at},
            {"key": "other", "effect": "NoExecute", "timeAdded": at}]);
        assert_eq!(seconds(&two, &json!([for_(json!(300))])), Some(0));
    }
}
