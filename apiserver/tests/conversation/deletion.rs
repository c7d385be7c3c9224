//! Deletion: preconditions, grace, finalizers, budgets, namespaces.

use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::*;

#[tokio::test]
async fn preconditions_name_the_very_object() {
    let world = World::new();
    let maps = world.config_maps();
    let created = maps
        .create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let with = |uid: Option<&str>, version: Option<&str>| DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    };
    let uid = refusal(maps.delete("a", &with(Some("x"), None)).await);
    assert!(
        uid.message
            .starts_with("Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x)")
    );
    let version = refusal(maps.delete("a", &with(None, Some("1"))).await);
    assert_eq!((version.code, version.reason.as_str()), (409, "Conflict"));
    let right = with(
        created.metadata.uid.as_deref(),
        created.metadata.resource_version.as_deref(),
    );
    maps.delete("a", &right).await.unwrap().right().expect("a Status");
    assert_eq!(
        refusal(maps.delete("a", &DeleteParams::default()).await).code,
        404
    );
}

#[tokio::test]
async fn a_pod_has_its_grace_period() {
    let world = World::new();
    let pods = world.api("v1", "Pod");
    let bound = pod("p", json!({"nodeName": "n", "terminationGracePeriodSeconds": 20}));
    pods.create(&PostParams::default(), &bound).await.unwrap();
    world.pass(100);
    let begun = pods
        .delete("p", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .expect("the Pod");
    assert_eq!(
        begun.metadata.deletion_timestamp.unwrap().0.to_string(),
        "2026-01-01T00:02:00Z"
    );
    assert_eq!(begun.metadata.deletion_grace_period_seconds, Some(20));
    assert_eq!(begun.metadata.generation, Some(2));
    let shorter = pods
        .delete("p", &DeleteParams::default().grace_period(5))
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(
        shorter.metadata.deletion_timestamp.unwrap().0.to_string(),
        "2026-01-01T00:01:45Z"
    );
    let longer = pods
        .delete("p", &DeleteParams::default().grace_period(50))
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(longer.metadata.deletion_grace_period_seconds, Some(5));
    pods.delete("p", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert_eq!(refusal(pods.get("p").await).code, 404);
}

#[tokio::test]
async fn a_pod_on_no_node_or_at_its_end_goes_at_once() {
    let world = World::new();
    let pods = world.api("v1", "Pod");
    pods.create(&PostParams::default(), &pod("unbound", json!({})))
        .await
        .unwrap();
    pods.delete("unbound", &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(pods.get("unbound").await).code, 404);
    pods.create(&PostParams::default(), &pod("ended", json!({"nodeName": "n"})))
        .await
        .unwrap();
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status("ended", &PatchParams::default(), &ended)
        .await
        .unwrap();
    pods.delete("ended", &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(pods.get("ended").await).code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let world = World::new();
    let maps = world.config_maps();
    let mut map = config_map("a");
    map.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &map).await.unwrap();
    let begun = maps
        .delete("a", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .expect("the object");
    assert!(begun.metadata.deletion_timestamp.is_some());
    let again = refusal(maps.create(&PostParams::default(), &config_map("a")).await);
    assert_eq!(
        again.message,
        "object is being deleted: configmaps \"a\" already exists"
    );
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}));
    assert_eq!(
        refusal(maps.patch("a", &PatchParams::default(), &more).await).code,
        422
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    maps.patch("a", &PatchParams::default(), &release).await.unwrap();
    assert_eq!(refusal(maps.get("a").await).code, 404);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selection() {
    let world = World::new();
    let maps = world.config_maps();
    for name in ["a", "b"] {
        let mut map = config_map(name);
        map.metadata.labels = Some([("name".to_owned(), name.to_owned())].into());
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("name=a"))
        .await
        .unwrap();
    let left = maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(
        left.items
            .iter()
            .map(|item| item.metadata.name.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["b"]
    );
}

#[tokio::test]
async fn a_namespace_ends_when_its_content_has() {
    let world = World::new();
    let namespaces = world.api("v1", "Namespace");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t"}});
    let created = namespaces
        .create(&PostParams::default(), &object(namespace))
        .await
        .unwrap();
    assert_eq!(created.data["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(
        created.metadata.labels.unwrap()["kubernetes.io/metadata.name"],
        "t"
    );
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let pods: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "t", &resource);
    pods.create(&PostParams::default(), &pod("p", json!({"nodeName": "n"})))
        .await
        .unwrap();
    let deleted = namespaces
        .delete("t", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .expect("the Namespace");
    assert_eq!(deleted.data["status"]["phase"], "Terminating");
    let refused = refusal(pods.create(&PostParams::default(), &pod("q", json!({}))).await);
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message,
        "pods \"q\" is forbidden: unable to create new content in namespace t because it is being terminated"
    );
    assert_eq!(refused.details.unwrap().causes[0].reason, "NamespaceTerminating");
    assert!(pods.get("p").await.unwrap().metadata.deletion_timestamp.is_some());
    pods.delete("p", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert_eq!(refusal(namespaces.get("t").await).code, 404);
    let protected = refusal(namespaces.delete("default", &DeleteParams::default()).await);
    assert_eq!(
        protected.message,
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test]
async fn an_eviction_asks_the_budget() {
    let world = World::new();
    let evictable: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(world.client.clone());
    let (pods, budgets) = (
        world.api("v1", "Pod"),
        world.api("policy/v1", "PodDisruptionBudget"),
    );
    let mut running = pod("p", json!({"nodeName": "n"}));
    running.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    pods.create(&PostParams::default(), &running).await.unwrap();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status("p", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}},
    });
    budgets
        .create(&PostParams::default(), &object(budget))
        .await
        .unwrap();
    let unseen = refusal(evictable.evict("p", &EvictParams::default()).await);
    assert_eq!((unseen.code, unseen.reason.as_str()), (429, "TooManyRequests"));
    let set = async |allowed: i64| {
        let status = json!({"status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1,
        }});
        budgets
            .patch_status("b", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap()
    };
    set(0).await;
    let refused = refusal(evictable.evict("p", &EvictParams::default()).await);
    assert_eq!(
        refused.message,
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(cause.reason, "DisruptionBudget");
    assert_eq!(
        cause.message,
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
    set(1).await;
    evictable.evict("p", &EvictParams::default()).await.unwrap();
    let evicted = pods.get("p").await.unwrap();
    assert!(evicted.metadata.deletion_timestamp.is_some());
    assert_eq!(
        evicted.data["status"]["conditions"][1]["type"],
        "DisruptionTarget"
    );
    let counted = budgets.get("b").await.unwrap();
    assert_eq!(counted.data["status"]["disruptionsAllowed"], 0);
    assert!(counted.data["status"]["disruptedPods"].get("p").is_some());
}
