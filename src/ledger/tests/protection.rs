//! Scale-in protection: the answer in the Task's status first, then what its Pod says; both are taken off again. (PROT-1
//! to PROT-3)

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;

const OURS: [&str; 3] = [
    "karpenter.sh/do-not-disrupt",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "ecs-operator.dev/protected-until",
];

/// t1 of service web at a version, with this wish for protection.
fn asking(scene: &Scene, version: u64, protection: &Value) -> Value {
    let mut task = task_at(version, &scene.me());
    task["spec"]["service"] = json!({ "name": "web", "uid": "s-1" });
    task["spec"]["protection"] = protection.clone();
    task
}

/// Its Pod, which is not held.
fn pod() -> Value {
    let labels = json!({ "ecs-operator.dev/hold": null, "ecs-operator.dev/service": "web" });
    patched(
        &pod_at(13, "Running"),
        &json!({ "metadata": { "labels": labels } }),
        13,
    )
}

/// One look at the task, in which its status is written: the task after that.
async fn answered(scene: &Scene, server: &mut Server, task: &Value, version: u64) -> Value {
    scene.knows_task(task);
    let (looked, after) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, TASK_STATUS).await.on(task);
        let after = patched(task, &asked.body, version);
        asked.is(&after);
        server.hears_nothing().await;
        after
    });
    looked.unwrap();
    after
}

/// One look at the task, in which its Pod is written: what was asked, and the Pod after that.
async fn marked(scene: &Scene, server: &mut Server, pod: &Value, version: u64) -> (Value, Value) {
    let (looked, found) = tokio::join!(scene.look_at_task(), async {
        let asked = server.expect(PATCH, POD).await.on(pod);
        let (body, after) = (asked.body.clone(), patched(pod, &asked.body, version));
        asked.is(&after);
        server.hears_nothing().await;
        (body["metadata"].clone(), after)
    });
    looked.unwrap();
    found
}

#[tokio::test(start_paused = true)]
async fn protection_is_answered_in_the_status_then_said_on_the_pod_and_taken_off_both_prot_1_prot_3_prot_13()
{
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_pod(&pod());
    let on = json!({ "protectionEnabled": true, "expiresInMinutes": 60 });
    let task = answered(&scene, &mut server, &asking(&scene, 12, &on), 14).await;
    let status = &task["status"];
    assert_eq!(status["protection"], json!({ "request": on }));
    let until = status["protectedUntil"].clone();
    assert!(until.as_str().unwrap().ends_with('Z'), "{until}");
    let says = |status: &Value| {
        let conditions = status["conditions"].as_array().unwrap().iter();
        let mut found = conditions.filter(|c| c["type"] == "Protected");
        found.next().unwrap()["reason"].clone()
    };
    assert_eq!(says(status), "Protected");

    let (asked, dressed) = marked(&scene, &mut server, &pod(), 15).await;
    assert_eq!(asked["labels"], json!({ "ecs-operator.dev/hold": "true" }));
    let expected = json!({ OURS[0]: "true", OURS[1]: "false", OURS[2]: until });
    assert_eq!(asked["annotations"], expected);
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();

    let off = patched(
        &task,
        &json!({ "spec": { "protection": { "protectionEnabled": false } } }),
        16,
    );
    let task = answered(&scene, &mut server, &off, 17).await;
    assert_eq!(task["status"].get("protectedUntil"), None);
    assert_eq!(says(&task["status"]), "Disabled");
    let (asked, _) = marked(&scene, &mut server, &dressed, 18).await;
    assert_eq!(asked["labels"], json!({ "ecs-operator.dev/hold": null }));
    assert_eq!(
        asked["annotations"],
        json!({ OURS[0]: null, OURS[1]: null, OURS[2]: null })
    );
    let (looked, ()) = tokio::join!(scene.look_at_task(), server.hears_nothing());
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_met_another_write_is_given_anew_on_what_is_there_now_prot_2() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    scene.knows_pod(&pod());
    let on = json!({ "protectionEnabled": true });
    let task = asking(&scene, 12, &on);
    let off = asking(&scene, 14, &json!({ "protectionEnabled": false }));
    scene.knows_task(&task);
    let (looked, ()) = tokio::join!(scene.look_at_task(), async {
        server.expect(PATCH, TASK_STATUS).await.on(&task).conflicts();
        server.expect(GET, TASK).await.is(&off);
        server.hears_nothing().await;
    });
    looked.unwrap();
    let task = answered(&scene, &mut server, &off, 15).await;
    assert_eq!(task["status"].get("protectedUntil"), None);
}
