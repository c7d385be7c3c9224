//! A Pod that the kubelet refuses is a STOPPED task with the kubelet's words: the replica goes elsewhere, the daemon tries
//! again with backoff. (design: foreign Pods)
//!
//! The node runs a static Pod of a namespace that does not exist. The kubelet cannot tell the API server of it, so its room
//! is free for everybody but the kubelet.

use std::time::Duration;

use ecs_operator::api::{LastStatus, StopCode, Task};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::support::history::{History, Seen, tasks_on};
use crate::support::{Scenario, WORKLOAD, cluster, eventually, ground, last, names, placed_on};

/// What a task of the scenario takes.
const TASK_CPU: i64 = 200;
/// What makes the node the fullest one, so that binpack prefers it.
const PEBBLE_CPU: i64 = 300;
/// Refusals of the daemon that are waited for.
const REFUSALS: usize = 3;

/// A Pod that takes this much CPU.
fn pod(metadata: &Value, node: Option<&str>, cpu: i64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": WORKLOAD, "imagePullPolicy": "Never",
                "resources": { "requests": { "cpu": format!("{}m", cpu * 1000 / 1024) } },
            }],
        },
    })
}

async fn remaining(scenario: &Scenario, instance: &str) -> i64 {
    let status = scenario.instance(instance).await.status.unwrap();
    status.remaining_resources.cpu
}

/// The first version of each task on an instance, in the order of their creation.
fn firsts<'a>(told: &'a [Seen<Task>], instance: &str, daemons: bool) -> Vec<&'a Seen<Task>> {
    let names = tasks_on(told, instance, daemons);
    let first = |name: &String| told.iter().find(|s| s.object.name_any() == *name).unwrap();
    let mut firsts: Vec<_> = names.iter().map(first).collect();
    firsts.sort_by_key(|s| s.version);
    firsts
}

fn assert_refused(told: &[Seen<Task>], task: &Seen<Task>) {
    let name = task.object.name_any();
    let end = told
        .iter()
        .find(|s| s.object.name_any() == name && last(&s.object) == LastStatus::Stopped);
    let status = end.and_then(|s| s.object.status.clone()).expect("it is STOPPED");
    let reason = status.stopped_reason.unwrap_or_default();
    assert_eq!(status.stop_code, Some(StopCode::TaskFailedToStart), "{reason}");
    assert!(
        reason.starts_with("OutOfcpu: Pod was rejected: ") && reason.contains("enough resource: cpu"),
        "{reason}"
    );
}

/// Waits until this many daemons were refused on an instance.
async fn refused(scenario: &Scenario, instance: &str) {
    eventually(&format!("{REFUSALS} daemons were refused"), 60, || async {
        let tasks = scenario.tasks("agent").await;
        let here = tasks.iter().filter(|t| placed_on(t) == instance);
        match here.filter(|t| last(t) == LastStatus::Stopped).count() {
            count if count >= REFUSALS => Ok(()),
            count => Err(format!("{count}; {}", scenario.explain("agent").await)),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_replica_runs_elsewhere_and_a_refused_daemon_tries_again() {
    if !cluster::controls_nodes("a kubelet that refuses Pods") || !ground::runs_containers("a static Pod") {
        return;
    }
    let scenario = Scenario::begin("refused").await;
    let mut instances = scenario.instances().await;
    instances.sort_by_key(|i| i.status.as_ref().unwrap().remaining_resources.cpu);
    let full = instances[0].name_any();
    let room = remaining(&scenario, &full).await;
    let pebble = pod(&json!({ "name": "pebble" }), Some(&full), PEBBLE_CPU);
    scenario.create::<Pod>(pebble).await;
    eventually("status.foreign follows the Pod", 30, || async {
        match remaining(&scenario, &full).await {
            left if left < room - PEBBLE_CPU / 2 => Ok(()),
            left => Err(format!("{left} CPU units are left")),
        }
    })
    .await;
    let hidden = json!({ "name": "hidden", "namespace": "nowhere" });
    let hidden = pod(&hidden, None, room - PEBBLE_CPU - TASK_CPU / 2);
    let hidden = cluster::StaticPod::begin(&full, "hidden", &hidden);
    eventually("the kubelet has the static Pod", 30, || async {
        let pods = cluster::kubectl(&["get", "--raw", &format!("/api/v1/nodes/{full}/proxy/pods")]).await;
        if pods.contains("\"hidden-") {
            Ok(())
        } else {
            Err(pods)
        }
    })
    .await;

    let tasks = History::<Task>::begin(scenario.api()).await;
    scenario.definition("small", 1, TASK_CPU, json!({})).await;
    let binpack = json!([{ "type": "binpack", "field": "cpu" }]);
    scenario
        .service(
            "web",
            "small",
            json!({ "desiredCount": 1, "placementStrategy": binpack }),
        )
        .await;
    scenario
        .service("agent", "small", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let web = scenario.running("web", 1, 60).await;
    assert_ne!(placed_on(&web[0]), full);
    scenario.running_on("agent", &names(&instances[1..]), 60).await;
    refused(&scenario, &full).await;
    let said = scenario.explain("agent").await;
    assert!(
        said.contains("failed to start: OutOfcpu: Pod was rejected"),
        "{said}"
    );
    tokio::task::spawn_blocking(|| drop(hidden)).await.unwrap();
    scenario.running_on("agent", &names(&instances), 90).await;

    let told = tasks.until_now().await;
    let replicas = firsts(&told, &full, false);
    assert_eq!(replicas.len(), 1, "binpack chose the fullest instance once");
    assert_refused(&told, replicas[0]);
    let daemons = firsts(&told, &full, true);
    let (_, refused) = daemons.split_last().unwrap();
    assert!(refused.len() >= REFUSALS, "{} were refused", refused.len());
    for one in refused {
        assert_refused(&told, one);
    }
    let pairs = daemons
        .windows(2)
        .map(|pair| pair[1].at.saturating_duration_since(pair[0].at));
    let waits: Vec<Duration> = pairs.collect();
    eprintln!("the daemon was tried again after {waits:.1?}");
    for (seconds, waited) in [1, 2, 4, 8].into_iter().zip(waits) {
        // when they are heard of here wavers a little
        assert!(
            waited > Duration::from_millis(seconds * 1000 - 200),
            "after {waited:?}"
        );
    }
    scenario.end().await;
}
