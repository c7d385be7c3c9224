//! Tasks behind stopping ones: the Task without an instance, its place in the queue, its share with the release, its
//! binding; what a conflict, a rival or a crash in between leaves. (OPT-1, HRM-6, HRM-7)

use serde_json::{Value, json};

use super::scene::*;
use crate::controllers::queue::Action;

/// A process that knows a cluster with `on` or `smart`, n1 full with t8 and t9, of which t9 is stopping.
fn begin_with(mode: &str) -> (Scene, super::script::Server) {
    let (scene, server) = begin();
    let mut cluster = scene.cache.clusters.named("default").unwrap().as_ref().clone();
    cluster.metadata.resource_version = Some("2".to_owned());
    cluster.spec.optimistic_placement = serde_json::from_value(json!(mode)).unwrap();
    scene.cache.clusters.put(cluster);
    scene.cache.clusters_changed();
    scene.knows_instance(&full(11));
    for name in ["t8", "t9"] {
        scene.knows_task(&tenant(name, name == "t9", "RUNNING"));
    }
    (scene, server)
}

fn uid(name: &str) -> String {
    format!("{name}-uid")
}

fn full(version: u64) -> Value {
    let mut instance = instance_at(version, &["t8", "t9"]);
    for (n, name) in ["t8", "t9"].into_iter().enumerate() {
        instance["status"]["reservations"][n]["uid"] = json!(uid(name));
    }
    instance
}

/// A run-once task on n1.
fn tenant(name: &str, stopping: bool, last: &str) -> Value {
    let mut task = task_at(if last == "STOPPED" { 18 } else { 8 }, "other.1");
    task["metadata"]["name"] = json!(name);
    task["metadata"]["uid"] = json!(uid(name));
    if stopping {
        task["spec"]["desiredStatus"] = json!("STOPPED");
    }
    task["status"] = json!({ "lastStatus": last });
    task
}

