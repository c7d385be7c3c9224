//! F5: one Pod per Task, ever; its finalizer goes when its end is recorded and no create can come any more.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::ledger::fence::FENCE;

const TIME: &str = "2026-01-01T00:00:00Z";

fn had_pod(mut task: Value) -> Value {
    task["status"] = json!({ "lastStatus": "RUNNING", "pod": { "name": "t1-aaaaaaaa", "uid": "p-1" } });
    task
}

fn stopped(author: &str) -> Value {
    let mut task = had_pod(stopping_at(12, author));
    task["status"]["lastStatus"] = json!("STOPPED");
    task["status"]["stoppedAt"] = json!(jiff::Timestamp::now().to_string());
    task
}

fn leaving(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!(TIME);
    pod
}

async fn quiet(scene: &Scene, server: &mut Server) {
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_pod_was_deleted_stops_and_gets_no_other() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = had_pod(task_at(12, "other.1"));
    scene.knows_task(&task);
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.not_found();
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        let told = patched(&task, &asked.body, 13);
        asked.is(&told);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ended_is_let_go_after_its_end_is_recorded_and_the_wait_is_over() {
    let (scene, mut server) = begin();
    let stopping = had_pod(stopping_at(12, "other.1"));
    scene.knows_task(&stopping);
    let pod = leaving(pod_at(10, "Succeeded"));
    scene.knows_pod(&pod);
    let (looked, recorded) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&stopping);
        assert_eq!(asked.body["status"]["lastStatus"], "STOPPED");
        let recorded = patched(&stopping, &asked.body, 13);
        asked.is(&recorded);
        server.hears_nothing().await;
        recorded
    });
    looked.unwrap();
    assert_eq!(recorded["status"]["lastStatus"], "STOPPED");
    quiet(&scene, &mut server).await;
    tokio::time::advance(ALMOST).await;
    quiet(&scene, &mut server).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, POD).await.on(&pod);
        assert_eq!(asked.body["metadata"]["finalizers"], json!([]));
        let mut free = pod.clone();
        free["metadata"]["finalizers"] = json!([]);
        asked.is(&free);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_not_ended_is_not_let_go() {
    let (scene, mut server) = begin();
    scene.knows_task(&stopped(""));
    scene.knows_pod(&leaving(pod_at(10, "Running")));
    tokio::time::advance(FENCE).await;
    quiet(&scene, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn the_backstop_deletes_a_pod_that_runs_for_a_stopped_task_if_the_api_server_says_so_too() {
    for runs in [false, true] {
        let (scene, mut server) = begin();
        scene.knows_task(&stopped("other.1"));
        scene.knows_pod(&pod_at(10, "Running"));
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let now = if runs { "Running" } else { "Succeeded" };
            server.expect(GET, POD).await.is(&pod_at(11, now));
            if runs {
                let asked = server.expect(DELETE, POD).await;
                assert_eq!(asked.body["preconditions"]["uid"], "p-1");
                asked.is(&leaving(pod_at(13, "Running")));
            }
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_backstop_deletes_a_pod_without_a_task_if_the_api_server_shows_none_either() {
    for (gone, labelled) in [(false, true), (true, true), (false, false), (true, false)] {
        let (scene, mut server) = begin();
        let mut pod = pod_at(10, "Running");
        if !labelled {
            pod["metadata"]["labels"] = json!({});
        }
        scene.knows_pod(&pod);
        let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
            let asked = server.expect(GET, TASK).await;
            if gone {
                asked.not_found();
                let asked = server.expect(DELETE, POD).await;
                assert_eq!(asked.body["preconditions"]["uid"], "p-1");
                asked.is(&leaving(pod_at(13, "Running")));
            } else {
                asked.is(&task_at(12, "other.1"));
                // it has no share: before it gets one back, the API server is asked once more
                server.expect(GET, TASK).await.is(&task_at(12, "other.1"));
            }
            let asked = server.expect(PATCH, INSTANCE_STATUS).await;
            let now = patched(&instance_at(10, &[]), &asked.body, 14);
            asked.is(&now);
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}
