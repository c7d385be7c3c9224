//! Run-once tasks: reserve, then bind, in that order; what a lost answer, a rival or a crash between the two leaves.
//! (RUN-1, TASK-17, F2)

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;

/// Task t1 as its user made it: bound to nothing, without our finalizer.
fn unbound(version: u64) -> Value {
    let mut task = task_at(version, "");
    task["spec"].as_object_mut().unwrap().remove("containerInstance");
    task["metadata"]["finalizers"] = json!([]);
    task
}

/// Instance n1 with the share that was reserved for t1 before it was bound.
fn holding(version: u64) -> Value {
    let mut instance = instance_at(version, &["t1"]);
    instance["status"]["reservations"][0]["uid"] = json!(UID);
    instance
}

async fn reserves(server: &mut Server) {
    let before = instance_at(10, &[]);
    let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&before);
    let entry = &asked.body["status"]["reservations"][0];
    assert_eq!((&entry["task"], &entry["uid"]), (&json!("t1"), &json!(UID)));
    let after = patched(&before, &asked.body, 13);
    asked.is(&after);
}

#[tokio::test(start_paused = true)]
async fn a_share_then_the_bind_that_authorises_then_the_pod_run_1_task_17() {
    let (scene, mut server) = begin();
    scene.knows_task(&unbound(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        reserves(&mut server).await;
        let asked = server.expect(PATCH, TASK).await.on(&unbound(12));
        assert_eq!(asked.body["spec"], json!({ "containerInstance": "n1" }));
        let metadata = &asked.body["metadata"];
        assert_eq!(metadata["finalizers"], json!(["ecs-operator.dev/task"]), "F1");
        let author = &metadata["annotations"]["ecs-operator.dev/authorised-by"];
        assert_eq!(author, &json!(scene.me()), "F2");
        let bound = patched(&unbound(12), &asked.body, 14);
        asked.is(&bound);
        let asked = server.expect(POST, PODS).await;
        assert_eq!(asked.body["spec"]["nodeName"], "n1");
        asked.is(&pod_at(15, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_not_given_binds_nothing() {
    for way in ["conflict", "lost"] {
        let (scene, mut server) = begin();
        scene.knows_task(&unbound(12));
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, INSTANCE_STATUS).await;
            if way == "lost" {
                asked.loses_answer();
            } else {
                asked.conflicts();
                server.expect(GET, INSTANCE).await.is(&instance_at(13, &[]));
            }
            server.hears_nothing_for(std::time::Duration::from_secs(15)).await;
        });
        assert_eq!(looked.is_err(), way == "lost");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_crash_between_the_two_writes_goes_on_with_the_share_state_12() {
    let (scene, mut server) = begin();
    scene.knows_instance(&holding(13));
    scene.knows_task(&unbound(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        // the API server itself still shows it
        server.expect(GET, INSTANCE).await.is(&holding(13));
        let asked = server.expect(PATCH, TASK).await.on(&unbound(12));
        assert_eq!(asked.body["spec"]["containerInstance"], "n1");
        let bound = patched(&unbound(12), &asked.body, 14);
        asked.is(&bound);
        server.expect(POST, PODS).await.is(&pod_at(15, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_went_meanwhile_binds_nothing() {
    let (scene, mut server) = begin();
    scene.knows_instance(&holding(13));
    scene.knows_task(&unbound(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(14, &[]));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_bind_to_a_rival_makes_no_pod_and_its_share_goes() {
    let (scene, mut server) = begin();
    scene.knows_task(&unbound(12));
    let mut elsewhere = task_at(13, "other.1");
    elsewhere["spec"]["containerInstance"] = json!("n2");
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        reserves(&mut server).await;
        server.expect(PATCH, TASK).await.conflicts();
        server.expect(GET, TASK).await.is(&elsewhere);
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let shares = asked.body["status"].get("reservations");
        assert_eq!(shares, Some(&Value::Null), "the last one goes: {}", asked.body);
        asked.is(&instance_at(15, &[]));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bind_whose_answer_is_lost_is_read_before_anything_else_is_done_f2() {
    let (scene, mut server) = begin();
    scene.knows_task(&unbound(12));
    let (looked, bound) = tokio::join!(scene.look_at_task(), async {
        reserves(&mut server).await;
        let asked = server.expect(PATCH, TASK).await;
        let bound = patched(&unbound(12), &asked.body, 14);
        asked.loses_answer();
        server.hears_nothing_for(std::time::Duration::from_secs(15)).await;
        bound
    });
    assert!(looked.is_err());
    let ((), ()) = tokio::join!(async { scene.look_at_task().await.map(drop).unwrap() }, async {
        // the share is there, so the same bind is tried; it meets the Task as the lost one left it
        let shown = server.expect(GET, INSTANCE).await;
        shown.is(&holding(13));
        server.expect(PATCH, TASK).await.conflicts();
        server.expect(GET, TASK).await.is(&bound);
        server.hears_nothing().await;
    });
    // bound, by an authorising write of which this process knows no answer: the whole wait (F3)
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_place_it_is_stopped_with_the_reason_run_2() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["x1", "x2"]));
    scene.knows_task(&unbound(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&unbound(12));
        let failures = &asked.body["status"]["placementFailures"];
        assert_eq!(failures[0]["containerInstance"], "n1");
        assert_eq!(failures[0]["reason"], "RESOURCE:CPU");
        let told = patched(&unbound(12), &asked.body, 13);
        asked.is(&told);
        let asked = server.expect(PATCH, TASK).await.on(&told);
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        assert_eq!(asked.body["spec"]["stopCode"], "TaskFailedToStart");
        let reason = asked.body["spec"]["stoppedReason"].as_str().unwrap();
        assert!(
            reason.starts_with("RESOURCE:CPU (n1: asked 512 CPU units, 0 left)"),
            "{reason}"
        );
        let stopping = patched(&told, &asked.body, 14);
        asked.is(&stopping);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_queue_until_it_says_once_what_is_in_the_way_and_waits_run_2() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["x1", "x2"]));
    let mut waiting = unbound(12);
    waiting["spec"]["queueUntil"] = json!("2999-01-01T00:00:00Z");
    scene.knows_task(&waiting);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&waiting);
        let told = patched(&waiting, &asked.body, 13);
        asked.is(&told);
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}