/// Service web, whose deployment is under way.
fn service_under_way(version: u64) -> Value {
    let mut service = service_at(version, 1);
    service["status"] = json!({ "status": "ACTIVE", "deployments": [{
        "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": "web:1", "taskDefinitionName": "web.1",
        "taskDefinitionUid": "d-1", "requested": "web:1", "desiredCount": 1, "runningCount": 0, "pendingCount": 0,
        "rolloutState": "IN_PROGRESS", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z" }] });
    service
}

/// t1 as a task of service web that nobody has bound.
fn waiting(version: u64) -> Value {
    let mut task = task_at(version, "");
    let spec = task["spec"].as_object_mut().unwrap();
    spec.remove("containerInstance");
    spec.insert("group".to_owned(), json!("service:web"));
    spec.insert("startedBy".to_owned(), json!("ecs-svc/1"));
    spec.insert(
        "service".to_owned(),
        json!({ "name": "web", "uid": "s-1", "deployment": "ecs-svc/1" }),
    );
    task
}

/// n1, full, with t1 in its queue.
fn queued(version: u64) -> Value {
    let mut instance = full(version);
    instance["status"]["queue"] = json!([{ "namespace": NAMESPACE, "task": "t1", "uid": UID, "since": "2026-01-01T00:00:00Z",
        "service": { "name": "web", "uid": "s-1", "deployment": "ecs-svc/1" },
        "amounts": { "cpu": 512, "memory": 256, "pods": 1 } }]);
    instance
}

#[tokio::test(start_paused = true)]
async fn what_has_to_wait_is_made_without_an_instance_and_authorises_nobody_opt_1() {
    let (scene, mut server) = begin_with("on");
    scene.knows_service(&service_under_way(20));
    let (report, ()) = tokio::join!(scene.pass(), async {
        let asked = server
            .expect(PATCH, SERVICE_STATUS)
            .await
            .on(&service_under_way(20));
        let id = asked.body["status"]["allocations"][0]["id"].clone();
        let planned = patched(&service_under_way(20), &asked.body, 21);
        asked.is(&planned);
        let asked = server.expect(POST, TASKS).await;
        assert_eq!(asked.body["metadata"]["name"], id);
        assert_eq!(asked.body["spec"].get("containerInstance"), None);
        assert_eq!(asked.body["metadata"].get("annotations"), None, "F2");
        assert_eq!(
            asked.body["metadata"]["finalizers"],
            json!(["ecs-operator.dev/task"]),
            "F1"
        );
        let created = stored(&asked.body, UID, 22);
        asked.is(&created);
        server.hears_nothing().await;
    });
    assert!(!report.again);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_gets_its_place_in_the_queue_and_says_so_opt_1_hrm_15() {
    let (scene, mut server) = begin_with("on");
    scene.knows_service(&service_under_way(20));
    scene.knows_task(&waiting(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&full(11));
        let queue = &asked.body["status"]["queue"];
        assert_eq!((&queue[0]["task"], &queue[0]["uid"]), (&json!("t1"), &json!(UID)));
        assert_eq!(asked.body["status"].get("reservations"), None, "it takes no room");
        let after = patched(&full(11), &asked.body, 13);
        asked.is(&after);
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&waiting(12));
        assert_eq!(asked.body["status"]["queued"]["containerInstance"], "n1");
        assert_eq!(asked.body["status"]["queued"]["behind"], json!(["shop/t9"]));
        let said = asked.body["status"]["conditions"].to_string();
        assert!(
            said.contains("it waits on n1 behind the stopping task shop/t9 until about"),
            "{said}"
        );
        let after = patched(&waiting(12), &asked.body, 14);
        asked.is(&after);
        server.hears_nothing().await;
    });
    let wake = Action::requeue(std::time::Duration::from_secs(30));
    assert_eq!(looked.unwrap(), wake, "HRM-15: whatever wakes it before");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_moved_takes_nobody_into_its_queue() {
    let (scene, mut server) = begin_with("on");
    scene.knows_service(&service_under_way(20));
    scene.knows_task(&waiting(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server
            .expect(PATCH, INSTANCE_STATUS)
            .await
            .on(&full(11))
            .conflicts();
        server.expect(GET, INSTANCE).await.is(&full(12));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_write_that_releases_a_share_gives_it_to_the_waiting_task_hrm_6() {
    let (scene, mut server) = begin_with("on");
    scene.knows_service(&service_under_way(20));
    scene.knows_instance(&queued(13));
    scene.knows_task(&waiting(12));
    scene.knows_task(&tenant("t9", true, "STOPPED"));
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&queued(13));
        let shares = asked.body["status"]["reservations"].as_array().unwrap();
        let names: Vec<_> = shares.iter().map(|r| r["task"].as_str().unwrap()).collect();
        assert_eq!(names, ["t8", "t1"]);
        assert_eq!(shares[1]["uid"], UID);
        assert_eq!(asked.body["status"]["queue"], Value::Null);
        let after = patched(&queued(13), &asked.body, 19);
        asked.is(&after);
        server.hears_nothing().await;
    });
    looked.unwrap();
    // whoever looks at the Task next binds it there, after a crash as well
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let held = scene.cache.instances.named("n1").unwrap();
        let held = serde_json::to_value(held.as_ref()).unwrap();
        server.expect(GET, INSTANCE).await.is(&held);
        let asked = server.expect(PATCH, TASK).await.on(&waiting(12));
        assert_eq!(asked.body["spec"], json!({ "containerInstance": "n1" }));
        let author = &asked.body["metadata"]["annotations"]["ecs-operator.dev/authorised-by"];
        assert_eq!(author, &json!(scene.me()), "F2");
        let bound = patched(&waiting(12), &asked.body, 20);
        asked.is(&bound);
        server.expect(POST, PODS).await.is(&pod_at(21, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_drains_has_no_queue_drain_2() {
    let (scene, mut server) = begin_with("on");
    let mut draining = queued(13);
    draining["spec"]["status"] = json!("DRAINING");
    scene.knows_instance(&draining);
    scene.knows_task(&waiting(12));
    scene.knows_task(&tenant("t9", true, "STOPPED"));
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&draining);
        assert_eq!(asked.body["status"]["queue"], Value::Null);
        assert_eq!(
            asked.body["status"]["reservations"].as_array().unwrap().len(),
            1,
            "I3"
        );
        let after = patched(&draining, &asked.body, 19);
        asked.is(&after);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_stop_while_it_waits_is_stopped_at_once_and_leaves_the_queue_hrm_7_stop_9_scn_9() {
    let (scene, mut server) = begin_with("on");
    scene.knows_instance(&queued(13));
    let mut told = waiting(14);
    told["spec"]["desiredStatus"] = json!("STOPPED");
    told["spec"]["stopCode"] = json!("UserInitiated");
    scene.knows_task(&told);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(&told);
        assert_eq!(asked.body["status"]["lastStatus"], "STOPPED");
        let after = patched(&told, &asked.body, 15);
        asked.is(&after);
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&queued(13));
        assert_eq!(asked.body["status"]["queue"], Value::Null);
        assert_eq!(
            asked.body["status"].get("reservations"),
            None,
            "nothing was taken"
        );
        let after = patched(&queued(13), &asked.body, 16);
        asked.is(&after);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_moves_to_room_on_its_own_instance_and_its_entry_goes_with_the_same_write() {
    let (scene, mut server) = begin_with("smart");
    scene.knows_service(&service_under_way(20));
    let mut roomy = queued(13);
    roomy["status"]["registeredResources"]["cpu"] = json!(2048);
    scene.knows_instance(&roomy);
    scene.knows_task(&waiting(12));
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&roomy);
        let shares = asked.body["status"]["reservations"].as_array().unwrap();
        assert_eq!((shares.len(), &shares[2]["service"]["uid"]), (3, &json!("s-1")));
        assert_eq!(asked.body["status"]["queue"], Value::Null);
        asked.conflicts();
        server.expect(GET, INSTANCE).await.is(&roomy);
        server.hears_nothing().await;
    });
    looked.unwrap();
}
