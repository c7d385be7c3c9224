//! What the API server says, as far as kubelets and controllers here need it: one copy for all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::wire::{Budget, Lease, Meta, Node, Pod, PodSpec};

/// What so many Pods asked for last is shared with those that ask for the same.
const SPECS_MAX: usize = 16;

/// `NAMESPACE/NAME` of a namespaced object.
pub(crate) type Key = Arc<str>;
/// Name of a node.
pub(crate) type NodeName = Arc<str>;

/// The key of an object.
pub(crate) fn key_of(meta: &Meta) -> Key {
    format!("{}/{}", meta.namespace, meta.name).into()
}

/// Namespace and name.
pub(crate) fn parts(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

/// A change of one kind: an object as it is now, one that is gone, or all there are.
#[derive(Clone, Debug)]
pub(crate) enum Change<K> {
    /// It is new or differs.
    Is(Box<K>),
    /// It is gone; as it last was.
    Gone(Box<K>),
    /// What is not among these is gone.
    All(Vec<K>),
}

/// News from the API server.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Node(Change<Node>),
    Pod(Change<Pod>),
    Lease(Change<Lease>),
    Budget(Change<Budget>),
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<NodeName, Arc<Node>>,
    pub(crate) pods: BTreeMap<Key, Arc<Pod>>,
    /// Pods by the node that they are bound to.
    pub(crate) on_node: BTreeMap<NodeName, BTreeSet<Key>>,
    specs: VecDeque<Arc<PodSpec>>,
}

impl World {
    /// Puts a Pod; what stood there before.
    pub(crate) fn put_pod(&mut self, mut pod: Pod) -> Option<Arc<Pod>> {
        let key = key_of(&pod.metadata);
        let known = self.pods.get(&key).map(|known| &known.spec);
        let mut candidates = known.into_iter().chain(&self.specs);
        if let Some(spec) = candidates.find(|spec| **spec == pod.spec).cloned() {
            pod.spec = spec;
        } else {
            if self.specs.len() >= SPECS_MAX {
                self.specs.pop_front();
            }
            self.specs.push_back(pod.spec.clone());
        }
        if !pod.node_name.is_empty() {
            let bound = self.on_node.entry(pod.node_name.as_str().into()).or_default();
            bound.insert(key.clone());
        }
        self.pods.insert(key, Arc::new(pod))
    }

    /// Takes a Pod out.
    pub(crate) fn take_pod(&mut self, key: &Key) -> Option<Arc<Pod>> {
        let pod = self.pods.remove(key)?;
        let node = pod.node_name.as_str();
        if let Some(bound) = self.on_node.get_mut(node) {
            bound.remove(key);
            if bound.is_empty() {
                self.on_node.remove(node);
            }
        }
        Some(pod)
    }

    /// The Pods bound to a node, the oldest first.
    pub(crate) fn bound_to(&self, node: &str) -> Vec<Arc<Pod>> {
        let keys = self.on_node.get(node).into_iter().flatten();
        let mut pods: Vec<_> = keys.filter_map(|key| self.pods.get(key).cloned()).collect();
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp);
        pods
    }
}
