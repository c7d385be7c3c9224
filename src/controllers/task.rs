//! Tasks: from RUNNING wanted to a Pod, from the Pod to a status, from STOPPED wanted to the end. (TASK-3, STOP-1)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use tracing::{debug, info};

use super::Context;
use super::ended;
use super::errors::Error;
use super::instance::live_node;
use super::protection;
use super::queue::Action;
use super::request;
use super::start;
use crate::api::{DesiredStatus, LastStatus, StopCode, Task, TaskStatus, labels};
use crate::build::{self, Observed, Pod, PodObservation};
use crate::cache::convert::revision_of;
use crate::cache::node::pod_ended;
use crate::cache::store::key_of;
use crate::ledger::outcome::Outcome;
use crate::ledger::pod::belongs;
use crate::ledger::task::{cut, stopped_status};
use crate::plan::world::Key;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// A task is looked at again at least this often; that costs no request.
const RESYNC: Duration = Duration::from_secs(300);
/// A task whose containers cannot start is stopped after this time.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Wait before looking again at something that moved.
pub(super) const SOON: Duration = Duration::from_millis(100);

/// stoppedReason of a task whose essential container ended. (TASK-13)
const EXITED: &str = "Essential container in task exited";

/// Moves a task one step on.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(task) = context.cache.tasks.get(&key) else {
        return Ok(Action::await_change());
    };
    let last = task.status.as_ref().map(|s| s.last_status).unwrap_or_default();
    if last == LastStatus::Stopped {
        return ended::after_end(&context, &task).await;
    }
    if task.spec.tombstone {
        return end(&context, &task, None).await;
    }
    let deleted = task.metadata.deletion_timestamp.is_some();
    if deleted && task.spec.desired_status == DesiredStatus::Running {
        // `kubectl delete task` is StopTask (STOP-8)
        return stop(&context, &task, StopCode::UserInitiated, "Task stopped by user").await;
    }
    match task.spec.desired_status {
        DesiredStatus::Running => {
            if let Some(action) = request::left_behind(&context, &task).await? {
                return Ok(action);
            }
            match protection::settle(&context, &task).await? {
                Some(action) => Ok(action),
                None => Ok(protection::in_time(&task, start::run(&context, &task).await?)),
            }
        }
        DesiredStatus::Stopped => wind_down(&context, &task).await,
    }
}

pub(super) fn pod_of(context: &Context, task: &Task) -> Option<Arc<Pod>> {
    let name = build::pod_name(task)?;
    let pod = context
        .cache
        .pods
        .get(&Key::new(task.namespace().unwrap_or_default(), name))?;
    Some(pod).filter(|pod| belongs(task, pod))
}

pub(super) fn observe(context: &Context, task: &Task, pod: &Pod) -> Option<PodObservation> {
    let world = context.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
    let namespace = task.namespace().unwrap_or_default();
    let known = world.definition_in_use(&namespace, revision_of(task))?;
    let definition = context.cache.definitions.get(&known.key)?;
    Some(build::observe(&Observed {
        task,
        definition: &definition.spec,
        pod,
        now: source::now(),
    }))
}

pub(super) fn author(task: &Task) -> String {
    task.annotations()
        .get(labels::AUTHORISED_BY)
        .cloned()
        .unwrap_or_default()
}

pub(super) fn checked(outcome: Outcome<()>) -> Result<Action, Error> {
    match outcome {
        Outcome::Applied(()) => Ok(Action::requeue(RESYNC)),
        Outcome::Gone => Ok(Action::await_change()),
        Outcome::Stale | Outcome::Exists => Ok(Action::requeue(jittered(SOON))),
        Outcome::Refused(text) => Err(Error::Refused(text)),
        Outcome::Unknown(text) => Err(Error::Uncertain(text)),
    }
}

pub(super) async fn stop(
    context: &Context,
    task: &Task,
    code: StopCode,
    reason: &str,
) -> Result<Action, Error> {
    let (uid, version) = (
        task.uid().unwrap_or_default(),
        task.resource_version().unwrap_or_default(),
    );
    let outcome = context
        .ledger
        .stop_task(&key_of(task), &uid, &version, code, reason)
        .await;
    if matches!(outcome, Outcome::Applied(())) {
        context.queues.tasks.push(key_of(task));
    }
    checked(outcome)
}

