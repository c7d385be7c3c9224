//! DAEMON services: one task on each instance that is ACTIVE and meets all rules.
//!
//! Invariants: never two tasks of a service on an instance, stopping ones included (DAEMON-35); on a DRAINING
//! instance no daemon stops before the last other task is STOPPED (I4); disconnected instances are left alone
//! (DAEMON-12); an update stops only what the lower bound can spare (DAEMON-34).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::deployment::{self, Recipe};
use super::eligibility::{check_refused, check_resources, check_rules, check_status, meets};
use super::members::{Member, Phase, count, members};
use super::prospect::Verdict;
use super::quiesce::Going;
use super::world::{Instance, Rejection, Service, World};
use super::{
    FAILURES_MAX, STARTS_MAX, STOPS_MAX, ServicePlan, Start, closest, drain, protection, quiesce, texts,
};
use super::{awaited, backoff};
use crate::domain::records::{Deployment, InstanceStatus, QuiesceReason, ServiceRef};
use crate::domain::rollout::{Bounds, Budget, Standing};

/// What a pass over the instances found.
#[derive(Default)]
struct Survey<'m, 'a> {
    /// Members on eligible instances that count for the lower bound.
    standings: Vec<Standing>,
    /// Tasks of older deployments whose instance can take a new one.
    outdated: Vec<&'m Member<'a>>,
    /// Tasks of the PRIMARY whose health checks fail.
    unhealthy: Vec<&'m Member<'a>>,
    /// Eligible instances where a task is on its way, in either direction.
    moving: bool,
    /// Why instances that lack a task cannot have one.
    waiting: Vec<Rejection>,
    /// When starts that failed are tried again.
    retries: Vec<Timestamp>,
}

/// Plans a DAEMON service.
pub(super) fn plan(world: &World, service: &Service) -> ServicePlan {
    let members = members(world, service);
    let mut plan = deployment::begin(world, service, &members);
    let mut by_instance: BTreeMap<&str, Vec<&Member<'_>>> = BTreeMap::new();
    for member in &members {
        if let Some(instance) = member.instance {
            by_instance.entry(instance).or_default().push(member);
        } else if member.live() {
            // A daemon's start is never allocated: such an id is somebody's mistake.
            plan.stop.push(member.scale_in());
        }
    }
    let mut survey = Survey::default();
    let recipe = deployment::recipe(world, service, &mut plan);
    let may_place = deployment::may_place(world, service, &mut plan);
    if recipe.is_none() {
        plan.desired_count = service
            .primary()
            .map_or(0, |p| u32::try_from(p.desired_count).unwrap_or_default());
    }
    for instance in world.instances.values() {
        let here = by_instance
            .get(instance.name.as_str())
            .map_or(&[][..], Vec::as_slice);
        match (instance.status, recipe) {
            (InstanceStatus::Draining, _) => {
                let free = || !awaited::needed(world, instance, service);
                if instance.connected && drain::only_daemons_left(world, instance) && free() {
                    plan.stop
                        .extend(here.iter().filter(|m| m.live()).map(|m| m.scale_in()));
                }
            }
            (InstanceStatus::Active, Some(recipe)) => {
                let pass = Pass {
                    world,
                    service,
                    recipe,
                    may_place,
                };
                pass.visit(&mut plan, &mut survey, instance, here);
            }
            (InstanceStatus::Active | InstanceStatus::Registering | InstanceStatus::Inactive, _) => {}
        }
    }
    if recipe.is_some() && may_place {
        let going = update(service, &mut plan, &mut survey);
        // a drain asks daemons for nothing: they go when all others have
        let stay = members.iter().filter(|m| !drain::draining(world, m.instance));
        quiesce::tell(&mut plan, stay, &going);
    }
    plan.stop.truncate(STOPS_MAX);
    plan.protected = protection::awaited(survey.outdated.iter().copied());
    let held = survey.outdated.iter().filter_map(|m| m.protected_until);
    let retries = survey.retries.iter().copied();
    plan.wake_at = members
        .iter()
        .filter_map(|m| m.changes_at)
        .chain(held)
        .chain(retries)
        .min();
    let primary = plan.deployments.first().map(|d| d.id.clone()).unwrap_or_default();
    plan.failing = backoff::failing(world, service, &primary);
    let failed = plan.deployments.first().is_some_and(Deployment::failed);
    plan.impaired = backoff::throttle(world, service, &primary).1 && !failed;
    if plan.impaired {
        plan.events.push(texts::IMPAIRED.to_owned());
    }
    explain(&mut plan, &survey.waiting);
    let healthy = count(survey.standings.iter().filter(|s| **s == Standing::Healthy));
    let arrived = recipe.is_some() && deployment::arrived(&plan, &members, healthy);
    deployment::finish(world, service, &mut plan, &members, arrived);
    plan
}

