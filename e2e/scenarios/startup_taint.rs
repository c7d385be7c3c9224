//! The startup taint keeps Pods of others off a node until its daemons run, and goes only then. (docs/operations.md)

use ecs_operator::api::{LastStatus, Task, TaskDefinition};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::Api;
use serde_json::json;

use crate::support::history::History;
use crate::support::node::Taint;
use crate::support::operator::Setting;
use crate::support::{Scenario, WORKLOAD, eventually, ground, last, placed_on, says};

const KEY: &str = "ecs-operator-e2e/starting";

fn tainted(node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    taints.into_iter().any(|t| t.key == KEY)
}

fn bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|s| s.node_name.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_startup_taint_goes_when_the_daemon_runs_and_not_before() {
    let scenario = Scenario::begin("taint").await;
    let all = scenario.instance_names().await;
    let (new, others) = all.split_last().unwrap();
    let _taint = Taint::put(new, KEY).await;
    let nodes = History::<Node>::begin(Api::all(scenario.client.clone())).await;
    let tasks = History::<Task>::begin(scenario.api()).await;
    let pods = History::<Pod>::begin(scenario.api()).await;
    // a taint that nobody declared keeps daemons away too
    let setup = json!({ "name": "setup", "image": WORKLOAD, "cpu": 16, "memory": 32, "essential": false,
        "command": ["--exit-after", "2s"] });
    let main = json!({ "name": "main", "image": WORKLOAD, "cpu": 16, "memory": 32,
        "dependsOn": [{ "containerName": "setup", "condition": "SUCCESS" }] });
    scenario
        .create::<TaskDefinition>(json!({
            "metadata": { "name": "agent.1" },
            "spec": { "family": "agent", "revision": 1, "containerDefinitions": [setup, main] },
        }))
        .await;
    scenario
        .service("agent", "agent", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    scenario
        .create::<Pod>(json!({
            "metadata": { "name": "guest" },
            "spec": {
                "nodeSelector": { "kubernetes.io/hostname": new }, "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": "main", "image": WORKLOAD, "imagePullPolicy": "Never" }],
            },
        }))
        .await;
    scenario.running_on("agent", others, 60).await;
    let status = scenario.instance(new).await.status.unwrap();
    let blocked = says(&status.conditions, "Schedulable");
    assert!(
        blocked.starts_with(&format!(
            "False NodeBlocked: the node has the taint {KEY}:NoSchedule"
        )),
        "{blocked}"
    );
    assert!(blocked.contains("add a toleration"), "{blocked}");

    let _setting = Setting::set("startupTaint", KEY);
    scenario.running_on("agent", &all, 60).await;
    eventually("the taint goes", 60, || async {
        let node = Api::<Node>::all(scenario.client.clone()).get(new).await.unwrap();
        if tainted(&node) {
            Err(scenario.explain("agent").await)
        } else {
            Ok(())
        }
    })
    .await;
    if ground::schedules("a guest that comes after the daemon") {
        eventually("the guest comes", 60, || async {
            let guest = scenario.api::<Pod>().get("guest").await.unwrap();
            if bound(&guest) {
                Ok(())
            } else {
                Err(format!("{:?}", guest.status))
            }
        })
        .await;
    }
    let lifted = nodes.until_now().await;
    let lifted = lifted.iter().filter(|s| s.object.name_any() == *new);
    let lifted = lifted
        .map(|s| (s.version, tainted(&s.object)))
        .collect::<Vec<_>>();
    let gone = lifted
        .iter()
        .find(|(_, tainted)| !tainted)
        .expect("the taint is gone")
        .0;
    let told = tasks.until_now().await;
    let daemon = told.iter().filter(|s| placed_on(&s.object) == *new);
    let mut daemon = daemon.filter(|s| last(&s.object) == LastStatus::Running);
    let runs = daemon.next().expect("its daemon runs").version;
    let guests = pods.until_now().await;
    let mut guests = guests.iter().filter(|s| s.object.name_any() == "guest");
    let guest = guests.find(|s| bound(&s.object)).map(|s| s.version);
    assert!(
        runs < gone && guest.is_none_or(|guest| gone < guest),
        "the daemon ran at {runs}, the taint went at {gone}, the guest came at {guest:?}"
    );
    scenario.end().await;
}
