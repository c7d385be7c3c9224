//! The circuit breaker on real containers: a revision whose tasks can't start is given up, and the service goes back to what
//! worked, or stays as it is. (CB-4, CB-9, CB-10, DEP-4, DEP-5, EVT-15 to EVT-18)

use std::time::Duration;

use ecs_operator::api::{
    CircuitBreakerStatus, Deployment, EcsService, EcsServiceStatus, LastStatus, RolloutState,
    ServiceDeploymentStatus, StopCode, Task, TaskDefinition,
};
use serde_json::{Value, json};

use crate::support::operator::Setting;
use crate::support::{Scenario, WORKLOAD, eventually, last, names, says, wanted};

/// Seconds after which a task without health checks is healthy.
const HEALTHY_AFTER: i64 = 2;
/// As long as something would come that must not.
const A_WHILE: Duration = Duration::from_secs(5);

/// A revision whose `main` waits for the success of `setup`, which ends with an error: no task of it ever runs.
async fn broken(scenario: &Scenario, family: &str, revision: i64) {
    let command: Vec<Value> = "--exit-after 1s --exit-code 4"
        .split(' ')
        .map(|w| json!(w))
        .collect();
    let setup = json!({ "name": "setup", "image": WORKLOAD, "cpu": 16, "memory": 32, "essential": false,
        "command": command });
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 16, "memory": 32,
        "dependsOn": [{ "containerName": "setup", "condition": "SUCCESS" }] });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": format!("{family}.{revision}") },
            "spec": { "family": family, "revision": revision, "containerDefinitions": [setup, main] },
        }))
        .await;
}

async fn status(scenario: &Scenario, service: &str) -> EcsServiceStatus {
    let object = scenario.api::<EcsService>().get(service).await.unwrap();
    object.status.unwrap_or_default()
}

/// Waits until the list of deployments is as wanted.
async fn deployments(
    scenario: &Scenario,
    service: &str,
    what: &str,
    is: impl Fn(&[Deployment]) -> bool,
) -> EcsServiceStatus {
    eventually(what, 180, || async {
        let status = status(scenario, service).await;
        if is(&status.deployments) {
            Ok(status)
        } else {
            Err(format!(
                "{:?}; {}",
                status.deployments,
                scenario.explain(service).await
            ))
        }
    })
    .await
}

/// Tasks of a service and revision, ended ones included.
async fn of(scenario: &Scenario, service: &str, definition: &str) -> Vec<Task> {
    let tasks = scenario.tasks(service).await.into_iter();
    tasks.filter(|t| t.spec.task_definition == definition).collect()
}

