//! A kubelet and its Pods.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Kubelets;
use crate::simulated::Settings;
use crate::simulated::admission::{self, Needs, Taken};
use crate::simulated::amounts::{demand, host_ports};
use crate::simulated::behaviour::{self, Behaviour};
use crate::simulated::effects::{self, Effects, Outcome, Target, Timer};
use crate::simulated::life::{Facts, Life, after, containers};
use crate::simulated::machine::Fault;
use crate::simulated::status::{Place, status};
use crate::simulated::wire::{Condition, Pod, holds};
use crate::simulated::world::{Key, NodeName, World, key_of};

/// Uid of a Pod: names may come again, uids don't.
pub(crate) type Uid = Arc<str>;

/// What the kubelet waits for from the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    None,
    /// A status is on its way.
    Report,
    /// The object is to be deleted.
    Delete,
}

/// A Pod on its machine.
#[derive(Debug)]
pub(crate) struct Local {
    node: NodeName,
    key: Key,
    /// As the API server last said; it stays when the object is gone.
    pod: Arc<Pod>,
    /// None if it had ended before the kubelet saw it.
    life: Option<Life>,
    behaviours: Vec<Behaviour>,
    told: Timestamp,
    needs: Needs,
    admitted: bool,
    address: Option<Ipv4Addr>,
    /// The kubelet's own conditions as last reported.
    conditions: Vec<Condition>,
    /// Fingerprint of the status last reported.
    reported: u64,
    /// The phase that was in it.
    phase: String,
    /// The version of the object that it made.
    version: u64,
    errand: Errand,
    /// The object is gone.
    gone: bool,
}

/// Whether a phase is one that a Pod never leaves.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    ["Succeeded", "Failed"].contains(&pod.status.phase.as_str())
}

fn version_of(pod: &Pod) -> u64 {
    pod.metadata.resource_version.parse().unwrap_or(0)
}

/// Seconds of grace, if the Pod is to be deleted.
fn deletion(pod: &Pod) -> Option<i64> {
    pod.metadata.deletion_timestamp?;
    Some(pod.metadata.deletion_grace_period_seconds.unwrap_or(0))
}

impl Local {
    fn facts<'a>(&'a self, settings: &Settings) -> Facts<'a> {
        let meta = &self.pod.metadata;
        let grace = self.pod.spec.termination_grace_period_seconds.unwrap_or(30);
        Facts {
            spec: &self.pod.spec,
            names: [&meta.namespace, &meta.name, &meta.uid],
            behaviours: &self.behaviours,
            told: self.told,
            deletion: deletion(&self.pod).or(self.gone.then_some(grace)),
            pace: settings.pace,
        }
    }

    /// Whether it takes room on its machine.
    fn counts(&self) -> bool {
        self.admitted && self.life.as_ref().is_some_and(|life| !life.is_over())
    }
}

fn behaviours(pod: &Pod, settings: &Settings) -> Vec<Behaviour> {
    let of = |(_, spec): (_, &crate::simulated::wire::Container)| {
        let own = behaviour::read(&pod.metadata.annotations, &spec.name).unwrap_or_else(|error| Behaviour {
            waiting: Some(format!("CreateContainerConfigError: {error}")),
            ..Behaviour::default()
        });
        let rules = settings
            .rules
            .iter()
            .filter(|rule| spec.image.starts_with(&rule.image));
        rules.fold(own, |own, rule| own.or(&rule.behaviour))
    };
    containers(&pod.spec).map(of).collect()
}

