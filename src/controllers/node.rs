//! A Node that an EcsCluster selects becomes a ContainerInstance named as the node. (CI-1)

use std::sync::Arc;

use kube::ResourceExt;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use crate::api::{ContainerInstance, ContainerInstanceSpec, finalizers, labels};
use crate::cache::convert::cluster_of;
use crate::ledger::outcome::Outcome;
use crate::plan::world::Key;

/// Registers the node if it has no instance yet.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(node) = context.cache.nodes.named(&key.name) else {
        return Ok(Action::await_change());
    };
    if context.cache.instances.named(&key.name).is_some() || node.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let deregistered = node.annotations().get(labels::DEREGISTERED);
    if deregistered.is_some_and(|uid| Some(uid) == node.uid().as_ref()) {
        return Ok(Action::await_change());
    }
    let clusters = context.cache.clusters.all();
    let (Some(cluster), _) = cluster_of(&node, clusters.iter().map(AsRef::as_ref)) else {
        return Ok(Action::await_change());
    };
    let spec = ContainerInstanceSpec {
        cluster: cluster.name_any(),
        ..ContainerInstanceSpec::default()
    };
    let mut instance = ContainerInstance::new(&key.name, spec);
    instance.metadata.finalizers = Some(vec![finalizers::INSTANCE.to_owned()]);
    instance.metadata.labels = Some([(labels::CLUSTER.to_owned(), cluster.name_any())].into());
    match context.ledger.create_instance(&instance).await {
        Outcome::Applied(()) | Outcome::Exists => {
            context.queues.instances.push_named(&key.name);
            Ok(Action::await_change())
        }
        other => other.certain().map(|()| Action::await_change()),
    }
}
