//! The invariants, worked out anew from the world; shared with the planners are only the types, the percent table and
//! the sum of what daemons hold back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::records::{HealthStatus, InstanceStatus, LastStatus, SchedulingStrategy};
use crate::domain::rollout::Bounds;
use crate::plan::deployment::DEPLOYMENTS_MAX;
use crate::plan::eligibility::withheld;
use crate::plan::testing::*;
use crate::plan::timeline::Timeline;
use crate::plan::world::{Instance, Service, Task, World};
use crate::plan::{STARTS_MAX, STOPS_MAX, ServicePlan};

pub(super) fn checked(scene: &mut Scene, name: &str, reserved: usize) {
    let plan = scene.plan(name);
    assert_eq!(plan, scene.plan(name), "same world, same plan");
    check(scene, name, &plan);
    check_deployments(scene.get(name), &plan);
    scene.commit_until(name, &plan, reserved);
    scene.tell(&plan);
    check_ledger(scene);
}

/// Whether no two zones with an instance that takes tasks differ by more than one task of the service. (AZ-4)
pub(super) fn balanced(scene: &Scene, name: &str) -> bool {
    let instances = || scene.world.instances.values();
    let zone = |i: &Instance| i.attributes.get("ecs.availability-zone").cloned().flatten();
    let open = instances().filter(|i| i.status == InstanceStatus::Active);
    let zones: BTreeSet<String> = open.filter_map(|i| zone(i)).collect();
    let here = scene.where_wanted(name);
    let counts: Vec<usize> = zones
        .iter()
        .map(|of| {
            let there = |at: &&String| zone(&scene.world.instances[*at]).as_ref() == Some(of);
            here.iter().filter(there).count()
        })
        .collect();
    counts.iter().max().copied().unwrap_or(0) <= counts.iter().min().copied().unwrap_or(0) + 1
}

fn marked(service: &Service, task: &Task) -> bool {
    service
        .stopping
        .iter()
        .any(|m| m.id == task.key.name && m.task_version == task.version.to_string())
}

fn lost(world: &World, task: &Task) -> bool {
    let instance = task.instance.as_ref().and_then(|i| world.instances.get(i));
    let since = instance.and_then(|i| i.disconnected_since);
    since.is_some_and(|s| world.now.duration_since(s) >= SignedDuration::from_secs(300))
}

fn healthy(world: &World, task: &Task) -> bool {
    task.wanted()
        && task.last == LastStatus::Running
        && task.health != HealthStatus::Unhealthy
        && task
            .started_at
            .is_some_and(|at| world.now.duration_since(at) >= SignedDuration::from_secs(40))
}

/// Ids that count for the upper bound: with Task or reservation, and given out only.
fn wanted(scene: &Scene, service: &Service) -> (BTreeSet<String>, BTreeSet<String>) {
    let world = &scene.world;
    let unseen = |id: &str| world.task(&key(id)).is_none();
    let tasks = world.tasks_of(&service.uid).filter(|t| t.wanted());
    let mut placed: BTreeSet<String> = tasks.map(|t| t.key.name.clone()).collect();
    for entry in world.instances.values().flat_map(|i| &i.reservations) {
        if entry.service.as_ref().is_some_and(|s| s.uid == service.uid) && unseen(&entry.task) {
            placed.insert(entry.task.clone());
        }
    }
    let ids = service.allocations.iter().map(|a| a.id.clone());
    let given_out = ids.filter(|id| unseen(id) && !placed.contains(id)).collect();
    (placed, given_out)
}

/// I2, I3, I4, I6, I7, limits, and that nothing is decided twice.
pub(super) fn check(scene: &Scene, name: &str, plan: &ServicePlan) {
    let (world, service) = (&scene.world, scene.get(name));
    assert!(plan.start.len() <= STARTS_MAX && plan.stop.len() <= STOPS_MAX);
    assert!(!plan.steady || (plan.start.is_empty() && plan.stop.is_empty() && plan.stalled.is_none()));
    let stopped: BTreeSet<&str> = plan.stop.iter().map(|s| s.task.name.as_str()).collect();
    assert_eq!(stopped.len(), plan.stop.len(), "a task is stopped once");
    for stop in &plan.stop {
        if let Some(task) = world.task(&stop.task) {
            assert!(task.wanted() && !marked(service, task));
            assert_eq!((&stop.uid, &stop.version), (&task.uid, &task.version.to_string()));
            let held = task.protected_until.is_some_and(|u| u > world.now) && !service.deleting;
            let replica = service.strategy == SchedulingStrategy::Replica;
            assert!(
                !held || !replica || lost(world, task) || task.health == HealthStatus::Unhealthy,
                "I7: {stop:?}"
            );
            if task.is_daemon() {
                let at = task.instance.as_deref().unwrap();
                let others = world.tasks_on(at).any(|t| t.alive() && !t.is_daemon());
                assert!(
                    !others || world.instances[at].status != InstanceStatus::Draining,
                    "I4: {stop:?}"
                );
            }
        }
    }
    for tell in &plan.tell {
        // PROT-11: a task that is stopped stays as it was seen, and nothing is told that was told or need not be heard
        let task = world.task(&tell.task).unwrap();
        assert!(task.wanted() && !marked(service, task) && !stopped.contains(tell.task.name.as_str()));
        assert_eq!((&tell.uid, tell.version), (&task.uid, task.version));
        assert_ne!(tell.reason.is_some(), task.told.is_some(), "{tell:?}");
        let held = task.protected_until.is_some_and(|u| u > world.now);
        assert!(held || tell.reason.is_none(), "{tell:?}");
    }
    let mut daemons_here: BTreeMap<&str, usize> = BTreeMap::new();
    for start in &plan.start {
        assert!(!service.deleting);
        assert!(start.id.as_ref().is_none_or(|id| !stopped.contains(id.as_str())));
        let instance = &world.instances[&start.instance];
        assert!(
            instance.status == InstanceStatus::Active && instance.connected,
            "I3"
        );
        *daemons_here.entry(&start.instance).or_default() += 1;
        if service.strategy == SchedulingStrategy::Daemon {
            let reserved = instance
                .reservations
                .iter()
                .any(|r| r.service.as_ref().is_some_and(|s| s.uid == service.uid));
            let alive = world
                .tasks_on(&start.instance)
                .any(|t| t.alive() && t.service.as_ref().is_some_and(|s| s.uid == service.uid));
            assert!(
                !reserved && !alive && daemons_here[start.instance.as_str()] == 1,
                "I2, DAEMON-35"
            );
        } else {
            let kept = withheld(world, instance);
            let room = match start.behind {
                // OPT-1: it fits when all that is stopping there has ended and all that waits has started
                Some(_) => Timeline::of(world, instance, kept).unpromised(),
                None => instance.remaining().remaining(&kept),
            };
            assert_eq!(room.lack_for(&start.demand), None, "daemons' room is left alone");
        }
    }
    if service.strategy == SchedulingStrategy::Replica {
        check_bounds(scene, service, plan, &stopped);
    }
}

