//! Requests for tasks: all their Tasks, all their shares, the commit, and only then a bind; what a crash, a rival or a
//! lost answer between any two of these leaves. (RUN-1, RUN-2, RUN-4)

use std::sync::Arc;

use serde_json::{Value, json};

use super::scene::*;
use super::script::Server;
use crate::controllers::errors::Error;
use crate::controllers::queue::Action;
use crate::controllers::request;

const REQUEST: &str = "namespaces/shop/runtasks/batch";
const REQUEST_STATUS: &str = "namespaces/shop/runtasks/batch/status";
const REQUEST_UID: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const FIRST: &str = "namespaces/shop/tasks/batch-bbbbbbbb-0";

/// Request batch for two tasks of web:1, all or none.
fn asked(version: u64, status: &Value) -> Value {
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "RunTask",
        "metadata": { "name": "batch", "namespace": NAMESPACE, "uid": REQUEST_UID,
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "cluster": "default", "taskDefinition": "web", "count": 2, "commit": "AllOrNothing" },
        "status": status })
}

fn created(version: u64) -> Value {
    asked(
        version,
        &json!({ "attempt": 1, "created": true, "taskDefinition": "web:1" }),
    )
}

fn uid(index: u32) -> String {
    format!("cccccccc-0000-4000-8000-00000000000{index}")
}

