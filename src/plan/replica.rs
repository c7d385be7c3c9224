//! REPLICA services: `desiredCount` tasks, placed by strategies, replaced within the percent bounds.
//!
//! Every task that should run and is not marked is in exactly one heap: *lost* with its machine, *leaving* (on a
//! DRAINING instance or of an older deployment), *unhealthy*, or *good*. Good ones are brought to the desired count;
//! the others go as far as the bounds allow. One arithmetic serves deployments, draining and health. (PCT-5)
//!
//! Invariants: no stop takes the healthy tasks below lower, no start the wanted tasks above upper (I6); protected
//! tasks are stopped only if lost or unhealthy (I7); constraints are checked at placement only (CONS-6).

mod rebalance;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::backoff;
use super::choice::draw;
use super::deployment::{self, Recipe};
use super::drain;
use super::members::{Member, Phase, count, members, wanted_count};
use super::placement::Placer;
use super::world::{Instance, Rejection, Service, World};
use super::{
    FAILURES_MAX, STARTS_MAX, STOPS_MAX, ServicePlan, Start, Stop, closest, protection, quiesce, scale_in,
    texts,
};
use crate::domain::records::{Deployment, QuiesceReason};
use crate::domain::rollout::{Bounds, Budget, Standing};

/// Live members by what is to become of them.
#[derive(Default)]
struct Heaps<'m, 'a> {
    lost: Vec<&'m Member<'a>>,
    leaving: Vec<&'m Member<'a>>,
    unhealthy: Vec<&'m Member<'a>>,
    good: Vec<&'m Member<'a>>,
}

struct Pass<'a> {
    world: &'a World,
    service: &'a Service,
    members: &'a [Member<'a>],
    heaps: Heaps<'a, 'a>,
    bounds: Bounds,
    /// What new tasks are made of, if any can be started.
    recipe: Option<Recipe<'a>>,
    /// Times at which something changes by itself.
    alarms: Vec<Timestamp>,
    plan: ServicePlan,
}

/// Plans a REPLICA service.
pub(super) fn plan(world: &World, service: &Service) -> ServicePlan {
    let members = members(world, service);
    let mut plan = deployment::begin(world, service, &members);
    plan.desired_count = service.desired_count;
    let recipe = deployment::recipe(world, service, &mut plan);
    let recipe = recipe.filter(|_| deployment::may_place(world, service, &mut plan));
    let mut pass = Pass {
        world,
        service,
        members: &members,
        heaps: Heaps::default(),
        bounds: Bounds::new(
            service.desired_count,
            service.minimum_healthy_percent,
            service.maximum_percent,
        ),
        recipe,
        alarms: members.iter().filter_map(|m| m.changes_at).collect(),
        plan,
    };
    pass.sort();
    pass.decide_stops();
    pass.decide_starts();
    pass.rebalance();
    pass.report();
    let Pass { plan, heaps, .. } = &mut pass;
    let healthy = count(heaps.good.iter().filter(|m| m.standing == Standing::Healthy));
    let arrived = deployment::arrived(plan, &members, healthy);
    deployment::finish(world, service, plan, &members, arrived && recipe.is_some());
    pass.plan
}