#[tokio::test]
async fn a_revision_that_cannot_start_is_given_up_and_the_last_completed_one_restored() {
    let scenario = Scenario::begin("breaker").await;
    let _soon = Setting::set("healthyAfterSeconds", HEALTHY_AFTER);
    scenario.definition("web", 1, 32, json!({})).await;
    broken(&scenario, "web", 2).await;
    scenario.definition("web", 3, 48, json!({})).await;
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    scenario
        .service(
            "web",
            "web:1",
            json!({ "desiredCount": 4, "deploymentConfiguration": breaker }),
        )
        .await;
    let before = names(&scenario.running("web", 4, 90).await);
    scenario.rolled_out("web", "web:1", 60).await;
    let old = status(&scenario, "web").await.deployments.remove(0).id;

    scenario
        .patch::<EcsService>("web", json!({ "spec": { "taskDefinition": "web:2" } }))
        .await;
    let back = |list: &[Deployment]| {
        let only = list.len() == 1 && list[0].id == old;
        only && list[0].rollback.is_some() && list[0].rollout_state == RolloutState::Completed
    };
    let ended = deployments(&scenario, "web", "web is back at web:1", back).await;
    let rollback = ended.deployments[0].rollback.clone().unwrap();
    assert_eq!(rollback.task_definition, "web:2");
    let new = &rollback.from;
    let texts = [
        "has reached a steady state.".to_owned(),
        format!("(deployment {old}) deployment completed."),
        format!("rolling back to deployment {old}."),
        format!("(deployment {new}) deployment failed: tasks failed to start."),
    ];
    let texts = texts.map(|text| format!("(service web) {text}"));
    let said = scenario.events("web").await;
    let of_these: Vec<&String> = said.iter().filter(|e| texts.contains(e)).take(4).collect();
    assert_eq!(of_these, texts.iter().collect::<Vec<_>>(), "{said:?}");
    for (type_, begin) in [("Ready", "False RolledBack: "), ("Stalled", "True RolledBack: ")] {
        let what = says(&ended.conditions, type_);
        assert!(what.starts_with(begin) && what.contains("web:2"), "{what}");
    }
    let entry = &ended.service_deployments[0];
    assert_eq!(
        (&entry.id, entry.status),
        (new, ServiceDeploymentStatus::RollbackSuccessful)
    );
    let counted = entry.deployment_circuit_breaker.clone().unwrap();
    assert_eq!(
        (counted.status, counted.threshold),
        (CircuitBreakerStatus::Triggered, 3)
    );
    assert!(counted.failure_count >= 3, "{counted:?}");

    let mut after = names(&scenario.running("web", 4, 60).await);
    let mut before = before;
    before.sort();
    after.sort();
    assert_eq!(after, before, "the old tasks ran all the while");
    let tried = of(&scenario, "web", "web:2").await;
    assert!((3..=8).contains(&tried.len()), "{} tasks were tried", tried.len());
    for task in &tried {
        let status = task.status.clone().unwrap_or_default();
        assert_eq!(status.started_at, None, "{status:?}");
        assert_eq!(last(task), LastStatus::Stopped);
    }
    let failed = tried.iter().filter(|t| {
        let code = t.status.as_ref().and_then(|s| s.stop_code);
        code == Some(StopCode::TaskFailedToStart)
    });
    assert!(failed.count() >= 3);

    // what failed is not tried again, and what is added is of the revision that works
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "desiredCount": 5 } }))
        .await;
    let five = scenario.running("web", 5, 60).await;
    assert!(five.iter().all(|t| t.spec.task_definition == "web:1"));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(of(&scenario, "web", "web:2").await.len(), tried.len());

    // another wish starts anew
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "taskDefinition": "web:3" } }))
        .await;
    scenario.rolled_out("web", "web:3", 120).await;
    scenario.steady("web", 60).await;
    scenario.quiet(90).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_daemon_without_rollback_stays_as_it_is_until_something_else_is_asked_for() {
    let scenario = Scenario::begin("breaker-daemon").await;
    let _soon = Setting::set("healthyAfterSeconds", HEALTHY_AFTER);
    let all = scenario.instance_names().await;
    scenario.definition("agent", 1, 32, json!({})).await;
    broken(&scenario, "agent", 2).await;
    let threshold = json!({ "type": "COUNT", "value": 2 });
    let breaker = json!({ "enable": true, "rollback": false, "thresholdConfiguration": threshold });
    let configuration = json!({ "minimumHealthyPercent": 50, "deploymentCircuitBreaker": breaker });
    scenario
        .service(
            "agent",
            "agent:1",
            json!({ "schedulingStrategy": "DAEMON", "deploymentConfiguration": configuration }),
        )
        .await;
    scenario.running_on("agent", &all, 60).await;
    scenario.rolled_out("agent", "agent:1", 60).await;
    scenario
        .patch::<EcsService>("agent", json!({ "spec": { "taskDefinition": "agent:2" } }))
        .await;
    let failed = |list: &[Deployment]| list.first().is_some_and(Deployment::failed);
    let status = deployments(&scenario, "agent", "agent:2 is given up", failed).await;
    let text = format!(
        "(service agent) (deployment {}) deployment failed: tasks failed to start.",
        status.deployments[0].id
    );
    let said = scenario.events("agent").await;
    assert!(
        said.contains(&text) && !said.iter().any(|e| e.contains("rolling back")),
        "{said:?}"
    );
    let reason = status.deployments[0].rollout_state_reason.as_deref();
    assert_eq!(
        reason,
        Some("ECS deployment circuit breaker: tasks failed to start.")
    );
    let stalled = says(&status.conditions, "Stalled");
    assert!(
        stalled.starts_with("True ActionNeeded: ") && stalled.contains("agent:2"),
        "{stalled}"
    );

    let tried = of(&scenario, "agent", "agent:2").await.len();
    let left = of(&scenario, "agent", "agent:1").await;
    let left = names(left.iter().filter(|t| wanted(t)));
    assert!(left.len() >= all.len().div_ceil(2), "{left:?}");
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(
        of(&scenario, "agent", "agent:2").await.len(),
        tried,
        "nothing more is tried"
    );
    let now = of(&scenario, "agent", "agent:1").await;
    assert_eq!(
        names(now.iter().filter(|t| wanted(t))),
        left,
        "and what runs stays"
    );

    scenario
        .patch::<EcsService>("agent", json!({ "spec": { "taskDefinition": "agent:1" } }))
        .await;
    scenario.running_on("agent", &all, 90).await;
    scenario.rolled_out("agent", "agent:1", 90).await;
    scenario.quiet(90).await;
    scenario.end().await;
}
