//! The charts on a cluster in use: upgrade, uninstall and reinstall leave users' objects and containers alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ecs_operator::api::{EcsService, Task};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::support::{Scenario, cluster, eventually, ground, last, placed_on, wanted};

const HOME: &str = "ecs-operator";

fn helm(arguments: &[&str]) -> String {
    let mut all = vec!["--namespace", HOME];
    all.extend(arguments);
    cluster::command("helm", &all)
}

fn chart(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts").join(name);
    path.to_str().unwrap().to_owned()
}

/// The values the operator was installed with; it is installed with them again when this is dropped.
struct Installed {
    values: PathBuf,
}

impl Installed {
    fn begin() -> Self {
        let values = std::env::temp_dir().join(format!("ecs-operator-values-{}.json", std::process::id()));
        std::fs::write(&values, helm(&["get", "values", HOME, "--output", "json"])).unwrap();
        Self { values }
    }

    fn arguments(&self) -> Vec<String> {
        let chart = chart("ecs-operator");
        let values = self.values.to_str().unwrap();
        ["upgrade", "--install", HOME, &chart, "--values", values]
            .iter()
            .chain(&["--reset-values", "--wait", "--timeout", "120s"])
            .map(ToString::to_string)
            .collect()
    }

    fn install(&self, more: &[&str]) {
        let arguments = self.arguments();
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.extend(more);
        helm(&all);
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let output = std::process::Command::new("helm")
            .args(["--namespace", HOME])
            .args(self.arguments())
            .output();
        if !output.is_ok_and(|o| o.status.success()) {
            eprintln!("the operator could not be installed again");
        }
        let _gone = std::fs::remove_file(&self.values);
    }
}

/// Task and Pod uids of what runs.
async fn containers(scenario: &Scenario) -> BTreeSet<(String, String)> {
    let everything = ListParams::default();
    let tasks = scenario.api::<Task>().list(&everything).await.unwrap();
    let tasks: Vec<Task> = tasks.items.into_iter().filter(wanted).collect();
    let pods = scenario.pods().await;
    let running = |pod: &&Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
    let running: BTreeSet<String> = pods.iter().filter(running).filter_map(ResourceExt::uid).collect();
    tasks
        .iter()
        .filter_map(|task| {
            let pod = task.status.as_ref()?.pod.as_ref()?.uid.clone();
            running.contains(&pod).then(|| (task.uid().unwrap(), pod))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_uninstall_and_reinstall_leave_objects_and_containers_alone() {
    if !cluster::controls_nodes("helm") || !ground::rests("helm") {
        return;
    }
    if !helm(&["list", "--short"]).lines().any(|name| name == HOME) {
        eprintln!("left out: the operator was not installed by Helm");
        return;
    }
    let scenario = Scenario::begin("helm").await;
    let all = scenario.instance_names().await;
    scenario.definition("web", 1, 64, json!({})).await;
    scenario
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario.service("web", "web", json!({ "desiredCount": 3 })).await;
    scenario.running_on("agent", &all, 60).await;
    scenario.running("web", 3, 90).await;
    let before = containers(&scenario).await;
    assert_eq!(before.len(), all.len() + 3);

    // upgrade of both charts with a changed value
    let installed = Installed::begin();
    let crds = chart("ecs-operator-crds");
    helm(&[
        "upgrade",
        "ecs-operator-crds",
        &crds,
        "--set",
        "keep=true",
        "--wait",
    ]);
    installed.install(&["--set", "log.filter=debug"]);
    let filter = cluster::command(
        "kubectl",
        &[
            "--namespace",
            HOME,
            "get",
            "deployment",
            HOME,
            "--output",
            "jsonpath={..env[?(@.name=='ECS_OPERATOR_LOG')].value}{..args}",
        ],
    );
    assert!(filter.contains("debug"), "{filter}");
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "desiredCount": 4 } }))
        .await;
    scenario.running("web", 4, 90).await;
    let upgraded = containers(&scenario).await;
    assert!(upgraded.is_superset(&before), "{before:?} {upgraded:?}");

    // uninstalled: everything stays as it is, and what is asked for waits
    helm(&["uninstall", HOME, "--wait", "--timeout", "120s"]);
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "desiredCount": 5 } }))
        .await;
    cluster::command("kubectl", &["get", "ecscluster", "default"]);
    assert_eq!(scenario.instances().await.len(), all.len());
    assert_eq!(containers(&scenario).await, upgraded);

    // installed again: tasks are taken up, and what was asked for is done
    installed.install(&[]);
    scenario.running("web", 5, 120).await;
    scenario.running_on("agent", &all, 60).await;
    let after = containers(&scenario).await;
    assert!(after.is_superset(&upgraded), "{upgraded:?} {after:?}");
    assert_eq!(after.len(), all.len() + 5);
    eventually("nothing else was started", 30, || async {
        let tasks = scenario.tasks("web").await;
        let odd: Vec<_> = tasks
            .iter()
            .filter(|t| !wanted(t))
            .map(|t| (placed_on(t), last(t)))
            .collect();
        if odd.is_empty() {
            Ok(())
        } else {
            Err(format!("{odd:?}"))
        }
    })
    .await;
    scenario.quiet(60).await;
    drop(installed);
    scenario.end().await;
}
