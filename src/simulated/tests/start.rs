//! Machines register, Pods start.

use serde_json::json;

use super::{Scene, condition, has_phase, is_ready};
use crate::simulated::Settings;
use crate::simulated::behaviour::{EXIT, PULL, START};

#[tokio::test(start_paused = true)]
async fn a_machine_registers_and_renews_its_lease_until_its_node_is_deleted() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let (node, at) = scene.until("/api/v1/nodes/n1", is_ready).await;
    assert!(at <= 1, "{at} s");
    assert_eq!(node["status"]["allocatable"]["cpu"], "2");
    assert_eq!(node["status"]["allocatable"]["memory"], "4194304Ki");
    assert_eq!(node["status"]["allocatable"]["pods"], "110");
    assert_eq!(node["status"]["nodeInfo"]["architecture"], "amd64");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";
    let (first, _) = scene
        .until(lease, |lease| lease["spec"]["renewTime"].is_string())
        .await;
    assert_eq!(
        first["metadata"]["ownerReferences"][0]["uid"],
        node["metadata"]["uid"]
    );
    scene.pass(10).await;
    let second = scene.get(lease).await;
    assert_ne!(first["spec"]["renewTime"], second["spec"]["renewTime"]);
    scene.delete("/api/v1/nodes/n1").await;
    scene.pass(60).await;
    assert!(scene.get(lease).await.is_null(), "nobody makes it again");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_at_once_is_running_and_ready_with_one_write() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene.until("/api/v1/nodes/n1", is_ready).await;
    scene.pass(1).await;
    let before = scene.server.version();
    scene.pod("web", "n1", json!({}), json!({})).await;
    let (pod, _) = scene.until_pod("web", is_ready).await;
    assert_eq!(scene.server.version() - before, 2, "one create, one status");
    let status = &pod["status"];
    assert_eq!(status["phase"], "Running");
    let app = &status["containerStatuses"][0];
    assert_eq!((&app["ready"], &app["started"]), (&json!(true), &json!(true)));
    assert!(app["containerID"].as_str().unwrap().starts_with("simulated://"));
    assert!(
        app["imageID"]
            .as_str()
            .unwrap()
            .starts_with("example/app@sha256:")
    );
    assert!(app["state"]["running"]["startedAt"].is_string());
    for type_ in [
        "PodScheduled",
        "PodReadyToStartContainers",
        "Initialized",
        "ContainersReady",
    ] {
        assert_eq!(condition(&pod, type_), "True", "{type_}");
    }
    assert!(status["podIP"].as_str().unwrap().starts_with("10.") && status["startTime"].is_string());
    assert_ne!(status["podIP"], status["hostIP"]);
}

#[tokio::test(start_paused = true)]
async fn init_containers_end_in_order_and_sidecars_start_before_what_needs_them() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let notes = json!({EXIT: "first=0 after 5s; second=0 after 3s", PULL: "first=2s", START: "app=1s"});
    let spec = json!({"initContainers": [
        {"name": "first", "image": "i"},
        {"name": "side", "image": "i", "restartPolicy": "Always",
         "startupProbe": {"exec": {"command": ["x"]}, "initialDelaySeconds": 4}},
        {"name": "second", "image": "i"},
    ]});
    scene.pod("web", "n1", notes, spec).await;
    let (pod, at) = scene
        .until_pod("web", |pod| {
            pod["status"]["initContainerStatuses"][1]["state"]["running"].is_object()
        })
        .await;
    assert_eq!(at, 7, "pulled for 2 s, ran for 5 s");
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(condition(&pod, "Initialized"), "False");
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    let (pod, at) = scene.until_pod("web", is_ready).await;
    assert_eq!(at, 7 + 4 + 3 + 1);
    let init = &pod["status"]["initContainerStatuses"];
    assert_eq!(init[2]["state"]["terminated"]["reason"], "Completed");
    assert_eq!(
        (&init[1]["started"], &init[1]["ready"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(pod["status"]["phase"], "Running");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_fails_with_the_kubelets_reason_and_takes_no_room() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let asks = |cpu: &str| json!({"containers": [{"name": "app", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
    scene.pod("one", "n1", json!({}), asks("1500m")).await;
    scene.until_pod("one", is_ready).await;
    scene.pod("two", "n1", json!({}), asks("1")).await;
    let (two, _) = scene.until_pod("two", has_phase("Failed")).await;
    assert_eq!(two["status"]["reason"], "OutOfcpu");
    let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000";
    assert_eq!(two["status"]["message"], message);
    scene.pod("three", "n1", json!({}), asks("500m")).await;
    scene.until_pod("three", is_ready).await;
}
