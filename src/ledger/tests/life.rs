//! The life of a task, look by look: it runs, is told to stop, stops, and is gone an hour later. (TASK, STOP)

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;

const STARTED: &str = "2026-01-01T00:00:01Z";

/// A Pod of t1 whose container is in this state.
fn pod_with(version: u64, phase: &str, state: &Value) -> Value {
    let mut pod = pod_at(version, phase);
    pod["status"]["containerStatuses"] = json!([{ "name": "app", "image": "app:1", "imageID": "", "ready": true,
        "restartCount": 0, "state": state }]);
    pod
}

fn running(version: u64) -> Value {
    pod_with(
        version,
        "Running",
        &json!({ "running": { "startedAt": STARTED } }),
    )
}

fn waiting(version: u64, reason: &str) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": "no such image" } });
    pod_with(version, "Pending", &state)
}

fn leaving(mut pod: Value, version: u64) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:09Z");
    pod["metadata"]["resourceVersion"] = json!(version.to_string());
    pod
}

fn seconds_ago(seconds: i64) -> Value {
    json!((Timestamp::now() - SignedDuration::from_secs(seconds)).to_string())
}

async fn quiet(scene: &Scene, server: &mut Server) {
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

/// A look at the task that writes its status on `task`: the task after it.
async fn reported(scene: &Scene, server: &mut Server, task: &Value, version: u64) -> Value {
    let (looked, now) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(task);
        let now = patched(task, &asked.body, version);
        asked.is(&now);
        server.hears_nothing().await;
        now
    });
    looked.unwrap();
    now
}

