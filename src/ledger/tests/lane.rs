//! The daemon lane: an instance's own status carries its daemons' shares. (DAEMON-20, record 0009)

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::ledger::fence::AUTHORISATION;

/// Service web as a daemon whose deployment is made.
pub(super) fn daemon() -> Value {
    let mut service = service_at(20, 0);
    service["spec"] =
        json!({ "cluster": "default", "taskDefinition": "web:1", "schedulingStrategy": "DAEMON" });
    service["status"] = json!({ "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "requested": "web:1",
        "taskDefinition": "web:1", "taskDefinitionName": "web.1", "taskDefinitionUid": "d-1",
        "desiredCount": 0, "runningCount": 0, "pendingCount": 0, "failedTasks": 0, "rolloutState": "COMPLETED",
        "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z" }] });
    service
}

/// Instance n1 before anything was said of it.
fn registering() -> Value {
    let mut instance = instance_at(11, &[]);
    instance.as_object_mut().unwrap().remove("status");
    instance
}

/// The status write: what it says, and the instance as it is then.
async fn described(server: &mut Server, before: &Value) -> (Value, Value) {
    let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(before);
    let after = patched(before, &asked.body, 21);
    asked.is(&after);
    (after["status"]["reservations"].clone(), after)
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_gets_its_daemons_share_with_its_first_status_daemon_20() {
    let (scene, mut server) = begin();
    let before = registering();
    scene.knows_instance(&before);
    scene.knows_service(&daemon());
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let (shares, after) = described(&mut server, &before).await;
        assert_eq!(after["status"]["status"], "ACTIVE");
        assert_eq!(shares[0]["service"]["daemon"], true);
        assert_eq!(after["status"]["pendingTasksCount"], 1);
        let asked = server.expect(POST, TASKS).await;
        assert_eq!(asked.body["metadata"]["name"], shares[0]["task"]);
        let task = stored(&asked.body, UID, 22);
        asked.is(&task);
        server.expect(POST, PODS).await.is(&pod_at(23, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_back_is_seen_active_before_a_share_is_given_i3() {
    for was in ["DRAINING", "INACTIVE"] {
        let (scene, mut server) = begin();
        let mut before = instance_at(11, &[]);
        before["status"]["status"] = json!(was);
        scene.knows_instance(&before);
        scene.knows_service(&daemon());
        let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
            let (shares, after) = described(&mut server, &before).await;
            assert_eq!(after["status"]["status"], "ACTIVE");
            assert!(shares.as_array().is_none_or(Vec::is_empty), "{was}: {shares}");
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn f2_a_slow_status_write_means_a_live_look_before_the_daemons_task() {
    let (scene, mut server) = begin();
    let before = registering();
    scene.knows_instance(&before);
    scene.knows_service(&daemon());
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let after = patched(&before, &asked.body, 21);
        asked.answers_after(AUTHORISATION, &after);
        server.expect(GET, INSTANCE).await.is(&instance_at(22, &[]));
        server.hears_nothing().await;
    });
    looked.unwrap();
}
