//! `dependsOn`: which container becomes what in the Pod, in which order, and how long the way down takes.
//!
//! - Target of SUCCESS → init container: it must end with 0 before anything after it starts.
//! - Target of START or HEALTHY → native sidecar; for HEALTHY with a startup probe. The kubelet stops sidecars after the
//!   containers that need them, in reverse order, as ECS does. (STOP-4)
//! - A START target that would leave the Pod without an essential container to keep it alive → plain container, listed
//!   before those that wait for it: the kubelet starts containers in the order of the list.
//! - Target of COMPLETE → refused: no Pod waits for an end whatever its exit code.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{ContainerCondition, ContainerDefinition};

use super::unsupported::Refusals;

/// Seconds between stop signal and kill where a container says nothing. (STOP-3)
const STOP_TIMEOUT_SECONDS: i64 = 30;

/// What a container becomes in the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A container: the Pod lives while one of these runs.
    App,
    /// A native sidecar: starts before, stops after the containers.
    Sidecar,
    /// An init container: runs to its end before what follows.
    Init,
}

/// A container with its role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arranged<'a> {
    pub(super) container: &'a ContainerDefinition,
    pub(super) role: Role,
    /// Whether somebody waits for it to be HEALTHY: it gets a startup probe.
    pub(super) awaited_healthy: bool,
}

/// Containers in the order they start, dependencies first, otherwise as in the definition.
pub(super) fn arrange<'a>(
    containers: &'a [ContainerDefinition],
    refusals: &mut Refusals,
) -> Vec<Arranged<'a>> {
    let ordered = start_order(containers, refusals);
    let targets = targets(containers);
    let awaited = |name: &str, condition| targets.get(name).is_some_and(|t| t.contains(&Key(condition)));
    let mut arranged: Vec<Arranged<'a>> = ordered
        .into_iter()
        .map(|container| Arranged {
            container,
            role: match () {
                () if awaited(&container.name, ContainerCondition::Success) => Role::Init,
                () if targets.contains_key(container.name.as_str()) => Role::Sidecar,
                () => Role::App,
            },
            awaited_healthy: awaited(&container.name, ContainerCondition::Healthy),
        })
        .collect();
    keep_pod_alive(&mut arranged, refusals);
    check_targets(&arranged, &targets, refusals);
    report_waits(&arranged, refusals);
    arranged
}

/// Grace period of the Pod: the longest way down. ECS stops a container after those that depend on it, so the time is the
/// sum of stopTimeouts along the longest dependency chain (STOP-4). The kubelet stops plain containers together and then
/// the sidecars one by one, related or not, so the sum over that way counts too: a container never gets less than its own
/// stopTimeout. SUCCESS targets have ended before those that wait for them run, and add nothing to a chain.
pub(super) fn grace_seconds(arranged: &[Arranged<'_>]) -> i64 {
    let mut chains: BTreeMap<&str, i64> = BTreeMap::new();
    for Arranged { container, .. } in arranged {
        let before = container
            .depends_on
            .iter()
            .filter(|d| {
                matches!(
                    d.condition,
                    ContainerCondition::Start | ContainerCondition::Healthy
                )
            })
            .filter_map(|d| chains.get(d.container_name.as_str()).copied())
            .max()
            .unwrap_or(0);
        chains.insert(&container.name, before.saturating_add(stop_timeout(container)));
    }
    let chain = chains.values().copied().max().unwrap_or(STOP_TIMEOUT_SECONDS);
    let of = |role| {
        arranged
            .iter()
            .filter(move |a| a.role == role)
            .map(|a| stop_timeout(a.container))
    };
    let first = of(Role::App).chain(of(Role::Init)).max().unwrap_or(0);
    chain.max(of(Role::Sidecar).fold(first, i64::saturating_add))
}

/// Names of the containers that wait, directly or not, for `name`.
pub(super) fn dependents<'a>(containers: &'a [ContainerDefinition], name: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![name];
    while let Some(target) = open.pop() {
        for container in containers {
            let waits = container.depends_on.iter().any(|d| d.container_name == target);
            if waits && found.insert(container.name.as_str()) {
                open.push(&container.name);
            }
        }
    }
    found
}

fn stop_timeout(container: &ContainerDefinition) -> i64 {
    container
        .stop_timeout
        .filter(|s| *s > 0)
        .unwrap_or(STOP_TIMEOUT_SECONDS)
}

/// Dependencies first; among those that may start, the order of the definition.
fn start_order<'a>(
    containers: &'a [ContainerDefinition],
    refusals: &mut Refusals,
) -> Vec<&'a ContainerDefinition> {
    let names: BTreeSet<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    for container in containers {
        for dependency in container
            .depends_on
            .iter()
            .filter(|d| !names.contains(d.container_name.as_str()))
        {
            let other = &dependency.container_name;
            refusals.refuse(
                &container.name,
                "dependsOn",
                format!("there is no container '{other}'."),
            );
        }
    }
    let mut waiting: Vec<&ContainerDefinition> = containers.iter().collect();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|c| {
            c.depends_on.iter().all(|d| {
                let name = d.container_name.as_str();
                placed.contains(name) || !names.contains(name)
            })
        });
        let Some(index) = ready else {
            let circle: Vec<&str> = waiting.iter().map(|c| c.name.as_str()).collect();
            refusals.refuse_task(
                "dependsOn",
                format!("these containers wait for each other: {}.", circle.join(", ")),
            );
            ordered.append(&mut waiting);
            break;
        };
        let container = waiting.remove(index);
        placed.insert(&container.name);
        ordered.push(container);
    }
    ordered
}

