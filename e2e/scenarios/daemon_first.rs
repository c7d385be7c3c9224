//! A new instance gets its daemon first, while replicas that fill every instance wait. (DAEMON-11, DAEMON-26, SCN-3)

use std::time::Duration;

use ecs_operator::api::{ContainerInstance, LastStatus, Task};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::{History, Seen, assert_never_overcommitted, stop_told, tasks_on};
use crate::support::{Scenario, cluster, eventually, last};

const REPLICA_CPU: i64 = 600;

fn left(instance: &ContainerInstance) -> i64 {
    instance.status.as_ref().map_or(0, |s| s.remaining_resources.cpu)
}

fn fit(cpu: i64) -> usize {
    usize::try_from(cpu / REPLICA_CPU).unwrap_or(0)
}

fn ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// When a condition first held of an object.
fn first<'a, K: ResourceExt>(
    history: &'a [Seen<K>],
    name: &str,
    holds: impl Fn(&K) -> bool,
) -> Option<&'a Seen<K>> {
    history
        .iter()
        .find(|s| s.object.name_any() == name && holds(&s.object))
}

#[tokio::test]
async fn a_new_instance_gets_its_daemon_before_replicas_that_wait() {
    if !cluster::controls_nodes("daemons first on a new instance") {
        return;
    }
    let scenario = Scenario::begin("first").await;
    let all = scenario.instance_names().await;
    scenario.definition("agent", 1, 128, json!({})).await;
    scenario.definition("web", 1, REPLICA_CPU, json!({})).await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario.running_on("agent", &all, 90).await;

    // more replicas than fit, on the new instance too
    let room: usize = scenario.instances().await.iter().map(|i| fit(left(i))).sum();
    scenario
        .service("web", "web", json!({ "desiredCount": room + 10 }))
        .await;
    scenario.running("web", room, 120).await;
    eventually("a replica waits and the service says why", 60, || async {
        let said = scenario.events("web").await;
        if said.iter().any(|e| e.contains("insufficient CPU")) {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;

    let tasks = History::<Task>::begin(scenario.api()).await;
    let nodes = History::<Node>::begin(Api::all(scenario.client.clone())).await;
    let instances = History::<ContainerInstance>::begin(Api::all(scenario.client.clone())).await;
    let node = tokio::task::spawn_blocking(cluster::Added::begin).await.unwrap();
    let added = node.name().to_owned();
    let with_added = [all, vec![added.clone()]].concat();
    scenario.running_on("agent", &with_added, 60).await;
    eventually("replicas fill the rest of the new instance", 90, || async {
        let instance = scenario.instance(&added).await;
        let running = scenario.tasks("web").await;
        let running = running
            .iter()
            .filter(|t| t.spec.container_instance.as_ref() == Some(&added))
            .filter(|t| last(t) == LastStatus::Running)
            .count();
        if left(&instance) < REPLICA_CPU && running > 0 {
            Ok(())
        } else {
            Err(format!("{running} run, {} CPU units are left", left(&instance)))
        }
    })
    .await;

    let told = tasks.until_now().await;
    let daemon = tasks_on(&told, &added, true);
    assert_eq!(daemon.len(), 1, "one daemon task on {added}: {daemon:?}");
    let daemon = first(&told, &daemon[0], |_| true).unwrap();
    for replica in tasks_on(&told, &added, false) {
        let replica = first(&told, &replica, |_| true).unwrap();
        assert!(
            daemon.version < replica.version
                && daemon.object.creation_timestamp() <= replica.object.creation_timestamp(),
            "a replica came to {added} before its daemon"
        );
    }
    for seen in &told {
        let name = seen.object.name_any();
        assert_eq!(stop_told(&told, &name), None, "task {name} was told to stop");
    }
    assert_never_overcommitted(&instances.until_now().await);
    let joined = nodes.until_now().await;
    let joined = first(&joined, &added, ready).unwrap();
    let took = daemon.at.saturating_duration_since(joined.at);
    eprintln!("{added}: the daemon's Task was there {took:?} after the Node was Ready");
    assert!(took < Duration::from_secs(5), "{took:?}");

    // the machine goes: its tasks end by that and the instance deregisters (CI-8, DRAIN-23)
    tokio::task::spawn_blocking(|| drop(node)).await.unwrap();
    eventually("the instance of the removed node is gone", 90, || async {
        let left = scenario.instances().await;
        let found = left.iter().find(|i| i.name_any() == added);
        found.map_or(Ok(()), |i| Err(format!("{:?}", i.status)))
    })
    .await;
    let ended = scenario.tasks("agent").await;
    let ended = ended
        .iter()
        .find(|t| t.spec.container_instance.as_ref() == Some(&added))
        .and_then(|t| t.status.as_ref()?.stopped_reason.clone());
    assert!(
        ended
            .as_ref()
            .is_some_and(|r| r.contains("Host EC2") && r.contains("terminated")),
        "{ended:?}"
    );
    scenario.end().await;
}