/// A Task of the request, of its first attempt.
fn member(index: u32, version: u64) -> Value {
    let of = json!({ "name": "batch", "uid": REQUEST_UID, "attempt": 1, "commit": "AllOrNothing" });
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
        "metadata": { "name": format!("batch-bbbbbbbb-{index}"), "namespace": NAMESPACE, "uid": uid(index),
            "resourceVersion": version.to_string(), "finalizers": ["ecs-operator.dev/task"],
            "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "cluster": "default", "taskDefinition": "web:1", "runTask": of } })
}

/// Instance n1 with the shares of these members.
fn holding(version: u64, members: &[u32]) -> Value {
    let names: Vec<String> = members.iter().map(|i| format!("batch-bbbbbbbb-{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut instance = instance_at(version, &names);
    for (at, index) in members.iter().enumerate() {
        let entry = &mut instance["status"]["reservations"][at];
        entry["uid"] = json!(uid(*index));
        entry["since"] = json!(jiff::Timestamp::now().to_string());
    }
    instance
}

fn knows_request(scene: &Scene, value: &Value) {
    scene.cache.learn_request(from(value));
}

async fn look(scene: &Scene) -> Result<Action, Error> {
    Box::pin(request::reconcile(key("batch"), Arc::clone(&scene.context))).await
}

fn gathering() -> (Scene, Server) {
    let (scene, server) = begin();
    knows_request(&scene, &created(20));
    for index in 0..2 {
        scene.knows_task(&member(index, 21));
    }
    (scene, server)
}

#[tokio::test(start_paused = true)]
async fn its_tasks_are_created_after_a_write_that_shows_they_are_to_be_and_never_again_run_4() {
    let (scene, mut server) = begin();
    let new = asked(20, &json!(null));
    knows_request(&scene, &new);
    let (looked, ()) = tokio::join!(look(&scene), async {
        let write = server.expect(PATCH, REQUEST_STATUS).await.on(&new);
        assert_eq!(
            write.body["status"]["taskDefinition"], "web:1",
            "resolved once (TD-4)"
        );
        let author = write.body["status"]["authorisedBy"].as_str().unwrap().to_owned();
        assert!(author.starts_with(scene.ledger.process()), "{author}");
        let begun = patched(&new, &write.body, 21);
        write.is(&begun);
        for index in 0..2 {
            let create = server.expect(POST, TASKS).await;
            assert_eq!(create.body["metadata"]["name"], format!("batch-bbbbbbbb-{index}"));
            assert_eq!(create.body["metadata"]["ownerReferences"][0]["uid"], REQUEST_UID);
            assert_eq!(
                create.body["spec"].get("containerInstance"),
                None,
                "bound to nothing"
            );
            let made = stored(&create.body, &uid(index), 22 + u64::from(index));
            create.is(&made);
        }
        let write = server.expect(PATCH, REQUEST_STATUS).await.on(&begun);
        assert_eq!(write.body["status"], json!({ "created": true }));
        write.is(&created(30));
        server.hears_nothing().await;
    });
    looked.unwrap();
    assert_eq!(scene.cache.tasks.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_meets_a_request_that_moved_on_creates_nothing_run_4() {
    let (scene, mut server) = begin();
    knows_request(&scene, &asked(20, &json!(null)));
    let (looked, ()) = tokio::join!(look(&scene), async {
        server.expect(PATCH, REQUEST_STATUS).await.conflicts();
        server.expect(GET, REQUEST).await.is(&created(25));
        server.hears_nothing().await;
    });
    assert!(matches!(looked, Err(Error::Moved)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_process_asks_again_before_it_creates_more_run_4() {
    let (scene, mut server) = begin();
    let new = asked(20, &json!(null));
    knows_request(&scene, &new);
    let (looked, ()) = tokio::join!(look(&scene), async {
        let write = server.expect(PATCH, REQUEST_STATUS).await.on(&new);
        let begun = patched(&new, &write.body, 21);
        write.is(&begun);
        let create = server.expect(POST, TASKS).await;
        let made = stored(&create.body, &uid(0), 22);
        create.answers_after(std::time::Duration::from_secs(6), &made);
        server.hears_nothing_for(std::time::Duration::from_secs(8)).await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_shares_in_one_write_then_the_commit_and_only_then_a_bind_run_1() {
    let (scene, mut server) = gathering();
    let (looked, ()) = tokio::join!(look(&scene), async {
        let before = instance_at(10, &[]);
        let write = server.expect(PATCH, INSTANCE_STATUS).await.on(&before);
        let entries = write.body["status"]["reservations"].as_array().unwrap();
        let held: Vec<_> = entries
            .iter()
            .map(|e| e["uid"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(held, [uid(0), uid(1)]);
        write.is(&holding(23, &[0, 1]));
        server.hears_nothing().await;
    });
    looked.unwrap();
    // nobody binds one of them yet
    let first = key("batch-bbbbbbbb-0");
    let bind = || {
        Box::pin(crate::controllers::task::reconcile(
            first.clone(),
            Arc::clone(&scene.context),
        ))
    };
    let (looked, ()) = tokio::join!(bind(), server.hears_nothing());
    looked.unwrap();
    let (looked, ()) = tokio::join!(look(&scene), async {
        server.expect(GET, INSTANCE).await.is(&holding(23, &[0, 1]));
        let write = server.expect(PATCH, REQUEST_STATUS).await.on(&created(20));
        assert_eq!(write.body["status"]["committed"], true);
        assert_eq!(write.body["status"]["tasks"][1]["containerInstance"], "n1");
        let committed = patched(&created(20), &write.body, 24);
        write.is(&committed);
        let event = server
            .expect(POST, "/apis/events.k8s.io/v1/namespaces/shop/events")
            .await;
        assert_eq!(event.body["reason"], "Placed");
        let told = event.body.clone();
        event.is(&told);
        server.hears_nothing().await;
    });
    looked.unwrap();
    let (looked, ()) = tokio::join!(bind(), async {
        server.expect(GET, INSTANCE).await.is(&holding(23, &[0, 1]));
        let write = server.expect(PATCH, FIRST).await.on(&member(0, 21));
        assert_eq!(write.body["spec"], json!({ "containerInstance": "n1" }));
        let bound = patched(&member(0, 21), &write.body, 26);
        write.is(&bound);
        server.expect(POST, PODS).await.is(&pod_at(27, "Pending"));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_went_meanwhile_commits_nothing_run_1() {
    let (scene, mut server) = gathering();
    scene.knows_instance(&holding(23, &[0, 1]));
    let (looked, ()) = tokio::join!(look(&scene), async {
        server.expect(GET, INSTANCE).await.is(&holding(25, &[0]));
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_some_hold_is_given_back_by_one_write_when_the_rest_has_no_place_run_2() {
    let (scene, mut server) = gathering();
    let mut full = holding(23, &[0]);
    let rival = instance_at(0, &["rival"])["status"]["reservations"][0].clone();
    full["status"]["reservations"].as_array_mut().unwrap().push(rival);
    scene.knows_instance(&full);
    let (looked, next) = tokio::join!(look(&scene), async {
        let write = server.expect(PATCH, REQUEST_STATUS).await.on(&created(20));
        assert_eq!(write.body["status"]["attempt"], 2);
        assert_eq!(
            write.body["status"]["created"],
            Value::Null,
            "other Tasks are to be created"
        );
        let next = patched(&created(20), &write.body, 24);
        write.is(&next);
        server.hears_nothing().await;
        next
    });
    looked.unwrap();
    // its Tasks are told to stop, and so the share goes as all do
    knows_request(&scene, &next);
    let first = key("batch-bbbbbbbb-0");
    let stop = Box::pin(crate::controllers::task::reconcile(
        first,
        Arc::clone(&scene.context),
    ));
    let (looked, ()) = tokio::join!(stop, async {
        let told = server
            .expect(PATCH, &format!("{FIRST}/status"))
            .await
            .on(&member(0, 21));
        let told_task = patched(&member(0, 21), &told.body, 25);
        told.is(&told_task);
        let write = server.expect(PATCH, FIRST).await.on(&told_task);
        assert_eq!(write.body["spec"]["desiredStatus"], "STOPPED");
        let stopping = patched(&told_task, &write.body, 26);
        write.is(&stopping);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whose_commit_comes_after_anothers_giving_back_binds_nothing_run_1() {
    let (scene, mut server) = gathering();
    scene.knows_instance(&holding(23, &[0, 1]));
    let (looked, ()) = tokio::join!(look(&scene), async {
        server.expect(GET, INSTANCE).await.is(&holding(23, &[0, 1]));
        server.expect(PATCH, REQUEST_STATUS).await.conflicts();
        let moved = asked(25, &json!({ "attempt": 2, "taskDefinition": "web:1" }));
        server.expect(GET, REQUEST).await.is(&moved);
        server.hears_nothing().await;
    });
    assert!(matches!(looked, Err(Error::Moved)));
    assert!(
        !scene
            .cache
            .requests
            .get(&key("batch"))
            .unwrap()
            .status
            .as_ref()
            .unwrap()
            .committed
    );
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_request_that_is_gone_are_told_to_stop_unless_they_were_let_go_run_1() {
    let owner = json!([{ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "RunTask", "name": "batch",
        "uid": REQUEST_UID, "controller": true }]);
    for owned in [true, false] {
        let (scene, mut server) = begin();
        let mut task = task_at(12, "");
        task["spec"]["runTask"] = member(0, 1)["spec"]["runTask"].clone();
        if owned {
            task["metadata"]["ownerReferences"] = owner.clone();
        }
        scene.knows_task(&task);
        scene.knows_pod(&pod_at(13, "Running"));
        let (looked, ()) = tokio::join!(scene.look_at_task(), async {
            if owned {
                server.expect(GET, REQUEST).await.not_found();
                let write = server.expect(PATCH, TASK).await.on(&task);
                assert_eq!(write.body["spec"]["desiredStatus"], "STOPPED");
                let stopping = patched(&task, &write.body, 14);
                write.is(&stopping);
            }
            server.hears_nothing().await;
        });
        looked.unwrap();
    }
}
