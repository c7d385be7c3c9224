//! The controllers of a cluster without which drains and losses would look different: slim, but with the same words.

pub(crate) mod disruption;
pub(crate) mod eviction;
pub(crate) mod garbage;
pub(crate) mod nodes;

use serde_json::{Value, json};

use super::effects::{self, Effects, Target};
use super::status::time;
use super::wire::Pod;
use super::world::key_of;

/// Who these controllers are in managed fields.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// Says why a Pod is going to be disrupted, before it is deleted. With `fail` it counts as failed from now on.
fn mark(pod: &Pod, (reason, message): (&str, &str), fail: bool, now: jiff::Timestamp, effects: &mut Effects) {
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": time(now),
    });
    let mut status = json!({"conditions": [condition]});
    if let (true, Value::Object(members)) = (fail, &mut status) {
        members.insert("phase".to_owned(), "Failed".into());
    }
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    let key = key_of(&pod.metadata);
    effects.write(
        Target::PodMark(key.clone()),
        effects::pod_status(&key, MANAGER, &patch),
    );
}

/// Deletes a Pod: `now`, or with the grace that it asked for.
fn delete(pod: &Pod, now: bool, effects: &mut Effects) {
    let key = key_of(&pod.metadata);
    effects.write(
        Target::PodEvict(key.clone()),
        effects::pod_delete(&key, &pod.metadata.uid, now),
    );
}
