//! Run-once tasks: placed now or STOPPED with ECS's reason, or queued until there is room; what they override of their
//! definition. (RUN-1, RUN-2, RUN-5, RUN-10, CONS-4)

use std::collections::BTreeSet;

use ecs_operator::api::{LastStatus, StopCode, Task};
use ecs_operator::runtime::source;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::support::operator::program;
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

/// As `kubectl delete ecstask --all`, which stops them. (STOP-8)
async fn delete_all(scenario: &Scenario) {
    let tasks = scenario.api::<Task>();
    let everything = (DeleteParams::default(), ListParams::default());
    tasks
        .delete_collection(&everything.0, &everything.1)
        .await
        .unwrap();
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
    let namespace = ["--namespace", &scenario.namespace, "--output", "json"];
    let output = program()
        .args(["explain", "task", "queued"])
        .args(namespace)
        .output();
    let explained: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let verdicts = explained["instances"].as_array().unwrap().iter();
    let told: BTreeSet<_> = verdicts
        .map(|v| {
            (
                v["instance"].as_str().unwrap(),
                v["change"][0]["change"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = all.iter().map(|name| (name.as_str(), "liftDistinctInstance"));
    assert_eq!(told, expected.collect(), "{explained}");
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
    delete_all(&scenario).await;
    scenario.end().await;
}

#[tokio::test]
async fn what_a_task_overrides_is_what_it_runs_and_what_it_takes_run_5() {
    let scenario = Scenario::begin("overrides").await;
    let instances = scenario.instances().await;
    scenario.definition("small", 1, 32, json!({})).await;
    let of = |members: Value| {
        let mut main = members;
        main["name"] = json!("main");
        json!({ "overrides": { "containerOverrides": [main] } })
    };
    let more = json!({ "cpu": 64, "memory": 128, "command": ["--on-term", "exit"],
        "environment": [{ "name": "MONTH", "value": "11" }] });
    run(&scenario, "more", of(more)).await;
    let task = reaches(&scenario, "more", LastStatus::Running).await;
    let instance = scenario.instance(&placed_on(&task)).await;
    let mut shares = instance.status.as_ref().unwrap().reservations.iter();
    let share = shares.find(|share| share.task == "more").expect("its share");
    assert_eq!((share.amounts.cpu, share.amounts.memory), (64, 128));
    let pod = scenario.pods().await.remove(0).spec.unwrap();
    let main = serde_json::to_value(&pod.containers[0]).unwrap();
    assert_eq!(main["args"], json!(["--on-term", "exit"]));
    assert_eq!(main["env"][0], json!({ "name": "MONTH", "value": "11" }));
    assert_eq!(
        main["resources"]["requests"],
        json!({ "cpu": "62m", "memory": "128Mi" })
    );

    // whoever binds it, what it asks for is admitted and not what its definition does
    let offered = instances
        .iter()
        .map(|i| i.status.as_ref().unwrap().registered_resources.cpu);
    let huge = of(json!({ "cpu": offered.max().unwrap() + 1 }));
    let mut bound = huge.clone();
    bound["containerInstance"] = json!(instances[0].name_any());
    run(&scenario, "huge", huge).await;
    run(&scenario, "huge-and-bound", bound).await;
    let mut strange = of(json!({}));
    strange["overrides"]["containerOverrides"][0]["name"] = json!("other");
    run(&scenario, "strange", strange).await;
    for (name, expected) in [
        ("huge", "RESOURCE:CPU ("),
        ("huge-and-bound", "RESOURCE:CPU"),
        (
            "strange",
            "Override for container named other is not a container in the TaskDefinition.",
        ),
    ] {
        let status = reaches(&scenario, name, LastStatus::Stopped)
            .await
            .status
            .unwrap();
        let reason = status.stopped_reason.unwrap_or_default();
        assert_eq!(
            status.stop_code,
            Some(StopCode::TaskFailedToStart),
            "{name}: {reason}"
        );
        assert!(
            reason.starts_with(expected) && status.pod.is_none(),
            "{name}: {reason}"
        );
    }
    delete_all(&scenario).await;
    scenario.end().await;
}
