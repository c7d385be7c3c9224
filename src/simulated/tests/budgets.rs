//! Budgets and evictions.

use kube::api::EvictParams;
use kube::core::Request;
use serde_json::{Value, json};

use super::{Scene, is_ready};
use crate::simulated::Settings;
use crate::simulated::behaviour::STOP;

const BUDGET: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";

/// Evicts a Pod; the code of a refusal.
async fn evict(scene: &Scene, name: &str) -> Result<(), u16> {
    let request = Request::new("/api/v1/namespaces/default/pods")
        .evict(name, &EvictParams::default())
        .unwrap();
    match scene.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(error) => panic!("{error}"),
    }
}

async fn three_pods(budget: Value) -> Scene {
    let scene = Scene::new(Settings::default());
    scene.machine("n1").await;
    let object = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": budget});
    scene
        .create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", object)
        .await;
    for name in ["a", "b", "c"] {
        labelled(&scene, name).await;
    }
    scene
}

async fn labelled(scene: &Scene, name: &str) {
    scene
        .pod(name, "n1", json!({STOP: "app=0 after 5s"}), json!({}))
        .await;
    let labels = json!({"metadata": {"labels": {"app": "web"}}});
    scene
        .merge(&format!("/api/v1/namespaces/default/pods/{name}"), labels)
        .await;
    scene.until_pod(name, is_ready).await;
}

fn counts(budget: &Value) -> [i64; 4] {
    [
        "expectedPods",
        "desiredHealthy",
        "currentHealthy",
        "disruptionsAllowed",
    ]
    .map(|name| budget["status"][name].as_i64().unwrap())
}

#[tokio::test(start_paused = true)]
async fn evictions_go_one_by_one_as_the_budget_allows() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let scene = three_pods(json!({"minAvailable": 2, "selector": selector})).await;
    let (budget, _) = scene.until(BUDGET, |budget| counts(budget) == [3, 2, 3, 1]).await;
    assert_eq!(
        budget["status"]["observedGeneration"],
        budget["metadata"]["generation"]
    );
    assert_eq!(super::condition(&budget, "DisruptionAllowed"), "True");
    assert_eq!(evict(&scene, "a").await, Ok(()));
    assert_eq!(
        evict(&scene, "b").await,
        Err(429),
        "the budget is used up at once"
    );
    let (budget, _) = scene
        .until(BUDGET, |budget| {
            super::condition(budget, "DisruptionAllowed") == "False"
        })
        .await;
    assert_eq!(counts(&budget)[3], 0);
    scene.until_pod("a", Value::is_null).await;
    scene
        .until(BUDGET, |budget| {
            counts(budget) == [2, 2, 2, 0] && budget["status"]["disruptedPods"].is_null()
        })
        .await;
    assert_eq!(evict(&scene, "b").await, Err(429));
    labelled(&scene, "d").await;
    scene.until(BUDGET, |budget| counts(budget) == [3, 2, 3, 1]).await;
    assert_eq!(evict(&scene, "b").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_nothing_satisfies_holds_every_pod_that_is_ready() {
    let scene = three_pods(json!({"minAvailable": "100%", "selector": {}})).await;
    scene.until(BUDGET, |budget| counts(budget) == [3, 3, 3, 0]).await;
    assert_eq!(evict(&scene, "a").await, Err(429));
    scene
        .merge(
            BUDGET,
            json!({"spec": {"minAvailable": null, "maxUnavailable": "50%"}}),
        )
        .await;
    scene.until(BUDGET, |budget| counts(budget) == [3, 1, 3, 2]).await;
    assert_eq!(evict(&scene, "a").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_granted_disruption_that_does_not_come_is_forgotten_after_two_minutes() {
    let scene = three_pods(json!({"minAvailable": 2, "selector": {}})).await;
    scene.until(BUDGET, |budget| counts(budget) == [3, 2, 3, 1]).await;
    let begun = scene.seconds();
    let granted = json!({"status": {"disruptedPods": {"a": super::moment(begun)}}});
    scene
        .set_status(
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            "web",
            granted,
        )
        .await;
    scene.until(BUDGET, |budget| counts(budget) == [3, 2, 2, 0]).await;
    let (_, at) = scene.until(BUDGET, |budget| counts(budget) == [3, 2, 3, 1]).await;
    assert!((119..=122).contains(&(at - begun)), "{}", at - begun);
}
