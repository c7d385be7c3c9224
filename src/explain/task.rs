//! Where a task is in its life, what it waits for, who told it to stop, and when the stop is over.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Picture;
use super::service::{InstanceVerdict, verdicts};
use crate::domain::records::{DesiredStatus, HealthStatus, LastStatus, QuiesceReason, StopCode};
use crate::domain::resources::Resources;
use crate::plan::Asker;
use crate::plan::queued::{self, Wait};
use crate::plan::run_task::{self, Decision};
use crate::plan::world::{Key, Task, World};

/// What there is to know of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskExplanation {
    /// `NAMESPACE/ID`.
    pub task: String,
    /// `family:revision`.
    pub task_definition: String,
    /// Its service or group.
    pub of: String,
    /// Instance it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// RUNNING or STOPPED.
    pub desired_status: DesiredStatus,
    /// Where it is in its life.
    pub last_status: LastStatus,
    /// Health of its essential containers.
    pub health_status: HealthStatus,
    /// Its Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it first was RUNNING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Its share of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Resources>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it takes, while it waits for a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes: Option<Resources>,
    /// What it meets on each instance while it waits for a place, the closest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceVerdict>,
    /// Until when it is protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected_until: Option<Timestamp>,
    /// Why it should finish and end its protection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub should_finish: Option<&'static str>,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopLine>,
    /// What the snapshot lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The end of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopLine {
    /// Who told it to stop.
    pub by: String,
    /// Why, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<StopCode>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it has stopped at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_the_latest: Option<Timestamp>,
    /// What the end waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Explains a task; `None`: there is none of that name.
#[must_use]
pub fn explain(picture: &Picture, key: &Key) -> Option<TaskExplanation> {
    let task = picture.world.task(key)?;
    let instance = task
        .instance
        .as_ref()
        .and_then(|name| picture.world.instances.get(name));
    let service = task.service.as_ref();
    let asker = Asker::Task(key.clone());
    let waiting = task.wanted() && task.instance.is_none();
    let prospect = waiting
        .then(|| asker.prospect(&picture.world))
        .and_then(Result::ok);
    Some(TaskExplanation {
        task: key.to_string(),
        task_definition: task.definition.clone(),
        of: service.map_or_else(
            || format!("group {}", task.group),
            |s| format!("service {}/{}", key.namespace, s.name),
        ),
        instance: task.instance.clone(),
        desired_status: task.desired,
        last_status: task.last,
        health_status: task.health,
        pod: picture.pods.get(key).map(|pod| pod.name.clone()),
        created_at: task.created_at,
        started_at: task.started_at,
        stopped_at: task.stopped_at,
        share: instance
            .and_then(|i| i.reservation(key))
            .map(|entry| entry.amounts.clone()),
        waits_for: waits_for(picture, task),
        instances: prospect
            .as_ref()
            .map(|found| verdicts(&picture.world, &asker, found))
            .unwrap_or_default(),
        takes: prospect.map(|found| found.demand),
        protected_until: task.protected_until.filter(|until| *until > picture.world.now),
        should_finish: task.told.map(QuiesceReason::words).filter(|_| task.wanted()),
        stop: stop(picture, task),
        notes: picture.notes.clone(),
    })
}

/// What keeps a task that should run from RUNNING, or a RUNNING one from counting as healthy.
fn waits_for(picture: &Picture, task: &Task) -> Option<String> {
    let world = &picture.world;
    if !task.wanted() {
        return None;
    }
    let Some(name) = &task.instance else {
        return Some(if task.service.is_some() {
            queue_of(world, task)
        } else {
            place_of(world, task)
        });
    };
    if let Some(held) = &task.held_up {
        return Some(format!("container {}: {}", held.container, held.reason));
    }
    let instance = world.instances.get(name);
    match task.last {
        LastStatus::Running if task.health == HealthStatus::Unhealthy => {
            Some("its health checks fail: its service replaces it".to_owned())
        }
        LastStatus::Running => None,
        _ if instance.is_none() => Some(format!("there is no instance {name}")),
        _ if instance.is_some_and(|i| !i.connected) => Some(format!("the node {name} is not ready")),
        _ if instance.is_some_and(|i| i.reservation(&task.key).is_none()) => {
            Some(format!("its share of {name}: the ledger has no entry for it"))
        }
        _ if !picture.pods.contains_key(&task.key) => Some("its Pod".to_owned()),
        _ => Some("its containers: they are starting".to_owned()),
    }
}

