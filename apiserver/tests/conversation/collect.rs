//! Garbage collection by owner references.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;

fn owned(name: &str, owner: &DynamicObject, blocks: bool) -> DynamicObject {
    let mut map = config_map(name);
    map.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: owner.metadata.name.clone().unwrap(),
        uid: owner.metadata.uid.clone().unwrap(),
        block_owner_deletion: Some(blocks),
        controller: None,
    }]);
    map
}

async fn family(world: &World) -> (DynamicObject, DynamicObject) {
    let maps = world.config_maps();
    let owner = maps
        .create(&PostParams::default(), &config_map("owner"))
        .await
        .unwrap();
    let child = maps
        .create(&PostParams::default(), &owned("child", &owner, true))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &owned("grandchild", &child, true))
        .await
        .unwrap();
    (owner, child)
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let world = World::new();
    family(&world).await;
    let maps = world.config_maps();
    maps.delete("owner", &DeleteParams::background()).await.unwrap();
    for name in ["owner", "child", "grandchild"] {
        assert_eq!(refusal(maps.get(name).await).code, 404, "{name}");
    }
}

#[tokio::test]
async fn in_the_foreground_the_owner_waits() {
    let world = World::new();
    family(&world).await;
    let maps = world.config_maps();
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    maps.patch("grandchild", &PatchParams::default(), &hold)
        .await
        .unwrap();
    maps.delete("owner", &DeleteParams::foreground()).await.unwrap();
    for name in ["owner", "child", "grandchild"] {
        assert!(
            maps.get(name)
                .await
                .unwrap()
                .metadata
                .deletion_timestamp
                .is_some(),
            "{name}"
        );
    }
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("grandchild", &PatchParams::default(), &release)
        .await
        .unwrap();
    for name in ["owner", "child", "grandchild"] {
        assert_eq!(refusal(maps.get(name).await).code, 404, "{name}");
    }
}

#[tokio::test]
async fn orphans_stay() {
    let world = World::new();
    family(&world).await;
    let maps = world.config_maps();
    maps.delete("owner", &DeleteParams::orphan()).await.unwrap();
    assert_eq!(refusal(maps.get("owner").await).code, 404);
    assert_eq!(maps.get("child").await.unwrap().metadata.owner_references, None);
    assert!(maps.get("grandchild").await.is_ok());
}

#[tokio::test]
async fn an_owner_that_never_was_or_is_another_by_now() {
    let world = World::new();
    let maps = world.config_maps();
    let mut owner = maps
        .create(&PostParams::default(), &config_map("owner"))
        .await
        .unwrap();
    let solid = owned("two-owners", &owner, false);
    owner.metadata.uid = Some("another".to_owned());
    maps.create(&PostParams::default(), &owned("stray", &owner, false))
        .await
        .unwrap();
    assert_eq!(refusal(maps.get("stray").await).code, 404);
    let mut both = solid.clone();
    both.metadata
        .owner_references
        .as_mut()
        .unwrap()
        .extend(owned("x", &owner, false).metadata.owner_references.unwrap());
    maps.create(&PostParams::default(), &both).await.unwrap();
    assert_eq!(
        maps.get("two-owners").await.unwrap().metadata.owner_references,
        solid.metadata.owner_references
    );
}
