//! What the status of a RunTask should say: ECS's answer, the tasks that were placed and why the others were not.
//! (RUN-2, FAIL)

use std::sync::Arc;

use jiff::Timestamp;

use super::task::cut;
use crate::api::conditions::{self, State};
use crate::api::{Commit, DesiredStatus, LastStatus, RequestedTask, RunTask, RunTaskStatus, Task};
use crate::domain::records::PlacementFailure;
use crate::plan::FAILURES_MAX;
use crate::plan::run_task::Unplaced;

/// Condition of a request of which nothing is waited for any more.
pub const ANSWERED: &str = "Answered";
/// Condition that all its tasks are placed.
pub const PLACED: &str = "Placed";
/// Condition that all its tasks have ended.
pub const FINISHED: &str = "Finished";

/// A Task of the request: its name, and itself unless the API server showed that it is gone, or another's.
pub type Member = (String, Option<Arc<Task>>);

/// How a task of the request stands.
enum Standing {
    /// It has an instance, and has ended or not.
    Placed(RequestedTask, bool),
    /// It may get one.
    Open,
    /// It will have none: why.
    Failed(String, Vec<PlacementFailure>),
}

fn standing(old: &RunTaskStatus, (name, task): &Member) -> Standing {
    let known = old.tasks.iter().find(|placed| placed.name == *name);
    let Some(task) = task else {
        return known.map_or_else(
            || Standing::Failed("it was deleted before it was placed.".to_owned(), Vec::new()),
            |known| Standing::Placed(known.clone(), true),
        );
    };
    let status = task.status.clone().unwrap_or_default();
    let ended = status.last_status == LastStatus::Stopped || task.spec.tombstone;
    let bound = task
        .spec
        .container_instance
        .clone()
        .map(|instance| RequestedTask {
            name: name.clone(),
            container_instance: instance,
        });
    let stopped =
        task.spec.desired_status == DesiredStatus::Stopped || task.metadata.deletion_timestamp.is_some();
    match bound.or_else(|| known.cloned()) {
        Some(placed) => Standing::Placed(placed, ended),
        None if stopped || ended => {
            let reason = status.stopped_reason.or_else(|| task.spec.stopped_reason.clone());
            let reason = reason.unwrap_or_else(|| "it was stopped before it was placed.".to_owned());
            Standing::Failed(reason, status.placement_failures)
        }
        None => Standing::Open,
    }
}

/// The status of a request whose Tasks were created. `waits` is what is in the way of those that wait for each other.
#[must_use]
pub fn answer(
    request: &RunTask,
    members: &[Member],
    waits: Option<&Unplaced>,
    now: Timestamp,
) -> RunTaskStatus {
    let old = request.status.clone().unwrap_or_default();
    let together = request.spec.commit == Commit::AllOrNothing;
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    let (mut why, mut open, mut over) = (None, 0usize, true);
    for member in members {
        match standing(&old, member) {
            Standing::Placed(task, ended) => {
                over &= ended;
                tasks.push(task);
            }
            Standing::Failed(..) if together => {}
            Standing::Failed(reason, of_task) => {
                why.get_or_insert_with(|| format!("Task {}: {reason}", member.0));
                failures.extend(of_task);
            }
            Standing::Open if together && old.reason.is_some() => over = false,
            Standing::Open => {
                open = open.saturating_add(1);
                over = false;
                if let Some(status) = member.1.as_ref().and_then(|task| task.status.as_ref()) {
                    failures.extend(status.placement_failures.iter().cloned());
                }
            }
        }
    }
    if let Some(reason) = old.reason.clone().filter(|_| together) {
        why = Some(reason);
        failures.clone_from(&old.placement_failures);
    } else if let Some(waits) = waits {
        why = Some(waits.reason.clone());
        failures.clone_from(&waits.failures);
    }
    let mut next = RunTaskStatus {
        observed_generation: request.metadata.generation,
        placed_count: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        tasks,
        placement_failures: distinct(&old.placement_failures, failures),
        ..old
    };
    let states = states(request.spec.count, &next, open, over, why);
    next.conditions = conditions::merge(&next.conditions, &states, request.metadata.generation, now);
    if over && next.finished_at.is_none() {
        next.finished_at = Some(now.to_string());
    }
    next
}

/// Each reason once per instance; what was said already stays if it is the same reasons for the same instances.
fn distinct(old: &[PlacementFailure], found: Vec<PlacementFailure>) -> Vec<PlacementFailure> {
    let mut kept: Vec<PlacementFailure> = Vec::new();
    let same = |a: &PlacementFailure, b: &PlacementFailure| {
        a.container_instance == b.container_instance && a.reason == b.reason
    };
    for failure in found {
        if kept.len() < FAILURES_MAX && !kept.iter().any(|known| same(known, &failure)) {
            kept.push(failure);
        }
    }
    let unchanged =
        old.len() == kept.len() && kept.iter().all(|new| old.iter().any(|known| same(known, new)));
    if unchanged { old.to_vec() } else { kept }
}

fn states(
    count: u32,
    status: &RunTaskStatus,
    open: usize,
    over: bool,
    why: Option<String>,
) -> [(&'static str, State); 3] {
    let placed = status.placed_count;
    let tally = format!("{placed} of {count} tasks are placed.");
    let text = why.map_or_else(|| tally.clone(), |why| format!("{tally} {why}"));
    let (answered, of_placed) = match open {
        0 if placed == count => (State::yes("Placed", &tally), State::yes("Placed", &tally)),
        0 => {
            let reason = if placed == 0 { "Failed" } else { "PartlyPlaced" };
            (State::yes(reason, &tally), State::no(reason, &cut(&text)))
        }
        _ => {
            let waits = format!("{open} of {count} tasks have no place yet.");
            (State::no("Waiting", &waits), State::no("Waiting", &cut(&text)))
        }
    };
    let finished = if over {
        State::yes("Finished", "nothing of it runs any more")
    } else {
        State::no("Running", "its tasks have not ended")
    };
    [(ANSWERED, answered), (PLACED, of_placed), (FINISHED, finished)]
}
