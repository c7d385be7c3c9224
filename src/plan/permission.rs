//! Whether anything may be placed at all for a service or a namespace, whatever the room.

use std::collections::BTreeSet;

use super::texts;
use super::world::{Service, World};
use crate::domain::records::SchedulingStrategy;

/// Why a service may not place anything now, if so: its cluster is missing or going, its namespace is going or not
/// allowed, or its name is another's.
#[must_use]
pub fn may_place(world: &World, service: &Service) -> Option<String> {
    if let Some(why) = namespace_forbidden(world, &service.cluster, &service.key.namespace) {
        return Some(why);
    }
    let cluster = world.clusters.get(&service.cluster)?;
    if service.strategy == SchedulingStrategy::Daemon
        && outside(cluster.daemon_namespaces.as_ref(), &service.key.namespace)
    {
        return Some(format!(
            "Namespace {} may not run daemons in cluster {}: its daemonNamespaces do not select it.",
            service.key.namespace, cluster.name
        ));
    }
    name_taken(world, service)
}

/// Why nothing of the namespace may be placed in the cluster now, if so: one of them is going, the cluster is missing, or
/// the namespace is not among its allowedNamespaces. (CLU-5, CLU-7)
#[must_use]
pub fn namespace_forbidden(world: &World, cluster: &str, namespace: &str) -> Option<String> {
    if world.leaving_namespaces.contains(namespace) {
        return Some(format!("Namespace {namespace} is being deleted."));
    }
    let Some(cluster) = world.clusters.get(cluster) else {
        return Some(format!(
            "Cluster not found. Create an EcsCluster named {cluster}."
        ));
    };
    if cluster.deleting {
        return Some(format!(
            "Cluster {0} is being deleted. Use another cluster, or create EcsCluster {0} again once it is gone.",
            cluster.name
        ));
    }
    outside(cluster.allowed_namespaces.as_ref(), namespace).then(|| {
        format!(
            "Namespace {namespace} may not place tasks in cluster {}: its allowedNamespaces do not select it.",
            cluster.name
        )
    })
}

fn outside(allowed: Option<&BTreeSet<String>>, namespace: &str) -> bool {
    allowed.is_some_and(|names| !names.contains(namespace))
}

/// An older service of the namespace and cluster has the same ECS name, and with it the task group: this one waits
/// until that is gone. (SVC-5)
fn name_taken(world: &World, service: &Service) -> Option<String> {
    let age = |s: &Service| (s.created_at, s.key.clone());
    let older = world
        .services_named(&service.key.namespace, &service.ecs_name)
        .filter(|s| s.cluster == service.cluster && s.key != service.key)
        .find(|s| age(s) < age(service))?;
    let name = &service.ecs_name;
    let other = &older.key.name;
    Some(if older.deleting {
        format!(
            "{} EcsService {other} is being deleted and has the name {name}; this one starts when that is gone.",
            texts::STILL_DRAINING
        )
    } else {
        format!(
            "{} EcsService {other} has the name {name}. Delete one of the two, or create this one with another \
             serviceName.",
            texts::NOT_IDEMPOTENT
        )
    })
}
