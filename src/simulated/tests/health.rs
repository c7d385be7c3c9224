//! Containers fail and are started again; probes; what cannot start.

use serde_json::{Value, json};

use super::{Scene, condition, is_ready};
use crate::simulated::Settings;
use crate::simulated::behaviour::{EXIT, PROBES, STOP, WAITING};

fn app(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[tokio::test(start_paused = true)]
async fn a_container_that_keeps_failing_waits_longer_each_time() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let made = scene
        .pod("web", "n1", json!({EXIT: "app=7 after 1s"}), json!({}))
        .await;
    let waits = |pod: &Value| app(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let (pod, at) = scene.until_pod("web", waits).await;
    assert_eq!((at, &app(&pod)["restartCount"]), (2, &json!(1)));
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let message = format!("back-off 10s restarting failed container=app pod=web_default({uid})");
    assert_eq!(app(&pod)["state"]["waiting"]["message"], message);
    assert_eq!(app(&pod)["lastState"]["terminated"]["exitCode"], 7);
    assert_eq!(
        (&pod["status"]["phase"], condition(&pod, "Ready")),
        (&json!("Running"), "False")
    );
    let (_, at) = scene.until_pod("web", |pod| app(pod)["restartCount"] == 2).await;
    assert_eq!(at, 12);
    let (_, at) = scene.until_pod("web", |pod| app(pod)["restartCount"] == 3).await;
    assert_eq!(at, 33);
}

#[tokio::test(start_paused = true)]
async fn a_liveness_probe_that_fails_kills_and_the_container_starts_again() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let probe = json!({"containers": [{"name": "app", "image": "i", "livenessProbe":
        {"exec": {"command": ["x"]}, "periodSeconds": 5, "failureThreshold": 2, "terminationGracePeriodSeconds": 4}}]});
    scene.pod("web", "n1", json!({STOP: "app=ignore"}), probe).await;
    scene.until_pod("web", is_ready).await;
    scene.pass(20).await;
    let change = json!({"metadata": {"annotations": {PROBES: "app.liveness=fail for 10s"}}});
    scene.merge("/api/v1/namespaces/default/pods/web", change).await;
    let (pod, at) = scene.until_pod("web", |pod| app(pod)["restartCount"] == 1).await;
    // probes fail at 25 and 30, or one earlier, by when the annotation came; killed 4 s later
    assert!((29..=34).contains(&at), "{at}");
    assert_eq!(app(&pod)["lastState"]["terminated"]["exitCode"], 137);
    scene.pass(100).await;
    assert_eq!(app(&scene.get_pod("web").await)["restartCount"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_readiness_probe_takes_a_pod_out_and_lets_it_in_again() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let probe = json!({"containers": [{"name": "app", "image": "i", "readinessProbe":
        {"exec": {"command": ["x"]}, "initialDelaySeconds": 3, "periodSeconds": 5, "failureThreshold": 2}}]});
    scene
        .pod(
            "web",
            "n1",
            json!({PROBES: "app.readiness=fail after 10s for 20s"}),
            probe,
        )
        .await;
    let (pod, at) = scene.until_pod("web", is_ready).await;
    assert_eq!((at, &app(&pod)["started"]), (3, &json!(true)));
    let (pod, at) = scene.until_pod("web", |pod| !is_ready(pod)).await;
    assert_eq!(at, 18, "probes fail at 13 and 18");
    assert_eq!(
        (&app(&pod)["ready"], condition(&pod, "ContainersReady")),
        (&json!(false), "False")
    );
    let (pod, at) = scene.until_pod("web", is_ready).await;
    assert_eq!((at, &app(&pod)["restartCount"]), (33, &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_waited_for() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene
        .pod(
            "web",
            "n1",
            json!({WAITING: "app=ImagePullBackOff: Back-off pulling image"}),
            json!({}),
        )
        .await;
    let waits = |pod: &Value| app(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff";
    let (pod, _) = scene.until_pod("web", waits).await;
    assert_eq!(app(&pod)["state"]["waiting"]["message"], "Back-off pulling image");
    assert_eq!(pod["status"]["phase"], "Pending");
    scene.pass(500).await;
    let change = json!({"metadata": {"annotations": {WAITING: null}}});
    scene.merge("/api/v1/namespaces/default/pods/web", change).await;
    scene.until_pod("web", is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn an_annotation_that_cannot_be_read_says_what_to_write_where_people_look() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene.pod("web", "n1", json!({EXIT: "app=soon"}), json!({})).await;
    let waits = |pod: &Value| app(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError";
    let (pod, _) = scene.until_pod("web", waits).await;
    let message = app(&pod)["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.contains("cannot read \"app=soon\"; write app=1 after 5s times 2"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn gates_hold_a_pod_back_until_somebody_opens_them() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene
        .pod(
            "web",
            "n1",
            json!({}),
            json!({"readinessGates": [{"conditionType": "example.com/open"}]}),
        )
        .await;
    let (pod, _) = scene
        .until_pod("web", |pod| condition(pod, "ContainersReady") == "True")
        .await;
    assert_eq!(condition(&pod, "Ready"), "False");
    let open = json!({"status": {"conditions": [{"type": "example.com/open", "status": "True"}]}});
    scene
        .set_status("/api/v1/namespaces/default/pods", "web", open)
        .await;
    scene.until_pod("web", is_ready).await;
}
