//! Scale-in protection: the answer in the Task's status first, then what its Pod says; both are taken off again. (PROT-1
//! to PROT-3)

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::domain::records::QuiesceReason;
use crate::plan::Tell;

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

#[tokio::test(start_paused = true)]
async fn a_task_is_told_to_finish_on_the_very_version_that_was_seen_prot_11() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let mut task = asking(&scene, 12, &Value::Null);
    task["status"] = json!({ "lastStatus": "RUNNING", "protectedUntil": "2999-01-01T00:00:00Z" });
    scene.knows_task(&task);
    let tell = |version: u64, reason| Tell {
        task: key("t1"),
        uid: UID.to_owned(),
        version,
        reason,
    };
    let (drain, old) = (
        tell(12, Some(QuiesceReason::Drain)),
        tell(11, Some(QuiesceReason::Drain)),
    );
    let ((), outcome, earlier) = tokio::join!(
        async {
            let asked = server.expect(PATCH, TASK_STATUS).await.on(&task);
            assert_eq!(asked.body["status"]["quiesce"]["reason"], "Drain");
            let after = patched(&task, &asked.body, 14);
            let conditions = after["status"]["conditions"].as_array().unwrap().iter();
            let said: Vec<_> = conditions.filter(|c| c["type"] == "Quiesce").collect();
            assert_eq!(
                (&said[0]["status"], &said[0]["reason"]),
                (&json!("True"), &json!("Drain"))
            );
            asked.is(&after);
            server.hears_nothing().await;
        },
        scene.ledger.tell_task(&drain),
        scene.ledger.tell_task(&old)
    );
    assert_eq!((outcome.label(), earlier.label()), ("applied", "conflict"));
    let taken_back = tell(14, None);
    let (outcome, ()) = tokio::join!(scene.ledger.tell_task(&taken_back), async {
        let asked = server.expect(PATCH, TASK_STATUS).await;
        assert_eq!(asked.body["status"]["quiesce"], Value::Null);
        asked.conflicts();
        server.expect(GET, TASK).await.is(&task);
    });
    assert_eq!(
        outcome.label(),
        "conflict",
        "somebody else moved it: its service is planned anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_knows_a_secret_of_its_own_and_one_that_is_there_already_keeps_its_own_prot_20() {
    let (scene, mut server) = begin();
    scene.knows_instance(&instance_at(11, &["t1"]));
    let task = task_at(12, &scene.me());
    scene.knows_task(&task);
    scene.authorised();
    let ledger = scene.ledger.clone().with_agent(Some("http://agent:80"));
    let task = from(&task);
    let ((), uri) = tokio::join!(ledger.run(&task), async {
        let asked = server.expect(POST, PODS).await;
        let env = asked.body["spec"]["containers"][0]["env"].clone();
        // an earlier create of this process or another was late
        asked.exists();
        server.expect(GET, POD).await.is(&pod_at(13, "Pending"));
        server.hears_nothing().await;
        assert_eq!(env[0]["name"], "ECS_AGENT_URI");
        env[0]["value"].as_str().unwrap().to_owned()
    });
    let secret = uri.strip_prefix("http://agent:80/api/shop_t1-aaaaaaaa_").unwrap();
    assert!(secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
}