/// What a task of a service without an instance waits for: what its planner would do with it now. (OPT-1)
fn queue_of(world: &World, task: &Task) -> String {
    match queued::decide(world, &task.key) {
        None => "an instance: it is bound to none".to_owned(),
        Some(queued::Decision::Bind(place)) => format!("being bound: it fits on {}", place.instance),
        Some(queued::Decision::Queue(_, _, wait)) => format!("its turn: {}", waiting(&wait)),
        Some(queued::Decision::Stay(wait)) => waiting(&wait),
        Some(queued::Decision::Leave(instance)) => {
            format!("another place: it leaves the queue of {instance}")
        }
        Some(queued::Decision::Unplaced(..)) => "room on an instance".to_owned(),
        Some(queued::Decision::Stop(reason)) => format!("its end: {reason}"),
    }
}

fn waiting(wait: &Wait) -> String {
    let ends: Vec<String> = wait.behind.iter().map(ToString::to_string).collect();
    let until = wait
        .until
        .map_or_else(String::new, |at| format!(", about until {at:.0}"));
    format!("room on {}: the end of {}{until}", wait.instance, ends.join(", "))
}

/// What a run-once task without an instance waits for: what its planner would do with it now. (RUN-2)
fn place_of(world: &World, task: &Task) -> String {
    match run_task::decide(world, &task.key) {
        None => "an instance: it is bound to none".to_owned(),
        Some(Decision::Bind(place)) => format!("being bound: it fits on {}", place.instance),
        Some(Decision::Wait(unplaced, until)) => {
            format!("an instance, until {until:.0}: {}", unplaced.reason)
        }
        Some(Decision::Fail(unplaced)) => format!("its end: {}", unplaced.reason),
        Some(Decision::Together) => {
            "the other tasks of its RunTask: none runs before all have a place".to_owned()
        }
    }
}

fn stop(picture: &Picture, task: &Task) -> Option<StopLine> {
    let mark = || {
        let owner = Key::new(&task.key.namespace, &task.service.as_ref()?.name);
        let service = picture.world.services.get(&owner)?;
        let version = task.version.to_string();
        let mut marks = service.stopping.iter();
        let mark = marks.find(|m| m.uid == task.uid && m.task_version == version)?;
        Some(StopLine {
            by: format!("service {owner}, which decided so and is about to tell it"),
            code: Some(StopCode::ServiceSchedulerInitiated),
            reason: Some(mark.reason.clone()),
            at_the_latest: None,
            waits_for: None,
        })
    };
    if task.desired == DesiredStatus::Running {
        return mark();
    }
    let ended = !task.alive();
    Some(StopLine {
        by: told_by(task),
        code: task.stop_code,
        reason: task.stopped_reason.clone(),
        at_the_latest: if ended { None } else { stopped_by(picture, task) },
        waits_for: (!ended).then(|| end_waits_for(picture, task)),
    })
}

fn told_by(task: &Task) -> String {
    let service = task.service.as_ref().map(|s| s.name.as_str());
    match (task.stop_code, service) {
        _ if task.tombstone => {
            "the operator: whether it exists was uncertain, so that it never runs".to_owned()
        }
        (Some(StopCode::UserInitiated), _) => "a user: StopTask, or kubectl delete".to_owned(),
        (Some(StopCode::ServiceSchedulerInitiated), Some(service)) => {
            format!("the scheduler of service {}/{service}", task.key.namespace)
        }
        (Some(StopCode::ServiceSchedulerInitiated), None) => "a scheduler".to_owned(),
        (Some(StopCode::EssentialContainerExited), _) => "itself: an essential container ended".to_owned(),
        (Some(StopCode::TaskFailedToStart), _) => "the operator: it could not start".to_owned(),
        (Some(StopCode::TerminationNotice), _) => "its machine, which went away".to_owned(),
        (None, _) => "nobody that is recorded".to_owned(),
    }
}

fn end_waits_for(picture: &Picture, task: &Task) -> String {
    let name = task.instance.as_deref().unwrap_or_default();
    let instance = picture.world.instances.get(name);
    match picture.pods.get(&task.key) {
        _ if instance.is_some_and(|i| !i.connected) => {
            format!("the node {name}, which is not ready: nobody can say that its containers have ended")
        }
        Some(pod) if pod.killed_at.is_some() => "its containers, which were told to end".to_owned(),
        Some(_) => "its Pod, which is to be deleted".to_owned(),
        None => "certainty that no Pod of it comes any more".to_owned(),
    }
}

/// When a task that is told to stop has stopped at the latest; `None`: its node is away, or it has no Pod, so that no time
/// can be named.
#[must_use]
pub fn stopped_by(picture: &Picture, task: &Task) -> Option<Timestamp> {
    let name = task.instance.as_deref()?;
    let connected = picture.world.instances.get(name).is_some_and(|i| i.connected);
    let pod = picture.pods.get(&task.key).filter(|_| connected)?;
    let seconds = SignedDuration::from_secs(picture.stop_seconds_of(task));
    pod.killed_at
        .or_else(|| picture.world.now.checked_add(seconds).ok())
}
