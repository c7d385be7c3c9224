//! What the conditions of a Task say, from its spec and the rest of its status.

use crate::api::conditions::State;
use crate::api::{HealthStatus, LastStatus, Task, TaskStatus};

/// Whether health checks pass; a task without them has no such condition.
pub const HEALTHY: &str = "Healthy";

/// `Placed`: whether the task is bound to an instance. `Ready`: whether it is RUNNING and no health check fails.
/// `Healthy`: whether health checks pass, once there was a result.
#[must_use]
pub fn states(task: &Task, status: &TaskStatus) -> Vec<(&'static str, State)> {
    let placed = match &task.spec.container_instance {
        Some(instance) => State::yes("Bound", &format!("bound to container instance {instance}")),
        None => State::no(
            "NotBound",
            "the operator places the tasks of services only, run-once tasks not yet: set spec.containerInstance",
        ),
    };
    let always = [("Placed", placed), ("Ready", ready(task, status))];
    let healthy = healthy(status).map(|state| (HEALTHY, state));
    always.into_iter().chain(healthy).collect()
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
        _ if task.spec.container_instance.is_none() => State::no(
            "NotBound",
            "it waits to be bound to a container instance: set spec.containerInstance",
        ),
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
    fn a_task_without_an_instance_says_what_to_set() {
        let [placed, ready] = says(None, json!({}));
        assert_eq!(
            placed,
            "False NotBound: the operator places the tasks of services only, run-once tasks not yet: \
             set spec.containerInstance"
        );
        assert_eq!(
            ready,
            "False NotBound: it waits to be bound to a container instance: set spec.containerInstance"
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
