//! Tasks of a service that nobody has bound: they wait on an instance behind stopping tasks, or for one. (OPT-1 to OPT-5)
//!
//! The service's planner makes such a Task where it may wait; from then on it is looked at here: it is bound where there
//! is room or where its share was given, it waits, and it moves.

use jiff::{SignedDuration, Timestamp};

use super::deployment;
use super::eligibility::withheld;
use super::members::members;
use super::optimistic::Optimistic;
use super::permission::may_place;
use super::placement::Placer;
use super::run_task::{Place, seen_all_at};
use super::timeline::Timeline;
use super::world::{Instance, Key, Rejection, Service, Task, World};
use super::{FAILURES_MAX, closest};
use crate::domain::records::{Deployment, PlacementFailure, QueueEntry, SchedulingStrategy, ServiceRef};

/// A task moves to another queue only if it starts there so much sooner.
const WORTH_MOVING: SignedDuration = SignedDuration::from_secs(5);
/// Most tasks that are named as those it waits for.
const BEHIND_MAX: usize = 10;

/// Where a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The instance.
    pub instance: String,
    /// Stopping tasks there that have to end first, the first to end first; at most 10.
    pub behind: Vec<Key>,
    /// When it is expected to start.
    pub until: Option<Timestamp>,
}

/// What is to be done with a task of a service that is not bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Bind it.
    Bind(Place),
    /// Put this entry into the queue of the instance, if that is still at this version.
    Queue(Box<QueueEntry>, u64, Wait),
    /// It waits where it is.
    Stay(Wait),
    /// Take it out of the queue of this instance, then look again.
    Leave(String),
    /// It waits at no instance: why, and when time alone may change that.
    Unplaced(Vec<PlacementFailure>, Option<Timestamp>),
    /// It can't be a task of its service.
    Stop(String),
}

/// What is to be done with the task; `None` if it is bound, should not run, or is of no service.
#[must_use]
pub fn decide(world: &World, key: &Key) -> Option<Decision> {
    let task = world.task(key)?;
    let of = task.service.as_ref()?;
    if !task.wanted() || task.instance.is_some() {
        return None;
    }
    let service = world.services.get(&Key::new(&key.namespace, &of.name));
    let deployment = service
        .filter(|s| s.uid == of.uid && s.strategy == SchedulingStrategy::Replica && s.cluster == task.cluster)
        .and_then(|s| Some((s, made_by(s, task)?)));
    let Some((service, deployment)) = deployment else {
        let at = seen_all_at(task);
        return Some(if at > world.now {
            Decision::Unplaced(Vec::new(), Some(at))
        } else {
            Decision::Stop("spec.service is set by the operator; leave it out".to_owned())
        });
    };
    Some(place(world, task, service, deployment))
}

/// The deployment that the task is of, if it is as the operator makes tasks.
fn made_by<'s>(service: &'s Service, task: &Task) -> Option<&'s Deployment> {
    let as_made = task.group == service.group() && task.run_once.is_none();
    let mut deployments = service.deployments.iter().filter(|_| as_made);
    deployments.find(|d| d.id == task.started_by && d.task_definition == task.definition)
}

