//! STOPPED tasks: their Pods, and after a while they themselves, go. (TASK-15, F1, F5)

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tracing::error;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use super::task::{SOON, author, checked, observe, pod_of};
use crate::api::{Task, finalizers};
use crate::build::Pod;
use crate::cache::store::key_of;
use crate::ledger::outcome::Outcome;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// Of one service at most this many STOPPED tasks are kept.
const KEEP_PER_SERVICE_MAX: usize = 100;
/// STOPPED tasks are kept this long. (TASK-15)
const KEEP: Duration = Duration::from_secs(3600);
/// Wait before looking again at something that is gone and whose event is on its way.
const GONE: Duration = Duration::from_secs(1);

/// A STOPPED task: its Pod and, after a while, itself go.
pub(super) async fn after_end(context: &Context, task: &Task) -> Result<Action, Error> {
    let uid = task.uid().unwrap_or_default();
    let fences = context.ledger.fences();
    let mut wake = None;
    if let Some(pod) = pod_of(context, task) {
        let node_known = task
            .spec
            .container_instance
            .as_ref()
            .is_some_and(|i| context.cache.nodes.named(i).is_some());
        let ended = crate::cache::node::pod_ended(&pod)
            || observe(context, task, &pod).is_some_and(|seen| seen.ended);
        if !ended && node_known && pod.metadata.deletion_timestamp.is_none() {
            // the store may lag behind: only the API server itself can say that a Pod still runs
            let namespace = task.namespace().unwrap_or_default();
            match context.ledger.read_pod(&namespace, &pod.name_any()).await {
                Outcome::Applied(newest) if runs_on(context, task, &newest) => {}
                Outcome::Applied(_) => return Ok(Action::requeue(jittered(SOON))),
                Outcome::Gone => return Ok(Action::requeue(jittered(GONE))),
                other => return checked(other.map(drop)),
            }
            error!(task = %key_of(task), pod = pod.name_any(), "a Pod runs for a STOPPED task; deleting it");
            context.metrics.violated("pod_of_stopped_task");
            checked(context.ledger.delete_pod(&pod).await)?;
        }
        // F5: off only after the end is recorded and F3's wait has passed
        let leaving = pod.metadata.deletion_timestamp.is_some() || task.metadata.deletion_timestamp.is_some();
        if leaving && (ended || !node_known) {
            wake = fences.wait(&uid, &author(task), context.ledger.process());
            if wake.is_none() {
                let outcome = context.ledger.free_pod(&pod).await;
                if !matches!(outcome, Outcome::Applied(()) | Outcome::Gone) {
                    return checked(outcome);
                }
            }
        }
    }
    if task.metadata.deletion_timestamp.is_some() {
        return let_go(context, task, wake).await;
    }
    let stopped_at = task
        .status
        .as_ref()
        .and_then(|s| s.stopped_at.as_ref())
        .and_then(|t| t.parse::<Timestamp>().ok());
    let age = stopped_at.map(|at| Duration::try_from(source::now().duration_since(at)).unwrap_or_default());
    let crowded = newer_ended(context, task) >= KEEP_PER_SERVICE_MAX;
    // what somebody else wrote there and nobody can read makes no task old
    let left = age.map_or(KEEP, |age| KEEP.saturating_sub(age));
    if left.is_zero() || crowded {
        return checked(context.ledger.delete_task(task).await);
    }
    Ok(Action::requeue(wake.unwrap_or(left).min(left)))
}

/// Whether a Pod has neither ended nor been told to.
fn runs_on(context: &Context, task: &Task, pod: &Pod) -> bool {
    let ended =
        crate::cache::node::pod_ended(pod) || observe(context, task, pod).is_some_and(|seen| seen.ended);
    !ended && pod.metadata.deletion_timestamp.is_none()
}

/// How many tasks of the same service ended after this one.
fn newer_ended(context: &Context, task: &Task) -> usize {
    let Some(service) = &task.spec.service else {
        return 0;
    };
    let world = context.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
    let Some(own) = world.task(&key_of(task)).cloned() else {
        return 0;
    };
    world
        .tasks_of(&service.uid)
        .filter(|t| !t.alive() && (t.stopped_at, &t.key) > (own.stopped_at, &own.key))
        .count()
}

/// A deleted, STOPPED task: its finalizer goes when the share is released and F1's wait is over.
async fn let_go(context: &Context, task: &Task, wake: Option<Duration>) -> Result<Action, Error> {
    let uid = task.uid().unwrap_or_default();
    if !task.finalizers().iter().any(|f| f == finalizers::TASK) {
        context.ledger.fences().forget(&uid);
        return Ok(Action::await_change());
    }
    let key = key_of(task);
    let reserved = task.spec.container_instance.as_ref().is_some_and(|instance| {
        context.cache.instances.named(instance).is_some_and(|object| {
            let entries = object.status.iter().flat_map(|s| &s.reservations);
            entries.into_iter().any(|r| r.is_for(&key.namespace, &key.name))
        })
    });
    if reserved {
        if let Some(instance) = &task.spec.container_instance {
            context.queues.instances.push_named(instance);
        }
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    if let Some(left) = context.ledger.fences().finalizer_wait(&uid) {
        return Ok(Action::requeue(wake.map_or(left, |w| w.min(left))));
    }
    let outcome = context.ledger.free_task(task).await;
    context.ledger.fences().forget(&uid);
    checked(outcome)
}
