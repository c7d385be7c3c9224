//! What the conditions of a Task say, from its spec and the rest of its status.

use crate::api::conditions::State;
use crate::api::{HealthStatus, LastStatus, Task, TaskStatus};

/// `Placed`: whether the task is bound to an instance. `Ready`: whether it is RUNNING and no health check fails.
#[must_use]
pub fn states(task: &Task, status: &TaskStatus) -> [(&'static str, State); 2] {
    let placed = match &task.spec.container_instance {
        Some(instance) => State::yes("Bound", &format!("bound to container instance {instance}")),
        None => State::no(
            "NotBound",
            "the operator places the tasks of services only, run-once tasks not yet: set spec.containerInstance",
        ),
    };
    [("Placed", placed), ("Ready", ready(task, status))]
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
