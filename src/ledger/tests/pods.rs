//! Step 4, *run*: what the answers to a Pod create mean.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::ledger::fence::FENCE;

/// t1 with its share, just authorised by this process.
fn ready() -> (Scene, Server, Value) {
    let (scene, server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, &scene.me());
    scene.knows_task(&task);
    scene.authorised();
    (scene, server, task)
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_admission_refuses_is_a_stopped_task_with_the_servers_text() {
    for code in [403, 422] {
        let (scene, mut server, task) = ready();
        let text = "pods \"t1\" is forbidden: violates PodSecurity \"restricted:latest\"";
        let (looked, told) = tokio::join!(scene.look_at_task(), async {
            server.expect(POST, PODS).await.fails(code, "Forbidden", text);
            let asked = server.expect(PATCH, TASK).await.on(&task);
            assert_eq!(asked.body["spec"]["stopCode"], "TaskFailedToStart");
            let reason = asked.body["spec"]["stoppedReason"].as_str().unwrap();
            assert!(reason.contains(text), "{reason}");
            let told = patched(&task, &asked.body, 13);
            asked.is(&told);
            server.hears_nothing().await;
            told
        });
        looked.unwrap();
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            server.expect(GET, POD).await.not_found();
            let asked = server.expect(PATCH, TASK_STATUS).await.on(&told);
            let status = &asked.body["status"];
            assert_eq!(
                (&status["lastStatus"], &status["stopCode"]),
                (&json!("STOPPED"), &json!("TaskFailedToStart"))
            );
            assert!(status["stoppedReason"].as_str().unwrap().contains(text));
            let stopped = patched(&told, &asked.body, 14);
            asked.is(&stopped);
        });
        looked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_certain_answer_is_no_refusal_and_the_next_create_waits_for_the_fence() {
    for way in ["500", "504", "429", "broken", "lost"] {
        let (scene, mut server, task) = ready();
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(POST, PODS).await;
            match way {
                "lost" => asked.loses_answer(),
                "broken" => asked.breaks(),
                code => asked.fails(code.parse().unwrap(), "Whatever", "not now"),
            }
            server.hears_nothing_for(Duration::from_secs(12)).await;
        });
        looked.unwrap();
        let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
        looked.unwrap();
        tokio::time::advance(FENCE).await;
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            server.expect(GET, INSTANCE).await.is(&instance_at(11, &["t1"]));
            let asked = server.expect(PATCH, TASK).await.on(&task);
            let authorised = patched(&task, &asked.body, 13);
            asked.is(&authorised);
            // the first create was done after all
            server.expect(POST, PODS).await.exists();
            server.expect(GET, POD).await.is(&pod_at(14, "Pending"));
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_that_name_that_is_not_the_tasks_own_fails_the_start_and_the_task_ends_f4() {
    let (scene, mut server, task) = ready();
    let mut foreign = pod_at(9, "Running");
    foreign["metadata"]["ownerReferences"] = json!([]);
    let (looked, told) = tokio::join!(scene.look_at_task(), async {
        server.expect(POST, PODS).await.exists();
        server.expect(GET, POD).await.is(&foreign);
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["stopCode"], "TaskFailedToStart");
        let told = patched(&task, &asked.body, 13);
        asked.is(&told);
        server.hears_nothing().await;
        told
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.is(&foreign);
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&told);
        assert_eq!(asked.body["status"]["lastStatus"], "STOPPED");
        let stopped = patched(&told, &asked.body, 14);
        asked.is(&stopped);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_share_there_is_no_pod_i5() {
    let (scene, mut server, _) = ready();
    scene.knows_instance(&instance_at(20, &["x"]));
    let task = scene.cache.tasks.get(&key("t1")).unwrap();
    let ((), ()) = tokio::join!(scene.ledger.run(&task), server.hears_nothing());
}

#[tokio::test(start_paused = true)]
async fn an_authorising_write_allows_one_create_within_t() {
    let (scene, mut server, _) = ready();
    let task = scene.cache.tasks.get(&key("t1")).unwrap();
    let ((), (), ()) = tokio::join!(scene.ledger.run(&task), scene.ledger.run(&task), async {
        server.expect(POST, PODS).await.is(&pod_at(13, "Pending"));
        server.hears_nothing().await;
    });
    let (scene, mut server, _) = ready();
    tokio::time::advance(crate::ledger::fence::AUTHORISATION).await;
    let ((), ()) = tokio::join!(scene.ledger.run(&task), server.hears_nothing());
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_at_the_deadline_that_the_server_was_told_and_is_not_sent_again() {
    let (scene, mut server, _) = ready();
    let task = scene.cache.tasks.get(&key("t1")).unwrap();
    let begun = tokio::time::Instant::now();
    let (waited, ()) = tokio::join!(
        async {
            scene.ledger.run(&task).await;
            begun.elapsed()
        },
        async {
            let asked = server.expect(POST, PODS).await;
            assert!(asked.query.contains("timeout=10s"), "{}", asked.query);
            asked.loses_answer();
            server.hears_nothing_for(Duration::from_secs(30)).await;
        }
    );
    assert_eq!(waited, Duration::from_secs(10), "T2");
}
