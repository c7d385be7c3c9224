//! A task that takes its whole stopTimeout keeps its share until it is STOPPED; others start around it. (HRM-9, RES-8)

use ecs_operator::api::{ContainerInstance, EcsService, LastStatus, Task};
use ecs_operator::runtime::source;
use jiff::SignedDuration;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, assert_never_overcommitted, stop_told, stopped};
use crate::support::{Scenario, eventually, last, placed_on};

#[tokio::test]
async fn a_stopping_task_keeps_its_share_and_others_start_around_it() {
    let scenario = Scenario::begin("timeout").await;
    let node = scenario.instances().await[0].clone();
    let (name, room) = (node.name_any(), node.status.unwrap().remaining_resources.cpu);
    let here = json!([{ "type": "memberOf", "expression": "attribute:e2e == here" }]);
    scenario
        .patch_instance(
            &name,
            json!({ "attributes": [{ "name": "e2e", "value": "here" }] }),
        )
        .await;
    let deaf = json!({ "command": ["--on-term", "ignore"], "stopTimeout": 60 });
    scenario.definition("deaf", 1, room * 6 / 10, deaf).await;
    scenario.definition("next", 1, room * 3 / 10, json!({})).await;
    scenario
        .service(
            "deaf",
            "deaf",
            json!({ "desiredCount": 1, "placementConstraints": here }),
        )
        .await;
    let deaf = scenario.running("deaf", 1, 90).await[0].name_any();
    let tasks = History::<Task>::begin(scenario.api()).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    let told = source::now();
    scenario
        .patch::<EcsService>("deaf", json!({ "spec": { "desiredCount": 0 } }))
        .await;
    eventually("the task is told to stop", 30, || async {
        match stop_told(&tasks.until_now().await, &deaf) {
            Some(_) => Ok(()),
            None => Err(scenario.explain("deaf").await),
        }
    })
    .await;
    // three are wanted: one fits beside the stopping task, the others when its share is released
    scenario
        .service(
            "next",
            "next",
            json!({ "desiredCount": 3, "placementConstraints": here }),
        )
        .await;
    scenario.running("next", 1, 45).await;
    let said = scenario.events("next").await;
    assert!(said.iter().any(|e| e.contains("insufficient CPU")), "{said:?}");
    let stopping: Task = scenario.api().get(&deaf).await.unwrap();
    assert!(
        last(&stopping) < LastStatus::Stopped,
        "it ignores SIGTERM and has 60 s"
    );
    // STOP-2: SIGTERM, the timeout, SIGKILL

    let running = scenario.running("next", 3, 120).await;
    assert!(running.iter().all(|t| placed_on(t) == name));
    let took = source::now().duration_since(told);
    assert!(
        took > SignedDuration::from_secs(50),
        "STOPPED after {took:?} only"
    );
    let tasks = tasks.until_now().await;
    let end = stopped(&tasks, &deaf).expect("it has STOPPED");
    let instances = instances.until_now().await;
    assert_never_overcommitted(&instances);
    for seen in instances.iter().filter(|s| s.object.name_any() == name) {
        let entries = &seen.object.status.as_ref().unwrap().reservations;
        let held = entries.iter().any(|r| r.task == deaf);
        assert!(held || seen.version > end, "its share went before it was STOPPED");
    }
    scenario.end().await;
}
