//! What the conditions of a Task say, from its spec and the rest of its status.

use super::overrides::without_effect;
use crate::api::conditions::State;
use crate::api::{HealthStatus, LastStatus, Queued, Task, TaskStatus};

/// Whether health checks pass; a task without them has no such condition.
pub const HEALTHY: &str = "Healthy";
/// Whether only protection keeps the task.
const QUIESCE: &str = "Quiesce";

/// `Placed`: whether the task is bound to an instance. `Ready`: whether it is RUNNING and no health check fails.
/// `Healthy`: whether health checks pass, once there was a result. `Protected`: once that was asked for. `Quiesce`:
/// whether only protection keeps it, once it did. `Complete`: false if one of its overrides has no effect.
#[must_use]
pub fn states(task: &Task, status: &TaskStatus) -> Vec<(&'static str, State)> {
    let placed = match &task.spec.container_instance {
        Some(instance) => State::yes("Bound", &format!("bound to container instance {instance}")),
        None => unplaced(status),
    };
    let always = [("Placed", placed), ("Ready", ready(task, status))];
    let healthy = healthy(status).map(|state| (HEALTHY, state));
    let protected = protected(status).map(|state| ("Protected", state));
    let quiesce = quiesce(status).map(|state| (QUIESCE, state));
    // said only where it says something
    let complete =
        without_effect(task.spec.overrides.as_deref()).map(|text| State::no("WithoutEffect", &text));
    let complete = complete.map(|state| ("Complete", state));
    let sometimes = complete
        .into_iter()
        .chain(healthy)
        .chain(protected)
        .chain(quiesce);
    always.into_iter().chain(sometimes).collect()
}

/// Whether only protection keeps the task. (PROT-11)
fn quiesce(status: &TaskStatus) -> Option<State> {
    let known = status.conditions.iter().any(|c| c.type_ == QUIESCE);
    let Some(told) = &status.quiesce else {
        return known.then(|| State::no("NotNeeded", "the task is wanted again"));
    };
    let text = format!(
        "the task should finish and end its protection: {}",
        told.reason.words()
    );
    Some(State::yes(told.reason.name(), &text))
}

/// Whether the task is protected, and what became of the last request. (PROT-3, PROT-5)
fn protected(status: &TaskStatus) -> Option<State> {
    let known = status.conditions.iter().any(|c| c.type_ == "Protected");
    if let Some(until) = &status.protected_until {
        let text = format!("scale-in, deployments and drains leave the task until {until}");
        return Some(State::yes("Protected", &text));
    }
    let answer = status.protection.as_ref();
    if status.last_status > LastStatus::Running {
        return (known || answer.is_some()).then(|| State::no("Stopped", "protection ends with the task"));
    }
    match answer {
        Some(answer) => Some(match &answer.failure {
            Some(reason) => State::no(
                reason,
                "the service has more protected tasks than its desired count: end the protection of others, then \
                 change spec.protection.renewal",
            ),
            None if answer.request.protection_enabled => State::no(
                "Expired",
                "protection has expired; another text in spec.protection.renewal begins it anew",
            ),
            None => State::no("Disabled", "protectionEnabled is false"),
        }),
        None => known.then(|| State::no("Disabled", "protection is not asked for")),
    }
}

/// Why a task has no instance: the closest one stands first. (RUN-2)
fn unplaced(status: &TaskStatus) -> State {
    if let Some(queued) = status
        .queued
        .as_ref()
        .filter(|_| status.last_status < LastStatus::Running)
    {
        return State::no("Queued", &queued_on(queued));
    }
    match (status.last_status, status.placement_failures.first()) {
        (LastStatus::Stopped, _) => State::no("NotBound", "it was bound to no container instance"),
        (_, None) => State::no(
            "NotBound",
            "it waits for its EcsCluster, its task definition or the first container instance",
        ),
        (_, Some(closest)) => State::no(
            "NotBound",
            &format!(
                "nothing fits on {} instances; the closest is {}: {} {}",
                status.placement_failures.len(),
                closest.container_instance,
                closest.reason,
                closest.detail
            ),
        ),
    }
}

