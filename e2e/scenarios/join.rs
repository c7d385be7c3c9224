//! A node that becomes Ready has its daemon's Task within a second and the daemon's Pod before any replica's, while replicas
//! that would fill it wait. (DAEMON-11, DAEMON-20, DAEMON-26)
//!
//! The nodes are Node objects without a kubelet, so that only the operator's part is measured; [`super::daemon_first`] has a
//! real one. `e2e/bars.py` does the same with two hundred at once.

use std::time::Duration;

use ecs_operator::api::Task;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::support::history::{History, Seen, tasks_on};
use crate::support::node::Simulated;
use crate::support::{Scenario, eventually};

const TRIES: usize = 5;
const REPLICA_CPU: i64 = 600;
/// Replicas that fit beside the daemon on a node of two CPUs.
const REPLICAS_ON_NODE: usize = 3;

/// When a service first had a Pod on a node.
fn pod_of(pods: &[Seen<Pod>], service: &str, node: &str) -> Option<u64> {
    let is = |pod: &Pod| {
        let of = pod.labels().get("ecs-operator.dev/service").map(String::as_str);
        of == Some(service) && pod.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(node)
    };
    pods.iter().find(|s| is(&s.object)).map(|s| s.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_of_a_node_comes_at_once_and_before_every_replica() {
    let scenario = Scenario::begin("join").await;
    let all = scenario.instances().await;
    scenario.definition("agent", 1, 128, json!({})).await;
    scenario.definition("web", 1, REPLICA_CPU, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario.running("agent", all.len(), 60).await;
    let left = |i: &ecs_operator::api::ContainerInstance| i.status.as_ref().unwrap().remaining_resources.cpu;
    let room: i64 = scenario
        .instances()
        .await
        .iter()
        .map(|i| left(i) / REPLICA_CPU)
        .sum();
    let room = usize::try_from(room).unwrap();
    let count = room + TRIES * REPLICAS_ON_NODE + 3;
    scenario
        .service("web", "web", json!({ "desiredCount": count }))
        .await;
    eventually(
        "the replicas that fit have their place, the others wait",
        60,
        || async {
            let placed = scenario.tasks("web").await.len();
            let waits = scenario
                .events("web")
                .await
                .iter()
                .any(|e| e.contains("insufficient CPU"));
            if placed == room && waits {
                Ok(())
            } else {
                Err(format!("{placed} of {room}; {}", scenario.explain("web").await))
            }
        },
    )
    .await;

    let tasks = History::<Task>::begin(scenario.api()).await;
    let pods = History::<Pod>::begin(scenario.api()).await;
    let mut nodes = Vec::new();
    let mut waits = Vec::new();
    for number in 1..=TRIES {
        let name = format!("sim-{}-{number}", scenario.namespace);
        let node = Simulated::begin(&scenario.client, &name).await;
        let ready = node.ready().await;
        nodes.push(node);
        let seen = eventually("the node is full", 30, || async {
            let seen = pods.until_now().await;
            let replicas = tasks_on(&tasks.until_now().await, &name, false).len();
            match pod_of(&seen, "web", &name) {
                Some(_) if replicas == REPLICAS_ON_NODE => Ok(seen),
                _ => Err(format!("{replicas} replicas; {}", scenario.explain("web").await)),
            }
        })
        .await;
        let daemon = pod_of(&seen, "agent", &name).expect("the daemon's Pod");
        let replica = pod_of(&seen, "web", &name).expect("a replica's Pod");
        assert!(
            daemon < replica,
            "on {name} the daemon's Pod came at {daemon}, a replica's at {replica}"
        );
        let told = tasks.until_now().await;
        let names = tasks_on(&told, &name, true);
        assert_eq!(names.len(), 1, "one daemon task on {name}");
        let daemon = told.iter().find(|s| s.object.name_any() == names[0]).unwrap();
        waits.push(daemon.at.saturating_duration_since(ready));
    }
    waits.sort();
    eprintln!("the daemon's Task was there after {waits:.0?} of Ready");
    assert!(waits.iter().all(|w| *w < Duration::from_secs(5)), "{waits:?}");
    let gone = tokio::task::spawn_blocking(move || drop(nodes));
    gone.await.unwrap();
    scenario.end().await;
}
