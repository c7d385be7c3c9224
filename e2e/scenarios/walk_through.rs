//! The walk-through of the daemon strategy, as the README plays it. (DAEMON-1, DAEMON-2, DAEMON-3, DAEMON-42)

use ecs_operator::api::{LastStatus, Task};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::support::{Scenario, cluster, eventually, last};

#[tokio::test]
async fn a_daemon_runs_on_each_instance_follows_its_constraint_and_leaves_a_draining_one() {
    let scenario = Scenario::begin("walk").await;
    let all = scenario.instance_names().await;
    scenario.definition("agent", 1, 128, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario.running_on("agent", &all, 60).await;

    // an attribute on two instances, and a service that asks for it: the others stop (SCN-2)
    for name in &all[..2] {
        scenario
            .patch_instance(
                name,
                json!({ "attributes": [{ "name": "env", "value": "prod" }] }),
            )
            .await;
    }
    let constraint = json!([{ "type": "memberOf", "expression": "attribute:env == prod" }]);
    scenario
        .patch::<ecs_operator::api::EcsService>(
            "agent",
            json!({ "spec": { "placementConstraints": constraint } }),
        )
        .await;
    scenario.running_on("agent", &all[..2], 60).await;
    let told = scenario.events("agent").await;
    assert!(
        told.iter()
            .any(|e| e.contains("SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED")),
        "{told:?}"
    );

    // the attribute moves: the daemon follows (CI-10)
    scenario
        .patch_instance(&all[0], json!({ "attributes": [] }))
        .await;
    scenario.running_on("agent", &all[1..2], 60).await;
    scenario
        .patch::<ecs_operator::api::EcsService>("agent", json!({ "spec": { "placementConstraints": [] } }))
        .await;
    scenario.running_on("agent", &all, 60).await;

    // drained: the daemon leaves; active again: it returns (DAEMON-41, DAEMON-48)
    scenario
        .patch_instance(&all[0], json!({ "status": "DRAINING" }))
        .await;
    scenario.running_on("agent", &all[1..], 60).await;
    scenario
        .patch_instance(&all[0], json!({ "status": "ACTIVE" }))
        .await;
    scenario.running_on("agent", &all, 60).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_daemon_task_deleted_by_hand_is_stopped_and_replaced_on_its_instance() {
    let scenario = Scenario::begin("replace").await;
    let all = scenario.instance_names().await;
    scenario.definition("agent", 1, 128, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let first = scenario.running_on("agent", &all, 60).await;
    let victim = first[0].name_any();
    let tasks: Api<Task> = scenario.api();
    tasks.delete(&victim, &DeleteParams::default()).await.unwrap();
    eventually("the deleted task is STOPPED", 60, || async {
        match tasks.get_opt(&victim).await.unwrap() {
            Some(task) if last(&task) != LastStatus::Stopped => Err(format!("{:?}", last(&task))),
            Some(_) | None => Ok(()),
        }
    })
    .await;
    scenario.running_on("agent", &all, 60).await;
    eventually(
        "the deleted Task is gone once its fence has passed",
        60,
        || async {
            match tasks.get_opt(&victim).await.unwrap() {
                None => Ok(()),
                Some(task) => Err(format!("{:?}", last(&task))),
            }
        },
    )
    .await;
    scenario.end().await;
}

#[tokio::test]
async fn an_added_instance_gets_its_daemon() {
    if !cluster::controls_nodes("an added instance") {
        return;
    }
    let scenario = Scenario::begin("join").await;
    let mut all = scenario.instance_names().await;
    scenario.definition("agent", 1, 128, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let node = cluster::Added::begin();
    let added = node.name().to_owned();
    all.push(added.clone());
    scenario.running_on("agent", &all, 60).await;
    drop(node);
    // the node is gone: its instance deregisters and its task ends (CI-8, DRAIN-23)
    eventually("the instance of the removed node is gone", 90, || async {
        let left = scenario.instance_names().await;
        if left.contains(&added) {
            Err(format!("{left:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    scenario.end().await;
}
