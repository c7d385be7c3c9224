//! Containers exit, Pods are deleted.

use serde_json::{Value, json};

use super::{Scene, has_phase, is_ready};
use crate::simulated::Settings;
use crate::simulated::behaviour::{EXIT, PRE_STOP, STOP};

fn exit_code(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_is_gone_once_its_container_has_ended() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    scene
        .pod("web", "n1", json!({STOP: "app=0 after 4s"}), json!({}))
        .await;
    scene.until_pod("web", is_ready).await;
    let begun = scene.seconds();
    scene.delete_pod("web").await;
    let (_, at) = scene.until_pod("web", Value::is_null).await;
    assert_eq!(at - begun, 4);
}

#[tokio::test(start_paused = true)]
async fn what_ignores_sigterm_is_killed_at_the_end_of_its_grace() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let held = json!({"terminationGracePeriodSeconds": 7});
    scene.pod("web", "n1", json!({STOP: "app=ignore"}), held).await;
    scene.until_pod("web", is_ready).await;
    let pods = "/api/v1/namespaces/default/pods/web";
    // a finalizer keeps the object, so that its last word can be read
    scene
        .merge(pods, json!({"metadata": {"finalizers": ["example.com/held"]}}))
        .await;
    let begun = scene.seconds();
    scene.delete_pod("web").await;
    let (pod, at) = scene.until_pod("web", has_phase("Failed")).await;
    assert_eq!((exit_code(&pod), at - begun), (&json!(137), 7));
    scene
        .until_pod("web", |pod| pod["metadata"]["deletionGracePeriodSeconds"] == 0)
        .await;
    scene.merge(pods, json!({"metadata": {"finalizers": null}})).await;
    assert!(scene.get_pod("web").await.is_null());
}

#[tokio::test(start_paused = true)]
async fn a_hook_comes_before_sigterm_and_both_share_the_grace() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let hook = json!({"containers": [{"name": "app", "image": "i",
        "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}]});
    scene
        .pod(
            "web",
            "n1",
            json!({PRE_STOP: "app=6s", STOP: "app=0 after 5s"}),
            hook,
        )
        .await;
    scene.until_pod("web", is_ready).await;
    let begun = scene.seconds();
    scene.delete_pod("web").await;
    let (_, at) = scene.until_pod("web", Value::is_null).await;
    assert_eq!(at - begun, 11);
}

#[tokio::test(start_paused = true)]
async fn exit_codes_decide_the_phase_of_a_pod_that_is_never_restarted() {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let never = json!({"restartPolicy": "Never"});
    scene
        .pod("good", "n1", json!({EXIT: "app=0 after 5s"}), never.clone())
        .await;
    scene
        .pod("bad", "n1", json!({EXIT: "app=3 after 8s"}), never)
        .await;
    let (good, at) = scene.until_pod("good", has_phase("Succeeded")).await;
    assert_eq!((exit_code(&good), at), (&json!(0), 5));
    let (bad, at) = scene.until_pod("bad", has_phase("Failed")).await;
    assert_eq!((exit_code(&bad), at), (&json!(3), 8));
    assert_eq!(
        bad["status"]["containerStatuses"][0]["state"]["terminated"]["reason"],
        "Error"
    );
}
