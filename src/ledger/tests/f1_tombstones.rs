//! F1: what can't be found is given up by taking its name, so that a late create fails.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::scene::*;
use super::script::Server;
use crate::ledger::commit::Started;
use crate::ledger::fence::FENCE;

const UNSEEN: Duration = Duration::from_secs(3);

fn pods(items: &[Value]) -> Value {
    json!({ "metadata": {}, "items": items })
}

/// The API server shows no Pod of t1: neither by label nor on n1.
async fn no_pod(server: &mut Server) {
    for _ in 0..2 {
        server.expect(GET, PODS).await.is(&pods(&[]));
    }
}

/// n1 holds a share for t1, which nobody wants or sees, and has been looked at for long enough.
async fn unseen() -> (Scene, Server, Value) {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let (looked, described) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        assert_eq!(asked.body["status"]["reservations"], Value::Null, "left alone");
        let described = patched(&instance_at(11, &["t1"]), &asked.body, 12);
        asked.is(&described);
        described
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_instance(), server.hears_nothing());
    looked.unwrap();
    tokio::time::advance(UNSEEN).await;
    (scene, server, described)
}

#[tokio::test(start_paused = true)]
async fn a_share_whose_task_cannot_be_found_goes_only_after_its_name_was_taken() {
    let (scene, mut server, instance) = unseen().await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(GET, PODS).await;
        assert!(
            asked.query.contains("labelSelector=ecs-operator.dev%2Ftask%3Dt1"),
            "{}",
            asked.query
        );
        asked.is(&pods(&[]));
        let asked = server.expect(GET, PODS).await;
        assert!(
            asked.query.contains("fieldSelector=spec.nodeName%3Dn1"),
            "{}",
            asked.query
        );
        asked.is(&pods(&[]));
        let asked = server.expect(POST, TASKS).await;
        let spec = &asked.body["spec"];
        assert_eq!(
            (
                &spec["tombstone"],
                &spec["desiredStatus"],
                &spec["containerInstance"]
            ),
            (&json!(true), &json!("STOPPED"), &json!("n1"))
        );
        assert_eq!(
            asked.body["metadata"]["finalizers"],
            json!(["ecs-operator.dev/task"])
        );
        let tombstone = stored(&asked.body, UID, 13);
        asked.is(&tombstone);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&instance);
        let freed = patched(&instance, &asked.body, 14);
        assert_eq!(freed["status"]["reservations"], Value::Null);
        asked.is(&freed);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_late_create_of_a_task_that_was_given_up_makes_nothing() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let spec = json!({ "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1" });
    let name = key("t1");
    let create = scene.ledger.create_and_run(&name, from(&spec), Instant::now());
    let (started, ()) = tokio::join!(create, async {
        server.expect(POST, TASKS).await.exists();
        let mut tombstone = stopping_at(12, "");
        tombstone["spec"]["tombstone"] = json!(true);
        server.expect(GET, TASK).await.is(&tombstone);
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::Elsewhere);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_that_loses_to_the_real_create_leaves_the_share_to_the_task() {
    let (scene, mut server, _) = unseen().await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        no_pod(&mut server).await;
        server.expect(POST, TASKS).await.exists();
        server.expect(GET, TASK).await.is(&task_at(13, "other.1"));
        server.hears_nothing().await;
    });
    looked.unwrap();
    let kept = scene.cache.instances.named("n1").unwrap();
    assert_eq!(kept.status.as_ref().unwrap().reservations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_while_a_pod_of_the_task_runs_or_may_run() {
    let (scene, mut server, _) = unseen().await;
    for certain in [true, false] {
        let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
            let asked = server.expect(GET, PODS).await;
            if certain {
                asked.is(&pods(&[pod_at(13, "Running")]));
                server.expect(GET, PODS).await.is(&pods(&[]));
            } else {
                asked.fails(500, "InternalError", "no");
            }
            server.hears_nothing().await;
        });
        looked.unwrap();
        scene.cache.pods.remove(&from(&pod_at(13, "Running")));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_while_a_pod_runs_that_lost_its_label_and_a_copy_that_has_it_keeps_nothing() {
    let mut bare = pod_at(13, "Running");
    bare["metadata"]["labels"] = json!({});
    let mut other = pod_at(12, "Running");
    other["metadata"]["name"] = json!("t2-aaaaaaaa");
    let mut copy = pod_at(12, "Running");
    copy["metadata"]["name"] = json!("t1-copy");
    let (scene, mut server, _) = unseen().await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        server.expect(GET, PODS).await.is(&pods(&[]));
        server.expect(GET, PODS).await.is(&pods(&[other.clone(), bare]));
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (scene, mut server, _) = unseen().await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        server.expect(GET, PODS).await.is(&pods(&[copy.clone()]));
        server.expect(GET, PODS).await.is(&pods(&[copy, other]));
        server.expect(POST, TASKS).await.exists();
        server.expect(GET, TASK).await.is(&task_at(13, "other.1"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_going_away_the_share_goes_after_the_whole_wait() {
    let (scene, mut server, instance) = unseen().await;
    scene.cache.namespaces.put(from(&namespace_going()));
    let refused = "namespace is being terminated";
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        no_pod(&mut server).await;
        server.expect(POST, TASKS).await.fails(403, "Forbidden", refused);
        server.hears_nothing().await;
    });
    looked.unwrap();
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        no_pod(&mut server).await;
        server.expect(POST, TASKS).await.fails(403, "Forbidden", refused);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&instance);
        let freed = patched(&instance, &asked.body, 15);
        assert_eq!(freed["status"]["reservations"], Value::Null);
        asked.is(&freed);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_that_is_refused_elsewhere_gives_nothing_up() {
    let (scene, mut server, _) = unseen().await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        no_pod(&mut server).await;
        server
            .expect(POST, TASKS)
            .await
            .fails(403, "Forbidden", "exceeded quota");
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_of_a_task_stays_until_the_share_is_released_and_the_wait_is_over() {
    let (scene, mut server) = begin();
    let mut gone = stopping_at(12, "other.1");
    gone["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    gone["status"] = json!({ "lastStatus": "STOPPED" });
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_task(&gone);
    tokio::time::advance(FENCE).await;
    for released in [false, true] {
        if released {
            scene.knows_instance(&instance_at(13, &[]));
        }
        let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
        looked.unwrap();
        if !released {
            tokio::time::advance(FENCE).await;
        }
    }
    tokio::time::advance(ALMOST).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK).await.on(&gone);
        assert_eq!(asked.body["metadata"]["finalizers"], json!([]));
        asked.is(&gone);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sweep_forgets_no_share_or_id_that_is_waited_for() {
    let (scene, _server) = begin();
    scene.knows_instance(&instance_at(11, &["reserved"]));
    let mut service = service_at(20, 1);
    service["status"] =
        json!({ "allocations": [{ "id": "allocated", "deployment": "ecs-svc/1", "createdAt": "" }] });
    scene.knows_service(&service);
    scene.knows_task(&task_at(12, "other.1"));
    let fences = scene.ledger.fences();
    let names = ["reserved", "allocated", "gone"];
    for name in names {
        fences.unseen_for(NAMESPACE, name);
    }
    for uid in [UID, "gone"] {
        fences.seen_author(uid, "other.1");
    }
    tokio::time::advance(FENCE * 2).await;
    scene.ledger.sweep_fences();
    assert_eq!(
        names.map(|name| fences.unseen_for(NAMESPACE, name)),
        [FENCE * 2, FENCE * 2, Duration::ZERO]
    );
    assert_eq!(fences.wait(UID, "other.1", "me"), None);
    assert_eq!(fences.wait("gone", "other.1", "me"), Some(FENCE));
}

#[tokio::test(start_paused = true)]
async fn a_share_that_was_lost_comes_back_only_for_a_task_that_the_api_server_itself_knows_i5() {
    let alive = patched(
        &task_at(12, "other.1"),
        &json!({ "status": { "lastStatus": "RUNNING" } }),
        12,
    );
    for (answer, restored) in [
        (Some(alive.clone()), true),
        (Some(stopping_at(14, "other.1")), true),
        (None, false),
    ] {
        let (scene, mut server) = begin();
        scene.knows_task(&alive);
        scene.knows_pod(&pod_at(13, "Running"));
        let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
            let asked = server.expect(GET, TASK).await;
            match answer {
                Some(task) => asked.is(&task),
                None => asked.not_found(),
            }
            let asked = server.expect(PATCH, INSTANCE_STATUS).await;
            let now = patched(&instance_at(10, &[]), &asked.body, 15);
            let share = &now["status"]["reservations"][0]["task"];
            assert_eq!(share == "t1", restored, "{now}");
            asked.is(&now);
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}
