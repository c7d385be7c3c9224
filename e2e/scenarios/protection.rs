//! Protected tasks are spared by scale-in, deployments and drains, and nothing longer than they are protected. (PROT,
//! EVT-33, DRAIN-15, SCN-13)

use std::time::Duration;

use ecs_operator::api::{EcsService, InstanceStatus, RolloutState, Task};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, EvictParams};
use serde_json::{Value, json};

use crate::support::operator::Setting;
use crate::support::{Scenario, eventually, names, placed_on, says};

const HELD: &str = "ecs-operator.dev/hold";
const LEAVE_IT: [&str; 3] = [
    "karpenter.sh/do-not-disrupt",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "ecs-operator.dev/protected-until",
];

async fn task(scenario: &Scenario, name: &str) -> Task {
    scenario.api::<Task>().get(name).await.unwrap()
}

fn until(task: &Task) -> Option<Timestamp> {
    task.status.as_ref()?.protected_until.as_ref()?.parse().ok()
}

/// Asks for protection of a task or its end, and waits for the answer.
async fn protect(scenario: &Scenario, name: &str, protection: Value) -> Option<Timestamp> {
    let enabled = protection["protectionEnabled"] == true;
    let change = json!({ "spec": { "protection": protection } });
    scenario.patch::<Task>(name, change).await;
    eventually(&format!("the protection of {name} is answered"), 20, || async {
        let found = until(&task(scenario, name).await);
        if found.is_some() == enabled {
            Ok(found)
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

/// What a service says of itself.
async fn ready(scenario: &Scenario, service: &str) -> String {
    let status = scenario.api::<EcsService>().get(service).await.unwrap().status;
    says(&status.unwrap_or_default().conditions, "Ready")
}

async fn waits_for(scenario: &Scenario, service: &str, task: &str) {
    eventually(
        &format!("{service} says that it waits for {task}"),
        60,
        || async {
            let said = ready(scenario, service).await;
            if said.contains("TasksProtected") && said.contains(task) {
                Ok(())
            } else {
                Err(said)
            }
        },
    )
    .await;
}

async fn pod(scenario: &Scenario, task: &Task) -> Pod {
    let name = task.status.clone().unwrap().pod.unwrap().name;
    scenario.api::<Pod>().get(&name).await.unwrap()
}

/// Waits until the Pod says, or no longer says, to others that its task is protected.
async fn told(scenario: &Scenario, task: &Task, protected: bool) -> Pod {
    eventually("the Pod says whether its task is protected", 30, || async {
        let pod = pod(scenario, task).await;
        let all = LEAVE_IT.iter().filter(|a| pod.annotations().contains_key(**a));
        let marks = all.count() + usize::from(pod.labels().contains_key(HELD));
        if marks == if protected { 4 } else { 0 } {
            Ok(pod)
        } else {
            Err(format!("{:?} {:?}", pod.labels(), pod.annotations()))
        }
    })
    .await
}

#[tokio::test]
async fn scale_in_spares_protected_tasks_and_they_are_not_evicted_scn_13_prot_7_evt_33() {
    let scenario = Scenario::begin("protect-in").await;
    let _soon = Setting::set("healthyAfterSeconds", 2);
    scenario.definition("web", 1, 64, json!({})).await;
    let spec = json!({ "desiredCount": 3, "deploymentConfiguration": { "minimumHealthyPercent": 0 } });
    scenario.service("web", "web:1", spec).await;
    let tasks = scenario.running("web", 3, 90).await;
    let kept: Vec<Task> = tasks.into_iter().take(2).collect();
    for task in &kept {
        protect(&scenario, &task.name_any(), json!({ "protectionEnabled": true })).await;
    }
    let held = told(&scenario, &kept[0], true).await;
    let pods: Api<Pod> = scenario.api();
    // the client takes a 429 for a reason to try again
    let (name, parameters) = (held.name_any(), EvictParams::default());
    let evicted = pods.evict(&name, &parameters);
    let evicted = tokio::time::timeout(Duration::from_secs(5), evicted).await;
    assert!(!matches!(evicted, Ok(Ok(_))), "{evicted:?}");
    assert_eq!(pod(&scenario, &kept[0]).await.metadata.deletion_timestamp, None);

    let one = json!({ "spec": { "desiredCount": 1 } });
    scenario.patch::<EcsService>("web", one).await;
    let left = scenario.running("web", 2, 60).await;
    let mut expected = names(&kept);
    let mut found = names(&left);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    waits_for(&scenario, "web", &kept[0].name_any()).await;
    let said = scenario.events("web").await;
    assert!(
        said.iter()
            .any(|e| e.contains("The number of protected tasks are more than the desired count of tasks.")),
        "{said:?}"
    );

    protect(
        &scenario,
        &kept[0].name_any(),
        json!({ "protectionEnabled": false }),
    )
    .await;
    let left = scenario.running("web", 1, 60).await;
    assert_eq!(left[0].name_any(), kept[1].name_any());
    protect(
        &scenario,
        &kept[1].name_any(),
        json!({ "protectionEnabled": false }),
    )
    .await;
    told(&scenario, &kept[1], false).await;
    scenario.steady("web", 60).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_rollout_waits_for_a_protected_task_and_says_so_prot_8() {
    let scenario = Scenario::begin("protect-roll").await;
    let _soon = Setting::set("healthyAfterSeconds", 2);
    scenario.definition("web", 1, 64, json!({})).await;
    scenario.definition("web", 2, 96, json!({})).await;
    scenario
        .service("web", "web:1", json!({ "desiredCount": 2 }))
        .await;
    let kept = scenario.running("web", 2, 90).await.remove(0).name_any();
    scenario.rolled_out("web", "web:1", 60).await;
    protect(&scenario, &kept, json!({ "protectionEnabled": true })).await;
    let next = json!({ "spec": { "taskDefinition": "web:2" } });
    scenario.patch::<EcsService>("web", next).await;
    waits_for(&scenario, "web", &kept).await;
    let tasks = scenario.running("web", 3, 60).await;
    let old = tasks.iter().filter(|t| t.spec.task_definition == "web:1");
    assert_eq!(names(old), std::slice::from_ref(&kept));
    let status = scenario.api::<EcsService>().get("web").await.unwrap().status;
    let deployments = status.unwrap().deployments;
    assert_eq!(deployments[0].rollout_state, RolloutState::InProgress);
    assert_eq!(deployments.len(), 2);
    protect(&scenario, &kept, json!({ "protectionEnabled": false })).await;
    scenario.rolled_out("web", "web:2", 60).await;
    scenario.end().await;
}

#[tokio::test]
async fn a_drain_waits_for_a_protected_task_until_its_protection_expires_drain_15_prot_2() {
    let scenario = Scenario::begin("protect-drain").await;
    let _soon = Setting::set("healthyAfterSeconds", 2);
    scenario.definition("web", 1, 64, json!({})).await;
    scenario
        .service("web", "web:1", json!({ "desiredCount": 1 }))
        .await;
    let kept = scenario.running("web", 1, 90).await.remove(0);
    let (name, node) = (kept.name_any(), placed_on(&kept));
    let minute = json!({ "protectionEnabled": true, "expiresInMinutes": 1 });
    let until = protect(&scenario, &name, minute).await.unwrap();
    scenario
        .patch_instance(&node, json!({ "status": "DRAINING" }))
        .await;
    waits_for(&scenario, "web", &name).await;
    let replaced = eventually("another task runs elsewhere", 60, || async {
        let tasks = scenario.tasks("web").await;
        let found = tasks.iter().find(|t| placed_on(t) != node);
        found.map(ResourceExt::name_any).ok_or(format!("{}", tasks.len()))
    })
    .await;
    let status = scenario.instance(&node).await.status.unwrap();
    assert_eq!(status.status, InstanceStatus::Draining);
    // the operator's clock counts, which local mode may put forward
    let left = scenario.running("web", 1, 120).await;
    assert_eq!(left[0].name_any(), replaced);
    scenario.quiet(60).await;
    let ended = task(&scenario, &name).await.status.unwrap();
    let told: Timestamp = ended.stopping_at.unwrap().parse().unwrap();
    assert!(told >= until, "told to stop at {told}, protected until {until}");
    scenario
        .patch_instance(&node, json!({ "status": "ACTIVE" }))
        .await;
    scenario.end().await;
}
