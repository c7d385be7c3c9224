//! What somebody wrote or took away by hand must not stop the rest, nor keep the API server busy.

use serde_json::json;

use super::scene::*;
use crate::controllers::service;

#[tokio::test(start_paused = true)]
async fn an_id_that_no_task_can_have_is_given_up_slowly() {
    let (scene, mut server) = begin();
    let mut edited = service_at(20, 0);
    edited["status"] = json!({ "allocations": [{ "id": "Bad_Name!", "deployment": "x", "createdAt": "" }] });
    scene.knows_service(&edited);
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&edited);
        let written = patched(&edited, &asked.body, 21);
        asked.is(&written);
        let text = "unable to parse requirement";
        server.expect(GET, PODS).await.fails(400, "BadRequest", text);
        server.hears_nothing().await;
    });
    assert!(!report.again && report.later, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_recorded_task_version_that_never_was_is_put_right() {
    let (scene, mut server) = begin();
    let mut edited = service_at(20, 0);
    edited["status"] = json!({ "observedTaskVersion": "99999999999" });
    scene.knows_service(&edited);
    scene.knows_task(&task_of_another_service(15));
    let all = json!({ "metadata": { "resourceVersion": "50" }, "items": [task_of_another_service(15)] });
    let look = service::reconcile(key("web"), scene.context.clone());
    let (looked, ()) = tokio::join!(look, async {
        server.expect(GET, "tasks").await.is(&all);
        server.expect(GET, "tasks").await.is(&all);
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&edited);
        let recorded = asked.body["status"]["observedTaskVersion"].as_str();
        assert!(
            recorded.is_some_and(|v| v.parse::<u64>().unwrap() <= 50),
            "{}",
            asked.body
        );
        let written = patched(&edited, &asked.body, 51);
        asked.is(&written);
        for _ in ["completed", "steady"] {
            let event = server
                .expect(POST, "/apis/events.k8s.io/v1/namespaces/shop/events")
                .await;
            let said = event.body.clone();
            event.is(&said);
        }
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_planned_on_fewer_tasks_than_there_are() {
    let (scene, mut server) = begin();
    let mut edited = service_at(20, 0);
    edited["status"] = json!({ "observedTaskVersion": "99999999999" });
    scene.knows_service(&edited);
    let all = json!({ "metadata": { "resourceVersion": "50" }, "items": [task_of_another_service(15)] });
    let look = service::reconcile(key("web"), scene.context.clone());
    let (looked, ()) = tokio::join!(look, async {
        server.expect(GET, "tasks").await.is(&all);
        server.expect(GET, "tasks").await.is(&all);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_cluster_lost_its_finalizer_goes_on_as_when_its_cluster_is_being_deleted() {
    let (scene, mut server) = begin();
    let cluster = scene.cache.clusters.named("default").unwrap();
    scene.cache.clusters.remove(&cluster);
    scene.cache.clusters_changed();
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await;
        let conditions = asked.body["status"]["conditions"].to_string();
        assert!(conditions.contains("ClusterDeleted"), "{conditions}");
        let written = patched(&instance_at(10, &[]), &asked.body, 22);
        asked.is(&written);
        // nothing is reserved on it: it goes
        server.expect(PATCH, INSTANCE).await.is(&written);
        server.expect(DELETE, INSTANCE).await.is(&written);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

fn task_of_another_service(version: u64) -> serde_json::Value {
    let mut task = task_at(version, "other.1");
    task["metadata"]["name"] = json!("t9");
    task["metadata"]["uid"] = json!("t9-uid");
    task
}
