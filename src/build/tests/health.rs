use serde_json::json;

use super::observe::{at, running, seen, two};
use super::*;
use crate::api::{HealthStatus, LastStatus, TaskStatus};

#[test]
fn task_16_health_follows_readiness_after_start_period_and_retries() {
    let check =
        json!({"command": ["CMD", "x"], "interval": 10, "timeout": 5, "retries": 2, "startPeriod": 20});
    let spec = several(&[json!({"healthCheck": check}), json!({})]);
    let health = |ready: bool, seconds: i64| {
        let mut a = running("a");
        a["ready"] = json!(ready);
        let found = seen(
            &spec,
            &json!({"phase": "Running", "containerStatuses": [a, running("b")]}),
            seconds,
            None,
        );
        (found.health, found.recheck_at)
    };
    assert_eq!(health(true, 1), (HealthStatus::Healthy, None));
    assert_eq!(health(false, 49), (HealthStatus::Unknown, Some(at(50))));
    assert_eq!(health(false, 50), (HealthStatus::Unhealthy, None));
    let none = seen(
        &two(),
        &json!({"phase": "Running", "containerStatuses": [running("a"), running("b")]}),
        99,
        None,
    );
    assert_eq!(none.health, HealthStatus::Unknown);
}

#[test]
fn task_16_a_restarted_kubelet_does_not_make_a_task_unhealthy() {
    let spec = container(json!({"healthCheck": {"command": ["CMD", "x"], "interval": 10, "timeout": 5}}));
    let status = json!({"phase": "Running", "containerStatuses": [running("app")],
        "conditions": [{"type": "ContainersReady", "status": "False", "lastTransitionTime": at(1000).to_string()}]});
    let mut recorded = TaskStatus {
        last_status: LastStatus::Running,
        ..TaskStatus::default()
    };
    recorded.containers = seen(&spec, &status, 1001, None).containers;
    recorded.containers[0].health_status = HealthStatus::Healthy;
    let found = seen(&spec, &status, 1001, Some(recorded.clone()));
    assert_eq!(
        (found.health, found.recheck_at),
        (HealthStatus::Healthy, Some(at(1015)))
    );
    assert_eq!(
        seen(&spec, &status, 1015, Some(recorded)).health,
        HealthStatus::Unhealthy
    );
}
