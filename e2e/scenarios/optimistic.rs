//! A task waits on its instance behind a stopping one and has its share with the very write that gives back the other's;
//! who is told to stop meanwhile takes nothing. (OPT-1, HRM-6, HRM-7)

use ecs_operator::api::{ContainerInstance, EcsService, LastStatus, Task};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use crate::support::history::{History, assert_never_overcommitted, stop_told};
use crate::support::operator::Setting;
use crate::support::{Scenario, eventually, last, placed_on, says, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_behind_a_stopping_one_and_starts_with_its_end_opt_1_hrm_6() {
    let scenario = Scenario::begin("optimistic").await;
    let node = scenario.instances().await[0].clone();
    let (name, room) = (node.name_any(), node.status.unwrap().remaining_resources.cpu);
    let here = scenario.only_on(&name).await;
    let deaf = json!({ "command": ["--on-term", "ignore"], "stopTimeout": 25 });
    scenario.definition("deaf", 1, room * 6 / 10, deaf).await;
    scenario.definition("next", 1, room * 6 / 10, json!({})).await;
    let one = json!({ "desiredCount": 1, "placementConstraints": here });
    scenario.service("deaf", "deaf", one.clone()).await;
    let deaf = scenario.running("deaf", 1, 90).await[0].name_any();
    let _setting = Setting::set("optimisticPlacement", "on");
    let tasks = History::<Task>::begin(scenario.api()).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
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
    scenario.service("next", "next", one).await;
    let first = queued(&scenario, &name, &[]).await;
    let told = says(&first.status.as_ref().unwrap().conditions, "Placed");
    assert!(
        told.contains(&format!("it waits on {name} behind the stopping task")) && told.contains(&deaf),
        "{told}"
    );
    assert!(told.contains(" until about "), "{told}");
    // HRM-7: it leaves the queue and ends, and its service makes another
    let api: Api<Task> = scenario.api();
    api.delete(&first.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    eventually("the task is STOPPED", 15, || async {
        match api.get_opt(&first.name_any()).await.unwrap() {
            Some(task) if last(&task) < LastStatus::Stopped => Err(format!("{:?}", task.status)),
            _ => Ok(()),
        }
    })
    .await;
    let second = queued(&scenario, &name, &[first.name_any()]).await;
    let pods = scenario.pods().await;
    let of = |task: &Task| {
        pods.iter()
            .any(|pod| pod.name_any().starts_with(&task.name_any()))
    };
    assert!(!of(&first) && !of(&second), "what waits has no Pod");
    let running = scenario.running("next", 1, 60).await;
    assert_eq!(
        (running[0].name_any(), placed_on(&running[0])),
        (second.name_any(), name.clone())
    );
    let history = instances.until_now().await;
    assert_never_overcommitted(&history);
    let here = history.iter().filter(|seen| seen.object.name_any() == name);
    for status in here.filter_map(|seen| seen.object.status.as_ref()) {
        let holds = |task: &str| status.reservations.iter().any(|r| r.task == task);
        assert!(
            holds(&deaf) != holds(&second.name_any()),
            "the share passes from one to the other in one write: {:?}",
            status.reservations
        );
        assert!(!holds(&first.name_any()), "it took nothing");
    }
    scenario.end().await;
}

/// The task of `next` that waits on the instance and is none of these.
async fn queued(scenario: &Scenario, instance: &str, others: &[String]) -> Task {
    eventually("a task waits behind the stopping one", 30, || async {
        let found = scenario.tasks("next").await.into_iter().find(|task| {
            let queued = task.status.as_ref().and_then(|s| s.queued.as_ref());
            wanted(task)
                && !others.contains(&task.name_any())
                && queued.is_some_and(|queued| queued.container_instance == instance)
        });
        let status = scenario.instance(instance).await.status.unwrap();
        match found {
            Some(task) if status.queue.iter().any(|q| q.task == task.name_any()) => Ok(task),
            _ => Err(format!("{:?}; {}", status.queue, scenario.explain("next").await)),
        }
    })
    .await
}
