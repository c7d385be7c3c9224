//! The same seed and the same requests give the same objects, versions and events.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;

/// A few writes of all kinds; all that can be seen of them afterwards.
async fn history() -> Vec<Value> {
    let world = World::new();
    world.define_widgets().await;
    let (maps, widgets, pods) = (world.config_maps(), world.widgets(), world.api("v1", "Pod"));
    for round in 0..5 {
        world.pass(round);
        let mut generated = config_map("");
        generated.metadata = kube::api::ObjectMeta {
            generate_name: Some("g-".to_owned()),
            ..Default::default()
        };
        let generated = maps.create(&PostParams::default(), &generated).await.unwrap();
        let name = format!("w{round}");
        let owner = widgets
            .create(&PostParams::default(), &widget(&name))
            .await
            .unwrap();
        let adoption = Patch::Merge(json!({"metadata": {"ownerReferences": [{
            "apiVersion": "example.com/v1", "kind": "Widget", "name": name, "uid": owner.metadata.uid,
        }]}}));
        maps.patch(
            &generated.metadata.name.unwrap(),
            &PatchParams::default(),
            &adoption,
        )
        .await
        .unwrap();
        pods.create(&PostParams::default(), &pod(&name, json!({"nodeName": "n"})))
            .await
            .unwrap();
        if round % 2 == 0 {
            widgets.delete(&name, &DeleteParams::default()).await.unwrap();
            pods.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
    let mut seen = vec![json!(world.server.version())];
    for api in [&maps, &widgets, &pods] {
        seen.push(serde_json::to_value(api.list(&ListParams::default()).await.unwrap()).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_history_repeats_itself() {
    let (first, second) = (history().await, history().await);
    assert_eq!(first, second);
    assert_eq!(
        first[1]["items"].as_array().unwrap().len(),
        2,
        "the garbage collector took three of five"
    );
}

#[tokio::test]
async fn many_writers_and_a_watcher_that_sees_every_write_in_order() {
    use futures::StreamExt;
    use kube::api::{WatchEvent, WatchParams};
    let world = World::new();
    let maps = world.config_maps();
    let version = world.server.version();
    let writers = (0..8).map(|writer| {
        let maps = maps.clone();
        tokio::spawn(async move {
            for round in 0..50 {
                maps.create(
                    &PostParams::default(),
                    &config_map(&format!("m-{writer}-{round}")),
                )
                .await
                .unwrap();
            }
        })
    });
    let mut events = std::pin::pin!(
        maps.watch(&WatchParams::default(), &version.to_string())
            .await
            .unwrap()
    );
    futures::future::join_all(writers)
        .await
        .into_iter()
        .for_each(|done| done.unwrap());
    let mut last = version;
    for _ in 0..400 {
        let Some(Ok(WatchEvent::Added(map))) = events.next().await else {
            panic!("an event is missing")
        };
        let version = map.metadata.resource_version.unwrap().parse::<u64>().unwrap();
        assert_eq!(version, last + 1);
        last = version;
    }
    assert_eq!(last, world.server.version());
}
