//! Pods that are not ours count: replicas go elsewhere, a daemon that does not fit waits and says why. (DAEMON-23, RES-8)

use std::collections::BTreeSet;

use ecs_operator::api::ContainerInstance;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::support::history::{History, assert_never_overcommitted};
use crate::support::{Scenario, WORKLOAD, eventually, names, placed_on};

/// A Pod on a node that takes this much of it.
fn pod(node: &str, cpu: i64) -> Value {
    json!({
        "metadata": { "name": "hog" },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": WORKLOAD, "imagePullPolicy": "Never",
                "resources": { "requests": { "cpu": format!("{}m", cpu * 1000 / 1024) } },
            }],
        },
    })
}

fn foreign(instance: &ContainerInstance) -> i64 {
    instance.status.as_ref().map_or(0, |s| s.foreign.cpu)
}

#[tokio::test]
async fn a_node_that_other_pods_fill_gets_no_replicas_and_its_daemon_once_they_go() {
    let scenario = Scenario::begin("foreign").await;
    let instances = scenario.instances().await;
    let history = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    let full = instances[0].name_any();
    let before = foreign(&instances[0]);
    let room = instances[0].status.as_ref().unwrap().remaining_resources.cpu;
    let hog: Pod = scenario.create(pod(&full, room - 100)).await;
    eventually("status.foreign follows the Pod", 30, || async {
        let taken = foreign(&scenario.instance(&full).await) - before;
        // units are of 1/1024 CPU and requests of 1/1000
        if (taken - (room - 100)).abs() <= 2 {
            Ok(())
        } else {
            Err(format!("{taken} of {}", room - 100))
        }
    })
    .await;

    scenario.definition("agent", 1, 200, json!({})).await;
    scenario.definition("web", 1, 200, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let others = names(&instances[1..]);
    scenario.running_on("agent", &others, 90).await;
    eventually("the daemon says where it does not fit", 30, || async {
        let said = scenario.events("agent").await;
        let closest = format!("(container-instance {full})");
        let fits = |e: &String| e.contains(&closest) && e.contains("insufficient CPU");
        if said.iter().any(fits) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
    scenario
        .service("web", "web", json!({ "desiredCount": 2 * others.len() }))
        .await;
    let running = scenario.running("web", 2 * others.len(), 90).await;
    let used: BTreeSet<String> = running.iter().map(placed_on).collect();
    assert!(!used.contains(&full), "{used:?}");

    scenario
        .api::<Pod>()
        .delete(&hog.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    scenario.running_on("agent", &names(&instances), 90).await;
    eventually("status.foreign follows the Pod's end", 30, || async {
        match foreign(&scenario.instance(&full).await) - before {
            0 => Ok(()),
            more => Err(format!("{more} more than before")),
        }
    })
    .await;
    let kept = scenario.running("web", 2 * others.len(), 60).await;
    let ids = |tasks: &[ecs_operator::api::Task]| -> BTreeSet<String> {
        tasks.iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(ids(&kept), ids(&running), "replicas stay where they are");
    assert_never_overcommitted(&history.until_now().await);
    scenario.end().await;
}