#[tokio::test(start_paused = true)]
async fn a_deleted_task_is_told_to_stop_once_then_stopping_then_stopped_stop_1_stop_8_task_11() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, "other.1");
    scene.knows_task(&task);
    scene.knows_pod(&running(13));
    let mut task = reported(&scene, &mut server, &task, 14).await;
    let status = &task["status"];
    assert_eq!(
        (&status["lastStatus"], &status["startedAt"], &status["stoppingAt"]),
        (&json!("RUNNING"), &json!(STARTED), &Value::Null)
    );

    task["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:08Z");
    task["metadata"]["resourceVersion"] = json!("15");
    scene.knows_task(&task);
    let (looked, told) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK).await.on(&task);
        let told = patched(&task, &asked.body, 16);
        asked.is(&told);
        server.hears_nothing().await;
        told
    });
    looked.unwrap();
    assert_eq!(
        (&told["spec"]["desiredStatus"], &told["spec"]["stopCode"]),
        (&json!("STOPPED"), &json!("UserInitiated"))
    );
    assert_eq!(told["spec"]["stoppedReason"], "Task stopped by user");

    let (looked, stopping) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(DELETE, POD).await;
        assert_eq!(asked.body["preconditions"]["uid"], "p-1");
        asked.is(&leaving(running(13), 17));
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&told);
        let stopping = patched(&told, &asked.body, 18);
        asked.is(&stopping);
        server.hears_nothing().await;
        stopping
    });
    looked.unwrap();
    assert_eq!(stopping["status"]["lastStatus"], "STOPPING");
    assert!(stopping["status"]["stoppingAt"].is_string() && stopping["status"]["stoppedAt"].is_null());
    scene.knows_pod(&leaving(running(13), 17));
    quiet(&scene, &mut server).await;

    let ended = json!({ "terminated": { "exitCode": 0, "startedAt": STARTED, "finishedAt": "2026-01-01T00:00:10Z" } });
    scene.knows_pod(&leaving(pod_with(19, "Succeeded", &ended), 19));
    let stopped = reported(&scene, &mut server, &stopping, 20).await;
    let status = &stopped["status"];
    assert_eq!(
        (&status["lastStatus"], &status["startedAt"]),
        (&json!("STOPPED"), &json!(STARTED))
    );
    assert_eq!(status["stoppingAt"], stopping["status"]["stoppingAt"]);
    assert!(status["stoppedAt"].is_string(), "{status}");
    assert_eq!(
        (&status["stopCode"], &status["stoppedReason"]),
        (&json!("UserInitiated"), &json!("Task stopped by user"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_pending_task_that_is_told_to_stop_ends_without_having_run_stop_9_task_5() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let told = stopping_at(12, &scene.me());
    scene.knows_task(&told);
    let pod = waiting(13, "ContainerCreating");
    scene.knows_pod(&pod);
    scene.authorised();
    let (looked, stopping) = tokio::join!(scene.look_at_task(), async {
        server.expect(DELETE, POD).await.is(&leaving(pod.clone(), 14));
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&told);
        let stopping = patched(&told, &asked.body, 15);
        asked.is(&stopping);
        stopping
    });
    looked.unwrap();
    assert_eq!(stopping["status"]["lastStatus"], "STOPPING");
    scene.cache.pods.remove(&from(&pod));
    let (looked, stopped) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, POD).await.not_found();
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&stopping);
        let stopped = patched(&stopping, &asked.body, 16);
        asked.is(&stopped);
        stopped
    });
    looked.unwrap();
    assert_eq!(stopped["status"]["lastStatus"], "STOPPED");
    assert_eq!(stopped["status"]["startedAt"], Value::Null, "it never ran");
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_node_is_away_is_not_stopped_before_the_node_says_so_stop_11() {
    let (scene, mut server) = begin();
    let mut away = node();
    away["metadata"]["resourceVersion"] = json!("2");
    away["status"]["conditions"][0]["status"] = json!("Unknown");
    scene.cache.nodes.put(from(&away));
    let mut task = stopping_at(12, "other.1");
    task["status"] = json!({ "lastStatus": "RUNNING", "startedAt": STARTED, "pod": { "name": "t1-aaaaaaaa", "uid": "p-1" } });
    scene.knows_task(&task);
    scene.knows_pod(&leaving(running(13), 14));
    let stopping = reported(&scene, &mut server, &task, 15).await;
    assert_eq!(stopping["status"]["lastStatus"], "STOPPING");
    tokio::time::advance(std::time::Duration::from_hours(24)).await;
    quiet(&scene, &mut server).await;
    let ended = json!({ "terminated": { "exitCode": 137, "reason": "Error" } });
    scene.knows_pod(&leaving(pod_with(16, "Failed", &ended), 16));
    let stopped = reported(&scene, &mut server, &stopping, 17).await;
    assert_eq!(stopped["status"]["lastStatus"], "STOPPED");
    assert_eq!(stopped["status"]["containers"][0]["exitCode"], 137);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_containers_cannot_start_is_given_up_after_60_seconds_task_18() {
    for age in [50, 60] {
        let (scene, mut server) = begin();
        scene.knows_instance(&instance_at(11, &["t1"]));
        let mut task = task_at(12, "other.1");
        task["metadata"]["creationTimestamp"] = seconds_ago(age);
        scene.knows_task(&task);
        scene.knows_pod(&waiting(13, "ImagePullBackOff"));
        if age < 60 {
            let waits = reported(&scene, &mut server, &task, 14).await;
            let container = &waits["status"]["containers"][0];
            assert_eq!(container["reason"], "CannotPullContainerError: no such image");
            continue;
        }
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, TASK).await.on(&task);
            let spec = &asked.body["spec"];
            assert_eq!(
                (&spec["desiredStatus"], &spec["stopCode"]),
                (&json!("STOPPED"), &json!("TaskFailedToStart"))
            );
            let told = patched(&task, &asked.body, 14);
            asked.is(&told);
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_task_and_its_pod_stay_an_hour_task_15_stop_10() {
    for age in [3500, 3600] {
        let (scene, mut server) = begin();
        let mut task = stopping_at(12, "other.1");
        task["status"] = json!({ "lastStatus": "STOPPED", "stoppedAt": seconds_ago(age) });
        scene.knows_task(&task);
        scene.knows_pod(&pod_at(10, "Succeeded"));
        tokio::time::advance(crate::ledger::fence::FENCE).await;
        if age < 3600 {
            quiet(&scene, &mut server).await;
            continue;
        }
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(DELETE, TASK).await;
            assert_eq!(asked.body["preconditions"]["uid"], UID);
            asked.is(&task);
            // the Pod goes with its Task, not before
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}
