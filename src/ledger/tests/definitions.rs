//! Task definitions: held while they are used, and what they say while they are being deleted. (TD-6)

use serde_json::{Value, json};

use super::scene::*;
use crate::controllers::definition;
use crate::controllers::errors::Error;

const DEFINITION: &str = "namespaces/shop/taskdefinitions/web.1";
const STATUS: &str = "namespaces/shop/taskdefinitions/web.1/status";

fn ready(status: &Value) -> &Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|c| c["type"] == "Ready").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_held_and_described_in_two_writes_the_second_on_what_the_first_made() {
    let (scene, mut server) = begin();
    scene.knows_task(&task_at(12, "other.1"));
    let look = || definition::reconcile(key("web.1"), scene.context.clone());
    let (looked, ()) = tokio::join!(look(), async {
        let asked = server.expect(PATCH, DEFINITION).await.on(&definition());
        assert_eq!(
            asked.body["metadata"]["finalizers"],
            json!(["ecs-operator.dev/in-use"])
        );
        let held = patched(&definition(), &asked.body, 2);
        asked.is(&held);
        let asked = server.expect(PATCH, STATUS).await.on(&held);
        assert_eq!(ready(&asked.body["status"])["status"], "True");
        let described = patched(&held, &asked.body, 3);
        asked.is(&described);
        server.hears_nothing().await;
    });
    looked.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conflict_over_a_definition_is_no_failure() {
    let (scene, mut server) = begin();
    scene.knows_task(&task_at(12, "other.1"));
    let look = || definition::reconcile(key("web.1"), scene.context.clone());
    let (looked, ()) = tokio::join!(look(), async {
        server.expect(PATCH, DEFINITION).await.conflicts();
        server.hears_nothing().await;
    });
    let error = looked.unwrap_err();
    assert!(matches!(error, Error::Moved), "{error}");
    assert_eq!(error.category(), "moved");
    let (looked, ()) = tokio::join!(look(), async {
        server
            .expect(PATCH, DEFINITION)
            .await
            .fails(403, "Forbidden", "not yours");
        server.hears_nothing().await;
    });
    assert!(matches!(looked, Err(Error::Refused(text)) if text == "not yours"));
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_being_deleted_says_so_and_who_holds_it_td_3() {
    let (scene, mut server) = begin();
    let mut going = definition();
    going["metadata"]["resourceVersion"] = json!("5");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    going["metadata"]["finalizers"] = json!(["ecs-operator.dev/in-use"]);
    scene.cache.definitions.put(from(&going));
    scene.cache.definition_changed(&key("web.1"));
    scene.knows_task(&task_at(12, "other.1"));
    let look = || definition::reconcile(key("web.1"), scene.context.clone());
    let (looked, ()) = tokio::join!(look(), async {
        let asked = server.expect(PATCH, STATUS).await.on(&going);
        let ready = ready(&asked.body["status"]);
        assert_eq!(
            (&ready["status"], &ready["reason"]),
            (&json!("False"), &json!("Deleting"))
        );
        let message = ready["message"].as_str().unwrap();
        assert!(message.ends_with("no longer do: 1 task (t1)"), "{message}");
        let told = patched(&going, &asked.body, 6);
        asked.is(&told);
        server.hears_nothing().await;
    });
    looked.unwrap();
}