impl Pass<'_> {
    /// Puts each live member on its heap.
    fn sort(&mut self) {
        let primary = self.plan.deployments.first().map(|d| d.id.clone());
        let failed = self.failed();
        for member in self.members.iter().filter(|m| m.live()) {
            let instance = member.held_by().and_then(|name| self.world.instances.get(name));
            let lost_at = instance.and_then(|i| lost_at(self.world, i));
            let draining = drain::draining(self.world, member.held_by());
            let heap = if lost_at.is_some_and(|at| at <= self.world.now) {
                &mut self.heaps.lost
            } else if draining
                || primary.as_deref() != Some(member.deployment)
                || (failed && member.phase <= Phase::Queued)
            {
                &mut self.heaps.leaving
            } else if member.unhealthy {
                &mut self.heaps.unhealthy
            } else {
                &mut self.heaps.good
            };
            heap.push(member);
            self.alarms.extend(lost_at.filter(|at| *at > self.world.now));
        }
    }

    /// Whether the circuit breaker gave the PRIMARY up: nothing more of it is launched. (CB-9)
    fn failed(&self) -> bool {
        self.plan.deployments.first().is_some_and(Deployment::failed)
    }

    fn decide_stops(&mut self) {
        let settled = self
            .heaps
            .leaving
            .iter()
            .chain(&self.heaps.unhealthy)
            .chain(&self.heaps.good);
        let mut budget = Budget::new(self.bounds.lower, settled.map(|m| m.standing));
        for member in &self.heaps.lost {
            let instance = member.instance.unwrap_or_default();
            let reason = format!("Container instance {instance} is disconnected for too long");
            self.plan.stop.push(member.stop(reason));
        }
        self.stop_leaving(&mut budget);
        self.stop_unhealthy();
        let moving_in = self.moving_in();
        let surplus = count(self.heaps.good.iter()).saturating_sub(self.service.desired_count);
        let surplus = surplus.saturating_sub(count(moving_in.iter()));
        let mut candidates = self.heaps.good.clone();
        candidates.retain(|m| !moving_in.contains(&m.key));
        let stopping = self.stopping();
        let staying: Vec<&Member<'_>> = self
            .members
            .iter()
            .filter(|m| m.live() && !stopping.contains(m.key.name.as_str()))
            .collect();
        let chosen = scale_in::choose(
            self.world,
            self.service,
            &staying,
            &candidates,
            surplus,
            &mut budget,
        );
        let moved = self.moved_out();
        let leave = |m: &&Member<'_>| Stop {
            availability_zone: moved.then(|| rebalance::zone(self.world, m)).flatten(),
            ..m.scale_in()
        };
        self.plan.stop.extend(chosen.iter().map(leave));
        self.tell(surplus, budget);
        if count(chosen.iter()) < surplus {
            self.alarms
                .extend(self.heaps.good.iter().filter_map(|m| m.protected_until));
        }
        let marks = self.members.iter().filter(|m| m.marked).count();
        self.plan.stop.truncate(STOPS_MAX.saturating_sub(marks));
    }

    /// Tells protected tasks that would be stopped now that they should finish. (PROT-11)
    fn tell(&mut self, surplus: u32, mut spare: Budget) {
        let leaving = self.heaps.leaving.iter().filter_map(|m| {
            let why = if drain::draining(self.world, m.held_by()) {
                QuiesceReason::Drain
            } else {
                QuiesceReason::Deployment
            };
            (why == QuiesceReason::Drain || self.recipe.is_some()).then_some((*m, why))
        });
        let mut going = quiesce::leaving(leaving, &mut spare);
        let good = &self.heaps.good;
        going.extend(quiesce::surplus(
            self.world,
            self.service,
            good,
            surplus,
            &mut spare,
        ));
        quiesce::tell(&mut self.plan, self.members, &going);
    }

    /// Stops what leaves, as far as lower allows: what does not run goes at once. Without a recipe an older
    /// deployment keeps what runs. (DRAIN-3, DRAIN-4, ROLL-2, ROLL-4, ROLL-5, PROT-8, DRAIN-15)
    fn stop_leaving(&mut self, budget: &mut Budget) {
        let world = self.world;
        let mut leaving = self.heaps.leaving.clone();
        leaving.sort_by_cached_key(|m| {
            let age = self
                .plan
                .deployments
                .iter()
                .rev()
                .position(|d| d.id == m.deployment);
            let completed = self
                .plan
                .deployments
                .iter()
                .any(|d| d.id == m.deployment && d.was_completed());
            let chance = draw(world.seed, &[&self.service.uid, &m.key.name]);
            (
                m.standing,
                Reverse(drain::draining(world, m.held_by())),
                completed,
                age,
                chance,
            )
        });
        for member in leaving {
            let goes = self.recipe.is_some()
                || drain::draining(world, member.held_by())
                || member.phase <= Phase::Queued;
            if let Some(until) = member.protected_until {
                self.alarms.push(until);
            } else if goes && budget.pay(member.standing) {
                self.plan.stop.push(member.scale_in());
            }
        }
    }

    /// Stops unhealthy tasks whose replacements are healthy, and those beyond the desired count; if there is no room
    /// for a replacement, one at a time to make it. (HEALTH-3 to HEALTH-5)
    fn stop_unhealthy(&mut self) {
        if self.recipe.is_none() {
            return;
        }
        let desired = self.service.desired_count;
        let good = || self.heaps.good.iter();
        let healthy = count(good().filter(|m| m.standing == Standing::Healthy));
        let mut unhealthy = self.heaps.unhealthy.clone();
        unhealthy.sort_by_cached_key(|m| draw(self.world.seed, &[&self.service.uid, &m.key.name]));
        let mut surplus = count(unhealthy.iter()).saturating_sub(desired.saturating_sub(healthy));
        let short = count(good()) < desired && self.bounds.startable(wanted_count(self.members)) == 0;
        let moving = !self.plan.stop.is_empty()
            || self.members.iter().any(|m| m.wanted && m.marked)
            || good().any(|m| matches!(m.phase, Phase::Queued | Phase::Pending));
        if surplus == 0 && short && !moving {
            surplus = 1;
        }
        for member in unhealthy
            .into_iter()
            .take(usize::try_from(surplus).unwrap_or(usize::MAX))
        {
            self.plan.events.push(texts::failed_health(&member.key.name));
            self.plan.stop.push(member.stop(texts::UNHEALTHY.to_owned()));
        }
    }

    /// Places ids that were given out and have no place yet, then as many new tasks as are missing and upper allows.
    /// (PCT-6, HEALTH-7, ROLL-2, ROLL-10)
    fn decide_starts(&mut self) {
        let wants = self.missing() > 0 || self.heaps.good.iter().any(|m| m.phase == Phase::Unplaced);
        let primary = self
            .plan
            .deployments
            .first()
            .map(|d| d.id.clone())
            .unwrap_or_default();
        let (until, impaired) = backoff::throttle(self.world, self.service, &primary);
        self.plan.failing = backoff::failing(self.world, self.service, &primary);
        self.plan.impaired = impaired && wants && !self.failed();
        if self.plan.impaired {
            self.plan.events.push(texts::IMPAIRED.to_owned());
        }
        if until.is_some() && wants && !self.failed() {
            self.alarms.extend(until);
            return;
        }
        let (Some(recipe), Some(primary)) = (self.recipe, self.plan.deployments.first()) else {
            return;
        };
        let (deployment, definition) = (primary.id.clone(), primary.task_definition_name.clone());
        let wanted = wanted_count(self.members);
        let stopping = self.stopping();
        let placeable = self.placeable();
        let mut ids: Vec<Option<String>> = self
            .heaps
            .good
            .iter()
            .filter(|m| m.phase == Phase::Unplaced && m.task.is_none())
            .filter(|m| !stopping.contains(m.key.name.as_str()))
            .map(|m| Some(m.key.name.clone()))
            .take(usize::try_from(placeable).unwrap_or(usize::MAX))
            .collect();
        let missing = self.missing().min(self.bounds.startable(wanted));
        let given_out = self.members.iter().filter(|m| m.task.is_none()).count();
        let room = STARTS_MAX.saturating_sub(given_out);
        ids.extend((0..missing).map(|_| None).take(room));
        // tasks that nobody has bound and that wait nowhere: they are placed one by one, and here it is said why not
        let lost = self.heaps.good.iter().any(|m| {
            m.phase == Phase::Unplaced && m.task.is_some() && !stopping.contains(m.key.name.as_str())
        });
        if ids.is_empty() && !lost {
            return;
        }
        let staying = self
            .members
            .iter()
            .filter(|m| !stopping.contains(m.key.name.as_str()));
        let mut placer = Placer::new(self.world, self.service, recipe, staying);
        let version = self.service.version.to_string();
        for (n, id) in ids.into_iter().enumerate() {
            let name = id.clone().unwrap_or_else(|| format!("{version}#{n}"));
            let Some((instance, behind)) = placer.place_or_queue(&name) else {
                self.explain(&placer);
                break;
            };
            self.plan.start.push(Start {
                instance,
                behind,
                deployment: deployment.clone(),
                definition: definition.clone(),
                id,
                demand: recipe.demand.clone(),
                availability_zone: None,
            });
        }
        if lost && self.plan.failures.is_empty() && placer.place(&version).is_none() {
            self.explain(&placer);
        }
    }

    /// Ids given out that may get a place: no Tasks yet, they wait if the upper bound has come down since.
    fn placeable(&self) -> u32 {
        let unplaced = self
            .members
            .iter()
            .filter(|m| m.wanted && m.task.is_none() && m.phase == Phase::Unplaced);
        self.bounds
            .startable(wanted_count(self.members).saturating_sub(count(unplaced)))
    }

    /// Ids that this plan stops.
    fn stopping(&self) -> BTreeSet<&str> {
        self.plan.stop.iter().map(|s| s.task.name.as_str()).collect()
    }

    /// Tasks that are missing from the desired count.
    fn missing(&self) -> u32 {
        self.service
            .desired_count
            .saturating_sub(count(self.heaps.good.iter()))
    }

    /// Says why the next task has no place. (EVT-20, EVT-21)
    fn explain(&mut self, placer: &Placer<'_>) {
        let rejections: Vec<Rejection> = placer.rejections().collect();
        let told = rejections.iter().take(FAILURES_MAX);
        self.plan.failures = told.map(|r| r.failure.clone()).collect();
        self.alarms.extend(placer.retries().chain(placer.queueable_at()));
        self.plan.no_instances = self.plan.failures.is_empty();
        let text = match closest(&rejections) {
            Some(rejection) => texts::closest(rejection),
            None => texts::no_instances(),
        };
        self.plan.events.push(text);
    }

    /// Reports what the user has to change, and when to look again.
    fn report(&mut self) {
        let protected = self
            .members
            .iter()
            .filter(|m| m.live() && m.protected_until.is_some());
        if let Some(primary) = self.plan.deployments.first()
            && count(protected) > self.service.desired_count
        {
            self.plan.events.push(texts::protected(&primary.id));
        }
        self.plan.protected = protection::awaited(self.going());
        if self.deadlocked() {
            texts::deadlock(&mut self.plan);
        }
        self.plan.wake_at = self.alarms.iter().min().copied();
    }

    /// Live members that the service wants no more: those that leave, and all good ones while they are too many.
    fn going(&self) -> impl Iterator<Item = &Member<'_>> {
        let stopping = self.stopping();
        let stays = |m: &&&Member<'_>| !stopping.contains(m.key.name.as_str());
        let surplus = count(self.heaps.good.iter().filter(stays)) > self.service.desired_count;
        let good = self.heaps.good.iter().filter(move |_| surplus);
        self.heaps.leaving.iter().chain(good).copied()
    }

    /// Whether the percentages allow neither a start nor a stop, and nothing under way will change that. (PCT-8)
    fn deadlocked(&self) -> bool {
        let moving = |m: &Member<'_>| {
            m.marked
                || match m.phase {
                    Phase::Unplaced => false,
                    Phase::Queued | Phase::Pending | Phase::Ending => true,
                    Phase::Running => m.standing != Standing::Healthy && !m.unhealthy,
                }
        };
        self.recipe.is_some()
            && self.heaps.leaving.iter().any(|m| m.protected_until.is_none())
            && self.placeable() == 0
            && self.plan.stop.is_empty()
            && !self.members.iter().filter(|m| m.wanted).any(moving)
    }
}

/// When replica tasks on a disconnected instance count as lost.
fn lost_at(world: &World, instance: &Instance) -> Option<Timestamp> {
    let timeout = world
        .clusters
        .get(&instance.cluster)
        .map(|c| c.disconnected_task_timeout_seconds)
        .filter(|seconds| *seconds > 0 && !instance.connected)?;
    instance
        .disconnected_since?
        .checked_add(SignedDuration::from_secs(timeout))
        .ok()
}
