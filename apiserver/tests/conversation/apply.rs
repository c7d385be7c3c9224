//! Server-side apply, and who owns what.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;

fn applied(data: Value) -> Patch<Value> {
    Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}))
}

fn managers(object: &DynamicObject) -> Vec<(String, String)> {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries
        .map(|entry| (entry.manager.clone().unwrap(), entry.operation.clone().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_apply_creates_and_merges() {
    let world = World::new();
    let maps = world.config_maps();
    let created = maps
        .patch(
            "a",
            &PatchParams::apply("one"),
            &applied(json!({"x": "1", "y": "1"})),
        )
        .await
        .unwrap();
    assert_eq!(managers(&created), [("one".to_owned(), "Apply".to_owned())]);
    let other = maps
        .patch("a", &PatchParams::apply("two"), &applied(json!({"z": "2"})))
        .await
        .unwrap();
    assert_eq!(other.data["data"], json!({"x": "1", "y": "1", "z": "2"}));
    let fewer = maps
        .patch("a", &PatchParams::apply("one"), &applied(json!({"x": "1"})))
        .await
        .unwrap();
    assert_eq!(fewer.data["data"], json!({"x": "1", "z": "2"}));
    let version = world.server.version();
    world.pass(60);
    let same = maps
        .patch("a", &PatchParams::apply("one"), &applied(json!({"x": "1"})))
        .await
        .unwrap();
    assert_eq!((world.server.version(), same), (version, fewer));
}

#[tokio::test]
async fn fields_of_others_are_conflicts_unless_forced() {
    let world = World::new();
    let maps = world.config_maps();
    maps.patch("a", &PatchParams::apply("one"), &applied(json!({"x": "1"})))
        .await
        .unwrap();
    let refused = refusal(
        maps.patch("a", &PatchParams::apply("two"), &applied(json!({"x": "2"})))
            .await,
    );
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .data.x"
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.field.as_str()),
        ("FieldManagerConflict", ".data.x")
    );
    let forced = maps
        .patch(
            "a",
            &PatchParams::apply("two").force(),
            &applied(json!({"x": "2"})),
        )
        .await
        .unwrap();
    assert_eq!(forced.data["data"], json!({"x": "2"}));
    assert_eq!(managers(&forced), [("two".to_owned(), "Apply".to_owned())]);
}

#[tokio::test]
async fn updates_are_recorded_too() {
    let world = World::new();
    world.define_widgets().await;
    let widgets = world.widgets();
    let post = PostParams {
        field_manager: Some("maker".to_owned()),
        ..PostParams::default()
    };
    widgets.create(&post, &widget("a")).await.unwrap();
    let by = |name: &str| PatchParams {
        field_manager: Some(name.to_owned()),
        ..PatchParams::default()
    };
    let status = widgets
        .patch_status(
            "a",
            &by("reporter"),
            &Patch::Merge(json!({"status": {"size": 1}})),
        )
        .await
        .unwrap();
    let entries = status.metadata.managed_fields.unwrap();
    assert_eq!(
        entries[0].fields_v1.as_ref().unwrap().0,
        json!({"f:spec": {".": {}, "f:color": {}, "f:size": {}}})
    );
    assert_eq!(
        (entries[1].manager.as_deref(), entries[1].subresource.as_deref()),
        (Some("reporter"), Some("status"))
    );
    assert_eq!(
        entries[1].fields_v1.as_ref().unwrap().0,
        json!({"f:status": {".": {}, "f:size": {}}})
    );
}

#[tokio::test]
async fn an_apply_says_what_it_applies() {
    let world = World::new();
    let nameless = Patch::Apply(json!({"metadata": {"name": "a"}}));
    let refused = refusal(
        world
            .config_maps()
            .patch("a", &PatchParams::apply("one"), &nameless)
            .await,
    );
    assert_eq!(refused.message, "invalid object type: /, Kind=");
}

#[tokio::test]
async fn scaling_takes_the_field_over_and_notes_no_time() {
    let world = World::new();
    world.define_widgets().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &widget("a"))
        .await
        .unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 5}}));
    widgets
        .patch_scale("a", &PatchParams::default(), &scale)
        .await
        .unwrap();
    let entries = widgets.get("a").await.unwrap().metadata.managed_fields.unwrap();
    assert_eq!(
        (entries[0].subresource.as_deref(), &entries[0].time),
        (Some("scale"), &None)
    );
    assert_eq!(
        entries[0].fields_v1.as_ref().unwrap().0,
        json!({"f:spec": {"f:size": {}}})
    );
    assert_eq!(
        entries[1].fields_v1.as_ref().unwrap().0,
        json!({"f:spec": {".": {}, "f:color": {}}})
    );
}
