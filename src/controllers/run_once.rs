//! Run-once tasks: from created to bound, or STOPPED, or waiting until their time. (RUN-1, RUN-2)

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;
use tracing::debug;

use super::Context;
use super::errors::Error;
use super::hold;
use super::queue::Action;
use super::request;
use super::task::{SOON, checked, stop};
use crate::api::{PlacementFailure, StopCode, Task};
use crate::build;
use crate::cache::store::{key_of, version_of};
use crate::ledger::fence::AUTHORISATION;
use crate::ledger::outcome::Outcome;
use crate::plan::run_task::{self, Decision, Place, Unplaced};
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// A task that waits for a place is looked at again at least this often; changes wake it before.
const WAITING: Duration = Duration::from_secs(30);

/// Looks for a place for a task that nobody bound.
pub(super) async fn place(context: &Context, task: &Task) -> Result<Action, Error> {
    let key = key_of(task);
    request::see_share(context, task).await;
    let turn = context.ledger.turn().await;
    // the turn may have taken a while
    let Some(task) = context.cache.tasks.get(&key) else {
        return Ok(Action::await_change());
    };
    let version = version_of(task.as_ref());
    let world = context.cache.snapshot(source::now(), version);
    if world.task(&key).is_some_and(|known| known.version != version) {
        return Ok(Action::requeue(jittered(SOON)));
    }
    let decision = run_task::decide(&world, &key);
    drop(world);
    let place = match decision {
        None => return Ok(Action::requeue(jittered(SOON))),
        Some(Decision::Bind(place)) => place,
        Some(Decision::Wait(unplaced, until)) => {
            drop(turn);
            report(context, &task, &unplaced.failures).await?;
            return Ok(Action::requeue(wait(until)));
        }
        // its request wakes it
        Some(Decision::Together) => return Ok(Action::requeue(WAITING)),
        Some(Decision::Fail(unplaced)) => {
            drop(turn);
            return fail(context, &task, &unplaced).await;
        }
    };
    context.metrics.planned("start", 1);
    let share_seen = Instant::now();
    if place.held {
        drop(turn);
        if !context.ledger.still_reserved(&place.instance, &key).await {
            return Ok(Action::requeue(jittered(SOON)));
        }
    } else {
        let outcome = context.ledger.reserve_place(&task, &place).await;
        drop(turn);
        match outcome {
            Outcome::Applied(None) => {}
            Outcome::Applied(Some(denied)) => {
                debug!(task = %key, ?denied, "no share given; planning again");
                context.queues.instances.push_named(&place.instance);
                return Ok(Action::requeue(jittered(SOON)));
            }
            Outcome::Gone => return Ok(Action::requeue(jittered(SOON))),
            other => return checked(other.map(drop)),
        }
    }
    bind(context, &task, &place, share_seen).await
}

/// Binds the task to the instance where its share is, and makes its Pod.
pub(super) async fn bind(
    context: &Context,
    task: &Task,
    place: &Place,
    share_seen: Instant,
) -> Result<Action, Error> {
    let key = key_of(task);
    hold::ensure(context, &key.namespace, build::held(task)).await?;
    let outcome = context.ledger.bind(task, place, share_seen).await;
    if !matches!(outcome, Outcome::Applied(())) {
        // somebody bound it elsewhere, or stopped it: then the share goes
        context.queues.instances.push_named(&place.instance);
        return checked(outcome);
    }
    if let Some(newest) = context.cache.tasks.get(&key) {
        context.ledger.run(&newest).await;
    }
    Ok(Action::requeue(AUTHORISATION))
}

async fn fail(context: &Context, task: &Task, unplaced: &Unplaced) -> Result<Action, Error> {
    report(context, task, &unplaced.failures).await?;
    let newest = context.cache.tasks.get(&key_of(task));
    let Some(newest) = newest.filter(|newest| newest.uid() == task.uid()) else {
        return Ok(Action::await_change());
    };
    if newest.spec != task.spec {
        return Ok(Action::requeue(jittered(SOON)));
    }
    stop(context, &newest, StopCode::TaskFailedToStart, &unplaced.reason).await
}

/// Writes down why there is no place, unless the same reasons stand there for the same instances.
async fn report(context: &Context, task: &Task, failures: &[PlacementFailure]) -> Result<(), Error> {
    let mut status = task.status.clone().unwrap_or_default();
    status.observed_generation = task.metadata.generation;
    if reasons(&status.placement_failures) != reasons(failures) {
        status.placement_failures = failures.to_vec();
    }
    checked(context.ledger.report_task(task, &status).await).map(drop)
}

/// The reasons by instance, whatever the amounts.
pub(super) fn reasons(failures: &[PlacementFailure]) -> Vec<(&str, &str)> {
    let mut found: Vec<_> = failures
        .iter()
        .map(|f| (f.container_instance.as_str(), f.reason.as_str()))
        .collect();
    found.sort_unstable();
    found
}

/// How long to wait until then, if nothing changes before.
pub(super) fn wait(until: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(source::now())).unwrap_or_default();
    left.saturating_add(Duration::from_millis(50)).min(WAITING)
}
