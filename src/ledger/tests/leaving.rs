//! Instances that leave: their Node goes or is away, or somebody deregisters them. (CI, DRAIN)

use serde_json::{Value, json};

use super::scene::*;
use crate::controllers::node;
use crate::plan::world::Key;

const NODE: &str = "nodes/n1";
const INSTANCES: &str = "containerinstances";

fn running_task(version: u64) -> Value {
    let mut task = task_at(version, "other.1");
    task["status"] = json!({ "lastStatus": "RUNNING", "startedAt": "2026-01-01T00:00:01Z",
        "pod": { "name": "t1-aaaaaaaa", "uid": "p-1" } });
    task
}

fn ended(mut task: Value, version: u64) -> Value {
    task["metadata"]["resourceVersion"] = json!(version.to_string());
    task["spec"]["desiredStatus"] = json!("STOPPED");
    task["status"]["lastStatus"] = json!("STOPPED");
    task
}

/// A look at an instance whose last task has STOPPED: the share goes in one write, then the instance.
async fn goes(scene: &Scene, server: &mut super::script::Server, instance: &Value, node_gone: bool) {
    let (looked, ()) = tokio::join!(scene.look_at_instance(), async {
        if node_gone {
            server.expect(GET, NODE).await.not_found();
        }
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(instance);
        assert_eq!(asked.body["status"]["reservations"], Value::Null);
        let empty = patched(instance, &asked.body, 31);
        asked.is(&empty);
        let asked = server.expect(PATCH, INSTANCE).await.on(&empty);
        assert_eq!(asked.body["metadata"]["finalizers"], json!([]));
        let free = patched(&empty, &asked.body, 32);
        asked.is(&free);
        let asked = server.expect(DELETE, INSTANCE).await;
        assert_eq!(asked.body["preconditions"]["resourceVersion"], "32");
        asked.is(&free);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_node_is_gone_goes_when_nothing_is_reserved_there_ci_5() {
    let (scene, mut server) = begin();
    scene.cache.nodes.remove(&from(&node()));
    let instance = instance_at(11, &["t1"]);
    scene.knows_instance(&instance);
    scene.knows_task(&running_task(12));
    let (looked, inactive) = tokio::join!(scene.look_at_instance(), async {
        server.expect(GET, NODE).await.not_found();
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&instance);
        let inactive = patched(&instance, &asked.body, 30);
        asked.is(&inactive);
        // its task may still run
        server.hears_nothing().await;
        inactive
    });
    looked.unwrap();
    assert_eq!(inactive["status"]["status"], "INACTIVE");
    scene.knows_task(&ended(running_task(12), 13));
    goes(&scene, &mut server, &inactive, true).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_deleted_by_a_user_ends_its_tasks_and_its_node_registers_anew_when_told_drain_21_drain_22_scn_20()
 {
    let (scene, mut server) = begin();
    let mut instance = instance_at(11, &["t1"]);
    instance["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:09Z");
    scene.knows_instance(&instance);
    let task = running_task(12);
    scene.knows_task(&task);
    let (looked, (remembers, told, inactive)) = tokio::join!(scene.look_at_instance(), async {
        let asked = server.expect(PATCH, NODE).await;
        let remembers = patched(&node(), &asked.body, 2);
        asked.is(&remembers);
        let asked = server.expect(PATCH, TASK).await.on(&task);
        let told = patched(&task, &asked.body, 13);
        asked.is(&told);
        let asked = server.expect(PATCH, INSTANCE_STATUS).await.on(&instance);
        let inactive = patched(&instance, &asked.body, 30);
        asked.is(&inactive);
        server.hears_nothing().await;
        (remembers, told, inactive)
    });
    looked.unwrap();
    assert_eq!(told["spec"]["desiredStatus"], "STOPPED");
    assert_eq!(
        told["spec"]["stoppedReason"],
        "Container instance deregistration forced by user"
    );
    assert_eq!(inactive["status"]["status"], "INACTIVE");
    scene.cache.nodes.put(from(&remembers));
    scene.knows_task(&ended(told, 14));
    goes(&scene, &mut server, &inactive, false).await;

    let known = scene.cache.instances.named("n1").unwrap();
    scene.cache.instances.remove(&known);
    scene.cache.instance_changed(&Key::new("", "n1"));
    let register = || node::reconcile(Key::new("", "n1"), scene.context.clone());
    let (looked, ()) = tokio::join!(register(), server.hears_nothing());
    looked.unwrap();
    let mut forgets = node();
    forgets["metadata"]["resourceVersion"] = json!("3");
    scene.cache.nodes.put(from(&forgets));
    let (looked, ()) = tokio::join!(register(), async {
        let asked = server.expect(POST, INSTANCES).await;
        assert_eq!(
            (&asked.body["metadata"]["name"], &asked.body["spec"]["cluster"]),
            (&json!("n1"), &json!("default"))
        );
        let anew = stored(&asked.body, "i-2", 40);
        asked.is(&anew);
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_leaves_a_draining_instance_is_told_to_stop_as_any_other_drain_14() {
    let (scene, mut server) = begin();
    let mut instance = instance_at(11, &["t1"]);
    instance["spec"]["status"] = json!("DRAINING");
    scene.knows_instance(&instance);
    let mut service = service_at(20, 1);
    service["spec"]["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 0 });
    scene.knows_service(&service);
    let mut task = running_task(15);
    task["spec"]["service"] = json!({ "name": "web", "uid": "s-1", "deployment": "ecs-svc/1" });
    task["spec"]["startedBy"] = json!("ecs-svc/1");
    scene.knows_task(&task);
    let (_, ()) = tokio::join!(scene.pass(), async {
        let asked = server.expect(PATCH, SERVICE_STATUS).await.on(&service);
        assert_eq!(asked.body["status"]["stopping"][0]["id"], "t1");
        let planned = patched(&service, &asked.body, 21);
        asked.is(&planned);
        let asked = server.expect(PATCH, TASK).await.on(&task);
        assert_eq!(asked.body["spec"]["desiredStatus"], "STOPPED");
        let told = patched(&task, &asked.body, 22);
        asked.is(&told);
        // its Pod, and with it the grace of its containers, is the look at the task's
        server.hears_nothing().await;
    });
}
