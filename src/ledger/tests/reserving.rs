//! Step 2, *reserve*: one conditional update, its arithmetic checked against the very object that is replaced.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::*;
use crate::domain::resources::{Lack, Resources};
use crate::ledger::instance::{Ask, Denied};
use crate::ledger::outcome::Outcome;

fn ask(task: &str) -> Ask {
    Ask {
        task: key(task),
        uid: None,
        service: None,
        amounts: Resources {
            cpu: 512,
            memory: 256,
            pods: 1,
            ..Resources::default()
        },
    }
}

#[tokio::test(start_paused = true)]
async fn all_shares_of_a_pass_take_one_write_bound_to_the_version_that_was_read_state_2_state_6() {
    let (scene, mut server) = begin();
    let asks = [ask("a"), ask("b"), ask("c")];
    let (outcome, ()) = tokio::join!(scene.ledger.reserve("n1", &asks), async {
        let asked = server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&instance_at(10, &[]));
        let entries = asked.body["status"]["reservations"].as_array().unwrap().clone();
        assert_eq!(entries.len(), 2, "a third does not fit (I1)");
        let now = patched(&instance_at(10, &[]), &asked.body, 11);
        asked.is(&now);
        server.hears_nothing().await;
    });
    let verdicts = vec![None, None, Some(Denied::Lack(Lack::Cpu))];
    assert_eq!(outcome, Outcome::Applied(verdicts));
}

#[tokio::test(start_paused = true)]
async fn i1_after_a_conflict_the_arithmetic_is_done_anew_on_what_is_there_now_state_3_state_5_scn_16() {
    let (scene, mut server) = begin();
    let (outcome, ()) = tokio::join!(async { scene.ledger.reserve("n1", &[ask("a")]).await }, async {
        server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&instance_at(10, &[]))
            .conflicts();
        server
            .expect(GET, INSTANCE)
            .await
            .is(&instance_at(11, &["x", "y"]));
        server.hears_nothing().await;
    });
    assert_eq!(outcome, Outcome::Stale, "not retried as it was");
    let (outcome, ()) = tokio::join!(
        async { scene.ledger.reserve("n1", &[ask("a")]).await },
        server.hears_nothing()
    );
    assert_eq!(outcome, Outcome::Applied(vec![Some(Denied::Lack(Lack::Cpu))]));
}

#[tokio::test(start_paused = true)]
async fn a_reservation_whose_answer_is_lost_is_found_and_not_made_twice_state_5() {
    let (scene, mut server) = begin();
    let (outcome, ()) = tokio::join!(async { scene.ledger.reserve("n1", &[ask("a")]).await }, async {
        server.expect(PATCH, INSTANCE_STATUS).await.loses_answer();
        server.hears_nothing_for(Duration::from_secs(20)).await;
    });
    assert!(matches!(outcome, Outcome::Unknown(_)));
    let (outcome, ()) = tokio::join!(async { scene.ledger.reserve("n1", &[ask("a")]).await }, async {
        // the version it rests on is taken: it was done after all
        server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&instance_at(10, &[]))
            .conflicts();
        server.expect(GET, INSTANCE).await.is(&instance_at(11, &["a"]));
    });
    assert_eq!(outcome, Outcome::Stale);
    let (outcome, ()) = tokio::join!(
        async { scene.ledger.reserve("n1", &[ask("a")]).await },
        server.hears_nothing()
    );
    assert_eq!(outcome, Outcome::Applied(vec![None]));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_counts_for_nothing() {
    let (scene, mut server) = begin();
    let begun = tokio::time::Instant::now();
    let (outcome, ()) = tokio::join!(async { scene.ledger.reserve("n1", &[ask("a")]).await }, async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        asked.answers_late(&instance_at(11, &["a"]));
    });
    assert!(matches!(outcome, Outcome::Unknown(_)));
    assert_eq!(begun.elapsed(), crate::ledger::REQUEST_TIMEOUT);
    server.hears_nothing_for(Duration::from_secs(20)).await;
    let known = scene.cache.instances.named("n1").unwrap();
    assert_eq!(known.metadata.resource_version.as_deref(), Some("10"));
}

