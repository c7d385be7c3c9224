//! What holds an instance's room, what could still come, and what a drain waits for.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Picture;
use super::remedy::{alone, around, ask};
use super::service::{InstanceVerdict, describe, subject};
use super::timeline::{self, Freed, Waiting};
use crate::domain::records::{
    DesiredStatus, InstanceStatus, LastStatus, Reservation, SchedulingStrategy, ServiceRef,
};
use crate::domain::resources::Resources;
use crate::plan::eligibility::withheld;
use crate::plan::world::{Instance, Key, Service, Task, World};
use crate::plan::{self, Asker, Verdict, only_daemons_left};

/// Most tasks of a service that are counted into the room that is left.
const MORE_MAX: u32 = 100;

/// What there is to know of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceExplanation {
    /// Its name.
    pub instance: String,
    /// EcsCluster.
    pub cluster: String,
    /// ACTIVE, DRAINING, …
    pub status: InstanceStatus,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Whether its node is ready.
    pub connected: bool,
    /// Why it takes no new tasks, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<String>,
    /// What the node offers; ports are reserved ones.
    pub registered: Resources,
    /// What other Pods take.
    pub foreign: Resources,
    /// What tasks have reserved.
    pub reserved: Resources,
    /// What is held back for daemons that are not there yet.
    pub withheld: Resources,
    /// What is left for other tasks.
    pub left: Resources,
    /// Who has room there: the ledger.
    pub tasks: Vec<Holder>,
    /// When room frees up, the first first: about the end of each stopping task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frees: Vec<Freed>,
    /// Who waits for that room, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Waiting>,
    /// Who else.
    pub other_pods: Vec<OtherPodLine>,
    /// Daemon services of the cluster.
    pub daemons: Vec<DaemonLine>,
    /// What more of each replica service would fit.
    pub replicas: Vec<ReplicaLine>,
    /// What a drain waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// What the snapshot lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// `NAMESPACE/ID`.
    pub task: String,
    /// Its service, or its group.
    pub of: String,
    /// Where it is in its life; `None`: its Task is not there yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<LastStatus>,
    /// Whether it is told to stop.
    pub stopping: bool,
    /// When it has stopped at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<Timestamp>,
    /// What it takes.
    pub amounts: Resources,
    /// Since when.
    pub since: String,
}

/// A Pod that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherPodLine {
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// What it takes.
    pub amounts: Resources,
}

/// A daemon service and the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonLine {
    /// `NAMESPACE/NAME`.
    pub service: String,
    /// Its task there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Where that is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<LastStatus>,
    /// What keeps one away, if there is none.
    #[serde(flatten)]
    pub verdict: InstanceVerdict,
}

/// A replica service and the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaLine {
    /// `NAMESPACE/NAME`.
    pub service: String,
    /// Its tasks there.
    pub here: usize,
    /// How many more would fit, at most 100.
    pub more: u32,
    /// Why not one more than that.
    #[serde(flatten)]
    pub verdict: InstanceVerdict,
}

/// What a drain waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Nothing is left.
    pub done: bool,
    /// Tasks that keep the daemons there: `NAMESPACE/ID`, and what moves each away.
    pub waits_for: Vec<String>,
    /// Daemons that stop when the others have stopped.
    pub daemons: Vec<String>,
}

/// Explains an instance; `None`: there is none of that name.
#[must_use]
pub fn explain(picture: &Picture, name: &str) -> Option<InstanceExplanation> {
    let world = &picture.world;
    let instance = world.instances.get(name)?;
    let said = picture.said.get(name).cloned().unwrap_or_default();
    let withheld = withheld(world, instance);
    let (frees, queue) = timeline::of(world, instance);
    // what a service may place here does not depend on the other instances
    let here = around(world, name);
    let of_cluster = |strategy: SchedulingStrategy| {
        let services = world.services.values();
        services.filter(move |s| s.strategy == strategy && s.cluster == instance.cluster)
    };
    Some(InstanceExplanation {
        instance: name.to_owned(),
        cluster: instance.cluster.clone(),
        status: instance.status,
        status_reason: said.status_reason,
        connected: instance.connected,
        unschedulable: said.unschedulable,
        registered: instance.registered.clone(),
        foreign: instance.foreign.clone(),
        reserved: Resources::sum(instance.reservations.iter().map(|r| &r.amounts)),
        left: instance.remaining().remaining(&withheld),
        withheld,
        tasks: instance
            .reservations
            .iter()
            .map(|entry| holder(picture, entry))
            .collect(),
        frees,
        queue,
        other_pods: others(picture, name),
        daemons: of_cluster(SchedulingStrategy::Daemon)
            .map(|service| daemon(&here, service, instance))
            .collect(),
        replicas: of_cluster(SchedulingStrategy::Replica)
            .map(|service| replica(&here, service, instance))
            .collect(),
        drain: (instance.status == InstanceStatus::Draining).then(|| drain(world, instance)),
        notes: picture.notes.clone(),
    })
}

fn others(picture: &Picture, name: &str) -> Vec<OtherPodLine> {
    let pods = picture.others.get(name).into_iter().flatten();
    pods.map(|pod| OtherPodLine {
        pod: pod.key.to_string(),
        amounts: pod.amounts.clone(),
    })
    .collect()
}

fn holder(picture: &Picture, entry: &Reservation) -> Holder {
    let key = Key::new(&entry.namespace, &entry.task);
    let task = picture.world.task(&key);
    let told = task.is_some_and(|t| t.desired == DesiredStatus::Stopped);
    let service = entry.service.as_ref();
    let of = service.map(|s| format!("service {}/{}", entry.namespace, s.name));
    let group = || task.map_or_else(|| "no service".to_owned(), |t| t.group.clone());
    Holder {
        task: key.to_string(),
        of: of.unwrap_or_else(group),
        last_status: task.map(|t| t.last),
        stopping: told,
        stopped_by: task
            .filter(|_| told)
            .and_then(|t| super::task::stopped_by(picture, t)),
        amounts: entry.amounts.clone(),
        since: entry.since.clone(),
    }
}

