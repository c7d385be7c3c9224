//! Whether the world is at rest in the state that is wanted: every service has its tasks, and nothing is left over.

use std::collections::BTreeSet;

use ecs_operator::api::{
    ContainerInstance, EcsService, InstanceStatus, LastStatus, SchedulingStrategy, Task, labels,
};
use ecs_operator::audit::Kind;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::history::Recording;
use crate::user::{DAEMON, MAIN, REPLICAS};

fn all<T: DeserializeOwned>(recording: &Recording, kind: Kind) -> Vec<T> {
    recording
        .all(kind)
        .map(|object| serde_json::from_value(object.clone()).unwrap())
        .collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether what is left of the instance is too little for a task of the service, as it has one elsewhere.
fn is_full(instance: &ContainerInstance, service: &EcsService, instances: &[ContainerInstance]) -> bool {
    let mut shares = instances
        .iter()
        .flat_map(|i| i.status.iter())
        .flat_map(|s| &s.reservations);
    let own = |uid: &str| Some(uid) == service.metadata.uid.as_deref();
    let share = shares.find(|share| share.service.as_ref().is_some_and(|of| own(&of.uid)));
    let left = instance.status.as_ref().map(|status| &status.remaining_resources);
    matches!((share, left), (Some(share), Some(left)) if left.lack_for(&share.amounts).is_some())
}

/// What is missing or left over; empty at rest.
pub(crate) fn unrest(recording: &Recording) -> Vec<String> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        for object in recording
            .all(kind)
            .filter(|o| !o["metadata"]["deletionTimestamp"].is_null())
        {
            found.push(format!("{kind} {} is being deleted", name(object)));
        }
    }
    let tasks: Vec<Task> = all(recording, Kind::Task);
    let services: Vec<EcsService> = all(recording, Kind::EcsService);
    let instances: Vec<ContainerInstance> = all(recording, Kind::ContainerInstance);
    pods(recording, &tasks, &mut found);
    for service in &services {
        let status = service.status.clone().unwrap_or_default();
        let open = (
            status.deployments.len(),
            status.allocations.len(),
            status.stopping.len(),
        );
        if open != (1, 0, 0) {
            found.push(format!(
                "service {:?}: deployments, ids, marks {open:?}",
                service.metadata.name
            ));
        }
        let of: Vec<&Task> = tasks.iter().filter(|t| is_of(t, service) && !ended(t)).collect();
        let running = of.iter().filter(|t| last(t) == LastStatus::Running).count();
        let wanted = match service.spec.scheduling_strategy {
            SchedulingStrategy::Replica => {
                usize::try_from(service.spec.desired_count.unwrap_or(1)).unwrap_or(0)
            }
            SchedulingStrategy::Daemon => {
                let active = instances.iter().filter(|i| active(i));
                let there: BTreeSet<_> = of
                    .iter()
                    .filter_map(|t| t.spec.container_instance.clone())
                    .collect();
                // a service made anew finds what others took since; it says so
                let told = |name: &String| {
                    let mut failures = status.placement_failures.iter();
                    failures.any(|f| f.container_instance == *name && f.reason.starts_with("RESOURCE:"))
                };
                let active: BTreeSet<_> = active
                    .filter(|i| {
                        let excused =
                            i.metadata.name.as_ref().is_some_and(told) && is_full(i, service, &instances);
                        !excused || i.metadata.name.as_ref().is_some_and(|name| there.contains(name))
                    })
                    .filter_map(|i| i.metadata.name.clone())
                    .collect();
                if active != there {
                    found.push(format!("daemons on {there:?}, instances {active:?}"));
                }
                active.len()
            }
        };
        if (of.len(), running) != (wanted, wanted) {
            let (alive, name) = (of.len(), &service.metadata.name);
            found.push(format!(
                "service {name:?}: {wanted} wanted, {alive} alive, {running} RUNNING"
            ));
        }
        let current =
            |task: &&&Task| task.spec.started_by.as_ref() != status.deployments.first().map(|d| &d.id);
        if of.iter().any(|t| current(&t)) {
            found.push(format!(
                "service {:?} has tasks of an old deployment",
                service.metadata.name
            ));
        }
    }
    let expected = REPLICAS.iter().map(|(name, _)| *name).chain([DAEMON]);
    for name in expected {
        let there = |s: &&EcsService| {
            s.metadata.name.as_deref() == Some(name) && s.metadata.namespace.as_deref() == Some(MAIN)
        };
        if services.iter().find(there).is_none() {
            found.push(format!("service {name} is not there"));
        }
    }
    found
}

fn pods(recording: &Recording, tasks: &[Task], found: &mut Vec<String>) {
    for pod in recording.all(Kind::Pod) {
        let owner = pod["metadata"]["ownerReferences"][0]["uid"].as_str();
        let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
        let over = matches!(phase, "Succeeded" | "Failed");
        let task = tasks.iter().find(|t| t.metadata.uid.as_deref() == owner);
        if !over && task.is_none_or(ended) {
            found.push(format!("Pod {} is {phase} and has no task that runs", name(pod)));
        }
        let marked = !pod["metadata"]["annotations"][labels::PROTECTED_UNTIL].is_null();
        let protected = |task: &Task| task.status.as_ref().is_some_and(|s| s.protected_until.is_some());
        if !over && marked && !task.is_some_and(protected) {
            found.push(format!("Pod {} says that its task is protected", name(pod)));
        }
        if !over && !pod["metadata"]["annotations"][labels::QUIESCE].is_null() {
            found.push(format!("Pod {} says that its task should finish", name(pod)));
        }
    }
    for task in tasks.iter().filter(|t| !ended(t)) {
        // every one is wanted by now (PROT-11)
        if task.status.as_ref().is_some_and(|s| s.quiesce.is_some()) {
            found.push(format!("Task {:?} is told to finish", task.metadata.name));
        }
        let uid = task.metadata.uid.as_deref();
        let running = recording.all(Kind::Pod).any(|pod| {
            pod["metadata"]["ownerReferences"][0]["uid"].as_str() == uid
                && pod["status"]["phase"] == "Running"
        });
        if !running {
            found.push(format!("Task {:?} has no running Pod", task.metadata.name));
        }
    }
}

fn is_of(task: &Task, service: &EcsService) -> bool {
    task.spec.service.as_ref().map(|s| &s.uid) == service.metadata.uid.as_ref()
}

fn last(task: &Task) -> LastStatus {
    task.status.as_ref().map(|s| s.last_status).unwrap_or_default()
}

fn ended(task: &Task) -> bool {
    task.spec.tombstone || last(task) == LastStatus::Stopped
}

fn active(instance: &ContainerInstance) -> bool {
    instance
        .status
        .as_ref()
        .is_some_and(|s| s.status == InstanceStatus::Active && s.schedulable)
}
