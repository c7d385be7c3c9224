//! The list of deployments: what the service asks for becomes the PRIMARY, older ones stay while they have tasks.
//!
//! Timestamps and texts change only with a deployment's state, so an unchanged world gives the very same list.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::held_up::held_up;
use super::members::{HEALTHY_AFTER_SECONDS, Member, Phase, count, deployments_held, wanted_count};
use super::success::{self, Progress};
use super::world::{Definition, Key, Service, World};
use super::{ServicePlan, breaker, choice, history, permission, texts};
use crate::domain::expr::Expression;
use crate::domain::records::{Deployment, DeploymentStatus, LastStatus, RolloutState};
use crate::domain::resources::Resources;
use crate::domain::rollout::Standing;

/// Most deployments in PRIMARY and ACTIVE at once. (DEP-6)
pub const DEPLOYMENTS_MAX: usize = 5;

/// Most placement constraints of a service and its task definition together. (CONS-3)
pub(super) const CONSTRAINTS_MAX: usize = 10;

/// What new tasks are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe<'a> {
    /// Definition of the PRIMARY deployment.
    pub(super) definition: &'a Definition,
    /// What a task takes.
    pub(super) demand: &'a Resources,
    /// Constraints of the service.
    pub(super) constraints: &'a [Expression],
}

/// Starts a plan with the deployments there are to be; their counts are still those of the last pass. What hinders
/// goes to `stalled`. (DEP-2, ROLL-1)
pub(super) fn begin(world: &World, service: &Service, members: &[Member<'_>]) -> ServicePlan {
    let held = deployments_held(members);
    let mut plan = ServicePlan {
        deployments: service.deployments.clone(),
        ..ServicePlan::default()
    };
    if !service.deleting && wish_is_new(service) {
        match resolve(world, service) {
            Err(why) => plan.stalled = Some(why),
            Ok(definition) => {
                let open = count(held.iter());
                let too_many = usize::try_from(open).unwrap_or(usize::MAX) >= DEPLOYMENTS_MAX;
                match plan.deployments.first_mut() {
                    Some(primary)
                        if primary.task_definition_uid == definition.uid
                            && primary.forced == service.forced =>
                    {
                        // Another word for the same revision changes nothing, as in UpdateService; but what the
                        // service went back to is now what is asked for.
                        primary.requested.clone_from(&service.requested_definition);
                        primary.rollback = None;
                    }
                    Some(_) if too_many => {
                        plan.stalled = Some(format!(
                            "{} Wait until older deployments have no tasks, or end the protection of their tasks.",
                            texts::TOO_MANY_DEPLOYMENTS
                        ));
                    }
                    first => {
                        if let Some(former) = first {
                            former.status = DeploymentStatus::Active;
                            former.updated_at = world.now.to_string();
                        }
                        let primary = new_primary(world, service, definition, members);
                        plan.deployments.retain(|d| d.id != primary.id);
                        plan.deployments.insert(0, primary);
                    }
                }
            }
        }
    }
    if !service.deleting {
        breaker::watch(world, service, &mut plan);
    }
    keep(&mut plan, &held);
    plan
}

/// Deployments without tasks go from the list, but for the PRIMARY and, until that is completed, the last one that was,
/// for the service may go back to it, and the one it went back from. (DEP-2, CB-10)
fn keep(plan: &mut ServicePlan, held: &BTreeSet<&str>) {
    let open = plan
        .deployments
        .first()
        .is_some_and(|d| d.rollout_state != RolloutState::Completed);
    let older = plan.deployments.iter().skip(1);
    let last = older.clone().find(|d| d.was_completed()).map(|d| d.id.clone());
    let primary = plan.deployments.first();
    let from = primary.and_then(|p| Some(p.rollback.as_ref()?.from.clone()));
    let kept: BTreeSet<String> = [last, from].into_iter().flatten().filter(|_| open).collect();
    plan.deployments.retain(|d| {
        d.status == DeploymentStatus::Primary || held.contains(d.id.as_str()) || kept.contains(&d.id)
    });
}

/// How long a task without health checks runs until it is healthy. (HEALTH-1)
pub(super) fn healthy_after(world: &World, service: &Service) -> SignedDuration {
    let cluster = world.clusters.get(&service.cluster);
    SignedDuration::from_secs(cluster.map_or(HEALTHY_AFTER_SECONDS, |c| c.healthy_after_seconds))
}

/// Whether the service asks for something else than its PRIMARY deployment was made for.
pub(super) fn wish_is_new(service: &Service) -> bool {
    service
        .primary()
        .is_none_or(|p| p.requested != service.requested_definition || p.forced != service.forced)
}

/// The definition of the deployment that the service's wish will make, if it is new and can be had.
pub(super) fn wished<'a>(world: &'a World, service: &Service) -> Option<&'a Arc<Definition>> {
    wish_is_new(service)
        .then(|| resolve(world, service).ok())
        .flatten()
}