/// The task of a service on an instance that has not ended.
fn task_of<'a>(world: &'a World, service: &Service, instance: &Instance) -> Option<&'a Arc<Task>> {
    let of = |of: Option<&ServiceRef>| of.is_some_and(|s| s.uid == service.uid);
    world
        .tasks_on(&instance.name)
        .find(|t| t.alive() && of(t.service.as_ref()))
}

fn hindered(instance: &Instance, why: String) -> InstanceVerdict {
    InstanceVerdict {
        instance: instance.name.clone(),
        fits: false,
        reason: None,
        detail: why,
        change: None,
    }
}

fn daemon(world: &World, service: &Service, instance: &Instance) -> DaemonLine {
    let task = task_of(world, service, instance);
    let verdict = match plan::prospect(world, &service.key) {
        Err(why) => hindered(instance, why),
        Ok(prospect) => {
            let found = prospect.verdicts.iter().find(|(name, _)| *name == instance.name);
            match found {
                Some((name, verdict)) => {
                    let of = Asker::Service(service.key.clone());
                    describe(world, &of, &prospect, name, verdict, true)
                }
                None => hindered(instance, "the instance is INACTIVE".to_owned()),
            }
        }
    };
    DaemonLine {
        service: service.key.to_string(),
        task: task.map(|t| t.key.to_string()),
        last_status: task.map(|t| t.last),
        verdict,
    }
}

/// How many more tasks of a service fit, and what the next after them would meet.
fn replica(world: &World, service: &Service, instance: &Instance) -> ReplicaLine {
    let of = |of: Option<&ServiceRef>| of.is_some_and(|s| s.uid == service.uid);
    let here = instance.reservations.iter().filter(|r| of(r.service.as_ref()));
    let line = |more, verdict| ReplicaLine {
        service: service.key.to_string(),
        here: here.clone().count(),
        more,
        verdict,
    };
    let prospect = match plan::prospect(world, &service.key) {
        Ok(prospect) => prospect,
        Err(why) => return line(0, hindered(instance, why)),
    };
    let subject = subject(&Asker::Service(service.key.clone()), &prospect, &instance.name);
    let mut small = alone(world, &subject, &prospect.deployments);
    let mut more = 0;
    loop {
        let Some(verdict) = ask(&small, &subject) else {
            return line(more, hindered(instance, "the instance is INACTIVE".to_owned()));
        };
        if verdict != Verdict::Fits || more >= MORE_MAX {
            let told = describe(
                &small,
                &subject.of,
                &prospect,
                &instance.name,
                &verdict,
                more == 0,
            );
            return line(more, told);
        }
        more = more.saturating_add(1);
        let entry = Reservation {
            namespace: service.key.namespace.clone(),
            task: format!("#{more}"),
            uid: None,
            service: Some(ServiceRef {
                name: service.key.name.clone(),
                uid: service.uid.clone(),
                daemon: false,
                deployment: None,
            }),
            amounts: prospect.demand.clone(),
            since: String::new(),
            restored: false,
        };
        small.edit_instance(&instance.name, |held| held.reservations.push(entry));
    }
}

/// What a drain of the instance waits for.
#[must_use]
pub fn drain(world: &World, instance: &Instance) -> Drain {
    let alive = || world.tasks_on(&instance.name).filter(|t| t.alive());
    let others = alive().filter(|t| !t.is_daemon());
    let coming = instance.reservations.iter().filter(|r| {
        let daemon = r.service.as_ref().is_some_and(|s| s.daemon);
        !daemon && world.task(&Key::new(&r.namespace, &r.task)).is_none()
    });
    let coming = coming.map(|r| format!("{}/{}: its Task is not there yet", r.namespace, r.task));
    let waits_for: Vec<String> = others.map(|t| keeps(world, t)).chain(coming).collect();
    Drain {
        done: alive().next().is_none() && instance.reservations.is_empty(),
        daemons: alive()
            .filter(|t| t.is_daemon())
            .map(|t| {
                let state = match (t.desired, only_daemons_left(world, instance)) {
                    (DesiredStatus::Stopped, _) => "it is stopping",
                    (DesiredStatus::Running, true) => "it is told to stop next",
                    (DesiredStatus::Running, false) => "it stops when the others have stopped",
                };
                format!("{}: {state}", t.key)
            })
            .collect(),
        waits_for,
    }
}

/// What moves a task away from a DRAINING instance.
fn keeps(world: &World, task: &Task) -> String {
    let key = &task.key;
    if task.desired == DesiredStatus::Stopped {
        return format!("{key}: it is stopping");
    }
    let Some(service) = &task.service else {
        return format!("{key}: it is of no service, and ends by itself or when somebody stops it");
    };
    if let Some(until) = task.protected_until.filter(|until| *until > world.now) {
        return format!("{key}: it is protected until {until}");
    }
    let owner = Key::new(&key.namespace, &service.name);
    if !world.services.contains_key(&owner) {
        return format!("{key}: its service {owner} is gone, and it is about to be told to stop");
    }
    let plan = plan::service(world, &owner);
    if plan.stop.iter().any(|stop| stop.task == *key) {
        return format!("{key}: service {owner} tells it to stop next");
    }
    let unplaced = !plan.failures.is_empty() || plan.no_instances;
    let why = if unplaced {
        "a task in its place finds no room"
    } else {
        "minimumHealthyPercent needs it until another is healthy"
    };
    format!("{key}: service {owner} keeps it: {why}")
}
