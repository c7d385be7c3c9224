//! Machines break, come back, and go.

use serde_json::{Value, json};

use super::{Scene, condition, has_phase, is_ready};
use crate::simulated::behaviour::{EXIT, STOP};
use crate::simulated::{Fault, MACHINE, Settings, break_, mend};

const NODE: &str = "/api/v1/nodes/n1";

/// The effects of the taints with this key.
fn effects(node: &Value, key: &str) -> Vec<String> {
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let of_key = taints.iter().filter(|taint| taint["key"] == key);
    let mut found: Vec<_> = of_key
        .map(|taint| taint["effect"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    found
}

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// A Pod that tolerates everything for ever.
fn steadfast() -> Value {
    json!({"tolerations": [{"operator": "Exists"}], "restartPolicy": "Never"})
}

async fn ready_scene() -> Scene {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene
        .until(NODE, |node| is_ready(node) && effects(node, NOT_READY).is_empty())
        .await;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_new_node_loses_its_taint_once_it_is_ready() {
    let scene = ready_scene().await;
    assert!(scene.seconds() <= 1);
    assert!(scene.get(NODE).await["spec"]["taints"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_is_silent_makes_its_node_unknown_and_its_pods_not_ready_until_it_speaks_again() {
    let scene = ready_scene().await;
    scene.pod("web", "n1", json!({}), steadfast()).await;
    scene.until_pod("web", is_ready).await;
    scene.pass(30).await;
    let begun = scene.seconds();
    break_(&scene.client, "n1", Fault::KubeletDead).await.unwrap();
    let (node, at) = scene
        .until(NODE, |node| condition(node, "Ready") == "Unknown")
        .await;
    assert!((40..=60).contains(&(at - begun)), "{}", at - begun);
    let ready = node["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == "Ready")
        .unwrap();
    assert_eq!(ready["message"], "Kubelet stopped posting node status.");
    scene
        .until(NODE, |node| {
            effects(node, UNREACHABLE) == ["NoExecute", "NoSchedule"]
        })
        .await;
    let (pod, _) = scene.until_pod("web", |pod| !is_ready(pod)).await;
    assert_eq!(
        (&pod["status"]["phase"], condition(&pod, "ContainersReady")),
        (&json!("Running"), "True")
    );
    mend(&scene.client, "n1").await.unwrap();
    scene
        .until(NODE, |node| {
            is_ready(node) && effects(node, UNREACHABLE).is_empty()
        })
        .await;
    let (pod, _) = scene.until_pod("web", is_ready).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
}

#[tokio::test(start_paused = true)]
async fn containers_end_while_their_kubelet_is_dead_and_it_says_so_when_it_is_back() {
    let scene = ready_scene().await;
    let begun = scene.seconds();
    scene
        .pod("job", "n1", json!({EXIT: "app=3 after 20s"}), steadfast())
        .await;
    scene.until_pod("job", is_ready).await;
    break_(&scene.client, "n1", Fault::KubeletDead).await.unwrap();
    scene.pass(100).await;
    assert_eq!(
        scene.get_pod("job").await["status"]["phase"],
        "Running",
        "nobody says anything"
    );
    mend(&scene.client, "n1").await.unwrap();
    let (pod, _) = scene.until_pod("job", has_phase("Failed")).await;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 3);
    let seconds = |text: &Value| text.as_str().unwrap()[17..19].parse::<u64>().unwrap();
    assert_eq!(seconds(&ended["finishedAt"]), begun + 20);
}

#[tokio::test(start_paused = true)]
async fn power_that_comes_back_finds_containers_gone_and_starts_them_again_where_that_is_wanted() {
    let scene = ready_scene().await;
    scene.pod("once", "n1", json!({}), steadfast()).await;
    scene
        .pod(
            "always",
            "n1",
            json!({}),
            json!({"tolerations": [{"operator": "Exists"}]}),
        )
        .await;
    scene.until_pod("once", is_ready).await;
    scene.until_pod("always", is_ready).await;
    break_(&scene.client, "n1", Fault::PowerOff).await.unwrap();
    scene.pass(10).await;
    assert_eq!(
        scene.get_pod("once").await["status"]["phase"],
        "Running",
        "nobody says anything"
    );
    mend(&scene.client, "n1").await.unwrap();
    let (pod, _) = scene.until_pod("once", has_phase("Failed")).await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"],
        255
    );
    let restarted = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1 && is_ready(pod);
    scene.until_pod("always", restarted).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_shrank_refuses_the_youngest_pods_when_its_kubelet_is_back() {
    let scene = ready_scene().await;
    for name in ["older", "younger"] {
        let asks = json!({"tolerations": [{"operator": "Exists"}], "containers": [
            {"name": "app", "image": "i", "resources": {"requests": {"cpu": "1"}}}]});
        scene.pod(name, "n1", json!({}), asks).await;
        scene.until_pod(name, is_ready).await;
        scene.pass(2).await;
    }
    let small = json!({"metadata": {"annotations": {MACHINE: "cpu=1500m memory=4Gi"}}});
    scene.merge(NODE, small).await;
    scene
        .until(NODE, |node| node["status"]["allocatable"]["cpu"] == "1500m")
        .await;
    assert!(is_ready(&scene.get_pod("younger").await), "what runs goes on");
    break_(&scene.client, "n1", Fault::KubeletDead).await.unwrap();
    scene.pass(1).await;
    mend(&scene.client, "n1").await.unwrap();
    let (pod, _) = scene.until_pod("younger", has_phase("Failed")).await;
    assert_eq!(
        (&pod["status"]["reason"], condition(&pod, "Ready")),
        (&json!("OutOfcpu"), "False")
    );
    assert!(pod["status"]["containerStatuses"].is_null());
    scene.pass(60).await;
    assert!(is_ready(&scene.get_pod("older").await));
}

#[tokio::test(start_paused = true)]
async fn pods_that_were_deleted_while_the_kubelet_was_dead_are_ended_when_it_is_back() {
    let scene = ready_scene().await;
    for name in ["graceful", "forced"] {
        let asks = json!({"tolerations": [{"operator": "Exists"}], "containers": [
            {"name": "app", "image": "i", "resources": {"requests": {"cpu": "1"}}}]});
        scene.pod(name, "n1", json!({STOP: "app=0 after 5s"}), asks).await;
        scene.until_pod(name, is_ready).await;
    }
    break_(&scene.client, "n1", Fault::KubeletDead).await.unwrap();
    scene.pass(1).await;
    scene.delete_pod("graceful").await;
    scene.delete_now("/api/v1/namespaces/default/pods/forced").await;
    scene.pass(60).await;
    assert!(
        !scene.get_pod("graceful").await.is_null(),
        "it waits for its kubelet"
    );
    assert!(scene.get_pod("forced").await.is_null());
    mend(&scene.client, "n1").await.unwrap();
    let begun = scene.seconds();
    // what was forced away still runs and takes its room until it has ended
    scene
        .pod(
            "early",
            "n1",
            json!({}),
            json!({"containers": [
        {"name": "app", "image": "i", "resources": {"requests": {"cpu": "2"}}}]}),
        )
        .await;
    let (early, _) = scene.until_pod("early", has_phase("Failed")).await;
    assert_eq!(early["status"]["reason"], "OutOfcpu");
    let (_, at) = scene.until_pod("graceful", Value::is_null).await;
    assert_eq!(at - begun, 5);
    scene.pass(1).await;
    scene
        .pod(
            "late",
            "n1",
            json!({}),
            json!({"containers": [
        {"name": "app", "image": "i", "resources": {"requests": {"cpu": "2"}}}]}),
        )
        .await;
    scene.until_pod("late", is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn pods_leave_an_unreachable_node_when_their_tolerance_ends() {
    let scene = ready_scene().await;
    let patient = json!({"tolerations": [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]});
    scene.pod("patient", "n1", json!({}), patient).await;
    scene.pod("steadfast", "n1", json!({}), steadfast()).await;
    scene.until_pod("patient", is_ready).await;
    scene.until_pod("steadfast", is_ready).await;
    break_(&scene.client, "n1", Fault::KubeletDead).await.unwrap();
    let (_, tainted) = scene
        .until(NODE, |node| effects(node, UNREACHABLE).len() == 2)
        .await;
    let (pod, at) = scene
        .until_pod("patient", |pod| pod["metadata"]["deletionTimestamp"].is_string())
        .await;
    assert!((29..=31).contains(&(at - tainted)), "{}", at - tainted);
    assert_eq!(condition(&pod, "DisruptionTarget"), "True");
    scene.pass(600).await;
    assert!(scene.get_pod("steadfast").await["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_in_time_keeps_its_pods() {
    let scene = ready_scene().await;
    scene.pod("web", "n1", json!({}), json!({})).await;
    scene.until_pod("web", is_ready).await;
    break_(&scene.client, "n1", Fault::NotReady).await.unwrap();
    scene
        .until(NODE, |node| {
            effects(node, NOT_READY) == ["NoExecute", "NoSchedule"]
        })
        .await;
    scene.pass(200).await;
    mend(&scene.client, "n1").await.unwrap();
    scene
        .until(NODE, |node| is_ready(node) && effects(node, NOT_READY).is_empty())
        .await;
    scene.pass(600).await;
    assert!(is_ready(&scene.get_pod("web").await));
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_deleted_are_collected_and_a_new_machine_of_its_name_has_none_of_their_containers()
 {
    let scene = ready_scene().await;
    scene.pod("web", "n1", json!({}), json!({})).await;
    scene.until_pod("web", is_ready).await;
    scene.pass(5).await;
    scene.delete(NODE).await;
    scene.pass(30).await;
    scene.machine("n1").await;
    let restarted = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1 && is_ready(pod);
    scene.until_pod("web", restarted).await;
    scene.delete(NODE).await;
    let begun = scene.seconds();
    let (_, at) = scene.until_pod("web", Value::is_null).await;
    assert!((40..=42).contains(&(at - begun)), "{}", at - begun);
}

#[tokio::test(start_paused = true)]
async fn out_of_service_lets_pods_go_that_nobody_can_end() {
    let scene = ready_scene().await;
    scene.pod("web", "n1", json!({}), steadfast()).await;
    scene.until_pod("web", is_ready).await;
    break_(&scene.client, "n1", Fault::PowerOff).await.unwrap();
    scene
        .until(NODE, |node| condition(node, "Ready") == "Unknown")
        .await;
    scene.delete_pod("web").await;
    scene.pass(300).await;
    assert!(!scene.get_pod("web").await.is_null());
    let taint = json!([{"key": "node.kubernetes.io/out-of-service", "value": "x", "effect": "NoSchedule"}]);
    scene.merge(NODE, json!({"spec": {"taints": taint}})).await;
    scene.until_pod("web", Value::is_null).await;
    // the others of the node's taints come back
    scene
        .until(NODE, |node| effects(node, UNREACHABLE).len() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_process_takes_up_what_it_finds() {
    let mut scene = ready_scene().await;
    scene
        .pod("web", "n1", json!({EXIT: "app=1 after 60s times 1"}), json!({}))
        .await;
    scene
        .pod("going", "n1", json!({STOP: "app=0 after 20s"}), json!({}))
        .await;
    let (web, _) = scene.until_pod("web", is_ready).await;
    let (going, _) = scene.until_pod("going", is_ready).await;
    scene.delete_pod("going").await;
    scene.pass(5).await;
    scene.start(Settings::default());
    scene.pass(5).await;
    let again = scene.get_pod("web").await;
    assert_eq!(again["status"], web["status"]);
    assert!(scene.get_pod("going").await["metadata"]["deletionTimestamp"].is_string());
    let taken = scene.pod("other", "n1", json!({}), json!({})).await;
    assert!(taken["status"]["podIP"].is_null());
    let (other, _) = scene.until_pod("other", is_ready).await;
    for pod in [&web, &going] {
        assert_ne!(other["status"]["podIP"], pod["status"]["podIP"]);
    }
    scene.until_pod("going", Value::is_null).await;
    let (web, at) = scene
        .until_pod("web", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    assert!((59..=62).contains(&at), "{at}");
    assert_eq!(
        web["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"],
        1
    );
}