/// The definition a new deployment would use, if tasks can be made of it. (TD-4, TD-5)
fn resolve<'a>(world: &'a World, service: &Service) -> Result<&'a Arc<Definition>, String> {
    let (namespace, wanted) = (&service.key.namespace, &service.requested_definition);
    let Some(definition) = world.definition(namespace, wanted) else {
        let or = "or change spec.taskDefinition";
        return Err(texts::no_definition(world, namespace, wanted, or));
    };
    if !definition.active {
        return Err(format!(
            "TaskDefinition is inactive. Name another revision than {} in spec.taskDefinition, or set spec.status of \
             TaskDefinition {} to ACTIVE.",
            definition.id(),
            definition.key.name
        ));
    }
    recipe_of(service, definition)?;
    Ok(definition)
}

/// What tasks of the definition are made of, or why none can be.
pub(super) fn recipe_of<'a>(service: &'a Service, definition: &'a Definition) -> Result<Recipe<'a>, String> {
    let demand = definition.demand.as_ref().map_err(|texts| texts.join(" "))?;
    let of_definition = definition.constraints.as_ref();
    of_definition.map_err(|error| format!("TaskDefinition {}: {error}.", definition.key.name))?;
    let of_service = service.constraints.as_ref();
    let constraints = of_service.map_err(|error| format!("EcsService {}: {error}.", service.key.name))?;
    let of_task = definition.constraints.as_ref().map_or(0, Vec::len);
    let of_service = constraints
        .len()
        .saturating_add(usize::from(service.distinct_instance));
    if of_task.saturating_add(of_service) > CONSTRAINTS_MAX {
        return Err(format!(
            "At most {CONSTRAINTS_MAX} placement constraints are allowed: the service has {of_service}, TaskDefinition {} \
             has {of_task}. Remove some, or join expressions by and.",
            definition.key.name
        ));
    }
    Ok(Recipe {
        definition,
        demand,
        constraints,
    })
}

/// What new tasks of the plan's PRIMARY are made of; `None`: none can be made, and `stalled` says why.
pub(super) fn recipe<'a>(
    world: &'a World,
    service: &'a Service,
    plan: &mut ServicePlan,
) -> Option<Recipe<'a>> {
    let primary = plan.deployments.first()?;
    let made = match lookup(world, service, primary) {
        None => Err(format!(
            "{} TaskDefinition {} of deployment {} {}. Create a new revision and name it in spec.taskDefinition.",
            texts::NO_DEFINITION,
            primary.task_definition_name,
            primary.id,
            if world.definitions.contains_key(&definition_key(service, primary)) {
                "was deleted, and the one of that name now is another"
            } else {
                "is gone"
            }
        )),
        Some(definition) => recipe_of(service, definition),
    };
    match made {
        Ok(recipe) => Some(recipe),
        Err(why) => {
            plan.stalled = Some(why);
            None
        }
    }
}