#[tokio::test(start_paused = true)]
async fn without_the_share_nothing_is_created() {
    let (scene, mut server) = begin();
    for lost in [false, true] {
        let mut service = service_at(20, 1);
        service["metadata"]["resourceVersion"] = json!(if lost { "30" } else { "20" });
        scene.knows_service(&service);
        let (report, ()) = tokio::join!(scene.pass(), async {
            let asked = server.expect(PATCH, SERVICE_STATUS).await;
            let written = patched(&service, &asked.body, if lost { 31 } else { 21 });
            asked.is(&written);
            let asked = server.expect(PATCH, INSTANCE_STATUS).await;
            if lost {
                asked.breaks();
            } else {
                asked.conflicts();
                server.expect(GET, INSTANCE).await.is(&instance_at(12, &[]));
            }
            server.hears_nothing().await;
        });
        assert!(report.again && report.started.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn writes_to_one_instance_take_turns_and_a_turn_that_is_over_leaves_nothing() {
    let (scene, mut server) = begin();
    let (first, second) = ([ask("a")], [ask("b")]);
    let (one, two, ()) = tokio::join!(
        scene.ledger.reserve("n1", &first),
        scene.ledger.reserve("n1", &second),
        async {
            let asked = server
                .expect(PATCH, INSTANCE_STATUS)
                .await
                .on(&instance_at(10, &[]));
            let now = patched(&instance_at(10, &[]), &asked.body, 11);
            asked.answers_after(Duration::from_secs(1), &now);
            let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&now);
            assert_eq!(asked.body["status"]["reservations"].as_array().unwrap().len(), 2);
            let now = patched(&now, &asked.body, 12);
            asked.is(&now);
        }
    );
    assert_eq!(
        (one, two),
        (Outcome::Applied(vec![None]), Outcome::Applied(vec![None]))
    );
    for n in 0..100 {
        scene.ledger.reserve(&format!("gone-{n}"), &first).await;
    }
    assert!(scene.ledger.queues.lock().unwrap().len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_newer_ledger_is_left_alone_and_an_event_says_so_once() {
    let (scene, mut server) = begin();
    let mut edited = instance_at(11, &[]);
    edited["status"]["ledgerVersion"] = json!(99);
    scene.knows_instance(&edited);
    let (outcome, ()) = tokio::join!(
        async {
            scene.look_at_instance().await?;
            scene.look_at_instance().await
        },
        async {
            let asked = server
                .expect(POST, "/apis/events.k8s.io/v1/namespaces/default/events")
                .await;
            let event = asked.body.clone();
            assert_eq!(
                (&event["type"], &event["reason"]),
                (&json!("Warning"), &json!("LedgerIsNewer"))
            );
            assert_eq!(event["regarding"]["name"], "n1");
            let note = event["note"].as_str().unwrap();
            assert!(
                note.starts_with(
                    "status.ledgerVersion 99 is newer than this operator's 1: nothing is placed here"
                ),
                "{note}"
            );
            assert!(
                note.ends_with("--subresource=status --type=merge -p '{\"status\":{\"ledgerVersion\":1}}'"),
                "{note}"
            );
            asked.is(&event);
            server.hears_nothing().await;
        }
    );
    outcome.unwrap();
    let verdicts = scene.ledger.reserve("n1", &[ask("a")]).await;
    assert_eq!(verdicts, Outcome::Applied(vec![Some(Denied::NotActive)]));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_tasks_pod_takes_room_and_its_own_takes_none_beside_its_share_i1() {
    for (name, labels, foreign) in [
        (
            "t1-aaaaaaaa",
            json!({ "ecs-operator.dev/task": "t1" }),
            Value::Null,
        ),
        ("t1-aaaaaaaa", json!({}), Value::Null),
        ("t1-copy", json!({ "ecs-operator.dev/task": "t1" }), json!(512)),
    ] {
        let (scene, mut server) = begin();
        let instance = instance_at(11, &["t1"]);
        scene.knows_instance(&instance);
        scene.knows_task(&task_at(12, "other.1"));
        let mut pod = pod_at(13, "Running");
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["labels"] = labels;
        pod["metadata"]["finalizers"] = json!([]);
        if name == "t1-copy" {
            pod["metadata"]["ownerReferences"] = json!([]);
        }
        scene.knows_pod(&pod);
        let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
            let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&instance);
            assert_eq!(asked.body["status"]["foreign"]["cpu"], foreign, "{pod}");
            let described = patched(&instance, &asked.body, 14);
            asked.is(&described);
            if name == "t1-copy" {
                let asked = server.expect(PATCH, &format!("{PODS}/t1-copy")).await;
                let now = patched(&pod, &asked.body, 15);
                assert_eq!(now["metadata"]["labels"], json!({}));
                asked.is(&now);
            }
        });
        looked.unwrap();
    }
}
