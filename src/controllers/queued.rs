//! Tasks of a service that nobody has bound: they wait behind stopping tasks, move, and are bound. (OPT-1, OPT-3)

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::debug;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use super::run_once::{bind, reasons};
use super::task::{SOON, checked, stop};
use crate::api::{PlacementFailure, Queued, StopCode, Task};
use crate::cache::store::{key_of, version_of};
use crate::ledger::outcome::Outcome;
use crate::plan::queued::{self, Decision, Wait};
use crate::plan::run_task::Place;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// A task that waits is looked at again at least this often; changes wake it before. (HRM-15)
const WAITING: Duration = Duration::from_secs(30);
/// An estimate is written anew when it is off by more than this.
const ESTIMATE_OFF: Duration = Duration::from_secs(5);

/// Does what there is to do with a service's task that nobody bound.
pub(super) async fn place(context: &Context, task: &Task) -> Result<Action, Error> {
    let key = key_of(task);
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
    let decision = queued::decide(&world, &key);
    drop(world);
    match decision {
        None => Ok(Action::requeue(jittered(SOON))),
        Some(Decision::Bind(place)) => {
            let share_seen = Instant::now();
            let share = share(context, &task, &place).await;
            drop(turn);
            match share? {
                Some(action) => Ok(action),
                None => bind(context, &task, &place, share_seen).await,
            }
        }
        Some(Decision::Queue(entry, version, wait)) => {
            let outcome = context.ledger.enqueue(&wait.instance, version, *entry).await;
            drop(turn);
            if !matches!(outcome, Outcome::Applied(())) {
                return checked(outcome);
            }
            report(context, &task, Some(&wait), &[]).await
        }
        Some(Decision::Stay(wait)) => {
            drop(turn);
            report(context, &task, Some(&wait), &[]).await
        }
        Some(Decision::Leave(instance)) => {
            let outcome = context.ledger.leave_queue(&instance, &key).await;
            drop(turn);
            checked(outcome).map(|_| Action::requeue(jittered(SOON)))
        }
        Some(Decision::Unplaced(failures, at)) => {
            drop(turn);
            let action = report(context, &task, None, &failures).await?;
            Ok(at.map_or(action, |at| Action::requeue(until(at))))
        }
        Some(Decision::Stop(reason)) => {
            drop(turn);
            stop(context, &task, StopCode::TaskFailedToStart, &reason).await
        }
    }
}

/// Sees to it that the task has its share there; `Some` if it has not.
async fn share(context: &Context, task: &Task, place: &Place) -> Result<Option<Action>, Error> {
    let again = || Ok(Some(Action::requeue(jittered(SOON))));
    if place.held {
        let held = context
            .ledger
            .still_reserved(&place.instance, &key_of(task))
            .await;
        return if held { Ok(None) } else { again() };
    }
    match context.ledger.reserve_place(task, place).await {
        Outcome::Applied(None) => Ok(None),
        Outcome::Applied(Some(denied)) => {
            debug!(task = %key_of(task), ?denied, "no share given; planning again");
            again()
        }
        Outcome::Gone => again(),
        other => checked(other.map(drop)).map(Some),
    }
}

/// Writes down where the task waits and until when, or why it waits nowhere, unless about the same stands there.
async fn report(
    context: &Context,
    task: &Task,
    wait: Option<&Wait>,
    failures: &[PlacementFailure],
) -> Result<Action, Error> {
    let mut status = task.status.clone().unwrap_or_default();
    status.observed_generation = task.metadata.generation;
    if reasons(&status.placement_failures) != reasons(failures) {
        status.placement_failures = failures.to_vec();
    }
    let queued = wait.map(said);
    let same = match (&queued, &status.queued) {
        (Some(new), Some(old)) => about_same(new, old),
        (new, old) => new.is_none() && old.is_none(),
    };
    if !same {
        status.queued = queued;
    }
    checked(context.ledger.report_task(task, &status).await)?;
    let at = wait.and_then(|wait| wait.until);
    Ok(Action::requeue(at.map_or(WAITING, until)))
}

fn said(wait: &Wait) -> Queued {
    Queued {
        container_instance: wait.instance.clone(),
        behind: wait.behind.iter().map(ToString::to_string).collect(),
        until: wait.until.map(|at| format!("{at:.0}")),
    }
}

fn about_same(new: &Queued, old: &Queued) -> bool {
    let time = |queued: &Queued| queued.until.as_ref()?.parse::<Timestamp>().ok();
    let near = match (time(new), time(old)) {
        (Some(a), Some(b)) => a.duration_since(b).unsigned_abs() <= ESTIMATE_OFF,
        (a, b) => a == b,
    };
    near && (&new.container_instance, &new.behind) == (&old.container_instance, &old.behind)
}

fn until(at: Timestamp) -> Duration {
    let left = Duration::try_from(at.duration_since(source::now())).unwrap_or_default();
    left.saturating_add(Duration::from_millis(500)).min(WAITING)
}