/// Where a task waits, behind whom, and about how long. (OPT-1)
#[must_use]
pub fn queued_on(queued: &Queued) -> String {
    let behind = match queued.behind.as_slice() {
        [] => String::new(),
        [one] => format!(" behind the stopping task {one}"),
        many => format!(" behind {} stopping tasks, {}", many.len(), many.join(", ")),
    };
    let until = queued.until.as_ref();
    let until = until.map_or_else(
        || ", nobody can tell how long".to_owned(),
        |at| format!(" until about {at}"),
    );
    format!("it waits on {}{behind}{until}", queued.container_instance)
}

/// What the health checks say; its time is that from which they say so. (TASK-16)
fn healthy(status: &TaskStatus) -> Option<State> {
    let known = status.conditions.iter().any(|c| c.type_ == HEALTHY);
    match (status.last_status, status.health_status) {
        (LastStatus::Running, HealthStatus::Healthy) => Some(State::yes("Passing", "all health checks pass")),
        (LastStatus::Running, HealthStatus::Unhealthy) => Some(State::no(
            "Failing",
            "the health check of an essential container fails",
        )),
        (LastStatus::Running, HealthStatus::Unknown) if known => {
            Some(State::no("NoResult", "there is no result of the health checks"))
        }
        (last, _) if last > LastStatus::Running && known => {
            Some(State::no("Stopped", "the task runs no more"))
        }
        _ => None,
    }
}

fn ready(task: &Task, status: &TaskStatus) -> State {
    let why = |otherwise: &str| {
        status
            .stopped_reason
            .clone()
            .unwrap_or_else(|| otherwise.to_owned())
    };
    match status.last_status {
        LastStatus::Stopped => State::no("Stopped", &why("the task has stopped")),
        LastStatus::Running if status.health_status == HealthStatus::Unhealthy => {
            State::no("Unhealthy", "the health check of an essential container fails")
        }
        LastStatus::Running => State::yes("Running", "its containers run and no health check fails"),
        last if last > LastStatus::Running => State::no("Stopping", &why("the task is stopping")),
        _ if task.spec.container_instance.is_none() => {
            State::no("NotBound", "it waits to be bound to a container instance")
        }
        _ => State::no("Pending", &starting(status)),
    }
}

/// What holds the start up, if the node gave a reason.
fn starting(status: &TaskStatus) -> String {
    held_up(status).map_or_else(
        || "its containers are starting".to_owned(),
        |(container, reason)| format!("container {container}: {reason}"),
    )
}

