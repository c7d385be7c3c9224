//! What users ask of a Task: where it is to run, and that it be left alone. (RUN-1, PROT-1)

use jiff::Timestamp;

use super::convert::{expressions, strategy, time};
use super::store::key_of;
use crate::api;
use crate::domain::records::{Commit, PlacementConstraint, PlacementConstraintType};
use crate::plan::request::{Request, Stage};
use crate::plan::world::{ASKED, Key, RunOnce};

/// Until when a task is to be left alone: while a request for protection has no answer, without end. (PROT-1)
pub(super) fn protected_until(object: &api::Task) -> Option<Timestamp> {
    let status = object.status.as_ref();
    let answered = status.and_then(|s| s.protection.as_ref());
    let asked = object.spec.protection.as_ref().filter(|p| p.protection_enabled);
    if asked.is_some_and(|asked| answered.is_none_or(|a| a.request != *asked)) {
        return Some(ASKED);
    }
    time(status.and_then(|s| s.protected_until.as_ref()))
}

/// What a Task asks of its place; `None` if nothing. (RUN-1)
pub(super) fn run_once(spec: &api::TaskSpec) -> Option<RunOnce> {
    let (rules, ranks) = (&spec.placement_constraints, &spec.placement_strategy);
    let asked =
        !rules.is_empty() || !ranks.is_empty() || spec.queue_until.is_some() || spec.run_task.is_some();
    asked.then(|| RunOnce {
        constraints: expressions(rules),
        distinct_instance: rules.iter().any(distinct),
        strategies: ranks.iter().filter_map(strategy).collect(),
        queue_until: spec.queue_until.as_deref().map(end_of_queue),
        request: spec.run_task.clone(),
    })
}

/// A request for tasks, and how far it has come. (RUN-1)
#[must_use]
pub fn request(object: &api::RunTask) -> Request {
    let status = object.status.clone().unwrap_or_default();
    let stage = match status.reason {
        Some(reason) => Stage::Failed(reason),
        None if status.committed => Stage::Committed,
        None if status.created => Stage::Gathering,
        None => Stage::Creating,
    };
    Request {
        key: key_of(object),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        count: object.spec.count,
        all_or_nothing: object.spec.commit == Commit::AllOrNothing,
        queue_until: object.spec.queue_until.as_deref().map(end_of_queue),
        attempt: status.attempt,
        stage,
    }
}

/// The request that a task waits for, together with others.
#[must_use]
pub fn waits_with(task: &api::Task) -> Option<Key> {
    let of = task.spec.run_task.as_ref()?;
    let namespace = key_of(task).namespace;
    (of.commit == Commit::AllOrNothing).then(|| Key::new(namespace, &of.name))
}

/// The API server let only dates pass: what is beyond our calendar, such as the last day of the year 9999, is without end.
fn end_of_queue(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::MAX)
}

pub(super) fn distinct(rule: &PlacementConstraint) -> bool {
    rule.type_ == PlacementConstraintType::DistinctInstance
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::convert::task;
    use super::*;

    #[test]
    fn a_request_for_protection_holds_until_it_is_answered_and_then_the_answer_does_prot_1() {
        let until = |protection: serde_json::Value, status: serde_json::Value| {
            let object = serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
                "spec": { "taskDefinition": "web:1", "protection": protection }, "status": status,
            }));
            task(&object.unwrap()).protected_until
        };
        let (on, off) = (
            json!({ "protectionEnabled": true }),
            json!({ "protectionEnabled": false }),
        );
        let minute = Some(Timestamp::from_second(60).unwrap());
        let granted = json!({ "protection": { "request": on }, "protectedUntil": "1970-01-01T00:01:00Z" });
        assert_eq!(until(json!(null), json!({})), None);
        assert_eq!(until(on.clone(), json!({})), Some(ASKED));
        assert_eq!(until(on.clone(), granted.clone()), minute);
        assert_eq!(until(off, granted.clone()), minute, "not taken off yet");
        let more = json!({ "protectionEnabled": true, "expiresInMinutes": 5 });
        assert_eq!(until(more, granted), Some(ASKED));
        let refused = json!({ "protection": { "request": on, "failure": "DEPLOYMENT_BLOCKED" } });
        assert_eq!(until(on, refused), None);
    }

    #[test]
    fn a_queue_that_ends_with_the_calendar_does_not_end_before_run_2() {
        let until = |text: &str| {
            let spec = json!({ "taskDefinition": "job", "queueUntil": text });
            run_once(&serde_json::from_value(spec).unwrap()).and_then(|wish| wish.queue_until)
        };
        assert_eq!(
            until("1970-01-01T00:01:00Z"),
            Some(Timestamp::from_second(60).unwrap())
        );
        assert_eq!(until("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
    }
}