impl Kubelets {
    /// Notes the address of a Pod that somebody began before.
    pub(crate) fn note_pod_address(&mut self, pod: &Pod) {
        if !pod.spec.host_network && !has_ended(pod) {
            self.pod_addresses.note(&pod.status.pod_ip);
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
        if pod.node_name.is_empty() {
            return;
        }
        let (key, uid): (Key, Uid) = (key_of(&pod.metadata), pod.metadata.uid.as_str().into());
        if let Some(other) = self.by_key.get(&key).filter(|other| **other != uid).cloned() {
            self.object_gone(&key, &other, now, effects);
        }
        let Some(kubelet) = self.nodes.get(&*pod.node_name) else {
            return;
        };
        let attends = kubelet.fault.is_none();
        let Some(local) = self.pods.get_mut(&uid) else {
            if attends {
                let name: NodeName = pod.node_name.as_str().into();
                self.take_on(world, &name, pod, false, now, effects);
            }
            return;
        };
        let notes_differ = local.pod.metadata.annotations != pod.metadata.annotations;
        let others = |pod: &Pod| -> Vec<Condition> {
            let gates = pod.spec.readiness_gates.iter();
            let of = |type_: &str| pod.status.conditions.iter().find(|c| c.type_ == type_).cloned();
            gates.filter_map(|gate| of(&gate.condition_type)).collect()
        };
        // somebody else's word about what is the kubelet's to say
        let contradicted = local.errand == Errand::None
            && version_of(pod) >= local.version
            && !local.phase.is_empty()
            && (local.phase != pod.status.phase
                || holds(&local.conditions, "Ready") != holds(&pod.status.conditions, "Ready"));
        if contradicted {
            local.reported = 0;
            if let Some(life) = local.life.as_mut().filter(|_| has_ended(pod)) {
                life.end(now);
            }
        }
        let differs = notes_differ
            || contradicted
            || deletion(&local.pod) != deletion(pod)
            || local.pod.spec.active_deadline_seconds != pod.spec.active_deadline_seconds
            || others(&local.pod) != others(pod);
        local.pod = pod.clone();
        if notes_differ {
            local.behaviours = behaviours(pod, &self.settings);
            local.told = now;
        }
        if differs {
            self.look(&uid, now, effects);
        }
    }

    /// A Pod's object is gone.
    pub(crate) fn pod_gone(&mut self, key: &Key, now: Timestamp, effects: &mut Effects) {
        if let Some(uid) = self.by_key.get(key).cloned() {
            self.object_gone(key, &uid, now, effects);
        }
    }

    fn object_gone(&mut self, key: &Key, uid: &Uid, now: Timestamp, effects: &mut Effects) {
        self.by_key.remove(key);
        if let Some(local) = self.pods.get_mut(uid) {
            local.gone = true;
            self.look(uid, now, effects);
        }
    }

    /// Nothing is left of a Pod on its machine.
    pub(crate) fn forget(&mut self, uid: &Uid, effects: &mut Effects) {
        effects.at(Timer::Pod(uid.clone()), None);
        let Some(local) = self.pods.remove(uid) else {
            return;
        };
        if self.by_key.get(&local.key) == Some(uid) {
            self.by_key.remove(&local.key);
        }
        if let Some(address) = local.address {
            self.pod_addresses.give_back(address);
        }
        if let Some(kubelet) = self.nodes.get_mut(&local.node) {
            kubelet.pods.remove(uid);
        }
    }

    /// A kubelet that is new, or back, looks at every Pod bound to its node: each has to be admitted, the oldest first.
    pub(crate) fn attend_all(
        &mut self,
        world: &World,
        name: &NodeName,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let Some(kubelet) = self.nodes.get_mut(name).filter(|kubelet| kubelet.fault.is_none()) else {
            return;
        };
        let lost_power = std::mem::take(&mut kubelet.lost_power);
        let known: Vec<Uid> = kubelet.pods.iter().cloned().collect();
        for uid in &known {
            let Some(local) = self.pods.get_mut(uid) else {
                continue;
            };
            let is_ending = local.gone || deletion(&local.pod).is_some();
            local.admitted = is_ending;
            // others may have spoken for it meanwhile
            local.reported = 0;
            if let Some(life) = local.life.as_mut().filter(|_| lost_power) {
                life.lose(&local.pod.spec, now);
            }
        }
        for pod in world.bound_to(name) {
            let uid: Uid = pod.metadata.uid.as_str().into();
            if self.pods.contains_key(&uid) {
                self.admit(world, &uid);
            } else {
                self.take_on(world, name, &pod, lost_power, now, effects);
            }
        }
        let all: Vec<Uid> = self
            .nodes
            .get(name)
            .map(|kubelet| kubelet.pods.iter().cloned().collect())
            .unwrap_or_default();
        for uid in &all {
            self.look(uid, now, effects);
        }
    }

    /// A kubelet sees a Pod for the first time. Somebody may have begun it, and its machine may have lost its power since.
    fn take_on(
        &mut self,
        world: &World,
        name: &NodeName,
        pod: &Arc<Pod>,
        lost_power: bool,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let (key, uid): (Key, Uid) = (key_of(&pod.metadata), pod.metadata.uid.as_str().into());
        let Some(kubelet) = self.nodes.get_mut(name) else {
            return;
        };
        kubelet.pods.insert(uid.clone());
        let mut life =
            (!has_ended(pod)).then(|| Life::recover(pod).unwrap_or_else(|| Life::new(&pod.spec, now)));
        // a machine that is younger than what it is to have begun is another one
        let born = world
            .nodes
            .get(name)
            .and_then(|node| node.metadata.creation_timestamp);
        let is_other = pod
            .status
            .start_time
            .zip(born)
            .is_some_and(|(begun, born)| begun < born);
        if let Some(life) = life.as_mut().filter(|_| lost_power || is_other) {
            life.lose(&pod.spec, now);
        }
        let told = pod.metadata.creation_timestamp.unwrap_or(now);
        let address = self
            .pod_addresses
            .note(&pod.status.pod_ip)
            .filter(|_| !pod.spec.host_network);
        let local = Local {
            node: name.clone(),
            key: key.clone(),
            behaviours: behaviours(pod, &self.settings),
            told,
            needs: Needs {
                amounts: demand(&pod.spec),
                ports: host_ports(&pod.spec),
            },
            admitted: deletion(pod).is_some(),
            address,
            conditions: pod.status.conditions.clone(),
            life,
            pod: pod.clone(),
            reported: 0,
            phase: String::new(),
            version: 0,
            errand: Errand::None,
            gone: false,
        };
        self.pods.insert(uid.clone(), local);
        self.by_key.insert(key, uid.clone());
        self.admit(world, &uid);
        self.look(&uid, now, effects);
    }

    /// Admits a Pod that was not yet, or refuses it.
    fn admit(&mut self, world: &World, uid: &Uid) {
        let Some(local) = self.pods.get(uid).filter(|local| !local.admitted) else {
            return;
        };
        let (Some(kubelet), Some(node)) = (self.nodes.get(&local.node), world.nodes.get(&local.node)) else {
            return;
        };
        let mut taken = Taken::default();
        let others = kubelet.pods.iter().filter_map(|uid| self.pods.get(uid));
        others
            .filter(|other| other.counts())
            .for_each(|other| taken.add(&other.needs));
        let verdict = admission::admit(node, &kubelet.capacity, &taken, &local.pod.spec, &local.needs);
        let Some(local) = self.pods.get_mut(uid) else {
            return;
        };
        local.admitted = verdict.is_ok();
        if let (Err((reason, message)), Some(life)) = (verdict, local.life.as_mut()) {
            life.refuse(reason, message);
        }
    }

    /// Takes a Pod on to now, and says what is to be said about it.
    pub(crate) fn look(&mut self, uid: &Uid, now: Timestamp, effects: &mut Effects) {
        let Some(local) = self.pods.get_mut(uid) else {
            return;
        };
        let Some(kubelet) = self.nodes.get(&local.node) else {
            return;
        };
        if kubelet.fault == Some(Fault::PowerOff) {
            return effects.at(Timer::Pod(uid.clone()), None);
        }
        let attended = kubelet.fault.is_none();
        if let Some(mut life) = local.life.take() {
            let next = life.step(&local.facts(&self.settings), now, attended);
            effects.at(Timer::Pod(uid.clone()), next);
            if attended && local.address.is_none() && !local.pod.spec.host_network && life.refused.is_none() {
                local.address = Some(self.pod_addresses.take());
            }
            local.life = Some(life);
        }
        if attended {
            self.report_pod(uid, now, effects);
        }
    }

    fn report_pod(&mut self, uid: &Uid, now: Timestamp, effects: &mut Effects) {
        let Some(local) = self.pods.get_mut(uid) else {
            return;
        };
        let Some(kubelet) = self.nodes.get(&local.node) else {
            return;
        };
        let is_over = local.life.as_ref().is_none_or(Life::is_over);
        if local.gone {
            if is_over {
                self.forget(uid, effects);
            }
            return;
        }
        if let Some(life) = &local.life {
            let host = kubelet.address.to_string();
            let pod_ip = local
                .address
                .map_or_else(|| host.clone(), |address| address.to_string());
            let mut standing = local.conditions.clone();
            let theirs = local.pod.status.conditions.iter();
            let theirs: Vec<_> = theirs
                .filter(|c| !standing.iter().any(|own| own.type_ == c.type_))
                .cloned()
                .collect();
            standing.extend(theirs);
            let generation = local.pod.metadata.generation;
            let place = Place {
                host_ip: &host,
                pod_ip: &pod_ip,
                generation,
                conditions: &standing,
            };
            let (status, conditions) = status(life, &local.facts(&self.settings), &place, now);
            let mut hasher = DefaultHasher::new();
            status.to_string().hash(&mut hasher);
            let fingerprint = hasher.finish();
            if fingerprint != local.reported {
                local.reported = fingerprint;
                local.errand = Errand::Report;
                local.conditions = conditions;
                let phase = status.get("phase").and_then(Value::as_str).unwrap_or_default();
                phase.clone_into(&mut local.phase);
                let patch = json!({"metadata": {"uid": local.pod.metadata.uid}, "status": status});
                effects.write(
                    Target::PodStatus(local.key.clone()),
                    effects::pod_status(&local.key, effects::KUBELET, &patch),
                );
            }
        }
        let graceful = deletion(&local.pod).is_some_and(|grace| grace > 0);
        if is_over && graceful && local.errand == Errand::None {
            local.errand = Errand::Delete;
            let request = effects::pod_delete(&local.key, &local.pod.metadata.uid, true);
            effects.write(Target::PodDelete(local.key.clone()), request);
        }
    }

    pub(crate) fn pod_written(
        &mut self,
        key: &Key,
        target: &Target,
        outcome: &Outcome,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let Some(uid) = self.by_key.get(key).cloned() else {
            return;
        };
        let Some(local) = self.pods.get_mut(&uid) else {
            return;
        };
        let is_report = matches!(target, Target::PodStatus(_));
        if is_report {
            local.errand = Errand::None;
            if let Outcome::Done(version) = outcome {
                local.version = *version;
            }
        }
        if let Outcome::Refused(error) = outcome {
            tracing::warn!(pod = &**key, error, "a kubelet's word was refused");
            if is_report {
                local.reported = 0;
            } else {
                local.errand = Errand::None;
            }
            effects.at(Timer::Pod(uid), Some(after(now, self.settings.lease_every)));
            return;
        }
        // an outcome is news only to a kubelet that waits for it
        if self
            .nodes
            .get(&local.node)
            .is_some_and(|kubelet| kubelet.fault.is_none())
        {
            self.report_pod(&uid, now, effects);
        }
    }
}

/// Annotations that kubelets read; the others need not be kept.
pub(crate) fn keep_notes(annotations: &mut BTreeMap<String, String>) {
    annotations.retain(|name, _| behaviour::is_note(name));
}
