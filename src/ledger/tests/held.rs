//! Held Pods: their budget is there before they are, and it and their labels stay. (DAEMON-43, DAEMON-44, record 0004)

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;

const BUDGET: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/ecs-operator-hold";

/// A process that knows of no budget.
fn unheld() -> (Scene, Server) {
    let (scene, server) = begin();
    scene.cache.budgets.remove(&from(&budget()));
    (scene, server)
}

/// A budget of that name, made anew: its predecessor's uid is known to be gone.
fn made(version: u64) -> Value {
    let mut made = budget();
    made["metadata"]["uid"] = json!("b-2");
    made["metadata"]["resourceVersion"] = json!(version.to_string());
    made
}

/// t1, which is nobody's but the user's, with its share and its Pod.
async fn running() -> (Scene, Server) {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_task(&task_at(12, &scene.me()));
    scene.knows_pod(&pod_at(13, "Running"));
    rests(&scene, &mut server).await;
    (scene, server)
}

async fn rests(scene: &Scene, server: &mut Server) {
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_made_by_hand_is_held_before_it_has_a_pod_where_no_service_is_daemon_44() {
    let (scene, mut server) = unheld();
    let task = task_at(12, "");
    scene.knows_task(&task);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let given = patched(&instance_at(10, &[]), &asked.body, 13);
        asked.is(&given);
        let asked = server.expect(PATCH, BUDGET).await;
        assert!(asked.query.contains("force=true"), "applied: {}", asked.query);
        assert_eq!(asked.body["spec"]["minAvailable"], i32::MAX);
        assert_eq!(
            asked.body["spec"]["selector"]["matchLabels"],
            json!({ "ecs-operator.dev/hold": "true" })
        );
        asked.is(&made(14));
        let asked = server.expect(PATCH, TASK).await.on(&task);
        let authorised = patched(&task, &asked.body, 15);
        asked.is(&authorised);
        let asked = server.expect(POST, PODS).await;
        assert_eq!(asked.body["metadata"]["labels"]["ecs-operator.dev/hold"], "true");
        asked.is(&pod_at(16, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_nobody_knows_whether_the_budget_is_there_no_held_pod_is_made_but_a_refusal_is_no_reason_to_wait()
 {
    for refused in [false, true] {
        let (scene, mut server) = unheld();
        scene.knows_instance(&instance_at(11, &["t1"]));
        scene.knows_task(&task_at(12, &scene.me()));
        scene.authorised();
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, BUDGET).await;
            if refused {
                asked.fails(403, "Forbidden", "exceeded quota");
                server.expect(POST, PODS).await.is(&pod_at(13, "Pending"));
            } else {
                asked.breaks();
            }
            server.hears_nothing().await;
        });
        assert_eq!(looked.is_err(), !refused);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_instances_daemons_are_held_before_they_have_pods() {
    let (scene, mut server) = unheld();
    let mut before = instance_at(11, &[]);
    before.as_object_mut().unwrap().remove("status");
    scene.knows_instance(&before);
    scene.knows_service(&super::lane::daemon());
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let after = patched(&before, &asked.body, 21);
        asked.is(&after);
        server.expect(PATCH, BUDGET).await.is(&made(22));
        let asked = server.expect(POST, TASKS).await;
        let task = stored(&asked.body, UID, 23);
        asked.is(&task);
        let asked = server.expect(POST, PODS).await;
        assert_eq!(asked.body["metadata"]["labels"]["ecs-operator.dev/hold"], "true");
        let pod = stored(&asked.body, "p-1", 24);
        asked.is(&pod);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_somebody_changed_is_put_right_on_the_version_that_was_seen_and_only_then() {
    let (scene, mut server) = running().await;
    let edits = [
        json!({ "spec": { "minAvailable": 0 } }),
        json!({ "spec": { "minAvailable": null, "maxUnavailable": 1 } }),
        json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } }),
        json!({ "spec": { "selector": { "matchLabels": { "other": "x" } } } }),
    ];
    let mut known = budget();
    for (n, edit) in (1u64..).zip(edits) {
        let edited = patched(&known, &edit, 20 * n);
        scene.cache.budgets.put(from(&edited));
        let (looked, mended) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, BUDGET).await.on(&edited);
            let mended = patched(&edited, &asked.body, 20 * n + 1);
            asked.is(&mended);
            server.hears_nothing().await;
            mended
        });
        looked.unwrap();
        assert_eq!(mended["spec"], budget()["spec"], "after {edit}");
        rests(&scene, &mut server).await;
        known = mended;
    }
}

#[tokio::test(start_paused = true)]
async fn labels_that_a_pod_lost_are_put_back_on_the_version_that_was_seen_and_only_they() {
    let (scene, mut server) = running().await;
    let whole = pod_at(13, "Running");
    for (n, label) in (1u64..).zip(["hold", "task", "cluster"]) {
        let label = format!("ecs-operator.dev/{label}");
        let edit = json!({ "metadata": { "labels": { &label: null, "mine": "stays" } } });
        let robbed = patched(&whole, &edit, 20 * n);
        scene.knows_pod(&robbed);
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, POD).await.on(&robbed);
            let back = &whole["metadata"]["labels"][&label];
            assert_eq!(asked.body["metadata"]["labels"], json!({ &label: back }));
            let mended = patched(&robbed, &asked.body, 20 * n + 1);
            asked.is(&mended);
            server.hears_nothing().await;
        });
        looked.unwrap();
        rests(&scene, &mut server).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_lost_its_owner_is_its_tasks_still_and_gets_it_back_f4() {
    let (scene, mut server) = running().await;
    let ran = json!({ "status": { "startedAt": "2026-01-01T00:00:00Z" } });
    scene.knows_task(&patched(&task_at(12, &scene.me()), &ran, 14));
    rests(&scene, &mut server).await;
    let whole = pod_at(13, "Running");
    let robbed = patched(&whole, &json!({ "metadata": { "ownerReferences": null } }), 20);
    scene.knows_pod(&robbed);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, POD).await.on(&robbed);
        let mended = patched(&robbed, &asked.body, 21);
        let owner = &mended["metadata"]["ownerReferences"][0];
        assert_eq!(owner["uid"], UID);
        assert_eq!(owner["blockOwnerDeletion"], true);
        asked.is(&mended);
        server.hears_nothing().await;
    });
    looked.unwrap();
    rests(&scene, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_moved_or_has_ended_is_not_relabelled_blindly() {
    let (scene, mut server) = running().await;
    let robbed = patched(
        &pod_at(13, "Running"),
        &json!({ "metadata": { "labels": null } }),
        20,
    );
    scene.knows_pod(&robbed);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(PATCH, POD).await.on(&robbed).conflicts();
        server.hears_nothing().await;
    });
    looked.unwrap();
    // it moved by ending: what is left of it needs no hold
    scene.knows_pod(&patched(
        &robbed,
        &json!({ "status": { "phase": "Succeeded" } }),
        21,
    ));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK).await;
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        asked.is(&stopping_at(22, &scene.me()));
        server.hears_nothing().await;
    });
    looked.unwrap();
}
