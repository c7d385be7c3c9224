//! All of it together, without a clock or a network: news and due timers in, effects out.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Settings;
use super::controllers::disruption::Disruption;
use super::controllers::eviction;
use super::controllers::garbage::Garbage;
use super::controllers::nodes::Nodes;
use super::effects::{Effects, Outcome, Target, Timer};
use super::kubelet::{Kubelets, keep_notes};
use super::wire::{Budget, Lease, Node, Object, Pod};
use super::world::{Change, Key, News, NodeName, World, key_of};

/// The kubelets and the controllers, over one picture of the world.
#[derive(Debug)]
pub(crate) struct Fleet {
    world: World,
    kubelets: Kubelets,
    nodes: Nodes,
    garbage: Garbage,
    disruption: Disruption,
}

/// Keys that were known and are not among these objects.
fn missing<'a, K: Object>(known: impl Iterator<Item = &'a Key>, there: &[K]) -> Vec<Key> {
    let there: BTreeSet<Key> = there.iter().map(|object| key_of(object.meta())).collect();
    known.filter(|key| !there.contains(*key)).cloned().collect()
}

impl Fleet {
    /// Nothing known, nothing running.
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            world: World::default(),
            kubelets: Kubelets::new(settings.clone()),
            nodes: Nodes::new(settings.clone()),
            garbage: Garbage::new(settings.clone()),
            disruption: Disruption::default(),
        }
    }

    /// Takes news in.
    pub(crate) fn hear(&mut self, news: News, now: Timestamp, effects: &mut Effects) {
        match news {
            News::Node(Change::Is(node)) => self.node(*node, now, effects),
            News::Node(Change::Gone(node)) => {
                self.node_gone(&node.metadata.name.as_str().into(), now, effects);
            }
            News::Node(Change::All(nodes)) => self.all_nodes(nodes, now, effects),
            News::Pod(Change::Is(pod)) => self.pod(*pod, now, effects),
            News::Pod(Change::Gone(pod)) => self.pod_gone(&key_of(&pod.metadata), now, effects),
            News::Pod(Change::All(pods)) => self.all_pods(pods, now, effects),
            News::Lease(Change::Is(lease)) => self.lease(&lease, now),
            News::Lease(Change::Gone(_)) => {}
            News::Lease(Change::All(leases)) => {
                for lease in &leases {
                    self.lease(lease, now);
                }
            }
            News::Budget(Change::Is(budget)) => self.budget(*budget, now, effects),
            News::Budget(Change::Gone(budget)) => {
                self.disruption.budget_gone(&key_of(&budget.metadata), effects);
            }
            News::Budget(Change::All(budgets)) => {
                for key in missing(self.disruption.keys().iter(), &budgets) {
                    self.disruption.budget_gone(&key, effects);
                }
                for budget in budgets {
                    self.budget(budget, now, effects);
                }
            }
        }
    }

    fn all_nodes(&mut self, nodes: Vec<Node>, now: Timestamp, effects: &mut Effects) {
        let there: BTreeSet<&str> = nodes.iter().map(|node| node.metadata.name.as_str()).collect();
        let gone = self.world.nodes.keys().filter(|name| !there.contains(&***name));
        let gone: Vec<NodeName> = gone.cloned().collect();
        for name in &gone {
            self.node_gone(name, now, effects);
        }
        for node in &nodes {
            self.kubelets.note_node_address(node);
        }
        for node in nodes {
            self.node(node, now, effects);
        }
    }

    fn all_pods(&mut self, mut pods: Vec<Pod>, now: Timestamp, effects: &mut Effects) {
        for key in missing(self.world.pods.keys(), &pods) {
            self.pod_gone(&key, now, effects);
        }
        for pod in &pods {
            self.kubelets.note_pod_address(pod);
        }
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp);
        for pod in pods {
            self.pod(pod, now, effects);
        }
    }

    fn node(&mut self, node: Node, now: Timestamp, effects: &mut Effects) {
        let node = Arc::new(node);
        let before = self
            .world
            .nodes
            .insert(node.metadata.name.as_str().into(), node.clone());
        self.kubelets.node_changed(&self.world, &node, now, effects);
        self.nodes.node_changed(&self.world, &node, now, effects);
        if before.is_none_or(|before| before.spec.taints != node.spec.taints) {
            eviction::node_changed(&self.world, &node, now, effects);
        }
        self.garbage.node_changed(&self.world, &node, effects);
    }

    fn node_gone(&mut self, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        self.world.nodes.remove(name);
        self.kubelets.node_gone(name, effects);
        self.nodes.node_gone(name, effects);
        self.garbage.node_gone(&self.world, name, now, effects);
    }

    fn pod(&mut self, mut pod: Pod, now: Timestamp, effects: &mut Effects) {
        keep_notes(&mut pod.metadata.annotations);
        let key = key_of(&pod.metadata);
        let before = self.world.put_pod(pod);
        let Some(pod) = self.world.pods.get(&key).cloned() else {
            return;
        };
        self.kubelets.pod_changed(&self.world, &pod, now, effects);
        let is_other = |before: Arc<Pod>| {
            before.node_name != pod.node_name
                || before.spec.tolerations != pod.spec.tolerations
                || before.metadata.uid != pod.metadata.uid
                || before.metadata.deletion_timestamp != pod.metadata.deletion_timestamp
        };
        if before.is_none_or(is_other) {
            eviction::pod_changed(&self.world, &pod, now, effects);
        }
        self.garbage.pod_changed(&self.world, &pod, now, effects);
        self.disruption.pod_changed(&key, Some(&pod), now, effects);
    }

    fn pod_gone(&mut self, key: &Key, now: Timestamp, effects: &mut Effects) {
        let Some(pod) = self.world.take_pod(key) else {
            return;
        };
        self.kubelets.pod_gone(key, now, effects);
        effects.at(Timer::Evict(key.clone()), None);
        self.garbage.pod_gone(&pod);
        self.disruption.pod_changed(key, None, now, effects);
    }

    fn lease(&mut self, lease: &Lease, now: Timestamp) {
        self.nodes
            .lease(&lease.metadata.name, &lease.spec.renew_time, now);
    }

    fn budget(&mut self, budget: Budget, now: Timestamp, effects: &mut Effects) {
        self.disruption.budget_changed(&self.world, budget, now, effects);
    }

    /// Something is due.
    pub(crate) fn due(&mut self, timer: &Timer, now: Timestamp, effects: &mut Effects) {
        match timer {
            Timer::Lease(_) | Timer::Report(_) | Timer::Pod(_) => {
                self.kubelets.due(&self.world, timer, now, effects);
            }
            Timer::Health(name) => self.nodes.due(&self.world, name, now, effects),
            Timer::Missing(name) => self.garbage.due(&self.world, name, now, effects),
            Timer::Evict(key) => eviction::due(&self.world, key, now, effects),
            Timer::Budget(key) => self.disruption.due(key, now, effects),
            Timer::Again(_) => {}
        }
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
        eviction::written(&self.world, target, outcome, effects);
    }
}
