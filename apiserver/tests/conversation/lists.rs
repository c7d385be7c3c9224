//! Lists: selection, pages, versions.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, VersionMatch};
use serde_json::json;

use super::*;

fn names(list: &kube::api::ObjectList<DynamicObject>) -> Vec<&str> {
    list.items
        .iter()
        .map(|item| item.metadata.name.as_deref().unwrap())
        .collect()
}

async fn with_maps(names: &[&str]) -> World {
    let world = World::new();
    for name in names {
        let mut map = config_map(name);
        map.metadata.labels = Some([("name".to_owned(), (*name).to_owned())].into());
        world
            .config_maps()
            .create(&PostParams::default(), &map)
            .await
            .unwrap();
    }
    world
}

#[tokio::test]
async fn pages_show_the_same_moment() {
    let world = with_maps(&["a", "b", "c", "d", "e"]).await;
    let maps = world.config_maps();
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(
        (names(&first), first.metadata.remaining_item_count),
        (vec!["a", "b"], Some(3))
    );
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("cc"))
        .await
        .unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = maps
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await
        .unwrap();
    assert_eq!(
        (names(&second), second.metadata.resource_version.clone()),
        (vec!["c", "d"], first.metadata.resource_version)
    );
    let token = second.metadata.continue_.clone().unwrap();
    let third = maps
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await
        .unwrap();
    assert_eq!(
        (
            names(&third),
            third.metadata.continue_.as_deref().unwrap_or_default()
        ),
        (vec!["e"], "")
    );
    let now = maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(names(&now), ["a", "b", "cc", "d", "e"]);
}

#[tokio::test]
async fn a_page_that_came_too_late_offers_the_rest_of_now() {
    let world = with_maps(&["a", "b", "c"]).await;
    let maps = world.config_maps();
    let first = maps.list(&ListParams::default().limit(1)).await.unwrap();
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    world.server.compact(world.server.version());
    let token = first.metadata.continue_.unwrap();
    let late = refusal(maps.list(&ListParams::default().continue_token(&token)).await);
    assert_eq!((late.code, late.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn exact_versions_are_the_past() {
    let world = with_maps(&["a", "b"]).await;
    let maps = world.config_maps();
    let then = world.server.version().to_string();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let exact = ListParams::default().at(&then).matching(VersionMatch::Exact);
    assert_eq!(names(&maps.list(&exact).await.unwrap()), ["a", "b"]);
    let newer = ListParams::default()
        .at(&then)
        .matching(VersionMatch::NotOlderThan);
    assert_eq!(names(&maps.list(&newer).await.unwrap()), ["b"]);
    let future = refusal(maps.list(&ListParams::default().at("100000")).await);
    assert_eq!((future.code, future.reason.as_str()), (504, "Timeout"));
    world.server.compact(world.server.version());
    assert_eq!(refusal(maps.list(&exact).await).code, 410);
}

#[tokio::test]
async fn labels_and_fields_select() {
    let world = with_maps(&["a", "b", "c"]).await;
    let maps = world.config_maps();
    let of = async |params: ListParams| {
        let list = maps.list(&params).await.unwrap();
        list.items
            .into_iter()
            .map(|item| item.metadata.name.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(ListParams::default().labels("name in (a, c)")).await,
        ["a", "c"]
    );
    assert_eq!(of(ListParams::default().labels("name!=a")).await, ["b", "c"]);
    assert_eq!(of(ListParams::default().fields("metadata.name=b")).await, ["b"]);
    assert_eq!(
        of(ListParams::default().fields("metadata.name!=b,metadata.namespace=default")).await,
        ["a", "c"]
    );
    let pods = world.api("v1", "Pod");
    pods.create(&PostParams::default(), &pod("here", json!({"nodeName": "n"})))
        .await
        .unwrap();
    pods.create(&PostParams::default(), &pod("nowhere", json!({})))
        .await
        .unwrap();
    let bound = pods
        .list(&ListParams::default().fields("spec.nodeName=n"))
        .await
        .unwrap();
    assert_eq!(names(&bound), ["here"]);
    let wrong = refusal(maps.list(&ListParams::default().fields("spec.x=1")).await);
    assert_eq!(
        wrong.message,
        "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
}

#[tokio::test]
async fn metadata_alone_and_events_of_both_groups() {
    let world = with_maps(&["a"]).await;
    let partial = world
        .config_maps()
        .list_metadata(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(partial.items[0].metadata.name.as_deref(), Some("a"));
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c", "reportingInstance": "i",
        "action": "Do", "reason": "Because", "type": "Normal", "note": "hello",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    world
        .api("events.k8s.io/v1", "Event")
        .create(&PostParams::default(), &object(event))
        .await
        .unwrap();
    let core = world
        .api("v1", "Event")
        .list(&ListParams::default().fields("involvedObject.name=p"))
        .await
        .unwrap();
    assert_eq!(core.items[0].data["message"], "hello");
    assert_eq!(core.items[0].data["reportingComponent"], "c");
    let new = world.api("events.k8s.io/v1", "Event").get("e").await.unwrap();
    assert_eq!(
        (&new.data["note"], &new.data["regarding"]["name"]),
        (&json!("hello"), &json!("p"))
    );
}

#[tokio::test]
async fn events_live_for_an_hour_after_their_last_write() {
    let world = World::new();
    let events = world.api("v1", "Event");
    let event = |name: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "reason": "R", "message": "m", "type": "Normal",
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        }))
    };
    events
        .create(&PostParams::default(), &event("once"))
        .await
        .unwrap();
    events
        .create(&PostParams::default(), &event("again"))
        .await
        .unwrap();
    world.pass(1800);
    events
        .patch(
            "again",
            &PatchParams::default(),
            &Patch::Merge(json!({"count": 2})),
        )
        .await
        .unwrap();
    assert_eq!(
        names(&events.list(&ListParams::default()).await.unwrap()),
        ["again", "once"]
    );
    world.pass(1801);
    world.server.settle();
    assert_eq!(
        names(&events.list(&ListParams::default()).await.unwrap()),
        ["again"]
    );
    world.pass(1800);
    world.server.settle();
    assert_eq!(
        names(&events.list(&ListParams::default()).await.unwrap()),
        Vec::<&str>::new()
    );
}
