//! The circuit breaker: counts what fails of the PRIMARY while it is in progress, gives it up, and takes the service back
//! to the deployment that was last completed. (CB, DEP-4)
//!
//! Invariants: a task is counted once, for its id stands in the deployment until its object is gone, and ids never come
//! again (F4); what is counted is written together with what follows from it, in one conditional write; what failed is
//! started again only for another wish of the user (CB-9).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::world::{Key, Service, Task, World};
use super::{ServicePlan, backoff, deployment, texts};
use crate::domain::deployment::{
    CircuitBreakerState, CircuitBreakerStatus, Deployment, DeploymentStatus, Rollback, RolloutState,
};
use crate::domain::records::{DesiredStatus, HealthStatus, SchedulingStrategy, StopCode};

/// Most characters of the reason that a rollback keeps.
const REASON_CHARS_MAX: usize = 1024;

/// Something that happened to a task and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// It ended without ever RUNNING. (CB-4)
    NeverRan,
    /// It was stopped because its health checks failed. (CB-5)
    Unhealthy,
    /// It became healthy. (CB-6)
    Healthy,
}

/// Counts what is new of the PRIMARY, and gives it up if that is too much. (CB-4 to CB-6, CB-13)
pub(super) fn watch(world: &World, service: &Service, plan: &mut ServicePlan) {
    for deployment in &mut plan.deployments {
        if deployment.status != DeploymentStatus::Primary
            || deployment.rollout_state != RolloutState::InProgress
        {
            leave(deployment);
        }
    }
    let open = |d: &&mut Deployment| d.rollout_state == RolloutState::InProgress;
    let Some(primary) = plan.deployments.first_mut().filter(open) else {
        return;
    };
    let desired = match service.strategy {
        SchedulingStrategy::Replica => service.desired_count,
        // what the last pass found; a deployment that was just made has no failures yet (DAEMON-38)
        SchedulingStrategy::Daemon => u32::try_from(primary.desired_count).unwrap_or_default(),
    };
    let threshold = i64::from(service.circuit_breaker.threshold(desired));
    // a rollback is not rolled back (CB-12)
    let enabled = service.circuit_breaker.enable && primary.rollback.is_none();
    let too_many = count(world, service, primary, threshold);
    let failures = primary
        .deployment_circuit_breaker
        .get_or_insert_with(CircuitBreakerState::default);
    failures.threshold = threshold;
    failures.status = if enabled {
        CircuitBreakerStatus::Monitoring
    } else {
        CircuitBreakerStatus::Disabled
    };
    if enabled && too_many {
        give_up(world, service, plan);
    }
}

/// Nothing is counted of a deployment that is not in progress, or not PRIMARY. (CB-13)
fn leave(deployment: &mut Deployment) {
    deployment.counted_tasks.clear();
    if let Some(state) = &mut deployment.deployment_circuit_breaker
        && state.status == CircuitBreakerStatus::Monitoring
    {
        state.status = CircuitBreakerStatus::MonitoringComplete;
    }
}

