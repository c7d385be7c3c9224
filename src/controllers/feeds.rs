//! One list and watch per kind; what a change makes of it says the wiring.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::wiring::Wiring;
use crate::api::{ContainerInstance, EcsCluster, EcsService, RunTask, Task, TaskDefinition};
use crate::build::Pod;
use crate::cache::feed::{self, Scope, trim_meta};
use crate::cache::store::Change;

/// Takes off what is never read of a Node.
fn trim_node(node: &mut Node) {
    trim_meta(node);
    if let Some(status) = &mut node.status {
        status.images = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
    }
}

/// The same of a Task: there are tens of thousands.
fn trim_task(task: &mut Task) {
    trim_meta(task);
    if let Some(status) = &mut task.status {
        status.containers.shrink_to_fit();
        status.conditions.shrink_to_fit();
    }
}

/// Starts a list and watch for every kind, until `stop`.
pub fn start(feeds: &mut JoinSet<()>, client: &Client, context: &Context, stop: &CancellationToken) {
    let (cache, queues) = (&context.cache, &context.queues);
    let wiring = Arc::new(Wiring {
        cache: cache.clone(),
        queues: queues.clone(),
        ledger: context.ledger.clone(),
    });
    macro_rules! feed {
        ($kind:ty, $store:ident, $trim:expr, $scope:expr, $changed:expr) => {{
            let (api, cache, wiring, stop) = (
                Api::<$kind>::all(client.clone()),
                cache.clone(),
                wiring.clone(),
                stop.clone(),
            );
            feeds.spawn(async move {
                let changed = |change: Change<$kind>| $changed(&wiring, &change);
                feed::run(api, $scope, &cache.$store, $trim, changed, stop).await;
            });
        }};
    }
    let ours = Scope {
        labels: Some("app.kubernetes.io/managed-by=ecs-operator".to_owned()),
        fields: None,
    };
    feed!(
        Namespace,
        namespaces,
        trim_meta,
        Scope::default(),
        Wiring::namespace
    );
    feed!(EcsCluster, clusters, trim_meta, Scope::default(), Wiring::cluster);
    feed!(Node, nodes, trim_node, Scope::default(), Wiring::node);
    feed!(Pod, pods, trim_meta, Scope::default(), Wiring::pod);
    feed!(
        TaskDefinition,
        definitions,
        trim_meta,
        Scope::default(),
        Wiring::definition
    );
    feed!(EcsService, services, trim_meta, Scope::default(), Wiring::service);
    feed!(
        ContainerInstance,
        instances,
        trim_meta,
        Scope::default(),
        Wiring::instance
    );
    feed!(Task, tasks, trim_task, Scope::default(), Wiring::task);
    feed!(RunTask, requests, trim_meta, Scope::default(), Wiring::request);
    feed!(
        PodDisruptionBudget,
        budgets,
        trim_meta,
        ours.clone(),
        Wiring::budget
    );
}
