//! Waiting after starts that failed: per instance for every service, and the service throttle. (THR, item HRM)
//!
//! Everything is derived from the Tasks themselves, so a restart of the operator forgets nothing.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::world::{Service, Task, World};
use crate::domain::records::{DesiredStatus, StopCode};

/// Longest wait before a refused task is tried again on the same instance, in seconds.
const INSTANCE_MAX_SECONDS: i64 = 300;
/// A task that ran for less than this and ended by itself counts as a quick exit, in seconds.
const QUICK_EXIT_SECONDS: i64 = 10;
/// Longest wait after quick exits: they are paced, not throttled. (THR-5; choice)
const QUICK_EXIT_MAX_SECONDS: i64 = 10;
/// Waits of the service throttle after 1, 2, 3 … starts that failed in a row, in seconds. (THR-2)
const THROTTLE_SECONDS: [i64; 11] = [0, 0, 0, 15, 30, 60, 120, 240, 480, 960, 1620];

/// How a task ended by itself, if it did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Without ever RUNNING.
    NeverStarted,
    /// Soon after RUNNING.
    QuickExit,
}

/// When a task ended that never reached RUNNING, by itself or because it can't start. (THR-1, CB-4)
pub(super) fn never_started(task: &Task, now: Timestamp) -> Option<Timestamp> {
    let (kind, at) = failure(task, now)?;
    (kind == Failure::NeverStarted).then_some(at)
}

/// A task that is told to stop because it failed has failed: its replacement is planned before it is STOPPED.
fn failure(task: &Task, now: Timestamp) -> Option<(Failure, Timestamp)> {
    let told = task.desired == DesiredStatus::Stopped;
    let ended = task.stopped_at.or_else(|| told.then_some(now))?;
    match (task.stop_code?, task.started_at) {
        (StopCode::TaskFailedToStart | StopCode::EssentialContainerExited, None) => {
            Some((Failure::NeverStarted, ended))
        }
        (StopCode::EssentialContainerExited, Some(started))
            if ended.duration_since(started).as_secs() < QUICK_EXIT_SECONDS =>
        {
            Some((Failure::QuickExit, ended))
        }
        _ => None,
    }
}

/// Failures in a row, newest first: how many, of which kind, and when the newest ended.
fn streak<'a>(tasks: impl Iterator<Item = &'a Task>, now: Timestamp) -> Option<(u32, Failure, Timestamp)> {
    let mut newest_first: Vec<&Task> = tasks.filter(|t| !t.tombstone).collect();
    newest_first.sort_by(|a, b| (b.created_at, &b.key).cmp(&(a.created_at, &a.key)));
    let mut found: Option<(u32, Failure, Timestamp)> = None;
    for task in newest_first {
        let Some((kind, ended)) = failure(task, now) else {
            if task.alive() {
                continue;
            }
            break;
        };
        found = match found {
            None => Some((1, kind, ended)),
            Some((n, first, at)) if first == kind => Some((n.saturating_add(1), first, at.max(ended))),
            Some(_) => break,
        };
    }
    found
}

fn after(at: Timestamp, seconds: i64, now: Timestamp) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_secs(seconds))
        .ok()
        .filter(|until| *until > now)
}

/// Until when no new task of the service is tried on the instance: 1 s doubling up to 5 minutes after refusals there.
/// With a `deployment` only its own refusals count.
pub(super) fn instance_until(
    world: &World,
    service: &Service,
    deployment: Option<&str>,
    instance: &str,
) -> Option<Timestamp> {
    let here = world
        .tasks_on(instance)
        .map(AsRef::as_ref)
        .filter(|task: &&Task| {
            task.service.as_ref().is_some_and(|s| s.uid == service.uid)
                && deployment.is_none_or(|id| task.started_by == id)
        });
    let (n, kind, at) = streak(here, world.now)?;
    let doubled = 1i64.checked_shl(n.saturating_sub(1)).unwrap_or(i64::MAX);
    let seconds = match kind {
        Failure::NeverStarted => doubled.clamp(1, INSTANCE_MAX_SECONDS),
        Failure::QuickExit => doubled.clamp(1, QUICK_EXIT_MAX_SECONDS),
    };
    after(at, seconds, world.now)
}

/// Instances where a task of the service failed: on no other [`instance_until`] has anything to say.
pub(super) fn failed_on<'a>(world: &'a World, service: &Service) -> BTreeSet<&'a str> {
    let tasks = world.tasks_of(&service.uid);
    let failed = tasks.filter(|task| !task.tombstone && failure(task, world.now).is_some());
    failed.filter_map(|task| task.instance.as_deref()).collect()
}

/// Which task of the deployment failed, and why, if that is the newest one that ran or ended.
pub(super) fn failing(world: &World, service: &Service, deployment: &str) -> Option<String> {
    let newest = world
        .tasks_of(&service.uid)
        .filter(|t| t.started_by == deployment && !t.tombstone)
        .filter(|t| !t.alive() || t.started_at.is_some())
        .max_by_key(|t| (t.created_at, &t.key))
        .filter(|t| !t.alive())?;
    let ended = match failure(newest, world.now)?.0 {
        Failure::NeverStarted => "failed to start",
        Failure::QuickExit => "ended soon after its start",
    };
    let reason = newest.stopped_reason.as_deref().unwrap_or("no reason is known");
    Some(format!("the newest task {} {ended}: {reason}", newest.key.name))
}

/// The service throttle: until when nothing new of the PRIMARY is started, and whether its starts are impaired. A new
/// deployment begins anew. (THR-1 to THR-4, THR-6)
pub(super) fn throttle(world: &World, service: &Service, deployment: &str) -> (Option<Timestamp>, bool) {
    let of_primary = world
        .tasks_of(&service.uid)
        .map(AsRef::as_ref)
        .filter(|t: &&Task| t.started_by == deployment);
    match streak(of_primary, world.now) {
        Some((n, Failure::NeverStarted, at)) => {
            let step = usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
            let last = THROTTLE_SECONDS.last().copied().unwrap_or(0);
            let seconds = THROTTLE_SECONDS.get(step).copied().unwrap_or(last);
            (after(at, seconds, world.now), seconds > 0)
        }
        Some((_, Failure::QuickExit, _)) | None => (None, false),
    }
}
