//! A Pod deleted by force: its task ends when it has really ended, and another takes its place. (F5, SVC-8)

use std::collections::BTreeSet;

use ecs_operator::api::{ContainerInstance, LastStatus, Task};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, assert_never_overcommitted, stopped};
use crate::support::{Scenario, cluster, eventually, last, placed_on};

#[tokio::test]
async fn a_pod_deleted_by_force_ends_its_task_and_releases_its_share_only_then() {
    let scenario = Scenario::begin("lost").await;
    scenario
        .definition("web", 1, 200, json!({ "command": ["--on-term", "3s"] }))
        .await;
    scenario.service("web", "web", json!({ "desiredCount": 2 })).await;
    let running = scenario.running("web", 2, 90).await;
    let (victim, node) = (running[0].name_any(), placed_on(&running[0]));
    let pods = History::<Pod>::begin(scenario.api()).await;
    let tasks = History::<Task>::begin(scenario.api()).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    let pod = running[0].status.as_ref().unwrap().pod.clone().unwrap().name;
    let (namespace, lost) = (scenario.namespace.clone(), pod.clone());
    let deleting = tokio::task::spawn_blocking(move || {
        let by_force = ["--force", "--grace-period=0", "--wait=false"];
        let what = ["delete", "pod", lost.as_str(), "--namespace", namespace.as_str()];
        cluster::command("kubectl", &[&what[..], &by_force[..]].concat())
    });
    deleting.await.unwrap();
    eventually("the task of the lost Pod is STOPPED", 60, || async {
        let task: Task = scenario.api().get(&victim).await.unwrap();
        match last(&task) {
            LastStatus::Stopped => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let now = scenario.running("web", 2, 90).await;
    assert!(now.iter().all(|t| t.name_any() != victim), "it was replaced");
    eventually("the Pod is let go", 60, || async {
        match scenario.api::<Pod>().get_opt(&pod).await.unwrap() {
            None => Ok(()),
            Some(pod) => Err(format!("{:?}", pod.metadata)),
        }
    })
    .await;
    let task: Task = scenario.api().get(&victim).await.unwrap();
    let reason = task.status.as_ref().and_then(|s| s.stopped_reason.clone());
    assert_eq!(reason.as_deref(), Some("the Pod of the task was deleted"));

    let end = stopped(&tasks.until_now().await, &victim).unwrap();
    let instances = instances.until_now().await;
    for seen in instances.iter().filter(|s| s.object.name_any() == node) {
        let entries = &seen.object.status.as_ref().unwrap().reservations;
        let held = entries.iter().any(|r| r.task == victim);
        assert!(held || seen.version > end, "its share went before it was STOPPED");
    }
    assert_never_overcommitted(&instances);
    // its container had ended by then, and no second Pod ran for it
    let pods = pods.until_now().await;
    let of: Vec<_> = pods
        .iter()
        .filter(|s| s.object.labels().get("ecs-operator.dev/task") == Some(&victim))
        .collect();
    let uids: BTreeSet<_> = of.iter().map(|s| s.object.uid()).collect();
    assert_eq!(uids.len(), 1, "one Pod per task, ever");
    let ended = |pod: &Pod| {
        let status = pod.status.as_ref();
        let states = status.iter().flat_map(|s| s.container_statuses.iter().flatten());
        let states: Vec<_> = states.filter_map(|c| c.state.as_ref()).collect();
        !states.is_empty() && states.iter().all(|s| s.terminated.is_some())
    };
    let ended = of.iter().find(|s| ended(&s.object)).map(|s| s.version);
    assert!(
        ended.is_some_and(|at| at < end),
        "STOPPED at {end}, its container ended at {ended:?}"
    );
    scenario.end().await;
}
