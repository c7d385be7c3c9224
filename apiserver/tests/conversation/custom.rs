//! Definitions, and the kinds that they define.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_definition_is_served_at_once() {
    let world = World::new();
    world.define_widgets().await;
    let definitions: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(world.client.clone());
    let definition = definitions.get("widgets.example.com").await.unwrap();
    assert!(is_crd_established().matches_object(Some(&definition)));
    assert_eq!(definition.metadata.finalizers, None);
    assert_eq!(
        definition
            .status
            .unwrap()
            .accepted_names
            .unwrap()
            .list_kind
            .as_deref(),
        Some("WidgetList")
    );
    let created = world
        .widgets()
        .create(&PostParams::default(), &widget("a"))
        .await
        .unwrap();
    assert_eq!(created.data["spec"], json!({"size": 1, "color": "blue"}));
    assert_eq!(created.metadata.generation, Some(1));
    let listed = world.widgets().list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.types.kind, "WidgetList");
}

#[tokio::test]
async fn objects_are_held_to_their_schema() {
    let world = World::new();
    world.define_widgets().await;
    let mut bad = widget("a");
    bad.data["spec"] = json!({"size": 101});
    let refused = refusal(world.widgets().create(&PostParams::default(), &bad).await);
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert!(
        refused
            .message
            .contains("spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100"),
        "{}",
        refused.message
    );
    let mut extra = widget("a");
    extra.data["spec"]["nothing"] = json!(1);
    let created = world
        .widgets()
        .create(&PostParams::default(), &extra)
        .await
        .unwrap();
    assert_eq!(created.data["spec"].get("nothing"), None);
}

#[tokio::test]
async fn generation_counts_wishes_and_status_is_apart() {
    let world = World::new();
    world.define_widgets().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &widget("a"))
        .await
        .unwrap();
    let params = PatchParams::default();
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}, "status": {"size": 7}}));
    let labelled = widgets.patch("a", &params, &labelled).await.unwrap();
    assert_eq!(
        (labelled.metadata.generation, labelled.data.get("status")),
        (Some(1), None)
    );
    let resized = widgets
        .patch("a", &params, &Patch::Merge(json!({"spec": {"size": 2}})))
        .await
        .unwrap();
    assert_eq!(resized.metadata.generation, Some(2));
    let status =
        Patch::Merge(json!({"metadata": {"labels": {"x": "z"}}, "spec": {"size": 9}, "status": {"size": 2}}));
    let status = widgets.patch_status("a", &params, &status).await.unwrap();
    assert_eq!(
        (&status.data["spec"]["size"], &status.data["status"]["size"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (status.metadata.generation, &status.metadata.labels.unwrap()["x"]),
        (Some(2), &"y".to_owned())
    );
}

#[tokio::test]
async fn replacing_a_custom_object_needs_its_version() {
    let world = World::new();
    world.define_widgets().await;
    let created = world
        .widgets()
        .create(&PostParams::default(), &widget("a"))
        .await
        .unwrap();
    let refused = refusal(
        world
            .widgets()
            .replace("a", &PostParams::default(), &widget("a"))
            .await,
    );
    assert_eq!(
        refused.message,
        "widgets.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an \
         update"
    );
    world
        .widgets()
        .replace("a", &PostParams::default(), &created)
        .await
        .unwrap();
}

#[tokio::test]
async fn scale_reads_and_writes_through_its_paths() {
    let world = World::new();
    world.define_widgets().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &widget("a"))
        .await
        .unwrap();
    assert_eq!(
        widgets.get_scale("a").await.unwrap().spec.unwrap().replicas,
        Some(1)
    );
    let scaled = widgets
        .patch_scale(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 5}})),
        )
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    let read = widgets.get("a").await.unwrap();
    assert_eq!(
        (&read.data["spec"]["size"], read.metadata.generation),
        (&json!(5), Some(2))
    );
}

#[tokio::test]
async fn selectable_fields_select() {
    let world = World::new();
    world.define_widgets().await;
    let widgets = world.widgets();
    let mut red = widget("red");
    red.data["spec"]["color"] = json!("red");
    widgets.create(&PostParams::default(), &red).await.unwrap();
    widgets
        .create(&PostParams::default(), &widget("blue"))
        .await
        .unwrap();
    let found = widgets
        .list(&ListParams::default().fields("spec.color=red"))
        .await
        .unwrap();
    assert_eq!(
        found
            .items
            .iter()
            .map(|item| item.metadata.name.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["red"]
    );
    let refused = refusal(widgets.list(&ListParams::default().fields("spec.size=1")).await);
    assert_eq!(refused.message, "field label not supported: spec.size");
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let world = World::new();
    world.define_widgets().await;
    let mut held = widget("held");
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    world
        .widgets()
        .create(&PostParams::default(), &held)
        .await
        .unwrap();
    world
        .widgets()
        .create(&PostParams::default(), &widget("free"))
        .await
        .unwrap();
    let definitions = world.api("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    definitions
        .delete("widgets.example.com", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(refusal(world.widgets().get("free").await).code, 404);
    assert!(
        world
            .widgets()
            .get("held")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    assert!(definitions.get("widgets.example.com").await.is_ok());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world
        .widgets()
        .patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    assert_eq!(refusal(definitions.get("widgets.example.com").await).code, 404);
    let gone = world.widgets().list(&ListParams::default()).await.unwrap_err();
    assert!(gone.to_string().contains("404"), "{gone}");
}

#[tokio::test]
async fn the_definitions_of_this_repository_are_served() {
    let world = World::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");
    let definitions = world.api("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let definition: Value = serde_saphyr::from_str(&text).unwrap();
        names.push(definition["metadata"]["name"].as_str().unwrap().to_owned());
        definitions
            .create(&PostParams::default(), &object(definition))
            .await
            .unwrap();
    }
    assert!(!names.is_empty(), "{folder} has none");
    for name in names {
        let definition = definitions.get(&name).await.unwrap();
        assert_eq!(
            definition.data["status"]["conditions"][1]["type"], "Established",
            "{name}"
        );
    }
    let groups = world
        .client
        .list_api_group_resources("ecs-operator.dev/v1alpha1")
        .await
        .unwrap();
    assert!(
        groups
            .resources
            .iter()
            .any(|resource| resource.name == "ecsservices/scale")
    );
}
