//! Create, replace, patch and the versions they leave.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;

#[tokio::test]
async fn what_is_created_can_be_read() {
    let world = World::new();
    let maps = world.config_maps();
    let created = maps
        .create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    assert_eq!(created.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(
        created
            .metadata
            .creation_timestamp
            .as_ref()
            .unwrap()
            .0
            .to_string(),
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(created.metadata.uid.as_ref().unwrap().len(), 36);
    let read = maps.get("a").await.unwrap();
    assert_eq!(read, created);
    assert_eq!(read.data["data"], json!({"a": "b"}));
    let again = refusal(maps.create(&PostParams::default(), &config_map("a")).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "configmaps \"a\" already exists");
    assert_eq!(refusal(maps.get("b").await).message, "configmaps \"b\" not found");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let world = World::new();
    let maps = world.config_maps();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let before = world.server.version();
    let created = maps.create(&dry, &config_map("a")).await.unwrap();
    assert!(created.metadata.uid.is_some() && created.metadata.resource_version.is_none());
    assert_eq!(world.server.version(), before);
    assert_eq!(refusal(maps.get("a").await).code, 404);
}

#[tokio::test]
async fn a_generated_name_ends_in_five_letters() {
    let world = World::new();
    let mut map = config_map("");
    map.metadata.name = None;
    map.metadata.generate_name = Some("a-".to_owned());
    let first = world
        .config_maps()
        .create(&PostParams::default(), &map)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();
    let second = world
        .config_maps()
        .create(&PostParams::default(), &map)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();
    assert!(
        first.starts_with("a-") && first.len() == 7 && first != second,
        "{first} {second}"
    );
}

#[tokio::test]
async fn an_update_of_an_older_version_is_a_conflict() {
    let world = World::new();
    let maps = world.config_maps();
    let first = maps
        .create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let mut changed = first.clone();
    changed.data["data"] = json!({"a": "c"});
    let second = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(second.metadata.resource_version, first.metadata.resource_version);
    let late = refusal(maps.replace("a", &PostParams::default(), &changed).await);
    assert_eq!((late.code, late.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        late.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let world = World::new();
    let maps = world.config_maps();
    let created = maps
        .create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let version = world.server.version();
    let same = maps.replace("a", &PostParams::default(), &created).await.unwrap();
    assert_eq!(same.metadata.resource_version, created.metadata.resource_version);
    let patch = Patch::Merge(json!({"data": {"a": "b"}}));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(world.server.version(), version);
}

#[tokio::test]
async fn patches_of_three_kinds() {
    let world = World::new();
    let maps = world.config_maps();
    maps.create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let params = PatchParams::default();
    let merged = maps
        .patch(
            "a",
            &params,
            &Patch::Merge(json!({"data": {"x": "y", "a": null}})),
        )
        .await
        .unwrap();
    assert_eq!(merged.data["data"], json!({"x": "y"}));
    let operations = serde_json::from_value(json!([{"op": "add", "path": "/data/z", "value": "1"}])).unwrap();
    let patched = maps
        .patch("a", &params, &Patch::Json::<()>(operations))
        .await
        .unwrap();
    assert_eq!(patched.data["data"], json!({"x": "y", "z": "1"}));
    let mut metadata = patched.metadata.clone();
    assert!(metadata.managed_fields.take().is_some());
    let operations = json!([{"op": "test", "path": "/metadata", "value": metadata}]);
    let operations = Patch::Json::<()>(serde_json::from_value(operations).unwrap());
    let differs = refusal(maps.patch("a", &params, &operations).await);
    assert_eq!(differs.code, 422, "managed fields are part of the metadata");
    let pods = world.api("v1", "Pod");
    pods.create(&PostParams::default(), &pod("p", json!({})))
        .await
        .unwrap();
    let image = json!({"spec": {"containers": [{"name": "c", "image": "i:2"}]}});
    let strategic = pods.patch("p", &params, &Patch::Strategic(image)).await.unwrap();
    assert_eq!(strategic.data["spec"]["containers"][0]["image"], "i:2");
    assert_eq!(
        strategic.data["spec"]["containers"][0]["terminationMessagePolicy"],
        "File"
    );
    assert_eq!(strategic.metadata.generation, Some(2));
}

#[tokio::test]
async fn metadata_that_cannot_change() {
    let world = World::new();
    let maps = world.config_maps();
    maps.create(&PostParams::default(), &config_map("a"))
        .await
        .unwrap();
    let uid = refusal(
        maps.patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"uid": "q"}})),
        )
        .await,
    );
    assert_eq!(uid.code, 422);
    assert_eq!(
        uid.message,
        "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"q\": field is immutable"
    );
    let name = refusal(
        maps.patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"name": "q"}})),
        )
        .await,
    );
    assert_eq!(
        name.message,
        "the name of the object (q) does not match the name on the URL (a)"
    );
}

#[tokio::test]
async fn names_and_labels_are_checked() {
    let world = World::new();
    let mut map = config_map("A_b");
    let wrong = refusal(world.config_maps().create(&PostParams::default(), &map).await);
    assert_eq!((wrong.code, wrong.reason.as_str()), (422, "Invalid"));
    assert!(wrong.message.starts_with(
        "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain"
    ));
    map = config_map("a");
    map.metadata.labels = Some([("k".to_owned(), "x y".to_owned())].into());
    let wrong = refusal(world.config_maps().create(&PostParams::default(), &map).await);
    assert_eq!(wrong.details.unwrap().causes[0].field, "metadata.labels");
}

#[tokio::test]
async fn unknown_fields_by_wish_of_the_client() {
    let world = World::new();
    let mut map = config_map("a");
    map.data["foo"] = json!(1);
    let request = |validation: &str, body: &DynamicObject| {
        http::Request::post(format!(
            "/api/v1/namespaces/default/configmaps?fieldValidation={validation}&dryRun=All"
        ))
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(body).unwrap())
        .unwrap()
    };
    let strict = refusal(
        world
            .client
            .request::<DynamicObject>(request("Strict", &map))
            .await,
    );
    assert_eq!(
        strict.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"foo\""
    );
    let ignored = world
        .client
        .request::<DynamicObject>(request("Ignore", &map))
        .await
        .unwrap();
    assert_eq!(ignored.data.get("foo"), None);
}

#[tokio::test]
async fn namespaces_admit_objects_or_not() {
    let world = World::new();
    let missing: Api<DynamicObject> = Api::namespaced_with(
        world.client.clone(),
        "nope",
        &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap")),
    );
    let refused = refusal(missing.create(&PostParams::default(), &config_map("a")).await);
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (404, "namespaces \"nope\" not found")
    );
}

#[tokio::test]
async fn objects_too_large_are_refused() {
    let world = World::new();
    let mut map = config_map("a");
    map.data["data"] = json!({"a": "x".repeat(1_100_000)});
    let refused = refusal(world.config_maps().create(&PostParams::default(), &map).await);
    assert_eq!(
        refused.message,
        "ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes"
    );
    let env = json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "x".repeat(1_600_000)}]}]});
    let refused = refusal(
        world
            .api("v1", "Pod")
            .create(&PostParams::default(), &pod("p", env))
            .await,
    );
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (500, "etcdserver: request is too large")
    );
    map.data["data"] = json!({"a": "x".repeat(3_200_000)});
    assert_eq!(
        refusal(world.config_maps().create(&PostParams::default(), &map).await).code,
        413
    );
}