/// The definition of a deployment, if it still exists as the same object.
pub(super) fn lookup<'a>(
    world: &'a World,
    service: &Service,
    deployment: &Deployment,
) -> Option<&'a Arc<Definition>> {
    let found = world.definitions.get(&definition_key(service, deployment));
    found.filter(|d| d.uid == deployment.task_definition_uid)
}

fn definition_key(service: &Service, deployment: &Deployment) -> Key {
    Key::new(&service.key.namespace, &deployment.task_definition_name)
}

/// Whether the service may place tasks now; otherwise `stalled` says why not.
pub(super) fn may_place(world: &World, service: &Service, plan: &mut ServicePlan) -> bool {
    if let Some(hindrance) = permission::may_place(world, service) {
        plan.stalled = Some(hindrance);
        return false;
    }
    let failed = breaker::hindrance(world, service, plan);
    let free = failed.is_none();
    if let Some(why) = failed {
        // why something else that is asked for can't be had says more
        plan.stalled.get_or_insert(why);
    }
    free
}

fn new_primary(
    world: &World,
    service: &Service,
    definition: &Definition,
    members: &[Member<'_>],
) -> Deployment {
    let id = adopted(service, definition, members).unwrap_or_else(|| fresh_id(world, service));
    let now = world.now.to_string();
    Deployment {
        rollout_state_reason: Some(texts::rollout_in_progress(&id)),
        id,
        status: DeploymentStatus::Primary,
        task_definition: definition.id(),
        task_definition_name: definition.key.name.clone(),
        task_definition_uid: definition.uid.clone(),
        requested: service.requested_definition.clone(),
        forced: service.forced.clone(),
        created_at: now.clone(),
        updated_at: now,
        ..Deployment::default()
    }
}

/// A service that lost its status takes up the deployment of its newest tasks of this revision again, so that they
/// need not be replaced.
fn adopted(service: &Service, definition: &Definition, members: &[Member<'_>]) -> Option<String> {
    if !service.deployments.is_empty() {
        return None;
    }
    let revision = definition.id();
    members
        .iter()
        .filter(|m| m.live() && m.task.is_some_and(|t| t.definition == revision))
        .filter(|m| m.deployment.starts_with("ecs-svc/"))
        .max_by_key(|m| (m.created_at, &m.key))
        .map(|m| m.deployment.to_owned())
}

/// `ecs-svc/` and 19 digits that no other deployment of the service has. (DEP-1)
fn fresh_id(world: &World, service: &Service) -> String {
    let version = service.version.to_string();
    let former = service.primary().map_or("", |p| p.id.as_str());
    let forced = service.forced.as_deref().unwrap_or_default();
    let names = [
        service.uid.as_str(),
        &version,
        former,
        &service.requested_definition,
        forced,
    ];
    let number = choice::draw(world.seed, &names).checked_rem(9_000_000_000_000_000_000);
    format!(
        "ecs-svc/{}",
        1_000_000_000_000_000_000u64.saturating_add(number.unwrap_or_default())
    )
}

/// Closes a plan: fills in the counts of its deployments, and completes the PRIMARY if it `arrived` or enough of it did; not in
/// the pass that goes back to it. (DEP-1, ROLL-8, ROLL-9, CB-10)
pub(super) fn finish(
    world: &World,
    service: &Service,
    plan: &mut ServicePlan,
    members: &[Member<'_>],
    arrived: bool,
) {
    let turned = breaker::turned(world, plan);
    let arrived = arrived && !turned;
    if turned {
        plan.wake_at = Some(world.now);
    }
    for deployment in &mut plan.deployments {
        let of = || members.iter().filter(|m| m.deployment == deployment.id);
        let (running, pending) = (
            count(of().filter(|m| last(m) == LastStatus::Running)),
            count(of().filter(|m| last(m) < LastStatus::Running)),
        );
        let desired = match deployment.status {
            DeploymentStatus::Primary => plan.desired_count,
            DeploymentStatus::Active => count(of().filter(|m| m.live())),
        };
        deployment.desired_count = i64::from(desired);
        deployment.running_count = i64::from(running);
        deployment.pending_count = i64::from(pending);
    }
    let progress = if turned {
        Progress::Open
    } else {
        success::progress(world, service, plan, members, arrived)
    };
    complete(world, plan, members, progress);
    let baking = match progress {
        Progress::Baking(until) => Some(texts::baking(until)),
        Progress::Open | Progress::Succeeded => None,
    };
    plan.warming = baking.or_else(|| warming(world, plan, members));
    plan.held_up = held_up(members);
    plan.rolled_back = breaker::rolled_back(plan);
    plan.history = history::after(world, service, plan);
    let in_progress = |d: &Deployment| d.rollout_state == RolloutState::InProgress;
    plan.steady = arrived && plan.stalled.is_none() && !plan.deployments.first().is_some_and(in_progress);
    if plan.steady {
        plan.events.push(texts::STEADY.to_owned());
    }
}

/// Notes in a PRIMARY that is in progress how far it is.
fn complete(world: &World, plan: &mut ServicePlan, members: &[Member<'_>], progress: Progress) {
    let open = |d: &&mut Deployment| d.rollout_state == RolloutState::InProgress;
    let Some(primary) = plan.deployments.first_mut().filter(open) else {
        return;
    };
    match progress {
        Progress::Open => primary.baking_since = None,
        Progress::Baking(until) => {
            primary.baking_since.get_or_insert_with(|| world.now.to_string());
            plan.wake_at = Some(plan.wake_at.map_or(until, |at| at.min(until)));
        }
        Progress::Succeeded => {
            primary.baking_since = None;
            primary.rollout_state = RolloutState::Completed;
            primary.rollout_state_reason = Some(texts::rollout_completed(&primary.id));
            primary.updated_at = world.now.to_string();
            primary.completed_at.get_or_insert_with(|| world.now.to_string());
            plan.events.push(texts::deployment_completed(&primary.id));
            keep(plan, &deployments_held(members));
        }
    }
}

/// What makes the tasks healthy, if that is all the service waits for. (HEALTH-1)
fn warming(world: &World, plan: &ServicePlan, members: &[Member<'_>]) -> Option<String> {
    let idle = plan.start.is_empty() && plan.stop.is_empty() && wanted_count(members) == plan.desired_count;
    let run = |m: &Member<'_>| m.live() && m.phase == Phase::Running && !m.unhealthy;
    let mut young = members.iter().filter(|m| m.standing != Standing::Healthy);
    let first = young.next().filter(|_| idle && members.iter().all(run))?;
    if first.standing == Standing::Down || young.any(|m| m.standing == Standing::Down) {
        return Some("the tasks run; their health checks have not passed yet".to_owned());
    }
    let cluster = first.task.and_then(|t| world.clusters.get(&t.cluster))?;
    Some(format!(
        "the tasks run; without health checks they count as healthy {} s after their start",
        cluster.healthy_after_seconds
    ))
}

fn last(member: &Member<'_>) -> LastStatus {
    member.task.map_or(LastStatus::Pending, |t| t.last)
}

/// Whether the PRIMARY is all there is: nothing else runs, waits, or is about to stop. (SVC-13, ROLL-8)
pub(super) fn arrived(plan: &ServicePlan, members: &[Member<'_>], healthy: u32) -> bool {
    let primary = plan.deployments.first().map(|d| d.id.as_str());
    let others = members
        .iter()
        .filter(|m| m.wanted)
        .any(|m| Some(m.deployment) != primary || !m.live() || m.phase != Phase::Running);
    primary.is_some()
        && !others
        && healthy == plan.desired_count
        && wanted_count(members) == plan.desired_count
        && plan.start.is_empty()
        && plan.stop.is_empty()
}