/// A task that should run and has a Pod: its status follows, and what must stop it stops it.
pub(super) async fn mirror(context: &Context, task: &Task, pod: &Pod) -> Result<Action, Error> {
    let Some(seen) = observe(context, task, pod) else {
        // without its definition nobody knows which containers are essential
        if pod_ended(pod) {
            return stop(context, task, StopCode::EssentialContainerExited, EXITED).await;
        }
        return Ok(Action::requeue(RESYNC));
    };
    if seen.deleting && !seen.ended {
        return stop(
            context,
            task,
            StopCode::UserInitiated,
            "the Pod of the task was deleted",
        )
        .await;
    }
    if let Some((code, reason)) = must_stop(&seen, patience(task, pod)) {
        return stop(context, task, code, &reason).await;
    }
    if let (Some(text), Some(left)) = (&seen.cannot_start, patience(task, pod)) {
        // image pulls and the like may heal; a task that never started is given up after a while
        let mut status = task.status.clone().unwrap_or_default();
        fill(&mut status, task, &seen);
        checked(context.ledger.report_task(task, &status).await)?;
        debug!(task = %key_of(task), %text, "cannot start yet");
        return Ok(Action::requeue(left));
    }
    let mut status = task.status.clone().unwrap_or_default();
    let pending = seen.last_status < LastStatus::Running && status.pod.is_none() && seen.unprepared.is_none();
    // but one that waited for its place says that it has one
    let waited = |s: &TaskStatus| {
        s.conditions
            .iter()
            .any(|c| c.type_ == "Placed" && c.status != "True")
    };
    let pending = pending && !task.status.as_ref().is_some_and(waited);
    fill(&mut status, task, &seen);
    let wake = seen.recheck_at.map(|at| {
        let left = Duration::try_from(at.duration_since(source::now())).unwrap_or_default();
        left.max(SOON)
    });
    if pending {
        // PENDING is what a Task without status reads as: no write is spent on it
        return Ok(Action::requeue(wake.unwrap_or(RESYNC)));
    }
    let outcome = context.ledger.report_task(task, &status).await;
    match (outcome, wake) {
        (Outcome::Applied(()), Some(wake)) => Ok(Action::requeue(wake)),
        (outcome, _) => checked(outcome),
    }
}

/// Why a task that should run has to be told to stop, `patience` being left for one that cannot start. What has ended
/// is not waited for.
fn must_stop(seen: &PodObservation, patience: Option<Duration>) -> Option<(StopCode, String)> {
    if let Some(text) = &seen.failed_to_start {
        let reason = format!("Task failed to start: {text}");
        return Some((StopCode::TaskFailedToStart, reason));
    }
    if let Some(text) = &seen.cannot_start {
        let given_up = seen.ended || patience.is_none();
        return given_up.then(|| (StopCode::TaskFailedToStart, text.clone()));
    }
    (seen.essential_exited.is_some() || seen.ended)
        .then(|| (StopCode::EssentialContainerExited, EXITED.to_owned()))
}

/// How long a task that cannot start is waited for yet; a run-once task may have waited for its place before it got its
/// Pod.
fn patience(task: &Task, pod: &Pod) -> Option<Duration> {
    let made = |meta: &ObjectMeta| meta.creation_timestamp.as_ref().map(|at| at.0);
    let created = made(&task.metadata)?.max(made(&pod.metadata).unwrap_or(Timestamp::UNIX_EPOCH));
    let age = Duration::try_from(source::now().duration_since(created)).unwrap_or_default();
    START_PATIENCE.checked_sub(age).filter(|left| !left.is_zero())
}

fn fill(status: &mut TaskStatus, task: &Task, seen: &PodObservation) {
    status.last_status = status.last_status.max(seen.last_status);
    status.observed_generation = task.metadata.generation;
    status.health_status = seen.health;
    status.pod.clone_from(&seen.pod);
    status.containers.clone_from(&seen.containers);
    status.placement_failures.clear();
    status.queued = None;
    if status.started_at.is_none() && seen.last_status >= LastStatus::Running {
        status.started_at = seen.started_at.map(|at| at.to_string());
    }
}

