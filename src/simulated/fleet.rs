//! All of it together, without a clock or a network: news and due timers in, effects out.

use std::sync::Arc;

use jiff::Timestamp;

use super::Settings;
use super::effects::{Effects, Outcome, Target, Timer};
use super::kubelet::{Kubelets, keep_notes};
use super::wire::{Node, Pod};
use super::world::{Change, Key, News, NodeName, World, key_of};

/// The kubelets and the controllers, over one picture of the world.
#[derive(Debug)]
pub(crate) struct Fleet {
    world: World,
    kubelets: Kubelets,
}

impl Fleet {
    /// Nothing known, nothing running.
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            world: World::default(),
            kubelets: Kubelets::new(settings),
        }
    }

    /// Takes news in.
    pub(crate) fn hear(&mut self, news: News, now: Timestamp, effects: &mut Effects) {
        match news {
            News::Node(Change::Is(node)) => self.node(*node, now, effects),
            News::Node(Change::Gone(node)) => self.node_gone(&node.metadata.name.as_str().into(), effects),
            News::Node(Change::All(nodes)) => {
                let gone = |name: &NodeName| !nodes.iter().any(|node| node.metadata.name == **name);
                let gone: Vec<NodeName> = self
                    .world
                    .nodes
                    .keys()
                    .filter(|name| gone(name))
                    .cloned()
                    .collect();
                for name in &gone {
                    self.node_gone(name, effects);
                }
                for node in &nodes {
                    self.kubelets.note_node_address(node);
                }
                for node in nodes {
                    self.node(node, now, effects);
                }
            }
            News::Pod(Change::Is(pod)) => self.pod(*pod, now, effects),
            News::Pod(Change::Gone(pod)) => self.pod_gone(&key_of(&pod.metadata), now, effects),
            News::Pod(Change::All(mut pods)) => {
                let there: std::collections::BTreeSet<Key> =
                    pods.iter().map(|pod| key_of(&pod.metadata)).collect();
                let gone = self.world.pods.keys().filter(|key| !there.contains(*key));
                let gone: Vec<Key> = gone.cloned().collect();
                for key in &gone {
                    self.pod_gone(key, now, effects);
                }
                for pod in &pods {
                    self.kubelets.note_pod_address(pod);
                }
                pods.sort_by_key(|pod| pod.metadata.creation_timestamp);
                for pod in pods {
                    self.pod(pod, now, effects);
                }
            }
        }
    }

    fn node(&mut self, node: Node, now: Timestamp, effects: &mut Effects) {
        let node = Arc::new(node);
        self.world
            .nodes
            .insert(node.metadata.name.as_str().into(), node.clone());
        self.kubelets.node_changed(&self.world, &node, now, effects);
    }

    fn node_gone(&mut self, name: &NodeName, effects: &mut Effects) {
        self.world.nodes.remove(name);
        self.kubelets.node_gone(name, effects);
    }

    fn pod(&mut self, mut pod: Pod, now: Timestamp, effects: &mut Effects) {
        keep_notes(&mut pod.metadata.annotations);
        let key = key_of(&pod.metadata);
        self.world.put_pod(pod);
        if let Some(pod) = self.world.pods.get(&key).cloned() {
            self.kubelets.pod_changed(&self.world, &pod, now, effects);
        }
    }

    fn pod_gone(&mut self, key: &Key, now: Timestamp, effects: &mut Effects) {
        self.world.take_pod(key);
        self.kubelets.pod_gone(key, now, effects);
    }

    /// Something is due.
    pub(crate) fn due(&mut self, timer: &Timer, now: Timestamp, effects: &mut Effects) {
        self.kubelets.due(&self.world, timer, now, effects);
    }

    /// A write has ended.
    pub(crate) fn written(
        &mut self,
        target: &Target,
        outcome: &Outcome,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        self.kubelets.written(&self.world, target, outcome, now, effects);
    }
}
