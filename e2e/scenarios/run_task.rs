//! Run-once tasks: placed now or STOPPED with ECS's reason, or queued until there is room. (RUN-1, RUN-2, RUN-10, CONS-4)

use std::collections::BTreeSet;

use ecs_operator::api::{LastStatus, StopCode, Task};
use ecs_operator::runtime::source;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::support::{Scenario, eventually, last, placed_on, says};

async fn run(scenario: &Scenario, name: &str, spec: Value) {
    let mut task = json!({ "metadata": { "name": name }, "spec": { "taskDefinition": "small" } });
    for (member, value) in spec.as_object().unwrap() {
        task["spec"][member] = value.clone();
    }
    scenario.create::<Task>(task).await;
}

/// Waits until a task is there.
async fn reaches(scenario: &Scenario, name: &str, status: LastStatus) -> Task {
    eventually(&format!("{name} is {status:?}"), 90, || async {
        let task = scenario.api::<Task>().get(name).await.unwrap();
        if last(&task) == status {
            Ok(task)
        } else {
            Err(format!("{:?}", task.status))
        }
    })
    .await
}

#[tokio::test]
async fn a_task_is_placed_now_or_never_or_when_there_is_room_run_1_run_2() {
    let scenario = Scenario::begin("runtask").await;
    let all = BTreeSet::from_iter(scenario.instance_names().await);
    scenario.definition("small", 1, 32, json!({})).await;

    // distinctInstance among the group: one on each instance, and one too many (CONS-4)
    let apart = json!({ "group": "apart", "placementConstraints": [{ "type": "distinctInstance" }] });
    let mut used = BTreeSet::new();
    for n in 0..all.len() {
        let name = format!("apart-{n}");
        run(&scenario, &name, apart.clone()).await;
        used.insert(placed_on(&reaches(&scenario, &name, LastStatus::Running).await));
    }
    assert_eq!(used, all, "one on each");
    run(&scenario, "one-more", apart.clone()).await;
    let failed = reaches(&scenario, "one-more", LastStatus::Stopped).await;
    assert_eq!(failed.spec.container_instance, None);
    let status = failed.status.unwrap();
    assert_eq!(status.stop_code, Some(StopCode::TaskFailedToStart));
    let reason = status.stopped_reason.unwrap_or_default();
    assert!(
        reason.starts_with("DistinctInstance placement constraint unsatisfied. (")
            && reason.contains("queueUntil"),
        "{reason}"
    );
    let examined: BTreeSet<String> = status
        .placement_failures
        .iter()
        .map(|f| f.container_instance.clone())
        .collect();
    assert_eq!(examined, all, "a reason for each instance (FAIL)");

    // with a deadline it waits, says why, and is placed when one of the others stops
    let mut queued = apart;
    queued["queueUntil"] = json!("2999-01-01T00:00:00Z");
    run(&scenario, "queued", queued).await;
    eventually("the queued task says what is in the way", 60, || async {
        let task = scenario.api::<Task>().get("queued").await.unwrap();
        let placed = says(&task.status.clone().unwrap_or_default().conditions, "Placed");
        if placed.contains("DistinctInstance") {
            Ok(())
        } else {
            Err(placed)
        }
    })
    .await;
    let stopped = scenario.api::<Task>().get("apart-0").await.unwrap();
    scenario
        .patch::<Task>(
            &stopped.name_any(),
            json!({ "spec": { "desiredStatus": "STOPPED" } }),
        )
        .await;
    let moved = reaches(&scenario, "queued", LastStatus::Running).await;
    assert_eq!(placed_on(&moved), placed_on(&stopped), "where room came");
    assert!(moved.status.unwrap().placement_failures.is_empty());

    // a deadline that passes ends it
    let soon = source::now() + jiff::SignedDuration::from_secs(5);
    let nowhere = json!({
        "queueUntil": soon.to_string(),
        "placementConstraints": [{ "type": "memberOf", "expression": "attribute:no-such exists" }],
    });
    run(&scenario, "late", nowhere).await;
    let late = reaches(&scenario, "late", LastStatus::Stopped).await;
    let reason = late.status.unwrap().stopped_reason.unwrap_or_default();
    assert!(
        reason.starts_with("MemberOf placement constraint unsatisfied.")
            && reason.contains("It waited until"),
        "{reason}"
    );
    // `kubectl delete ecstask --all` stops them (STOP-8)
    let tasks = scenario.api::<Task>();
    tasks
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    scenario.end().await;
}
