//! Daemons that must be ready on an instance before other tasks come there, and that leave after them.
//!
//! A service names such daemons itself (`dependsOnDaemons`), or its cluster asks it for all replicas and run-once tasks
//! (`replicasWaitForDaemons`). Room that daemons hold back is held back either way.

use std::collections::BTreeSet;

use super::eligibility::{expected, rejection};
use super::rejection::stage;
use super::world::{Instance, Key, Rejection, Service, Task, World};
use crate::domain::records::{HealthStatus, LastStatus, SchedulingStrategy, ServiceRef};

/// Whether there is anything that tasks of the service wait for on an instance.
#[must_use]
pub(super) fn waits(world: &World, service: &Service) -> bool {
    let cluster = world.clusters.get(&service.cluster);
    !service.depends_on_daemons.is_empty() || cluster.is_some_and(|cluster| cluster.replicas_wait_for_daemons)
}

/// What keeps a task of the service off the instance until a daemon is ready there.
#[must_use]
pub(super) fn check_service(world: &World, instance: &Instance, service: &Service) -> Option<Rejection> {
    let daemon = |name: &&String| {
        let daemon = world.services.get(&Key::new(&service.key.namespace, *name));
        !daemon.is_some_and(|daemon| ready(world, instance, &daemon.uid))
    };
    let named = service.depends_on_daemons.iter().find(daemon);
    let named = named.map(|name| missing(instance, name, "the service's dependsOnDaemons name it"));
    let replica = service.strategy == SchedulingStrategy::Replica;
    named.or_else(|| replica.then(|| check_cluster(world, instance)).flatten())
}

/// What keeps replicas and run-once tasks off the instance until its daemons are ready, where the cluster wants that.
#[must_use]
pub(super) fn check_cluster(world: &World, instance: &Instance) -> Option<Rejection> {
    let wanted = world.clusters.get(&instance.cluster);
    if !wanted.is_some_and(|cluster| cluster.replicas_wait_for_daemons) {
        return None;
    }
    let claims = world.claims(&instance.cluster);
    let expected = expected(world, instance, &claims).into_iter();
    let mut late = expected.filter(|claim| !ready(world, instance, &claim.uid));
    late.next().map(|claim| {
        let daemon = world.daemons().find(|daemon| daemon.uid == claim.uid);
        let name = daemon.map_or("", |daemon| daemon.key.name.as_str());
        missing(instance, name, "replicasWaitForDaemons of the EcsCluster is set")
    })
}

/// Whether the task of a daemon is what others wait for: it runs and, if it has health checks, is healthy.
fn is_ready(world: &World, task: &Task) -> bool {
    let definition = world.definition_in_use(&task.key.namespace, &task.definition);
    let checked = definition.is_some_and(|definition| definition.health_checked);
    task.wanted() && task.last == LastStatus::Running && (!checked || task.health == HealthStatus::Healthy)
}

/// Whether tasks that wait for this daemon are still on the instance, or on their way there: it leaves a draining instance
/// after them. Daemons that wait for each other in a circle hold up no drain: nobody could go first.
#[must_use]
pub(super) fn needed(world: &World, instance: &Instance, daemon: &Service) -> bool {
    if ring(world, daemon).is_some() {
        return false;
    }
    let waits = |namespace: &str, of: Option<&ServiceRef>| {
        let service = of.and_then(|of| world.services.get(&Key::new(namespace, &of.name)));
        namespace == daemon.key.namespace
            && service.is_some_and(|service| service.depends_on_daemons.contains(&daemon.key.name))
    };
    let mut alive = world.tasks_on(&instance.name).filter(|task| task.alive());
    let runs = alive.any(|task| waits(&task.key.namespace, task.service.as_ref()));
    let comes = instance.reservations.iter().any(|entry| {
        let unseen = world.task(&Key::new(&entry.namespace, &entry.task)).is_none();
        unseen && waits(&entry.namespace, entry.service.as_ref())
    });
    runs || comes
}

/// Why what the service depends on can never be had, and what to change.
#[must_use]
pub(super) fn impossible(world: &World, service: &Service) -> Option<String> {
    let namespace = &service.key.namespace;
    for name in &service.depends_on_daemons {
        let found = world.services.get(&Key::new(namespace, name));
        if !found.is_some_and(|s| s.strategy == SchedulingStrategy::Daemon && s.cluster == service.cluster) {
            return Some(format!(
                "dependsOnDaemons names {name}, and namespace {namespace} has no EcsService of that name with the DAEMON \
                 strategy in cluster {}: create it, or take the name out.",
                service.cluster
            ));
        }
    }
    let ring = ring(world, service)?;
    Some(format!(
        "dependsOnDaemons go round in a circle: {}. Take one of these names out.",
        ring.join(" → ")
    ))
}

/// The way from a service back to itself, if there is one.
fn ring(world: &World, service: &Service) -> Option<Vec<String>> {
    let start = &service.key.name;
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().and_then(|name| {
            let key = Key::new(&service.key.namespace, name);
            world.services.get(&key)
        });
        for next in last.iter().flat_map(|service| &service.depends_on_daemons) {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

fn ready(world: &World, instance: &Instance, service: &str) -> bool {
    world.tasks_on(&instance.name).any(|task| {
        let of_service = task.service.as_ref().is_some_and(|s| s.uid == service);
        of_service && is_ready(world, task)
    })
}

fn missing(instance: &Instance, daemon: &str, why: &str) -> Rejection {
    rejection(
        instance,
        stage::STATUS,
        "DAEMON",
        "encountered error \"DAEMON\"".to_owned(),
        format!("daemon {daemon} does not run there or is not healthy yet, and {why}"),
    )
}
