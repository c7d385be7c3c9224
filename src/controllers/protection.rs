//! Scale-in protection: a task's request gets its answer in the status, and what expires is taken off. (PROT-1, PROT-2)

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tracing::info;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use super::task::{SOON, checked};
use crate::api::{Task, TaskStatus};
use crate::cache::store::key_of;
use crate::domain::records::Protection;
use crate::ledger::outcome::Outcome;
use crate::plan;
use crate::runtime::source;

/// Writes what protection a task has now, if its status says something else: then nothing else is done in this look.
pub(super) async fn settle(context: &Context, task: &Task) -> Result<Option<Action>, Error> {
    let now = source::now();
    let crowded = || plan::crowded(&context.cache.snapshot(now, 0), &key_of(task));
    let Some(status) = settled(task, crowded, now) else {
        return Ok(None);
    };
    let outcome = context.ledger.report_task(task, &status).await;
    if matches!(outcome, Outcome::Applied(())) {
        info!(
            task = task.name_any(),
            until = status.protected_until,
            "protection changed"
        );
        context.queues.tasks.push(key_of(task));
    }
    checked(outcome).map(Some)
}

/// The status with the protection that the task has now, if that is another.
fn settled(task: &Task, crowded: impl FnOnce() -> bool, now: Timestamp) -> Option<TaskStatus> {
    let mut status = task.status.clone().unwrap_or_default();
    let had = Protection {
        answered: status.protection.clone(),
        until: until(&status),
    };
    let has = had.after(task.spec.protection.as_ref(), crowded, now);
    let unreadable = had.until.is_none() && status.protected_until.is_some();
    if has == had && !unreadable {
        return None;
    }
    status.protection = has.answered;
    status.protected_until = has.until.map(|until| until.to_string());
    Some(status)
}

fn until(status: &TaskStatus) -> Option<Timestamp> {
    status.protected_until.as_ref()?.parse().ok()
}

/// The action, but not later than when protection ends. (PROT-2)
pub(super) fn in_time(task: &Task, action: Action) -> Action {
    let Some(until) = task.status.as_ref().and_then(until) else {
        return action;
    };
    let left = Duration::try_from(until.duration_since(source::now())).unwrap_or_default();
    action.within(left.saturating_add(SOON))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(protection: &Value, status: &Value) -> Task {
        serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t" },
            "spec": { "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1",
                "service": { "name": "web", "uid": "s" }, "protection": protection },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_task_says_until_when_it_is_protected_or_why_it_is_not_prot_3_prot_5() {
        let asked = task(
            &json!({ "protectionEnabled": true }),
            &json!({ "lastStatus": "RUNNING" }),
        );
        let status = settled(&asked, || false, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status.protected_until.as_deref(), Some("1970-01-01T02:00:00Z"));
        assert_eq!(status.protection.as_ref().unwrap().failure, None);
        let blocked = settled(&asked, || true, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(blocked.protected_until, None);
        assert_eq!(
            blocked.protection.unwrap().failure.as_deref(),
            Some("DEPLOYMENT_BLOCKED")
        );
    }

    #[test]
    fn a_task_that_was_not_asked_to_be_protected_is_not_and_costs_no_write_prot_6() {
        let plain = task(&Value::Null, &json!({ "lastStatus": "RUNNING" }));
        assert_eq!(settled(&plain, || true, Timestamp::UNIX_EPOCH), None);
        let nonsense = task(
            &Value::Null,
            &json!({ "lastStatus": "RUNNING", "protectedUntil": "for ever" }),
        );
        let status = settled(&nonsense, || true, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status.protected_until, None);
    }

    #[test]
    fn protection_is_looked_at_again_when_it_ends_prot_2() {
        let until = source::now()
            .checked_add(jiff::SignedDuration::from_secs(60))
            .unwrap();
        let held = task(&Value::Null, &json!({ "protectedUntil": until.to_string() }));
        let long = Action::requeue(Duration::from_secs(300));
        assert_ne!(in_time(&held, long), long);
        let short = Action::requeue(Duration::from_secs(1));
        assert_eq!(in_time(&held, short), short);
        assert_ne!(in_time(&held, Action::await_change()), Action::await_change());
        assert_eq!(in_time(&task(&Value::Null, &Value::Null), long), long);
    }
}
