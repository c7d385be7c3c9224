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
    let failures = distinct(&old.placement_failures, failures);
    if waits.is_some() && !failures.is_empty() && failures == old.placement_failures {
        // the same reasons for the same instances: amounts that change are not worth a write each
        why = said_before(&old).or(why);
    }
    let mut next = RunTaskStatus {
        observed_generation: request.metadata.generation,
        placed_count: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        tasks,
        placement_failures: failures,
        ..old
    };
    let states = states(request.spec.count, &next, open, over, why);
    next.conditions = conditions::merge(&next.conditions, &states, request.metadata.generation, now);
    if over && next.finished_at.is_none() {
        next.finished_at = Some(now.to_string());
    }
    next
}

/// What it was said to wait for.
fn said_before(old: &RunTaskStatus) -> Option<String> {
    let placed = old.conditions.iter().find(|c| c.type_ == PLACED)?;
    let text = placed.message.split_once(" are placed. ")?.1;
    (placed.reason == "Waiting").then(|| text.to_owned())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(count: u32, commit: &str) -> RunTask {
        serde_json::from_value(json!({
            "metadata": { "name": "batch", "namespace": "shop", "uid": "u" },
            "spec": { "taskDefinition": "job", "count": count, "commit": commit },
        }))
        .unwrap()
    }

    fn member(name: &str, instance: Option<&str>, wanted: &str, status: &Value) -> Member {
        let task = json!({ "metadata": { "name": name }, "status": status,
            "spec": { "taskDefinition": "job", "containerInstance": instance, "desiredStatus": wanted } });
        (
            name.to_owned(),
            Some(Arc::new(serde_json::from_value(task).unwrap())),
        )
    }

    fn placed(name: &str, last: &str) -> Member {
        member(name, Some("n1"), "RUNNING", &json!({ "lastStatus": last }))
    }

    fn unplaced(name: &str) -> Member {
        let failures =
            json!([{ "containerInstance": "n1", "reason": "RESOURCE:CPU", "detail": "asked 512" }]);
        let status = json!({ "lastStatus": "STOPPED", "stoppedReason": "RESOURCE:CPU (n1: asked 512).",
            "placementFailures": failures });
        member(name, None, "STOPPED", &status)
    }

    fn waiting(name: &str) -> Member {
        member(name, None, "RUNNING", &json!(null))
    }

    fn said(status: &RunTaskStatus, type_: &str) -> (String, String, String) {
        let condition = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
        (
            condition.status.clone(),
            condition.reason.clone(),
            condition.message.clone(),
        )
    }

    fn told(request: &RunTask, members: &[Member]) -> RunTaskStatus {
        answer(request, members, None, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn some_are_placed_and_the_reasons_are_told_for_the_others_run_2_scn_17() {
        let (asked, begun) = (
            request(5, "Partial"),
            ["a", "b", "c"].map(|n| placed(n, "RUNNING")),
        );
        let mut members = begun.to_vec();
        members.extend([waiting("d"), waiting("e")]);
        let status = told(&asked, &members);
        assert_eq!(said(&status, ANSWERED).0, "False");
        assert_eq!(said(&status, PLACED).1, "Waiting");
        members.splice(3.., [unplaced("d"), unplaced("e")]);
        let status = told(&asked, &members);
        let tasks: Vec<_> = status.tasks.iter().map(|t| t.name.as_str()).collect();
        assert_eq!((tasks, status.placed_count), (vec!["a", "b", "c"], 3));
        assert_eq!(status.placement_failures.len(), 1, "once per instance and reason");
        assert_eq!(
            said(&status, ANSWERED),
            (
                "True".into(),
                "PartlyPlaced".into(),
                "3 of 5 tasks are placed.".into()
            )
        );
        let (holds, reason, text) = said(&status, PLACED);
        assert_eq!((holds.as_str(), reason.as_str()), ("False", "PartlyPlaced"));
        assert_eq!(
            text,
            "3 of 5 tasks are placed. Task d: RESOURCE:CPU (n1: asked 512)."
        );
        assert_eq!(
            (said(&status, FINISHED).0.as_str(), &status.finished_at),
            ("False", &None)
        );
    }

    #[test]
    fn it_is_finished_when_all_that_were_placed_have_ended_and_what_is_gone_was_placed_before_run_2() {
        let mut asked = request(2, "Partial");
        let running = told(&asked, &[placed("a", "RUNNING"), placed("b", "STOPPED")]);
        assert_eq!(said(&running, PLACED).0, "True");
        assert_eq!(running.finished_at, None);
        asked.status = Some(running);
        let over = told(&asked, &[("a".to_owned(), None), placed("b", "STOPPED")]);
        assert_eq!(over.placed_count, 2);
        assert_eq!(said(&over, FINISHED).0, "True");
        assert!(over.finished_at.is_some());
        let never = told(&request(1, "Partial"), &[("a".to_owned(), None)]);
        assert_eq!(said(&never, PLACED).1, "Failed");
    }

    #[test]
    fn all_or_nothing_says_what_is_in_the_way_and_why_it_failed_run_2() {
        let mut asked = request(2, "AllOrNothing");
        let failure = PlacementFailure {
            container_instance: "n1".to_owned(),
            reason: "AGENT".to_owned(),
            detail: String::new(),
        };
        let why = Unplaced {
            reason: "why".to_owned(),
            failures: vec![failure],
        };
        let members = [waiting("a"), waiting("b")];
        let status = answer(&asked, &members, Some(&why), Timestamp::UNIX_EPOCH);
        assert_eq!(said(&status, PLACED).2, "0 of 2 tasks are placed. why");
        assert_eq!(status.placement_failures.len(), 1);
        asked.status = Some(RunTaskStatus {
            reason: Some("never".to_owned()),
            ..status
        });
        let status = told(&asked, &members);
        assert_eq!(said(&status, ANSWERED).0, "True");
        assert_eq!(said(&status, PLACED).2, "0 of 2 tasks are placed. never");
        assert_eq!(status.placement_failures.len(), 1, "they stay");
        assert_eq!(status.finished_at, None, "its tasks have not ended");
        asked.status = Some(status);
        assert!(
            told(&asked, &[unplaced("a"), unplaced("b")])
                .finished_at
                .is_some()
        );
        asked.status = Some(RunTaskStatus {
            committed: true,
            tasks: ["a", "b"]
                .map(|name| RequestedTask {
                    name: name.to_owned(),
                    container_instance: "n1".to_owned(),
                })
                .into(),
            ..RunTaskStatus::default()
        });
        let status = told(&asked, &members);
        assert_eq!(
            (said(&status, PLACED).0.as_str(), status.placed_count),
            ("True", 2),
            "bound or not"
        );
    }
}
