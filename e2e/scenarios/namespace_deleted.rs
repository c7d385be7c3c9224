//! A namespace is deleted while tasks run in it, with the operator up, and down for good. (SVC-3, F1, F5)

use std::fmt::Debug;
use std::process::Output;

use ecs_operator::api::{ContainerInstance, EcsCluster, EcsService, Task, TaskDefinition};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::operator::{Resting, program};
use crate::support::{Scenario, Space, eventually, ground};

/// A daemon and three replicas that run.
async fn populate(space: &Space) {
    let slow = json!({ "command": ["--on-term", "3s"] });
    space.definition("web", 1, 64, slow).await;
    space
        .service("agent", "web", json!({ "schedulingStrategy": "DAEMON" }))
        .await;
    space.service("web", "web", json!({ "desiredCount": 3 })).await;
    let all = space.instance_names().await;
    space.running_on("agent", &all, 60).await;
    space.running("web", 3, 90).await;
}

async fn delete(space: &Space) {
    let namespaces: Api<Namespace> = Api::all(space.client.clone());
    let params = DeleteParams::default();
    namespaces.delete(&space.namespace, &params).await.unwrap();
}

/// What the namespace says of what holds it; `None` once it is gone.
async fn held(space: &Space) -> Option<String> {
    let namespaces: Api<Namespace> = Api::all(space.client.clone());
    let namespace = namespaces.get_opt(&space.namespace).await.unwrap()?;
    let conditions = namespace.status.and_then(|s| s.conditions).unwrap_or_default();
    let said: Vec<String> = conditions
        .iter()
        .filter(|c| c.status == "True")
        .map(|c| format!("{}: {}", c.type_, c.message.clone().unwrap_or_default()))
        .collect();
    Some(said.join("; "))
}

async fn gone(space: &Space, seconds: u64) {
    eventually("the namespace is gone", seconds, || async {
        match held(space).await {
            None => Ok(()),
            Some(why) => Err(why),
        }
    })
    .await;
}

/// Checks with the container runtimes, through the kubelets, that no container of a namespace runs.
async fn no_containers(space: &Space) {
    if ground::is_local() {
        return;
    }
    for node in space.instance_names().await {
        let path = format!("/api/v1/nodes/{node}/proxy/runningpods/");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let running: serde_json::Value = space.client.request(request).await.unwrap();
        let pods = running["items"].as_array().cloned().unwrap_or_default();
        let ours: Vec<_> = pods
            .iter()
            .filter(|pod| pod["metadata"]["namespace"] == space.namespace.as_str())
            // what is left of a Pod without containers is its network, which goes a little later
            .filter(|pod| {
                pod["spec"]["containers"]
                    .as_array()
                    .is_some_and(|c| !c.is_empty())
            })
            .collect();
        assert!(ours.is_empty(), "on {node} there still run {ours:?}");
    }
}

#[tokio::test]
async fn a_namespace_with_running_tasks_goes_while_the_operator_is_up() {
    let scenario = Scenario::begin("ns-up").await;
    populate(&scenario).await;
    delete(&scenario).await;
    gone(&scenario, 90).await;
    no_containers(&scenario).await;
    scenario.end().await;
}

/// Finalizers of ours on the objects of a kind.
async fn finalizers<K>(space: &Space) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let all = Api::<K>::all(space.client.clone())
        .list(&ListParams::default())
        .await;
    let mut found = Vec::new();
    for object in all.unwrap() {
        for finalizer in object
            .finalizers()
            .iter()
            .filter(|f| f.starts_with("ecs-operator.dev/"))
        {
            found.push(format!("{} {}: {finalizer}", K::kind(&()), object.name_any()));
        }
    }
    found
}

/// Finalizers of ours anywhere, and budgets that would hold Pods.
async fn traces(space: &Space) -> Vec<String> {
    let managed = ListParams::default().labels("app.kubernetes.io/managed-by=ecs-operator");
    let budgets: Api<PodDisruptionBudget> = Api::all(space.client.clone());
    let budgets = budgets.list(&managed).await.unwrap();
    [
        finalizers::<EcsCluster>(space).await,
        finalizers::<ContainerInstance>(space).await,
        finalizers::<TaskDefinition>(space).await,
        finalizers::<EcsService>(space).await,
        finalizers::<Task>(space).await,
        finalizers::<Pod>(space).await,
        budgets
            .iter()
            .map(|b| format!("budget {}", b.name_any()))
            .collect(),
    ]
    .concat()
}

fn uninstall(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program()
        .arg("uninstall")
        .args(arguments)
        .output()
        .expect("cannot run the operator's program");
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_namespace_goes_without_an_operator_once_the_finalizers_are_released() {
    if !ground::rests("a namespace without an operator") {
        return;
    }
    let mut scenario = Scenario::begin("ns-down").await;
    let doomed = scenario.another("doomed").await;
    populate(&scenario).await;
    populate(&doomed).await;
    let mut kept: Vec<_> = scenario
        .pods()
        .await
        .iter()
        .filter_map(ResourceExt::uid)
        .collect();
    kept.sort();
    let all = scenario.instance_names().await;
    let resting = Resting::begin();
    delete(&doomed).await;
    // the namespace waits for its Pods, and they for us
    eventually("all its Pods have ended and are held", 60, || async {
        let pods = doomed.pods().await;
        let ended = |p: &Pod| {
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
            let held = p.finalizers().iter().any(|f| f == "ecs-operator.dev/pod");
            p.metadata.deletion_timestamp.is_some() && held && matches!(phase, Some("Succeeded" | "Failed"))
        };
        let count = pods.iter().filter(|p| ended(p)).count();
        if count == pods.len() && count == all.len() + 3 {
            Ok(())
        } else {
            Err(format!("{count} of {}; {:?}", pods.len(), held(&doomed).await))
        }
    })
    .await;
    assert!(held(&doomed).await.is_some());

    // nothing happens without the flag
    let before = traces(&doomed).await;
    let (code, said) = uninstall(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--release-finalizers"), "{said}");
    assert_eq!(traces(&doomed).await, before);
    // nor without a cluster
    let (code, said) = uninstall(&["--release-finalizers", "--kubeconfig", "/does/not/exist"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/does/not/exist"), "{said}");

    let (code, said) = uninstall(&["--release-finalizers"]);
    assert_eq!(code, Some(0), "{said}");
    gone(&doomed, 60).await;
    no_containers(&doomed).await;
    assert_eq!(traces(&doomed).await, Vec::<String>::new());
    // what was not deleted goes on
    let mut now: Vec<_> = scenario
        .pods()
        .await
        .iter()
        .filter_map(ResourceExt::uid)
        .collect();
    now.sort();
    assert_eq!(now, kept);
    // again: nothing is left to do
    let (code, said) = uninstall(&["--release-finalizers"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("released=1"), "{said}");

    // an operator that comes later takes up what is there, and mends what is not
    drop(resting);
    scenario.running_on("agent", &all, 60).await;
    scenario.running("web", 3, 60).await;
    scenario
        .patch::<EcsService>("web", json!({ "spec": { "desiredCount": 5 } }))
        .await;
    scenario.running("web", 5, 90).await;
    scenario.quiet(120).await;
    scenario.end().await;
}