/// The task that the service lacks on an instance that can take it now. `None` also while the service has to settle
/// something first, such as a new deployment: that is for [`plan`]. (DAEMON-2, DAEMON-20)
pub(super) fn due_on(world: &World, service: &Service, instance: &Instance) -> Option<Start> {
    let candidate = instance.status == InstanceStatus::Active && instance.cluster == service.cluster;
    if service.deleting || !candidate || deployment::wish_is_new(service) {
        return None;
    }
    let mut plan = ServicePlan {
        deployments: service.deployments.clone(),
        ..ServicePlan::default()
    };
    let pass = Pass {
        world,
        service,
        recipe: deployment::recipe(world, service, &mut plan)?,
        may_place: deployment::may_place(world, service, &mut plan),
    };
    if occupied(world, service, instance) || pass.violation(instance).is_some() {
        return None;
    }
    pass.start(&mut plan, &mut Survey::default(), instance);
    plan.start.pop()
}

/// Whether an instance that takes tasks, as far as the service itself says one of its own, has none. As long as none is so
/// nothing is to be started, and that is known without a plan.
pub(super) fn lacking(world: &World, service: &Service) -> bool {
    let (Some(fleet), Ok(constraints)) = (world.fleet(&service.cluster), &service.constraints) else {
        return false;
    };
    let holders = world.holders(&service.uid);
    let (namespace, own) = (&service.key.namespace, Some(service.uid.as_str()));
    fleet.rows().filter(|row| row.open()).any(|row| {
        let instance = row.instance();
        !holders.is_some_and(|names| names.contains(&instance.name))
            && !occupied(world, service, instance)
            && meets(world, instance, namespace, own, constraints)
    })
}

/// Whether a task of the service is on the instance or has its share there. (DAEMON-35)
fn occupied(world: &World, service: &Service, instance: &Instance) -> bool {
    let ours = |of: Option<&ServiceRef>| of.is_some_and(|s| s.uid == service.uid);
    let mut tasks = world.tasks_on(&instance.name);
    tasks.any(|task| task.alive() && ours(task.service.as_ref()))
        || instance.reservations.iter().any(|r| ours(r.service.as_ref()))
}

/// What each instance of the service's cluster is to its next task; the plan has its deployments.
pub(super) fn verdicts(
    world: &World,
    service: &Service,
    recipe: Recipe<'_>,
    plan: &ServicePlan,
) -> Vec<(String, Verdict)> {
    let pass = Pass {
        world,
        service,
        recipe,
        may_place: true,
    };
    let candidates = world.instances_of(&service.cluster);
    candidates
        .filter(|instance| instance.status != InstanceStatus::Inactive)
        .map(|instance| (instance.name.clone(), pass.verdict(plan, instance)))
        .collect()
}

struct Pass<'a> {
    world: &'a World,
    service: &'a Service,
    recipe: Recipe<'a>,
    may_place: bool,
}

