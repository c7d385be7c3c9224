//! Watches, by the client's own watcher and by hand.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use super::*;

/// The next event in a few words.
async fn next(events: &mut (impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Unpin)) -> String {
    let event = tokio::time::timeout(Duration::from_secs(120), events.next())
        .await
        .expect("no event");
    match event {
        None => "end".to_owned(),
        Some(Ok(WatchEvent::Added(object))) => format!("added {}", object.metadata.name.unwrap()),
        Some(Ok(WatchEvent::Modified(object))) => format!("modified {}", object.metadata.name.unwrap()),
        Some(Ok(WatchEvent::Deleted(object))) => format!("deleted {}", object.metadata.name.unwrap()),
        Some(Ok(WatchEvent::Bookmark(bookmark))) => {
            format!("bookmark {}", bookmark.metadata.resource_version)
        }
        Some(Ok(WatchEvent::Error(status))) => format!("error {} {}", status.code, status.message),
        Some(Err(error)) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_what_happens_after_its_version() {
    let world = World::new();
    let maps = world.config_maps();
    maps.create(&PostParams::default(), &config_map("before"))
        .await
        .unwrap();
    let version = world.server.version().to_string();
    let mut events = pin!(maps.watch(&WatchParams::default(), &version).await.unwrap());
    maps.create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    maps.patch(
        "a",
        &PatchParams::default(),
        &Patch::Merge(json!({"data": {"x": "y"}})),
    )
    .await
    .unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut events).await, "added a");
    assert_eq!(next(&mut events).await, "modified a");
    assert_eq!(next(&mut events).await, "deleted a");
    assert_eq!(
        next(&mut events).await,
        format!("bookmark {}", world.server.version())
    );
}

#[tokio::test(start_paused = true)]
async fn objects_come_into_a_selection_and_leave_it() {
    let world = World::new();
    let maps = world.config_maps();
    let version = world.server.version().to_string();
    let mut events = pin!(
        maps.watch(&WatchParams::default().labels("in=yes"), &version)
            .await
            .unwrap()
    );
    maps.create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let label = |value: Value| Patch::Merge(json!({"metadata": {"labels": {"in": value}}}));
    maps.patch("a", &PatchParams::default(), &label(json!("yes")))
        .await
        .unwrap();
    maps.patch("a", &PatchParams::default(), &label(json!("no")))
        .await
        .unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut events).await, "added a");
    assert_eq!(next(&mut events).await, "deleted a");
    assert!(next(&mut events).await.starts_with("bookmark"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_the_compaction_is_told_so() {
    let world = World::with_limits(Limits { history: 2 });
    let maps = world.config_maps();
    let version = world.server.version().to_string();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name))
            .await
            .unwrap();
    }
    let mut events = pin!(maps.watch(&WatchParams::default(), &version).await.unwrap());
    assert_eq!(
        next(&mut events).await,
        "error 410 too old resource version: 5 (6)"
    );
    assert_eq!(next(&mut events).await, "end");
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark() {
    let world = World::new();
    let maps = world.config_maps();
    for name in ["a", "b"] {
        maps.create(&PostParams::default(), &config_map(name))
            .await
            .unwrap();
    }
    let params = WatchParams {
        send_initial_events: true,
        ..WatchParams::default()
    };
    let mut events = pin!(maps.watch(&params, "0").await.unwrap());
    assert_eq!(next(&mut events).await, "added a");
    assert_eq!(next(&mut events).await, "added b");
    assert_eq!(
        next(&mut events).await,
        format!("bookmark {}", world.server.version())
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_at_its_timeout() {
    let world = World::new();
    let version = world.server.version().to_string();
    let begun = tokio::time::Instant::now();
    let params = WatchParams::default().timeout(7).disable_bookmarks();
    let mut events = pin!(world.config_maps().watch(&params, &version).await.unwrap());
    assert_eq!(next(&mut events).await, "end");
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn the_watcher_of_kube_follows() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let world = World::new();
        let maps = world.config_maps();
        maps.create(&PostParams::default(), &config_map("a"))
            .await
            .unwrap();
        let mut events = pin!(watcher(maps.clone(), config));
        let mut seen = Vec::new();
        while seen.len() < 3 {
            match events.try_next().await.unwrap().unwrap() {
                Event::InitApply(object) => seen.push(format!("init {}", object.metadata.name.unwrap())),
                Event::InitDone => {
                    maps.create(&PostParams::default(), &config_map("b"))
                        .await
                        .unwrap();
                    maps.delete("a", &DeleteParams::default()).await.unwrap();
                }
                Event::Apply(object) => seen.push(format!("apply {}", object.metadata.name.unwrap())),
                Event::Delete(object) => seen.push(format!("delete {}", object.metadata.name.unwrap())),
                Event::Init => {}
            }
        }
        assert_eq!(seen, ["init a", "apply b", "delete a"]);
    }
}