/// The container that can't start yet, and why. (TASK-14)
#[must_use]
pub fn held_up(status: &TaskStatus) -> Option<(&str, &str)> {
    let mut waiting = status
        .containers
        .iter()
        .filter(|c| c.last_status < LastStatus::Running);
    waiting.find_map(|c| Some((c.name.as_str(), c.reason.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::conditions::merge;

    fn says(instance: Option<&str>, status: serde_json::Value) -> [String; 2] {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
            "spec": { "taskDefinition": "web:1", "containerInstance": instance },
        }))
        .unwrap();
        let status: TaskStatus = serde_json::from_value(status).unwrap();
        let found = merge(&[], &states(&task, &status), None, jiff::Timestamp::UNIX_EPOCH);
        ["Placed", "Ready"].map(|type_| {
            let condition = found.iter().find(|c| c.type_ == type_).unwrap();
            format!("{} {}: {}", condition.status, condition.reason, condition.message)
        })
    }

    #[test]
    fn an_override_without_effect_is_named_and_nothing_is_said_of_others_run_5() {
        let complete = |overrides: serde_json::Value| {
            let task: Task = serde_json::from_value(json!({
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
                "spec": { "taskDefinition": "web:1", "overrides": overrides },
            }))
            .unwrap();
            let states = states(&task, &TaskStatus::default());
            let found = merge(&[], &states, None, jiff::Timestamp::UNIX_EPOCH);
            let complete = found.into_iter().find(|c| c.type_ == "Complete");
            complete.map(|c| format!("{} {}", c.status, c.message))
        };
        assert_eq!(complete(json!({ "taskRoleArn": "arn:aws:iam::1:role/a" })), None);
        let said = complete(json!({ "executionRoleArn": "arn:aws:iam::1:role/a" })).unwrap();
        assert!(
            said.starts_with("False overrides.executionRoleArn: has no effect"),
            "{said}"
        );
    }

    #[test]
    fn a_task_without_an_instance_says_what_is_in_the_way_run_2() {
        let [placed, ready] = says(None, json!({}));
        assert_eq!(
            placed,
            "False NotBound: it waits for its EcsCluster, its task definition or the first container instance"
        );
        assert_eq!(
            ready,
            "False NotBound: it waits to be bound to a container instance"
        );
        let failures =
            json!([{ "containerInstance": "n1", "reason": "RESOURCE:CPU", "detail": "asked 2, 1 left" }]);
        assert_eq!(
            says(None, json!({ "placementFailures": failures }))[0],
            "False NotBound: nothing fits on 1 instances; the closest is n1: RESOURCE:CPU asked 2, 1 left"
        );
        let ended = json!({ "lastStatus": "STOPPED", "stoppedReason": "Task stopped by user" });
        assert_eq!(says(None, ended)[1], "False Stopped: Task stopped by user");
        assert_eq!(
            says(Some("n1"), json!({})),
            [
                "True Bound: bound to container instance n1",
                "False Pending: its containers are starting"
            ]
        );
    }

    #[test]
    fn ready_is_running_and_not_unhealthy_task_16() {
        let ready = |status| says(Some("n1"), status)[1].clone();
        assert!(ready(json!({ "lastStatus": "RUNNING" })).starts_with("True Running"));
        assert!(ready(json!({ "lastStatus": "RUNNING", "healthStatus": "HEALTHY" })).starts_with("True"));
        assert!(
            ready(json!({ "lastStatus": "RUNNING", "healthStatus": "UNHEALTHY" }))
                .starts_with("False Unhealthy")
        );
        assert_eq!(
            ready(json!({ "lastStatus": "STOPPING", "stoppedReason": "Scaling activity" })),
            "False Stopping: Scaling activity"
        );
        assert_eq!(
            ready(json!({ "lastStatus": "STOPPED", "stoppedReason": "OutOfcpu" })),
            "False Stopped: OutOfcpu"
        );
    }

    #[test]
    fn since_when_health_checks_pass_is_told_of_tasks_that_have_some_task_16() {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
            "spec": { "taskDefinition": "web:1", "containerInstance": "n1" },
        }))
        .unwrap();
        let mut status = TaskStatus::default();
        let mut at = |second: i64, last, health| {
            (status.last_status, status.health_status) = (last, health);
            let now = jiff::Timestamp::from_second(second).unwrap();
            status.conditions = merge(&status.conditions, &states(&task, &status), None, now);
            let found = status.conditions.iter().find(|c| c.type_ == HEALTHY)?;
            Some((found.status.clone(), found.last_transition_time.0.as_second()))
        };
        let says = |status: &str, second| Some((status.to_owned(), second));
        assert_eq!(at(1, LastStatus::Running, HealthStatus::Unknown), None);
        assert_eq!(at(2, LastStatus::Running, HealthStatus::Healthy), says("True", 2));
        assert_eq!(at(3, LastStatus::Running, HealthStatus::Healthy), says("True", 2));
        assert_eq!(
            at(4, LastStatus::Running, HealthStatus::Unhealthy),
            says("False", 4)
        );
        assert_eq!(at(5, LastStatus::Running, HealthStatus::Healthy), says("True", 5));
        assert_eq!(
            at(6, LastStatus::Stopped, HealthStatus::Healthy),
            says("False", 6)
        );
    }

    #[test]
    fn whether_a_task_is_protected_is_told_once_it_was_asked_for_prot_3_prot_5_prot_6() {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "metadata": { "name": "t1" },
            "spec": { "taskDefinition": "web:1", "containerInstance": "n1" },
        }))
        .unwrap();
        let mut conditions = vec![];
        let mut says = |status: serde_json::Value| {
            let mut status: TaskStatus = serde_json::from_value(status).unwrap();
            status.conditions = std::mem::take(&mut conditions);
            conditions = merge(
                &status.conditions,
                &states(&task, &status),
                None,
                jiff::Timestamp::UNIX_EPOCH,
            );
            let found = conditions.iter().find(|c| c.type_ == "Protected");
            found.map(|c| format!("{} {}", c.status, c.reason))
        };
        let mut told = |status, expected: &str| assert_eq!(says(status).as_deref(), Some(expected));
        let on = json!({ "request": { "protectionEnabled": true } });
        let until = "2026-01-01T00:00:00Z";
        told(
            json!({ "lastStatus": "RUNNING", "protection": on, "protectedUntil": until }),
            "True Protected",
        );
        told(
            json!({ "lastStatus": "RUNNING", "protection": on }),
            "False Expired",
        );
        let refused = json!({ "request": { "protectionEnabled": true }, "failure": "DEPLOYMENT_BLOCKED" });
        told(
            json!({ "lastStatus": "RUNNING", "protection": refused }),
            "False DEPLOYMENT_BLOCKED",
        );
        let off = json!({ "request": { "protectionEnabled": false } });
        told(
            json!({ "lastStatus": "RUNNING", "protection": off }),
            "False Disabled",
        );
        told(json!({ "lastStatus": "RUNNING" }), "False Disabled");
        told(
            json!({ "lastStatus": "STOPPED", "protection": on }),
            "False Stopped",
        );
        let plain = states(&task, &TaskStatus::default());
        assert!(plain.iter().all(|(type_, _)| *type_ != "Protected"));
    }

    #[test]
    fn a_task_that_should_finish_says_why_and_that_it_need_not_any_more_prot_11() {
        let quiesce = |status: &TaskStatus| {
            let task = Task::new(
                "t1",
                serde_json::from_value(json!({ "taskDefinition": "web:1" })).unwrap(),
            );
            let mut all = states(&task, status).into_iter();
            all.find(|(type_, _)| *type_ == QUIESCE).map(|(_, state)| state)
        };
        let mut status = TaskStatus::default();
        assert_eq!(quiesce(&status), None, "nothing was ever said");
        for (reason, why) in [
            ("ScaleIn", "more tasks"),
            ("Deployment", "replaces it"),
            ("Drain", "drains"),
        ] {
            let told = json!({ "reason": reason, "since": "2026-01-01T00:00:00Z" });
            status.quiesce = serde_json::from_value(told).unwrap();
            let state = quiesce(&status).unwrap();
            let said = merge(&[], &[(QUIESCE, state)], None, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(
                (said[0].status.as_str(), said[0].reason.as_str()),
                ("True", reason)
            );
            assert!(said[0].message.contains(why), "{}", said[0].message);
            status.conditions = said;
        }
        status.quiesce = None;
        assert_eq!(
            quiesce(&status),
            Some(State::no("NotNeeded", "the task is wanted again"))
        );
    }

    #[test]
    fn a_container_that_cannot_start_yet_is_named() {
        let waiting = json!({ "lastStatus": "PENDING", "containers": [
            { "name": "side", "lastStatus": "RUNNING" },
            { "name": "web", "lastStatus": "PENDING", "reason": "CannotPullContainerError: no such image" },
        ] });
        assert_eq!(
            says(Some("n1"), waiting)[1],
            "False Pending: container web: CannotPullContainerError: no such image"
        );
    }
}