/// DEP-2, DEP-6, CB-9, CB-10: one PRIMARY, nothing of what failed is started, and what failed stays so.
fn check_deployments(service: &Service, plan: &ServicePlan) {
    let Some((primary, older)) = plan.deployments.split_first() else {
        assert!(plan.start.is_empty());
        return;
    };
    assert_eq!(primary.status, DeploymentStatus::Primary);
    assert!(older.iter().all(|d| d.status == DeploymentStatus::Active));
    // what could be gone back to, and what was gone back from, may have no tasks
    assert!(plan.deployments.len() <= DEPLOYMENTS_MAX + 2);
    assert!(plan.start.iter().all(|s| s.deployment == primary.id));
    assert!(plan.start.is_empty() || !primary.failed(), "CB-9");
    assert!(
        primary.rollback.is_none() || primary.completed_at.is_some(),
        "CB-10"
    );
    for before in service.deployments.iter().filter(|d| d.failed()) {
        let after = plan.deployments.iter().find(|d| d.id == before.id);
        assert!(after.is_none_or(Deployment::failed), "CB-9: {after:?}");
    }
    let Some(before) = service.deployments.iter().find(|d| d.id == primary.id) else {
        return;
    };
    let failures = |d: &Deployment| {
        d.deployment_circuit_breaker
            .as_ref()
            .map_or(0, |s| s.failure_count)
    };
    if failures(primary) > failures(before) {
        let new = primary
            .counted_tasks
            .iter()
            .filter(|id| !before.counted_tasks.contains(id));
        let new = i64::try_from(new.count()).unwrap();
        assert!(
            primary.failed() || failures(primary) - failures(before) <= new,
            "DEP-4: each task counts once"
        );
    }
}

fn check_bounds(scene: &Scene, service: &Service, plan: &ServicePlan, stopped: &BTreeSet<&str>) {
    let world = &scene.world;
    let bounds = Bounds::new(
        service.desired_count,
        service.minimum_healthy_percent,
        service.maximum_percent,
    );
    let (placed, given_out) = wanted(scene, service);
    let fresh = plan.start.iter().filter(|s| s.id.is_none()).count();
    if fresh > 0 {
        assert!(
            placed.len() + given_out.len() + fresh <= bounds.upper as usize,
            "I6 upper"
        );
    }
    if !plan.start.is_empty() {
        assert!(
            placed.len() + plan.start.len() <= bounds.upper as usize,
            "I6 upper"
        );
    }
    let counts = |t: &&std::sync::Arc<Task>| healthy(world, t) && !marked(service, t) && !lost(world, t);
    let before: Vec<_> = world.tasks_of(&service.uid).filter(counts).collect();
    let after = before
        .iter()
        .filter(|t| !stopped.contains(t.key.name.as_str()))
        .count();
    if after < before.len() && !service.deleting {
        assert!(after >= bounds.lower as usize, "I6 lower: {plan:?}");
    }
}

/// I1: no instance has given away more than it has, and no port twice.
pub(super) fn check_ledger(scene: &Scene) {
    for instance in scene.world.instances.values() {
        let left = instance.remaining();
        assert!(
            left.cpu >= 0 && left.memory >= 0 && left.pods >= 0,
            "I1: {instance:?}"
        );
        let ports = instance
            .reservations
            .iter()
            .map(|r| r.amounts.ports.len())
            .sum::<usize>();
        assert_eq!(left.ports.len(), ports, "I1: a port is taken twice");
    }
}

/// I8: each share has its task, each bound task that has not ended its share, and each entry of a queue its unbound task.
pub(super) fn check_rest(scene: &Scene) {
    let world = &scene.world;
    for instance in world.instances.values() {
        for entry in &instance.reservations {
            let task = world.task(&key(&entry.task));
            assert!(task.is_some_and(|t| t.alive()), "I8: {entry:?}");
        }
        for entry in &instance.queue {
            let task = world.task(&key(&entry.task));
            assert!(
                task.is_some_and(|t| t.wanted() && t.instance.is_none()),
                "I8: {entry:?}"
            );
        }
    }
    for task in world.tasks().filter(|t| t.alive()) {
        let Some(at) = task.instance.as_ref().map(|name| &world.instances[name]) else {
            continue;
        };
        assert!(at.reservation(&task.key).is_some(), "I8: {task:?}");
    }
}
