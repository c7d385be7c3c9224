//! The kubelets: what each does about its node and the Pods bound to it. Every call takes news and answers with effects.

mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Settings;
use super::addresses::Addresses;
use super::amounts::Amounts;
use super::effects::{self, Effects, Outcome, Target, Timer};
use super::life::after;
use super::machine::{self, BROKEN, Fault, MACHINE};
use super::node_status;
use super::wire::Node;
use super::world::{Key, NodeName, World};
use pods::{Local, Uid};
pub(crate) use pods::{has_ended, keep_notes};

/// A kubelet and its machine.
#[derive(Debug)]
struct Kubelet {
    /// Of its Node.
    uid: String,
    /// What its machine was said to be made of.
    description: String,
    capacity: Amounts,
    fault: Option<Fault>,
    /// Its machine had no power since the kubelet last did anything.
    lost_power: bool,
    address: Ipv4Addr,
    pods: BTreeSet<Uid>,
    /// A report is on its way.
    reporting: bool,
}

impl Kubelet {
    /// Whether it says anything at all.
    fn speaks(&self) -> bool {
        !matches!(self.fault, Some(Fault::KubeletDead | Fault::PowerOff))
    }
}

/// All kubelets.
#[derive(Debug)]
pub(crate) struct Kubelets {
    settings: Arc<Settings>,
    nodes: BTreeMap<NodeName, Kubelet>,
    pods: BTreeMap<Uid, Local>,
    by_key: BTreeMap<Key, Uid>,
    node_addresses: Addresses,
    pod_addresses: Addresses,
}

