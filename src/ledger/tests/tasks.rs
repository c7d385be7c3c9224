//! Step 3, *create*: a Task is created once, already bound, under a share that was seen.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::scene::*;
use crate::api::TaskSpec;
use crate::ledger::commit::Started;
use crate::ledger::fence::FENCE;

fn spec() -> TaskSpec {
    from(&json!({ "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1" }))
}

async fn create(scene: &Scene) -> Started {
    scene
        .ledger
        .create_and_run(&key("t1"), spec(), Instant::now())
        .await
}

#[tokio::test(start_paused = true)]
async fn the_creator_makes_the_pod_in_four_writes_from_the_decision() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let (started, ()) = tokio::join!(create(&scene), async {
        let asked = server.expect(POST, TASKS).await;
        let metadata = &asked.body["metadata"];
        assert_eq!(metadata["finalizers"], json!(["ecs-operator.dev/task"]), "F1");
        let author = &metadata["annotations"]["ecs-operator.dev/authorised-by"];
        assert_eq!(author, &json!(scene.me()), "F2");
        let task = stored(&asked.body, UID, 12);
        asked.is(&task);
        let asked = server.expect(POST, PODS).await;
        assert_eq!(asked.body["metadata"]["name"], "t1-aaaaaaaa");
        assert_eq!(asked.body["spec"]["nodeName"], "n1");
        assert_eq!(
            asked.body["metadata"]["finalizers"],
            json!(["ecs-operator.dev/pod"]),
            "F5"
        );
        let pod = stored(&asked.body, "p-1", 13);
        asked.is(&pod);
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_exists_bound_here_is_success_and_its_pod_is_its_creators_to_make() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let (started, ()) = tokio::join!(create(&scene), async {
        server.expect(POST, TASKS).await.exists();
        server.expect(GET, TASK).await.is(&task_at(12, "other.1"));
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_exists_bound_elsewhere_frees_the_share_at_once() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let mut elsewhere = task_at(12, "other.1");
    elsewhere["spec"]["containerInstance"] = json!("n2");
    let (started, ()) = tokio::join!(create(&scene), async {
        server.expect(POST, TASKS).await.exists();
        server.expect(GET, TASK).await.is(&elsewhere);
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::Elsewhere);
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&instance_at(11, &["t1"]));
        let now = patched(&instance_at(11, &["t1"]), &asked.body, 13);
        assert_eq!(now["status"]["reservations"], json!(null));
        asked.is(&now);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pass_names_the_instances_whose_share_is_to_be_released_at_once() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = patched(&service_at(20, 1), &asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let reserved = patched(&instance_at(10, &[]), &asked.body, 22);
        asked.is(&reserved);
        let asked = server.expect(POST, TASKS).await;
        let mut taken = stored(&asked.body, UID, 19);
        taken["spec"]["containerInstance"] = json!("n2");
        let name = asked.body["metadata"]["name"].as_str().unwrap().to_owned();
        asked.exists();
        server.expect(GET, &format!("{TASKS}/{name}")).await.is(&taken);
        server.hears_nothing().await;
    });
    assert_eq!(report.release, ["n1"]);
    assert!(report.started.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_timed_out_is_found_to_exist_and_its_pod_waits_for_the_fence() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let (started, ()) = tokio::join!(create(&scene), async {
        server.expect(POST, TASKS).await.loses_answer();
        server.hears_nothing_for(Duration::from_secs(15)).await;
    });
    assert_eq!(started, Started::No);
    let (started, ()) = tokio::join!(create(&scene), async {
        server.expect(POST, TASKS).await.exists();
        server.expect(GET, TASK).await.is(&task_at(12, &scene.me()));
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::Yes);
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
    tokio::time::advance(FENCE).await;
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(GET, INSTANCE).await.is(&instance_at(11, &["t1"]));
        let asked = server.expect(PATCH, TASK).await.on(&task_at(12, ""));
        let authorised = patched(&task_at(12, ""), &asked.body, 13);
        asked.is(&authorised);
        let asked = server.expect(POST, PODS).await;
        let pod = stored(&asked.body, "p-1", 14);
        asked.is(&pod);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f2_a_create_answered_later_than_t_makes_no_pod_before_the_instance_was_read_live() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let (started, task) = tokio::join!(create(&scene), async {
        let asked = server.expect(POST, TASKS).await;
        let task = stored(&asked.body, UID, 12);
        asked.answers_after(Duration::from_secs(6), &task);
        server.hears_nothing_for(Duration::from_secs(9)).await;
        task
    });
    assert_eq!(started, Started::Yes);
    // the share has gone meanwhile, and the room with it
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server
            .expect(GET, INSTANCE)
            .await
            .is(&instance_at(13, &["x", "y"]));
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        assert_eq!(asked.body["spec"]["stoppedReason"], "RESOURCE:CPU");
        let stopped = patched(&task, &asked.body, 14);
        asked.is(&stopped);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f2_a_process_that_was_slow_looks_at_the_instance_again_before_it_creates_the_task() {
    let (scene, mut server) = begin();
    scene.knows_service(&service_at(20, 1));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await;
        let written = patched(&service_at(20, 1), &asked.body, 21);
        asked.is(&written);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let reserved = patched(&instance_at(10, &[]), &asked.body, 22);
        asked.answers_after(Duration::from_secs(4), &reserved);
        server.expect(GET, INSTANCE).await.is(&instance_at(23, &[]));
        server.hears_nothing().await;
    });
    assert!(report.again && report.started.is_empty(), "no share, no Task");
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_or_cannot_say_makes_no_pod() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    for code in [403, 422, 404, 500] {
        let (started, ()) = tokio::join!(create(&scene), async {
            server.expect(POST, TASKS).await.fails(code, "Whatever", "no");
            server.hears_nothing().await;
        });
        assert_eq!(started, Started::No, "{code}");
    }
    let (started, ()) = tokio::join!(create(&scene), async {
        server.expect(POST, TASKS).await.breaks();
        server.hears_nothing().await;
    });
    assert_eq!(started, Started::No);
}
