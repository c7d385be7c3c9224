//! F4: what users name is told apart by uid.

use serde_json::{Value, json};

use super::scene::*;

/// n1 with a share of an earlier task named t1.
fn namesake() -> Value {
    let mut instance = instance_at(11, &["t1"]);
    instance["status"]["reservations"][0]["uid"] = json!("another");
    instance
}

#[tokio::test(start_paused = true)]
async fn a_task_does_not_run_under_the_share_of_its_namesake() {
    let (scene, mut server) = begin();
    scene.knows_instance(&namesake());
    scene.knows_task(&task_at(12, ""));
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
    scene.authorised();
    let task = scene.cache.tasks.get(&key("t1")).unwrap();
    let ((), ()) = tokio::join!(scene.ledger.run(&task), server.hears_nothing());
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_namesake_that_is_gone_is_released() {
    let (scene, mut server) = begin();
    scene.knows_instance(&namesake());
    scene.knows_task(&task_at(12, ""));
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&namesake());
        let now = patched(&namesake(), &asked.body, 13);
        assert_eq!(now["status"]["reservations"], Value::Null);
        asked.is(&now);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_an_earlier_namesake_is_an_orphan_and_deleted_by_its_uid() {
    let (scene, mut server) = begin();
    let mut pod = pod_at(9, "Running");
    pod["metadata"]["name"] = json!("t1-bbbbbbbb");
    pod["metadata"]["ownerReferences"][0]["uid"] = json!("bbbbbbbb-0000-4000-8000-000000000001");
    scene.knows_pod(&pod);
    scene.knows_task(&task_at(12, ""));
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        server.expect(GET, TASK).await.is(&task_at(12, ""));
        let asked = server.expect(DELETE, &format!("{PODS}/t1-bbbbbbbb")).await;
        assert_eq!(asked.body["preconditions"]["uid"], "p-1");
        asked.is(&pod);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let now = patched(&instance_at(10, &[]), &asked.body, 13);
        assert_eq!(now["status"]["foreign"]["cpu"], 512, "it counts as used");
        asked.is(&now);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_pod_loses_our_labels_and_finalizer_and_counts_as_used_daemon_43_pct_1() {
    let (scene, mut server) = begin();
    let mut copy = pod_at(9, "Running");
    copy["metadata"]["name"] = json!("t1-copy");
    copy["metadata"]["labels"] =
        json!({ "ecs-operator.dev/hold": "true", "ecs-operator.dev/task": "t1", "app": "x" });
    copy["metadata"]["finalizers"] = json!(["example.com/mine", "ecs-operator.dev/pod"]);
    scene.knows_pod(&copy);
    scene.knows_task(&task_at(12, ""));
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let now = patched(&instance_at(10, &[]), &asked.body, 13);
        assert_eq!(now["status"]["foreign"]["cpu"], 512, "it counts as used");
        asked.is(&now);
        let asked = server.expect(PATCH, &format!("{PODS}/t1-copy")).await;
        let now = patched(&copy, &asked.body, 10);
        assert_eq!(now["metadata"]["labels"], json!({ "app": "x" }));
        assert_eq!(now["metadata"]["finalizers"], json!(["example.com/mine"]));
        asked.is(&now);
    });
    looked.unwrap();
}