impl Kubelets {
    /// None yet.
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            by_key: BTreeMap::new(),
            node_addresses: Addresses::new(Ipv4Addr::new(172, 16, 0, 0), Ipv4Addr::new(172, 31, 255, 255)),
            pod_addresses: Addresses::new(Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255)),
        }
    }

    /// Notes the addresses of a node that somebody registered before.
    pub(crate) fn note_node_address(&mut self, node: &Node) -> Option<Ipv4Addr> {
        let address = node
            .status
            .addresses
            .iter()
            .find(|address| address.type_ == "InternalIP");
        self.node_addresses.note(&address?.address)
    }

    /// A Node is there, or differs.
    pub(crate) fn node_changed(&mut self, world: &World, node: &Node, now: Timestamp, effects: &mut Effects) {
        let name: NodeName = node.metadata.name.as_str().into();
        let Some(description) = node.metadata.annotations.get(MACHINE) else {
            return self.node_gone(&name, effects);
        };
        let fault = match node
            .metadata
            .annotations
            .get(BROKEN)
            .map(|text| Fault::parse(text))
            .transpose()
        {
            Ok(fault) => fault,
            Err(error) => {
                tracing::warn!(node = &*name, error);
                None
            }
        };
        if self
            .nodes
            .get(&name)
            .is_some_and(|kubelet| kubelet.uid != node.metadata.uid)
        {
            self.node_gone(&name, effects);
        }
        match self.nodes.get_mut(&name) {
            None => match machine::capacity(description) {
                Ok(capacity) => self.begin(world, node, (description, capacity), fault, now, effects),
                Err(error) => tracing::warn!(node = &*name, error),
            },
            Some(kubelet) => {
                let ready = node.status.conditions.iter().find(|c| c.type_ == "Ready");
                let mut report = !kubelet.reporting
                    && ready.is_none_or(|ready| ready.status != node_status::ready(kubelet.fault)[0]);
                if kubelet.description != *description {
                    match machine::capacity(description) {
                        Ok(capacity) => {
                            kubelet.capacity = capacity;
                            report = true;
                        }
                        Err(error) => tracing::warn!(node = &*name, error),
                    }
                    kubelet.description.clone_from(description);
                }
                let before = std::mem::replace(&mut kubelet.fault, fault);
                kubelet.lost_power |= fault == Some(Fault::PowerOff);
                if before != fault {
                    self.fault_changed(world, &name, before, now, effects);
                } else if report {
                    self.report(world, &name, now, effects);
                }
            }
        }
    }

    fn begin(
        &mut self,
        world: &World,
        node: &Node,
        (description, capacity): (&str, Amounts),
        fault: Option<Fault>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let name: NodeName = node.metadata.name.as_str().into();
        let address = self
            .note_node_address(node)
            .unwrap_or_else(|| self.node_addresses.take());
        let kubelet = Kubelet {
            uid: node.metadata.uid.clone(),
            description: description.to_owned(),
            capacity,
            fault,
            lost_power: fault == Some(Fault::PowerOff),
            address,
            pods: BTreeSet::new(),
            reporting: false,
        };
        self.nodes.insert(name.clone(), kubelet);
        self.restart(world, &name, now, effects);
    }

    /// A Node is gone, and its machine with it.
    pub(crate) fn node_gone(&mut self, name: &NodeName, effects: &mut Effects) {
        let Some(kubelet) = self.nodes.remove(name) else {
            return;
        };
        self.node_addresses.give_back(kubelet.address);
        for uid in kubelet.pods {
            self.forget(&uid, effects);
        }
        effects.at(Timer::Lease(name.clone()), None);
        effects.at(Timer::Report(name.clone()), None);
    }

    fn fault_changed(
        &mut self,
        world: &World,
        name: &NodeName,
        before: Option<Fault>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let Some(kubelet) = self.nodes.get(name) else {
            return;
        };
        if !kubelet.speaks() {
            effects.at(Timer::Lease(name.clone()), None);
            effects.at(Timer::Report(name.clone()), None);
            let pods: Vec<Uid> = kubelet.pods.iter().cloned().collect();
            for uid in &pods {
                self.look(uid, now, effects);
            }
        } else if matches!(before, Some(Fault::KubeletDead | Fault::PowerOff)) {
            self.restart(world, name, now, effects);
        } else {
            self.report(world, name, now, effects);
            self.attend_all(world, name, now, effects);
        }
    }

    /// A kubelet starts, for the first time or again: it says what it is and looks at what there is, the oldest Pods first.
    fn restart(&mut self, world: &World, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        let Some(kubelet) = self.nodes.get_mut(name) else {
            return;
        };
        if kubelet.speaks() {
            self.renew(name, now, effects);
            self.report(world, name, now, effects);
        }
        self.attend_all(world, name, now, effects);
    }

    /// Something is due.
    pub(crate) fn due(&mut self, world: &World, timer: &Timer, now: Timestamp, effects: &mut Effects) {
        match timer {
            Timer::Lease(name) => self.renew(name, now, effects),
            Timer::Report(name) => self.report(world, name, now, effects),
            Timer::Pod(uid) => self.look(uid, now, effects),
            Timer::Health(_) | Timer::Missing(_) | Timer::Evict(_) | Timer::Budget(_) | Timer::Again(_) => {}
        }
    }

    /// A write has ended.
    pub(crate) fn written(
        &mut self,
        world: &World,
        target: &Target,
        outcome: &Outcome,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        match target {
            Target::Lease(name) if *outcome == Outcome::Gone => {
                let Some(kubelet) = self.nodes.get(name) else {
                    return;
                };
                effects.write(
                    target.clone(),
                    effects::lease_creation(&self.lease(name, kubelet, now)),
                );
            }
            Target::NodeStatus(name) => {
                let Some(kubelet) = self.nodes.get_mut(name) else {
                    return;
                };
                kubelet.reporting = false;
                if let Outcome::Refused(error) = outcome {
                    tracing::warn!(node = &**name, error, "the status of a node was refused");
                } else if let Some(node) = world.nodes.get(name) {
                    // what came in between
                    let node = node.clone();
                    self.node_changed(world, &node, now, effects);
                }
            }
            Target::PodStatus(key) | Target::PodDelete(key) => {
                self.pod_written(key, target, outcome, now, effects);
            }
            _ => {}
        }
    }

    fn renew(&self, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        let Some(kubelet) = self.nodes.get(name).filter(|kubelet| kubelet.speaks()) else {
            return;
        };
        let renewal = json!({"spec": self.lease(name, kubelet, now).get("spec")});
        effects.write(
            Target::Lease(name.clone()),
            effects::lease_renewal(name, &renewal),
        );
        effects.at(
            Timer::Lease(name.clone()),
            Some(after(now, self.settings.lease_every)),
        );
    }

    fn lease(&self, name: &str, kubelet: &Kubelet, now: Timestamp) -> Value {
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": kubelet.uid});
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": lease_seconds(self.settings.lease_every),
                "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
            },
        })
    }

    fn report(&mut self, world: &World, name: &NodeName, now: Timestamp, effects: &mut Effects) {
        let Some(kubelet) = self.nodes.get_mut(name).filter(|kubelet| kubelet.speaks()) else {
            return;
        };
        let Some(node) = world
            .nodes
            .get(name)
            .filter(|node| node.metadata.uid == kubelet.uid)
        else {
            return;
        };
        let version = self.settings.kubelet_version.as_str();
        let status = node_status::status(
            node,
            &kubelet.capacity,
            kubelet.address,
            kubelet.fault,
            version,
            now,
        );
        kubelet.reporting = true;
        effects.write(
            Target::NodeStatus(name.clone()),
            effects::node_status(name, effects::KUBELET, &status),
        );
        effects.at(
            Timer::Report(name.clone()),
            Some(after(now, self.settings.report_every)),
        );
    }
}

/// How long a Lease counts that is renewed so often: whole seconds, and never none, which no API server takes.
fn lease_seconds(every: SignedDuration) -> i64 {
    every.saturating_mul(4).as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_four_renewals_and_at_least_a_second() {
        assert_eq!(lease_seconds(SignedDuration::from_secs(10)), 40);
        assert_eq!(lease_seconds(SignedDuration::from_millis(10)), 1);
    }
}
