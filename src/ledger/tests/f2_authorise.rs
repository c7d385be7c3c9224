//! F2: a Pod is created only by a process that made an authorising write on the Task less than T before.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::ledger::fence::{AUTHORISATION, FENCE};

/// The authorising write, answered with the Task as it is then.
async fn authorises(server: &mut Server, scene: &Scene, task: &Value, version: u64) -> Value {
    let asked = server.expect(PATCH, TASK).await.on(task);
    let author = &asked.body["metadata"]["annotations"]["ecs-operator.dev/authorised-by"];
    assert!(author.as_str().unwrap().starts_with(scene.ledger.process()));
    assert_eq!(asked.body["spec"], Value::Null, "nothing but the authorisation");
    let authorised = patched(task, &asked.body, version);
    asked.is(&authorised);
    authorised
}

async fn quiet(scene: &Scene, server: &mut Server) {
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_made_by_somebody_else_gets_a_share_then_the_authorisation_then_the_pod_state_4() {
    let (scene, mut server) = begin();
    let mut task = task_at(12, "");
    task["metadata"]["finalizers"] = json!([]);
    scene.knows_task(&task);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&instance_at(10, &[]));
        assert_eq!(asked.body["status"]["reservations"][0]["task"], "t1");
        let now = patched(&instance_at(10, &[]), &asked.body, 13);
        asked.is(&now);
        let authorised = authorises(&mut server, &scene, &task, 14).await;
        assert_eq!(
            authorised["metadata"]["finalizers"],
            json!(["ecs-operator.dev/task"])
        );
        server.expect(POST, PODS).await.is(&pod_at(15, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_refused_or_uncertain_means_no_authorisation() {
    for way in ["conflict", "lost"] {
        let (scene, mut server) = begin();
        scene.knows_task(&task_at(12, ""));
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, INSTANCE_STATUS).await;
            if way == "lost" {
                asked.loses_answer();
            } else {
                asked.conflicts();
                server.expect(GET, INSTANCE).await.is(&instance_at(13, &[]));
            }
            server.hears_nothing_for(Duration::from_secs(15)).await;
        });
        assert_eq!(looked.is_err(), way == "lost");
    }
}

#[tokio::test(start_paused = true)]
async fn another_process_takes_over_after_the_whole_wait_and_after_reading_the_instance() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, "other.7");
    scene.knows_task(&task);
    quiet(&scene, &mut server).await;
    tokio::time::advance(ALMOST).await;
    quiet(&scene, &mut server).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(11, &["t1"]));
        authorises(&mut server, &scene, &task, 13).await;
        server.expect(POST, PODS).await.is(&pod_at(14, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_authorising_write_of_another_begins_the_wait_again() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_task(&task_at(12, "other.7"));
    quiet(&scene, &mut server).await;
    tokio::time::advance(ALMOST).await;
    scene.knows_task(&task_at(13, "other.8"));
    quiet(&scene, &mut server).await;
    tokio::time::advance(ALMOST).await;
    quiet(&scene, &mut server).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(11, &["t1"]));
        authorises(&mut server, &scene, &task_at(13, "other.8"), 14).await;
        server.expect(POST, PODS).await.is(&pod_at(15, "Pending"));
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_takeover_whose_share_has_gone_asks_for_one_again_and_without_room_makes_no_pod() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, "other.7");
    scene.knows_task(&task);
    quiet(&scene, &mut server).await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server
            .expect(GET, INSTANCE)
            .await
            .is(&instance_at(13, &["x", "y"]));
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["stoppedReason"], "RESOURCE:CPU");
        asked.is(&stopping_at(14, "other.7"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_takeover_without_an_answer_about_the_instance_waits() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_task(&task_at(12, "other.7"));
    quiet(&scene, &mut server).await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.loses_answer();
        server.hears_nothing_for(Duration::from_secs(15)).await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_authorising_write_that_conflicts_or_is_lost_makes_no_pod() {
    for way in ["conflict", "lost", "broken"] {
        let (scene, mut server) = begin();
        scene.knows_instance(&instance_at(11, &["t1"]));
        scene.knows_task(&task_at(12, ""));
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            let asked = server.expect(PATCH, TASK).await;
            match way {
                "lost" => asked.loses_answer(),
                "broken" => asked.breaks(),
                _ => {
                    asked.conflicts();
                    // it was told to stop meanwhile
                    server.expect(GET, TASK).await.is(&stopping_at(13, ""));
                }
            }
            server.hears_nothing_for(Duration::from_secs(15)).await;
        });
        assert_eq!(looked.is_err(), way != "conflict");
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorisation_older_than_t_is_made_anew_before_the_pod() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, &scene.me());
    scene.knows_task(&task);
    scene.authorised();
    tokio::time::advance(AUTHORISATION).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(11, &["t1"]));
        authorises(&mut server, &scene, &task, 13).await;
        server.expect(POST, PODS).await.is(&pod_at(14, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_annotation_that_anybody_can_write_opens_no_door_run_6_clu_7() {
    let (scene, mut server) = begin();
    let mut task = task_at(12, "forged");
    task["spec"]["service"] = json!({ "name": "web", "uid": "uid-web" });
    scene.knows_task(&task);
    quiet(&scene, &mut server).await;
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(10, &[]));
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        assert_eq!(
            asked.body["spec"]["stoppedReason"],
            "spec.service is set by the operator; leave it out"
        );
        let stopped = patched(&task, &asked.body, 13);
        asked.is(&stopped);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bare_family_is_resolved_once_with_the_authorisation_td_4() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let mut task = task_at(12, "");
    task["spec"]["taskDefinition"] = json!("web");
    scene.knows_task(&task);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let authorised = authorises(&mut server, &scene, &task, 13).await;
        assert_eq!(
            authorised["metadata"]["annotations"]["ecs-operator.dev/task-definition"],
            "web:1"
        );
        server.expect(POST, PODS).await.is(&pod_at(14, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}
