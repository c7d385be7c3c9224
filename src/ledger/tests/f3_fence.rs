//! F3: a Task whose Pod was never seen is STOPPED only after the wait, and when the API server itself shows no Pod.

use std::time::Duration;

use serde_json::Value;

use super::scene::*;
use super::script::Server;
use crate::ledger::fence::FENCE;

/// t1 was told to stop; its last authorising write is `author`'s, and no Pod was ever seen.
fn stopping(author: &str) -> (Scene, Server, Value) {
    let (scene, server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = stopping_at(12, author);
    scene.knows_task(&task);
    (scene, server, task)
}

async fn quiet(scene: &Scene, server: &mut Server) {
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

/// The final STOPPED, on this version.
async fn ends(server: &mut Server, task: &Value) {
    let asked = server.expect(PATCH, TASK_STATUS).await.on(task);
    assert_eq!(asked.body["status"]["lastStatus"], "STOPPED");
    let stopped = patched(task, &asked.body, 20);
    asked.is(&stopped);
    server.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_strangers_create_is_waited_for_and_then_asked_for_live() {
    let (scene, mut server, task) = stopping("other.1");
    quiet(&scene, &mut server).await;
    tokio::time::advance(ALMOST).await;
    quiet(&scene, &mut server).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.not_found();
        ends(&mut server, &task).await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_api_server_shows_keeps_the_task_from_ending_state_11() {
    let (scene, mut server, _) = stopping("other.1");
    quiet(&scene, &mut server).await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.is(&pod_at(13, "Running"));
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(DELETE, POD).await;
        assert_eq!(asked.body["preconditions"]["uid"], "p-1");
        asked.is(&pod_at(14, "Running"));
        let asked = server.expect(PATCH, TASK_STATUS).await;
        assert_eq!(asked.body["status"]["lastStatus"], "STOPPING");
        asked.conflicts();
        server.expect(GET, TASK).await.not_found();
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_certain_answer_about_the_pod_is_no_end() {
    for way in ["500", "broken", "lost"] {
        let (scene, mut server, _) = stopping("other.1");
        quiet(&scene, &mut server).await;
        tokio::time::advance(FENCE).await;
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(GET, POD).await;
            match way {
                "lost" => asked.loses_answer(),
                "broken" => asked.breaks(),
                _ => asked.fails(500, "InternalError", "no"),
            }
            server.hears_nothing_for(Duration::from_secs(15)).await;
        });
        assert!(looked.is_err(), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_author_that_sent_no_create_need_not_wait() {
    let (scene, mut server) = begin();
    let task = stopping_at(12, &scene.me());
    scene.knows_task(&task);
    scene.authorised();
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.not_found();
        ends(&mut server, &task).await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_author_of_an_uncertain_create_waits_and_a_late_create_is_seen() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_task(&task_at(12, &scene.me()));
    scene.authorised();
    let task = scene.cache.tasks.get(&key("t1")).unwrap();
    let ((), ()) = tokio::join!(scene.ledger.run(&task), async {
        server
            .expect(POST, PODS)
            .await
            .answers_late(&pod_at(14, "Pending"));
        server.hears_nothing_for(Duration::from_secs(12)).await;
    });
    scene.knows_task(&stopping_at(13, &scene.me()));
    quiet(&scene, &mut server).await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.is(&pod_at(14, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_authorised_ends_at_once() {
    let (scene, mut server, task) = stopping("");
    let (looked, ()) = tokio::join!(scene.look_at_task(), ends(&mut server, &task));
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_authorising_write_that_comes_before_the_end_voids_it() {
    let (scene, mut server, task) = stopping("");
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(PATCH, TASK_STATUS).await.on(&task).conflicts();
        server.expect(GET, TASK).await.is(&stopping_at(13, "other.1"));
        server.hears_nothing().await;
    });
    looked.unwrap();
    quiet(&scene, &mut server).await;
}
