//! EcsClusters: counters, and nodes that two of them claim. (CLU-3)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::Context;
use super::errors::Error;
use crate::api::conditions::{self, State};
use crate::api::{EcsCluster, EcsClusterStatus, InstanceStatus, LastStatus, finalizers};
use crate::cache::convert::cluster_of;
use crate::plan::world::Key;

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
    let world = context.cache.snapshot(Timestamp::now(), 0);
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let members: Vec<_> = world.instances_of(&key.name).collect();
    let tasks = || world.tasks().filter(|t| t.cluster == key.name && t.wanted());
    let old = object.status.clone().unwrap_or_default();
    let disputed = disputed(&context, &object);
    let ready = if disputed.is_empty() {
        State::yes("AsExpected", "every selected node joins this cluster")
    } else {
        State::no(
            "NodesClaimedTwice",
            &format!(
                "other clusters select these nodes too: {}; the oldest cluster has them; make the nodeSelectors disjoint",
                disputed.join(", ")
            ),
        )
    };
    let generation = object.metadata.generation;
    let next = EcsClusterStatus {
        status: if deleting { "DEPROVISIONING" } else { "ACTIVE" }.to_owned(),
        observed_generation: generation,
        registered_container_instances_count: count(
            members
                .iter()
                .filter(|i| matches!(i.status, InstanceStatus::Active | InstanceStatus::Draining))
                .count(),
        ),
        running_tasks_count: count(tasks().filter(|t| t.last == LastStatus::Running).count()),
        pending_tasks_count: count(tasks().filter(|t| t.last < LastStatus::Running).count()),
        active_services_count: count(
            world
                .services
                .values()
                .filter(|s| s.cluster == key.name && !s.deleting)
                .count(),
        ),
        conditions: conditions::merge(&old.conditions, &[("Ready", ready)], generation, world.now),
    };
    if next != old {
        context.applier.report_cluster(&object, &next).await?;
    }
    if deleting && members.is_empty() {
        context.applier.release_cluster(&object).await?;
    }
    Ok(Action::await_change())
}

fn disputed(context: &Context, object: &EcsCluster) -> Vec<String> {
    let clusters = context.cache.clusters.all();
    let nodes = context.cache.nodes.all();
    let claimed_twice = nodes.iter().filter(|node| {
        let (_, claiming) = cluster_of(node, clusters.iter().map(AsRef::as_ref));
        claiming.len() > 1 && claiming.iter().any(|c| c.name_any() == object.name_any())
    });
    claimed_twice.take(10).map(|node| node.name_any()).collect()
}
