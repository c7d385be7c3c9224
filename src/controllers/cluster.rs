//! EcsClusters: status, and the finalizer that waits for the last instance.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use crate::api::finalizers;
use crate::plan::world::Key;
use crate::report::cluster::{claimed_twice, describe};
use crate::runtime::source;

/// Counters settle for this long before they are written.
const SETTLE: Duration = Duration::from_secs(1);

/// Brings a cluster's status up to date.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    tokio::time::sleep(SETTLE).await;
    let Some(object) = context.cache.clusters.named(&key.name) else {
        return Ok(Action::await_change());
    };
    let deleting = object.metadata.deletion_timestamp.is_some();
    if !deleting && !object.finalizers().iter().any(|f| f == finalizers::CLUSTER) {
        context.applier.hold_cluster(&object).await?;
    }
    let world = context.cache.snapshot(source::now(), 0);
    let clusters = context.cache.clusters.all();
    let nodes = context.cache.nodes.all();
    let disputed = claimed_twice(&object, &clusters, nodes.iter().map(AsRef::as_ref));
    let next = describe(&object, &world, &disputed);
    if object.status.as_ref() != Some(&next) {
        context.applier.report_cluster(&object, &next).await?;
    }
    if deleting && world.instances_of(&key.name).next().is_none() {
        context.applier.release_cluster(&object).await?;
    }
    Ok(Action::await_change())
}