/// Counts what happened to the deployment's tasks and is not counted yet, in the order in which it happened. Whether
/// the threshold was reached at any moment. (DEP-4, CB-4 to CB-7)
fn count(world: &World, service: &Service, primary: &mut Deployment, threshold: i64) -> bool {
    let tasks = || {
        world
            .tasks_of(&service.uid)
            .map(AsRef::as_ref)
            .filter(|t: &&Task| t.started_by == primary.id && !t.tombstone)
    };
    let first = tasks().filter_map(|t| t.started_at).min();
    let running_since = [time(primary.first_running_at.as_ref()), first]
        .into_iter()
        .flatten()
        .min();
    let last_failure = time(primary.last_failure_at.as_ref());
    let health = Health::of(world, service, primary);
    let known: BTreeSet<&str> = primary.counted_tasks.iter().map(String::as_str).collect();
    let mut happened: Vec<(Timestamp, What, &str)> = Vec::new();
    for task in tasks() {
        let id = task.key.name.as_str();
        if !known.contains(id) {
            happened.extend(failed(task, world.now).map(|(at, what)| (at, what, id)));
        }
        // one that was healthy before clears nothing: so it need not be remembered which ones were
        let since = health.since(task).filter(|at| Some(*at) > last_failure);
        happened.extend(since.map(|at| (at, What::Healthy, id)));
    }
    happened.sort_unstable();

    let before = primary.deployment_circuit_breaker.as_ref();
    let mut failures = before.map_or(0, |state| state.failure_count);
    let mut in_a_row = primary.failed_tasks;
    let mut counted = primary.counted_tasks.clone();
    let mut newest = last_failure;
    // the desired count may have come down to what was counted before
    let mut too_many = failures >= threshold;
    for (at, what, id) in happened {
        match what {
            What::Healthy => {
                in_a_row = 0;
                if service.circuit_breaker.reset_on_healthy_task {
                    failures = 0;
                }
            }
            What::NeverRan | What::Unhealthy => {
                in_a_row = in_a_row.saturating_add(1);
                let first_stage = running_since.is_none_or(|since| at < since);
                if what == What::Unhealthy || first_stage {
                    failures = failures.saturating_add(1);
                }
                counted.push(id.to_owned());
                newest = newest.max(Some(at));
                too_many |= failures >= threshold;
            }
        }
    }
    let exists = |id: &String| world.task(&Key::new(&service.key.namespace, id)).is_some();
    counted.retain(exists);
    counted.sort_unstable();
    primary.counted_tasks = counted;
    primary.failed_tasks = in_a_row;
    primary.first_running_at = running_since.map(|at| at.to_string());
    primary.last_failure_at = newest.map(|at| at.to_string());
    primary
        .deployment_circuit_breaker
        .get_or_insert_with(CircuitBreakerState::default)
        .failure_count = failures;
    too_many
}

/// Whether a task failed, when and how. One that ended by itself after RUNNING did not; neither did one that somebody
/// stopped, or whose machine went away. (CB-4, CB-5, CB-7)
fn failed(task: &Task, now: Timestamp) -> Option<(Timestamp, What)> {
    if let Some(ended) = backoff::never_started(task, now) {
        return Some((ended, What::NeverRan));
    }
    let told = task.desired == DesiredStatus::Stopped
        && task.stop_code == Some(StopCode::ServiceSchedulerInitiated)
        && task.stopped_reason.as_deref() == Some(texts::UNHEALTHY);
    told.then(|| (task.stopped_at.unwrap_or(now), What::Unhealthy))
}

/// When tasks of a deployment become healthy. (HEALTH-1)
struct Health {
    checked: bool,
    after: SignedDuration,
    now: Timestamp,
}

impl Health {
    fn of(world: &World, service: &Service, deployment: &Deployment) -> Self {
        let definition = deployment::lookup(world, service, deployment);
        Self {
            checked: definition.is_some_and(|d| d.health_checked),
            after: deployment::healthy_after(world, service),
            now: world.now,
        }
    }

    /// Since when a task is, or was, healthy.
    fn since(&self, task: &Task) -> Option<Timestamp> {
        let started = task.started_at?;
        if self.checked {
            let healthy = task.alive() && task.health == HealthStatus::Healthy;
            return healthy.then(|| task.healthy_since.unwrap_or(started));
        }
        let until = task.stopped_at.map_or(self.now, |at| at.min(self.now));
        let ended = !task.alive() && task.stopped_at.is_none();
        let at = started.checked_add(self.after).ok()?;
        (at <= until && !ended && task.health != HealthStatus::Unhealthy).then_some(at)
    }
}