/// A condition, ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(ContainerCondition);

fn targets(containers: &[ContainerDefinition]) -> BTreeMap<&str, Vec<Key>> {
    let mut targets: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
    for dependency in containers.iter().flat_map(|c| &c.depends_on) {
        targets
            .entry(&dependency.container_name)
            .or_default()
            .push(Key(dependency.condition));
    }
    targets
}

/// A Pod ends when its plain containers have ended, sidecars or not; a task goes on while essential containers run. So one
/// plain container must be essential: if none is, an essential START target becomes a plain container.
fn keep_pod_alive(arranged: &mut [Arranged<'_>], refusals: &mut Refusals) {
    let essential_app = |a: &Arranged<'_>| a.role == Role::App && a.container.essential;
    if arranged.iter().any(essential_app) {
        return;
    }
    let all: Vec<Arranged<'_>> = arranged.to_vec();
    let only_plain_wait = |target: &str| {
        all.iter().all(|a| {
            a.container
                .depends_on
                .iter()
                .filter(|d| d.container_name == target)
                .all(|d| a.role == Role::App && d.condition == ContainerCondition::Start)
        })
    };
    let candidate = arranged
        .iter_mut()
        .rev()
        .find(|a| a.role == Role::Sidecar && a.container.essential && only_plain_wait(&a.container.name));
    if let Some(found) = candidate {
        found.role = Role::App;
        return;
    }
    let waiting: Vec<&str> = all
        .iter()
        .filter(|a| a.role == Role::App)
        .map(|a| a.container.name.as_str())
        .collect();
    if waiting.is_empty() {
        // all are waited for: a circle, which was refused already
        return;
    }
    refusals.refuse_task(
        "dependsOn",
        format!(
            "no essential container can keep the Pod alive: only {} would, and a Pod ends with its last container that \
             nobody waits for. Make one of them essential, or let them not depend on the essential container.",
            waiting.join(", ")
        ),
    );
}

fn check_targets(arranged: &[Arranged<'_>], targets: &BTreeMap<&str, Vec<Key>>, refusals: &mut Refusals) {
    for Arranged {
        container,
        role,
        awaited_healthy,
    } in arranged
    {
        let name = &container.name;
        let Some(conditions) = targets.get(name.as_str()) else {
            continue;
        };
        let has = |condition| conditions.contains(&Key(condition));
        if has(ContainerCondition::Complete) {
            refusals.refuse(
                name,
                "dependsOn",
                "another container waits for it to COMPLETE, which Kubernetes can't wait for: an init container must end \
                 with exit code 0. Wait for SUCCESS and let it exit with 0.",
            );
        }
        if container.essential && has(ContainerCondition::Success) {
            refusals.refuse(
                name,
                "essential",
                "a container that others wait for to end with SUCCESS must not be essential.",
            );
        }
        if *awaited_healthy && container.health_check.is_none() {
            refusals.refuse(
                name,
                "healthCheck",
                "another container waits for it to be HEALTHY, but it has no health check.",
            );
        }
        if *awaited_healthy && *role == Role::Init {
            refusals.refuse(
                name,
                "dependsOn",
                "it can't be awaited both as HEALTHY and as ended with SUCCESS: split it.",
            );
        }
        if container.start_timeout.is_some_and(|s| s > 0) && !awaited_healthy {
            refusals.report(
                name,
                "startTimeout",
                "has no effect but for a container that others wait for to be HEALTHY.",
            );
        }
        if *role == Role::Sidecar && !container.essential {
            refusals.report(
                name,
                "essential",
                "others wait for it, so it is a sidecar of the Pod: if it ends, Kubernetes starts it again, and it is shown \
                 as STOPPED with its first exit code.",
            );
        }
    }
}

/// Init containers and probed sidecars hold up every container after them, also those that do not wait in ECS.
fn report_waits(arranged: &[Arranged<'_>], refusals: &mut Refusals) {
    let all: Vec<ContainerDefinition> = arranged.iter().map(|a| a.container.clone()).collect();
    for gate in arranged
        .iter()
        .filter(|a| a.role == Role::Init || (a.role == Role::Sidecar && a.awaited_healthy))
    {
        let waiting = dependents(&all, &gate.container.name);
        let held: Vec<&str> = arranged
            .iter()
            .filter(|a| a.role == Role::App && !waiting.contains(a.container.name.as_str()))
            .map(|a| a.container.name.as_str())
            .collect();
        if !held.is_empty() {
            refusals.report(
                &gate.container.name,
                "dependsOn",
                format!(
                    "in a Pod these wait for it too, though they do not in ECS: {}.",
                    held.join(", ")
                ),
            );
        }
    }
}
