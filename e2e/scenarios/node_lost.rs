//! A node loses power, or its kubelet alone, and returns: its tasks are left alone for a while, then replicas run elsewhere, daemons never.
//! (TASK-19, CI-6, CI-14, DRAIN-23)

use std::collections::BTreeSet;

use ecs_operator::api::{DesiredStatus, LastStatus, Task};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;

use crate::support::cluster::Loss;
use crate::support::operator::Setting;
use crate::support::{Scenario, audit, cluster, eventually, last, placed_on, reservations, wanted};

/// `disconnectedTaskTimeoutSeconds` of the scenario.
const TIMEOUT: i64 = 15;

async fn disconnected_since(scenario: &Scenario, name: &str) -> Timestamp {
    eventually(&format!("{name} is disconnected"), 90, || async {
        let status = scenario.instance(name).await.status.unwrap_or_default();
        match status.disconnected_since.filter(|_| !status.agent_connected) {
            Some(since) => Ok(since.parse().unwrap()),
            None => Err(format!("connected: {}", status.agent_connected)),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nodes_replicas_run_elsewhere_after_a_while_and_its_daemon_waits_for_it() {
    lost_and_found("lost", Loss::Power).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_node_without_kubelet_run_on_and_none_is_there_twice_when_it_returns() {
    lost_and_found("deaf", Loss::Kubelet).await;
}

async fn lost_and_found(space: &str, loss: Loss) {
    if !cluster::controls_nodes("a lost node") {
        return;
    }
    let scenario = Scenario::begin(space).await;
    let _timeout = Setting::set("disconnectedTaskTimeoutSeconds", TIMEOUT);
    let all = scenario.instance_names().await;
    scenario.definition("web", 1, 64, json!({})).await;
    scenario
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    let replicas = 2 * all.len();
    scenario
        .service("web", "web", json!({ "desiredCount": replicas }))
        .await;
    scenario.running_on("agent", &all, 60).await;
    let web = scenario.running("web", replicas, 90).await;
    let lost = all.last().unwrap().as_str();
    let hit: BTreeSet<String> = web
        .iter()
        .filter(|t| placed_on(t) == lost)
        .map(ResourceExt::name_any)
        .collect();
    assert!(!hit.is_empty(), "replicas are spread over the nodes");
    let agents = scenario.tasks("agent").await;
    let agent = agents.iter().find(|t| placed_on(t) == lost).unwrap().name_any();

    let off = cluster::Off::begin(lost, loss);
    let since = disconnected_since(&scenario, lost).await;
    let elsewhere = |tasks: Vec<Task>| {
        tasks
            .iter()
            .filter(|t| wanted(t) && last(t) == LastStatus::Running && placed_on(t) != lost)
            .count()
    };
    eventually("the replicas run elsewhere", 120, || async {
        match elsewhere(scenario.tasks("web").await) {
            count if count == replicas => Ok(()),
            count => Err(format!("{count}; {}", scenario.explain("web").await)),
        }
    })
    .await;
    // what may still run there keeps its share; the daemon is neither stopped nor replaced
    let instance = scenario.instance(lost).await;
    assert_eq!(reservations(&instance, &scenario.namespace), hit.len() + 1);
    let there: Vec<Task> = scenario
        .tasks("agent")
        .await
        .into_iter()
        .filter(|t| placed_on(t) == lost)
        .collect();
    assert_eq!(there.len(), 1);
    assert!(there[0].name_any() == agent && wanted(&there[0]));
    if loss == Loss::Kubelet {
        // what runs on is neither STOPPED by the loss of its node's voice nor by having been told to stop
        assert_eq!(last(&there[0]), LastStatus::Running);
        let web = scenario.tasks("web").await;
        let told: Vec<&Task> = web.iter().filter(|t| hit.contains(&t.name_any())).collect();
        assert_eq!(told.len(), hit.len());
        assert!(told.iter().all(|t| !wanted(t) && last(t) != LastStatus::Stopped));
    }

    drop(off);
    scenario.running_on("agent", &all, 120).await;
    scenario.running("web", replicas, 90).await;
    scenario.quiet(120).await;
    let (namespace, until) = (scenario.namespace.clone(), scenario.version().await);
    let (history, _) = scenario.end().await;
    let mut told = BTreeSet::new();
    for (at, task) in audit::moments(&history, &namespace, until) {
        let name = task.name_any();
        if task.spec.desired_status == DesiredStatus::Stopped && hit.contains(&name) && told.insert(name) {
            let at = at.expect("it was told during the recording");
            assert!(
                at >= since + SignedDuration::from_secs(TIMEOUT),
                "told to stop at {at}, disconnected since {since}"
            );
        }
    }
    assert_eq!(told, hit);
    let pods = audit::pods_per_task(&history, Some(&namespace));
    assert!(pods.values().all(|count| *count == 1), "{pods:?}");
}