/// The PRIMARY failed: nothing more of it is started. With rollback the service goes back to the deployment that was last
/// completed, if there is one and its definition still exists. (CB-9 to CB-11, EVT-17, EVT-18)
fn give_up(world: &World, service: &Service, plan: &mut ServicePlan) {
    let now = world.now.to_string();
    let Some(failed) = plan.deployments.first_mut() else {
        return;
    };
    failed.rollout_state = RolloutState::Failed;
    failed.rollout_state_reason = Some(texts::ROLLOUT_FAILED.to_owned());
    failed.updated_at.clone_from(&now);
    failed.counted_tasks.clear();
    if let Some(state) = &mut failed.deployment_circuit_breaker {
        state.status = CircuitBreakerStatus::Triggered;
    }
    plan.events.push(texts::deployment_failed(&failed.id));
    let completed = plan
        .deployments
        .iter()
        .position(|d| !d.failed() && d.was_completed());
    let Some(index) = completed.filter(|_| service.circuit_breaker.rollback) else {
        return;
    };
    let exists = |d: &Deployment| deployment::lookup(world, service, d).is_some();
    if !plan.deployments.get(index).is_some_and(exists) {
        return;
    }
    let mut target = plan.deployments.remove(index);
    if let Some(failed) = plan.deployments.first_mut() {
        failed.status = DeploymentStatus::Active;
        target.requested.clone_from(&failed.requested);
        target.forced.clone_from(&failed.forced);
        let reason = backoff::failing(world, service, &failed.id);
        target.rollback = Some(Rollback {
            from: failed.id.clone(),
            task_definition: failed.task_definition.clone(),
            reason: reason.map(|text| text.chars().take(REASON_CHARS_MAX).collect()),
            at: now.clone(),
        });
    }
    target.status = DeploymentStatus::Primary;
    target.rollout_state = RolloutState::InProgress;
    target.rollout_state_reason = Some(texts::rolling_back(&target.id));
    target.updated_at = now;
    begin_anew(world, service, &mut target);
    plan.events.push(texts::rolling_back_to(&target.id));
    plan.deployments.insert(0, target);
}

/// Whether it was in this very pass that the service went back. (CB-10)
pub(super) fn turned(world: &World, plan: &ServicePlan) -> bool {
    let rollback = plan.deployments.first().and_then(|d| d.rollback.as_ref());
    rollback.is_some_and(|rollback| rollback.at == world.now.to_string())
}

/// What happened before counts no more.
fn begin_anew(world: &World, service: &Service, target: &mut Deployment) {
    target
        .completed_at
        .get_or_insert_with(|| target.updated_at.clone());
    target.failed_tasks = 0;
    target.deployment_circuit_breaker = None;
    let of_target = |t: &&Task| t.started_by == target.id && !t.tombstone;
    let tasks = world.tasks_of(&service.uid).map(AsRef::as_ref).filter(of_target);
    target.counted_tasks = tasks
        .filter(|t| failed(t, world.now).is_some())
        .map(|t| t.key.name.clone())
        .collect();
    target.counted_tasks.sort_unstable();
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|t| t.parse().ok())
}

/// Why nothing is started of a PRIMARY that failed, and what to change; `None`: it has not failed. (CB-9, CB-11)
pub(super) fn hindrance(world: &World, service: &Service, plan: &ServicePlan) -> Option<String> {
    let primary = plan.deployments.first().filter(|d| d.failed())?;
    let why = backoff::failing(world, service, &primary.id);
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    let completed = plan.deployments.iter().find(|d| d.was_completed());
    let back = match completed {
        _ if !service.circuit_breaker.rollback => String::new(),
        None => " There is no completed deployment to go back to.".to_owned(),
        Some(d) if deployment::lookup(world, service, d).is_none() => format!(
            " It can't be rolled back: TaskDefinition {} of deployment {} is gone.",
            d.task_definition_name, d.id
        ),
        Some(_) => String::new(),
    };
    Some(format!(
        "Deployment {} of {} failed: {}{why}.{back} Nothing more of it is started, and what runs stays. Name another \
         revision in spec.taskDefinition, or change spec.forceNewDeployment to try this one again.",
        primary.id,
        primary.task_definition,
        texts::FAILED
    ))
}

/// What was rolled back, as long as the user wishes what failed. (CB-10)
pub(super) fn rolled_back(plan: &ServicePlan) -> Option<String> {
    let primary = plan.deployments.first()?;
    let rollback = primary.rollback.as_ref()?;
    let why = rollback.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    Some(format!(
        "deployment {} of {} failed: {}{why}; the service went back to {} (deployment {}): name another revision in \
         spec.taskDefinition, or change spec.forceNewDeployment to try {} again",
        rollback.from,
        rollback.task_definition,
        texts::FAILED,
        primary.task_definition,
        primary.id,
        rollback.task_definition
    ))
}