/// A task that was told to stop and has not ended.
async fn wind_down(context: &Context, task: &Task) -> Result<Action, Error> {
    let namespace = task.namespace().unwrap_or_default();
    let uid = task.uid().unwrap_or_default();
    let instance = task.spec.container_instance.clone().unwrap_or_default();
    if let Some(pod) = pod_of(context, task) {
        let seen = observe(context, task, &pod);
        let node_gone =
            context.cache.nodes.named(&instance).is_none() && live_node(context, &instance).await?.is_none();
        if seen.as_ref().is_some_and(|s| s.ended) || pod_ended(&pod) || node_gone {
            return end(context, task, seen.as_ref()).await;
        }
        if pod.metadata.deletion_timestamp.is_none() {
            let outcome = context.ledger.delete_pod(&pod).await;
            if !matches!(outcome, Outcome::Applied(()) | Outcome::Gone) {
                return checked(outcome);
            }
        }
        let mut status = task.status.clone().unwrap_or_default();
        if let Some(seen) = &seen {
            fill(&mut status, task, seen);
        }
        stopping(&mut status, task);
        return checked(context.ledger.report_task(task, &status).await);
    }
    // no Pod in sight: it is the end only if none can come (F3) and the API server itself shows none
    if let Some(left) = context
        .ledger
        .fences()
        .wait(&uid, &author(task), context.ledger.process())
    {
        return Ok(Action::requeue(left));
    }
    let Some(name) = build::pod_name(task).filter(|_| !author(task).is_empty()) else {
        return end(context, task, None).await;
    };
    match context.ledger.read_pod(&namespace, &name).await {
        Outcome::Gone => end(context, task, None).await,
        Outcome::Applied(pod) if !belongs(task, &pod) => end(context, task, None).await,
        Outcome::Applied(_) => Ok(Action::requeue(SOON)),
        other => checked(other.map(drop)),
    }
}

fn stopping(status: &mut TaskStatus, task: &Task) {
    // whoever stops it, protection ends with the task (PROT-6, PROT-11)
    status.protected_until = None;
    status.last_status = status.last_status.max(LastStatus::Stopping);
    status.observed_generation = task.metadata.generation;
    status
        .stopping_at
        .get_or_insert_with(|| source::now().to_string());
    status.stop_code = status.stop_code.or(task.spec.stop_code);
    if status.stopped_reason.is_none() {
        status.stopped_reason.clone_from(&task.spec.stopped_reason);
    }
}

/// Writes the final STOPPED.
async fn end(context: &Context, task: &Task, seen: Option<&PodObservation>) -> Result<Action, Error> {
    let mut status = task.status.clone().unwrap_or_default();
    if let Some(seen) = seen {
        fill(&mut status, task, seen);
        if let Some(reason) = &seen.pod_reason {
            status.stopped_reason.get_or_insert_with(|| cut(reason));
        }
    }
    let mut recorded = task.clone();
    recorded.status = Some(status);
    let status = stopped_status(&recorded, source::now());
    let outcome = context.ledger.report_task(task, &status).await;
    if matches!(outcome, Outcome::Applied(())) {
        info!(task = %key_of(task), reason = status.stopped_reason, "STOPPED");
        context.queues.tasks.push(key_of(task));
        if let Some(instance) = &task.spec.container_instance {
            context.queues.instances.push_named(instance);
        }
    }
    checked(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> PodObservation {
        PodObservation::default()
    }

    #[test]
    fn what_cannot_start_is_waited_for_unless_it_has_ended_task_13_stop_6() {
        let text = "Container 'c' can't start".to_owned();
        let failed = Some((StopCode::TaskFailedToStart, text.clone()));
        let mut observed = PodObservation {
            cannot_start: Some(text),
            ..seen()
        };
        assert_eq!(must_stop(&observed, Some(SOON)), None);
        assert_eq!(must_stop(&observed, None), failed);
        observed.ended = true;
        assert_eq!(must_stop(&observed, Some(SOON)), failed, "its Pod has ended");
    }

    #[test]
    fn a_task_whose_pod_ended_has_to_stop_and_one_that_runs_has_not() {
        assert_eq!(must_stop(&seen(), None), None);
        let ended = PodObservation {
            ended: true,
            ..seen()
        };
        let exited = Some((StopCode::EssentialContainerExited, EXITED.to_owned()));
        assert_eq!(must_stop(&ended, Some(SOON)), exited);
    }
}
