//! Pod garbage collection: Pods of nodes that are no more, Pods that end on a node taken out of service, and those that have
//! ended when there are too many.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{delete, mark};
use crate::simulated::Settings;
use crate::simulated::effects::{Effects, Timer};
use crate::simulated::kubelet::has_ended;
use crate::simulated::life::after;
use crate::simulated::wire::{Node, Pod, holds};
use crate::simulated::world::{Key, NodeName, World, key_of};

/// How long a node must be missing before its Pods are taken for lost.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// Says that a node is down and will not come back as it was.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is to be collected.
#[derive(Debug)]
pub(crate) struct Garbage {
    settings: Arc<Settings>,
    /// Nodes that Pods are bound to and that are not there.
    missing: BTreeSet<NodeName>,
    /// Pods that have ended, the oldest first.
    ended: BTreeSet<(Option<Timestamp>, Key)>,
}

impl Garbage {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            missing: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// A Pod is there, or differs.
    pub(crate) fn pod_changed(
        &mut self,
        world: &World,
        pod: &Arc<Pod>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let key = key_of(&pod.metadata);
        if has_ended(pod) {
            self.ended.insert((pod.metadata.creation_timestamp, key));
            if self.ended.len() > self.settings.ended_pods
                && let Some((_, oldest)) = self.ended.pop_first()
                && let Some(pod) = world.pods.get(&oldest)
            {
                delete(pod, true, effects);
            }
        }
        let Some(name) = Some(pod.node_name.as_str()).filter(|name| !name.is_empty()) else {
            return;
        };
        match world.nodes.get(name) {
            None => self.await_node(name, now, effects),
            Some(node) => out_of_service(node, pod, effects),
        }
    }

    /// A Pod is gone.
    pub(crate) fn pod_gone(&mut self, pod: &Pod) {
        self.ended
            .remove(&(pod.metadata.creation_timestamp, key_of(&pod.metadata)));
    }

    /// A Node is there, or differs.
    pub(crate) fn node_changed(&mut self, world: &World, node: &Node, effects: &mut Effects) {
        let name: NodeName = node.metadata.name.as_str().into();
        if self.missing.remove(&name) {
            effects.at(Timer::Missing(name.clone()), None);
        }
        if node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE) {
            for pod in world.bound_to(&name) {
                out_of_service(node, &pod, effects);
            }
        }
    }

    /// A Node is gone.
    pub(crate) fn node_gone(
        &mut self,
        world: &World,
        name: &NodeName,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        if world.on_node.contains_key(name) {
            self.await_node(name, now, effects);
        }
    }

    fn await_node(&mut self, name: &str, now: Timestamp, effects: &mut Effects) {
        let name: NodeName = name.into();
        if self.missing.insert(name.clone()) {
            effects.at(Timer::Missing(name), Some(after(now, QUARANTINE)));
        }
    }

    /// A node was missing for long enough.
    pub(crate) fn due(&mut self, world: &World, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        self.missing.remove(name);
        if world.nodes.contains_key(name) {
            return;
        }
        for pod in world.bound_to(name) {
            collect(&pod, "PodGC: node no longer exists", now, effects);
        }
    }
}

fn collect(pod: &Pod, message: &str, now: Timestamp, effects: &mut Effects) {
    if has_ended(pod) {
        delete(pod, true, effects);
    } else {
        // deleted once this is written
        mark(pod, ("DeletionByPodGC", message), true, now, effects);
    }
}

fn out_of_service(node: &Node, pod: &Pod, effects: &mut Effects) {
    let is_out = node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE);
    let is_going = pod
        .metadata
        .deletion_grace_period_seconds
        .is_some_and(|grace| grace > 0);
    if is_out && is_going && !holds(&node.status.conditions, "Ready") {
        delete(pod, true, effects);
    }
}
