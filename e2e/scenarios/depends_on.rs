//! `dependsOn` on real containers: a container waits for another's SUCCESS, and a dependency that cannot be met any more
//! stops the task with its reason, whose service is then throttled. (TASK-13, THR-2, EVT-30)

use ecs_operator::api::{LastStatus, StopCode, TaskDefinition};
use serde_json::{Value, json};

use crate::support::{Scenario, WORKLOAD, eventually, last};

/// A container `setup` that ends with `code` after a second, and `main`, which waits for its success.
async fn waiting_for(scenario: &Scenario, family: &str, code: i64) {
    let command = |words: &str| -> Vec<Value> { words.split(' ').map(|w| json!(w)).collect() };
    let setup = json!({ "name": "setup", "image": WORKLOAD, "cpu": 16, "memory": 32, "essential": false,
        "command": command(&format!("--exit-after 1s --exit-code {code}")) });
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 16, "memory": 32,
        "dependsOn": [{ "containerName": "setup", "condition": "SUCCESS" }] });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": format!("{family}.1") },
            "spec": { "family": family, "revision": 1, "containerDefinitions": [setup, main] },
        }))
        .await;
}

#[tokio::test]
async fn a_container_starts_when_the_one_it_waits_for_has_succeeded() {
    let scenario = Scenario::begin("depends").await;
    waiting_for(&scenario, "good", 0).await;
    scenario
        .service("good", "good", json!({ "desiredCount": 1 }))
        .await;
    let task = scenario.running("good", 1, 90).await.remove(0);
    let containers = task.status.unwrap().containers;
    let of = |name: &str| containers.iter().find(|c| c.name == name).unwrap();
    assert_eq!(of("setup").last_status, LastStatus::Stopped);
    assert_eq!(of("setup").exit_code, Some(0));
    assert_eq!(of("main").last_status, LastStatus::Running);
    scenario.end().await;
}

#[tokio::test]
async fn a_dependency_that_failed_stops_the_task_with_its_reason_and_the_service_is_throttled() {
    let scenario = Scenario::begin("depends-not").await;
    waiting_for(&scenario, "bad", 4).await;
    scenario.service("bad", "bad", json!({ "desiredCount": 1 })).await;
    eventually("the service says that its tasks do not start", 120, || async {
        let events = scenario.events("bad").await;
        if events
            .iter()
            .any(|e| e.contains("unable to consistently start tasks"))
        {
            Ok(())
        } else {
            Err(scenario.explain("bad").await)
        }
    })
    .await;
    let tasks = scenario.tasks("bad").await;
    let ended: Vec<_> = tasks.iter().filter(|t| last(t) == LastStatus::Stopped).collect();
    assert!((3..=6).contains(&ended.len()), "{} tasks were tried", ended.len());
    for task in ended {
        let status = task.status.as_ref().unwrap();
        let reason = status.stopped_reason.as_deref().unwrap_or_default();
        assert_eq!(status.stop_code, Some(StopCode::TaskFailedToStart), "{reason}");
        assert!(reason.contains("main") && reason.contains("setup"), "{reason}");
        assert!(status.stopped_at.is_some(), "{status:?}");
        let setup = status.containers.iter().find(|c| c.name == "setup").unwrap();
        assert_eq!(setup.exit_code, Some(4));
    }
    scenario.end().await;
}