impl Pass<'_> {
    /// Decides on one ACTIVE instance with the members that are `here`.
    fn visit<'m, 'a>(
        &self,
        plan: &mut ServicePlan,
        survey: &mut Survey<'m, 'a>,
        instance: &Instance,
        here: &[&'m Member<'a>],
    ) {
        if let Some(why) = self.violation(instance) {
            // DAEMON-3, DAEMON-24: at once, whatever the lower bound; the instance is no longer part of the set.
            for member in here.iter().filter(|m| m.live() && instance.connected) {
                plan.stop.push(member.stop(why.clone()));
                plan.events
                    .push(texts::daemon_violation(&member.key.name, &instance.name));
            }
            return;
        }
        let occupied = here.iter().any(|m| m.phase != Phase::Unplaced)
            || instance
                .reservations
                .iter()
                .any(|r| r.service.as_ref().is_some_and(|s| s.uid == self.service.uid));
        if !occupied && !instance.schedulable {
            // No new task may come, for as long as the taint or the selector says so: nobody waits for that. (DAEMON-5)
            return;
        }
        plan.desired_count = plan.desired_count.saturating_add(1);
        if !occupied {
            self.start(plan, survey, instance);
            return;
        }
        survey.moving |= here.is_empty() || here.iter().any(|m| !m.live() || m.phase == Phase::Pending);
        let primary = plan.deployments.first().map(|d| d.id.as_str());
        let current = |m: &Member<'_>| Some(m.deployment) == primary;
        let keep = here
            .iter()
            .filter(|m| m.live())
            .max_by_key(|m| (current(m), m.standing, std::cmp::Reverse((m.created_at, &m.key))));
        for surplus in here
            .iter()
            .filter(|m| m.live() && keep.is_some_and(|k| k.key != m.key))
        {
            plan.stop.push(surplus.scale_in());
        }
        let Some(keep) = keep else { return };
        survey.standings.push(keep.standing);
        if check_status(instance).is_some() {
            // No new task could be placed here: what runs stays.
        } else if !current(keep) {
            survey.outdated.push(keep);
        } else if keep.unhealthy {
            survey.unhealthy.push(keep);
        }
    }

    /// Why the instance is not part of the service's set. (DAEMON-1)
    fn violation(&self, instance: &Instance) -> Option<String> {
        if instance.cluster != self.service.cluster {
            return Some(format!(
                "The container instance left cluster {}",
                self.service.cluster
            ));
        }
        let rejection = self.broken_rule(instance)?;
        Some(format!(
            "The container instance no longer satisfies the placement constraints of the daemon: {} ({})",
            rejection.failure.reason, rejection.failure.detail
        ))
    }

    /// The attribute or constraint that does not hold on the instance.
    fn broken_rule(&self, instance: &Instance) -> Option<Rejection> {
        check_rules(
            self.world,
            instance,
            &self.service.key.namespace,
            Some(&self.service.uid),
            self.recipe.definition,
            self.recipe.constraints,
        )
    }

    /// What keeps a task off an instance that belongs to the set.
    fn hindrance(&self, instance: &Instance) -> Option<Rejection> {
        check_status(instance)
            .or_else(|| awaited::check_service(self.world, instance, self.service))
            .or_else(|| check_resources(instance, &instance.remaining(), self.recipe.demand))
    }

    /// Until when a task that failed on the instance is not tried again there.
    fn retried_at(&self, plan: &ServicePlan, instance: &Instance) -> Option<Timestamp> {
        let deployment = plan.deployments.first().map(|d| d.id.as_str());
        backoff::instance_until(self.world, self.service, deployment, &instance.name)
    }

    /// What the instance is to the next task: it takes tasks at all, belongs to the set, has room, refused none. (PLACE-3)
    fn verdict(&self, plan: &ServicePlan, instance: &Instance) -> Verdict {
        if occupied(self.world, self.service, instance) {
            return Verdict::Taken;
        }
        let refused = || self.retried_at(plan, instance).map(|_| check_refused(instance));
        check_status(instance)
            .or_else(|| self.broken_rule(instance))
            .or_else(|| self.hindrance(instance))
            .or_else(refused)
            .map_or(Verdict::Fits, Verdict::Rejected)
    }

    /// Puts a task on an eligible instance that has none, if it can take one. (DAEMON-2, DAEMON-11, DAEMON-23)
    fn start(&self, plan: &mut ServicePlan, survey: &mut Survey<'_, '_>, instance: &Instance) {
        if let Some(rejection) = self.hindrance(instance) {
            survey.waiting.push(rejection);
            return;
        }
        survey.moving = true;
        if let Some(until) = self.retried_at(plan, instance) {
            survey.retries.push(until);
            return;
        }
        let Some(primary) = plan.deployments.first() else {
            return;
        };
        if self.may_place && plan.start.len() < STARTS_MAX {
            plan.start.push(Start {
                behind: None,
                availability_zone: None,
                instance: instance.name.clone(),
                deployment: primary.id.clone(),
                definition: primary.task_definition_name.clone(),
                id: None,
                demand: self.recipe.demand.clone(),
            });
        }
    }
}

/// Stops what is to be replaced, as far as the lower bound allows; the replacement follows when the place is free.
/// An old task stops even if the new one might not fit: as in ECS, minimumHealthyPercent is what guards against that.
/// (DAEMON-33, DAEMON-34, DAEMON-36, ROLL-5)
fn update<'m>(service: &Service, plan: &mut ServicePlan, survey: &mut Survey<'m, 'm>) -> Going<'m> {
    let bounds = Bounds::new(plan.desired_count, service.minimum_healthy_percent, 100);
    let mut budget = Budget::new(bounds.lower, survey.standings.iter().copied());
    survey
        .outdated
        .sort_by_key(|m| (m.standing, m.created_at, &m.key));
    let mut stopped = false;
    for member in &survey.outdated {
        // A protected daemon is held in an update only. (PROT-12)
        if member.protected_until.is_none() && budget.pay(member.standing) {
            plan.stop.push(member.scale_in());
            stopped = true;
        }
    }
    // Nothing is under way that would change it: the percentage forbids the update, as 50 % of one task does. (PCT-8)
    let stuck = survey.outdated.iter().any(|m| m.protected_until.is_none());
    let waits = survey.moving || !survey.waiting.is_empty() || survey.standings.contains(&Standing::Warming);
    if stuck && !waits && plan.stop.is_empty() {
        texts::deadlock(plan);
    }
    let outdated = survey.outdated.iter().map(|m| (*m, QuiesceReason::Deployment));
    let going = quiesce::leaving(outdated, &mut budget);
    // An unhealthy task makes room for its replacement, one at a time. (HEALTH-5, HEALTH-10)
    if let Some(member) = survey.unhealthy.first().filter(|_| !stopped && !survey.moving) {
        plan.events.push(texts::failed_health(&member.key.name));
        plan.stop.push(member.stop(texts::UNHEALTHY.to_owned()));
    }
    going
}

/// Says why instances lack their daemon. An instance that is only away for a moment is no placement error.
fn explain(plan: &mut ServicePlan, waiting: &[Rejection]) {
    plan.failures = waiting
        .iter()
        .take(FAILURES_MAX)
        .map(|r| r.failure.clone())
        .collect();
    if let Some(rejection) = closest(waiting.iter().filter(|r| r.lacks_resources())) {
        plan.events.push(texts::closest(rejection));
    }
}
