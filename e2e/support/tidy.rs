//! Sets right what a scenario that failed left behind, so that the next one begins as the first.

use ecs_operator::api::{ContainerInstance, InstanceDesiredStatus};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::space::MADE_HERE;

/// Deletes namespaces and volumes of scenarios, uncordons nodes, and makes instances ACTIVE without custom attributes. What cannot
/// be seen from here (nodes that are off or were added, settings, an operator at rest) is undone by guards when the
/// scenario fails: [`super::cluster`], [`super::operator`].
pub(super) async fn up(client: &Client) {
    delete_namespaces(client).await;
    delete_volumes(client).await;
    uncordon(client).await;
    reset_instances(client).await;
}

async fn delete_namespaces(client: &Client) {
    let api: Api<Namespace> = Api::all(client.clone());
    let made_here = ListParams::default().labels(MADE_HERE);
    let left = api.list(&made_here).await.unwrap().items;
    for namespace in left.iter().filter(|n| n.metadata.deletion_timestamp.is_none()) {
        let name = namespace.name_any();
        eprintln!("{name} was left behind; deleting it");
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

async fn delete_volumes(client: &Client) {
    let api: Api<PersistentVolume> = Api::all(client.clone());
    let made_here = ListParams::default().labels(MADE_HERE);
    match api.delete_collection(&DeleteParams::default(), &made_here).await {
        Ok(_) => {}
        // local mode has no volumes
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => panic!("volumes: {error}"),
    }
}

async fn uncordon(client: &Client) {
    let api: Api<Node> = Api::all(client.clone());
    for node in api.list(&ListParams::default()).await.unwrap() {
        if node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true)) {
            api.uncordon(&node.name_any()).await.unwrap();
        }
    }
}

async fn reset_instances(client: &Client) {
    let api: Api<ContainerInstance> = Api::all(client.clone());
    let clean = json!({ "spec": { "status": "ACTIVE", "attributes": [] } });
    for instance in api.list(&ListParams::default()).await.unwrap() {
        if instance.spec.status != InstanceDesiredStatus::Active || !instance.spec.attributes.is_empty() {
            let name = instance.name_any();
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&clean))
                .await
                .unwrap();
        }
    }
}