fn place(world: &World, task: &Task, service: &Service, deployment: &Deployment) -> Decision {
    let definition = deployment::lookup(world, service, deployment);
    let recipe = definition.and_then(|definition| deployment::recipe_of(service, definition).ok());
    let nowhere = || Decision::Unplaced(Vec::new(), None);
    let Some(recipe) = recipe else {
        return nowhere();
    };
    let bind = |instance: &Instance, held: bool| {
        Decision::Bind(Place {
            instance: instance.name.clone(),
            version: instance.version,
            demand: recipe.demand.clone(),
            revision: recipe.definition.id(),
            held,
        })
    };
    let uid = Some(task.uid.as_str());
    let share = |i: &&Instance| i.reservation(&task.key).is_some_and(|r| r.uid.as_deref() == uid);
    let instances = || world.instances.values().map(AsRef::as_ref);
    if let Some(holder) = instances().find(share) {
        return bind(holder, true);
    }
    let mut queued = instances().filter_map(|i| Some((i, position(i, task)?)));
    let standing = queued.next();
    if let Some((second, _)) = queued.next() {
        // two that decided at a time have each put it into a queue
        return Decision::Leave(second.name.clone());
    }
    // what its service is about to stop, or may not start, is not started
    let leaves = service
        .primary()
        .is_none_or(|p| p.id != deployment.id || p.failed());
    if leaves || service.deleting || may_place(world, service).is_some() {
        return standing.map_or_else(nowhere, |(instance, _)| Decision::Leave(instance.name.clone()));
    }
    let mode = world
        .clusters
        .get(&service.cluster)
        .map_or(Optimistic::Off, |c| c.optimistic);
    let here = standing.map(|(instance, ahead)| waiting(world, instance, ahead, recipe.demand));
    if let (Optimistic::On, Some(wait)) = (mode, here.as_ref().filter(|wait| wait.until.is_some())) {
        return Decision::Stay(wait.clone());
    }
    let without = without_entry(world, standing.map(|(instance, _)| instance), task);
    let members = members(&without, service);
    let others = members.iter().filter(|m| m.key != task.key);
    let mut placer = Placer::new(&without, service, recipe, others);
    let id = &task.key.name;
    if let Some(instance) = placer.place(id).and_then(|name| world.instances.get(&name)) {
        return bind(instance, false);
    }
    let better = |at: Timestamp| {
        let here = here.as_ref().and_then(|wait| wait.until);
        here.is_none_or(|here| at.checked_add(WORTH_MOVING).is_ok_and(|at| at < here))
    };
    let soon = |at: Timestamp| match mode {
        Optimistic::Smart(bound) => world.now.checked_add(bound).is_ok_and(|latest| at <= latest),
        Optimistic::On => true,
        Optimistic::Off => false,
    };
    let rejections: Vec<Rejection> = placer.rejections().collect();
    let rejected = closest(&rejections);
    let mut failures: Vec<PlacementFailure> = rejections.iter().map(|r| r.failure.clone()).collect();
    failures.sort_by_key(|f| rejected.is_none_or(|closest| *f != closest.failure));
    failures.truncate(FAILURES_MAX);
    let wake = placer.retries().chain(placer.queueable_at()).min();
    let elsewhere = placer.queue(id).filter(|(_, at)| better(*at));
    match (here, elsewhere) {
        (Some(wait), None) if wait.until.is_some_and(soon) => Decision::Stay(wait),
        (Some(wait), _) => Decision::Leave(wait.instance),
        (None, Some((name, _))) => match without.instances.get(&name) {
            Some(instance) => {
                let wait = waiting(&without, instance, instance.queue.len(), recipe.demand);
                let entry = entry(task, deployment, recipe.demand, world.now);
                Decision::Queue(Box::new(entry), instance.version, wait)
            }
            None => nowhere(),
        },
        (None, None) => Decision::Unplaced(failures, wake),
    }
}

fn entry(
    task: &Task,
    deployment: &Deployment,
    demand: &crate::domain::resources::Resources,
    now: Timestamp,
) -> QueueEntry {
    let service = task.service.as_ref().map(|of| ServiceRef {
        deployment: Some(deployment.id.clone()),
        ..of.clone()
    });
    QueueEntry {
        namespace: task.key.namespace.clone(),
        task: task.key.name.clone(),
        uid: task.uid.clone(),
        service,
        amounts: demand.clone(),
        since: now.to_string(),
    }
}

/// How many stand before the task in the queue of the instance, if it stands there.
fn position(instance: &Instance, task: &Task) -> Option<usize> {
    let own = |q: &QueueEntry| q.is_for(&task.key.namespace, &task.key.name) && q.uid == task.uid;
    instance.queue.iter().position(own)
}

/// The world without the task's entry in the queue of the instance.
fn without_entry(world: &World, instance: Option<&Instance>, task: &Task) -> World {
    let mut world = world.clone();
    if let Some(instance) = instance {
        world.edit_instance(&instance.name, |instance| {
            instance
                .queue
                .retain(|q| !q.is_for(&task.key.namespace, &task.key.name));
        });
    }
    world
}

/// What waiting on the instance means behind the first `ahead` entries of its queue.
fn waiting(
    world: &World,
    instance: &Instance,
    ahead: usize,
    demand: &crate::domain::resources::Resources,
) -> Wait {
    let timeline = Timeline::of(world, instance, withheld(world, instance));
    let earliest = timeline.earliest(ahead, demand);
    let first = timeline
        .departures()
        .iter()
        .take(earliest.map_or(0, |(_, ended)| ended));
    Wait {
        instance: instance.name.clone(),
        behind: first.take(BEHIND_MAX).map(|d| d.task.clone()).collect(),
        until: earliest.map(|(at, _)| at),
    }
}
