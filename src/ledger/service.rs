//! EcsService status: what is decided for a service is written here first, in one conditional update. (design: step 1)

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};

use super::events::Moves;
use super::outcome::Outcome;
use super::rules::{Rule, off};
use super::{FIELD_MANAGER, Ledger, events, patch, progress};
use crate::api::conditions;
use crate::api::{EcsService, EcsServiceStatus, labels};
use crate::domain::records::{Allocation, DesiredStatus, LastStatus, SchedulingStrategy, StopCode, StopMark};
use crate::plan::world::{Key, Service, World};
use crate::plan::{ServicePlan, Start};
use crate::runtime::source;

/// A start with the id of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Id of the task.
    pub id: String,
    /// What is started where.
    pub start: Start,
}

/// Gives every start its id: the one allocated earlier, or a new one. (F4)
#[must_use]
pub fn draw_ids(world: &World, service: &Service, plan: &ServicePlan) -> Vec<Placed> {
    let mut drawn = Vec::with_capacity(plan.start.len());
    for start in &plan.start {
        let id = start.id.clone().unwrap_or_else(|| {
            if off(Rule::F4) {
                lowest_free(world, service, &drawn)
            } else {
                source::id()
            }
        });
        drawn.push(Placed {
            id,
            start: start.clone(),
        });
    }
    drawn
}

/// What is tempting instead of F4: the service's lowest number that nothing seen bears.
fn lowest_free(world: &World, service: &Service, drawn: &[Placed]) -> String {
    let taken = |id: &str| {
        world.task(&Key::new(&service.key.namespace, id)).is_some()
            || given_out(world, service, id)
            || drawn.iter().any(|placed| placed.id == id)
    };
    let mut ids = (0..).map(|number| format!("{}-{number}", service.key.name));
    ids.find(|id| !taken(id)).unwrap_or_default()
}

/// Whether a stop that was decided on is still to be carried out.
#[must_use]
pub fn due(world: &World, service: &Service, mark: &StopMark) -> bool {
    match world.task(&Key::new(&service.key.namespace, &mark.id)) {
        // still as it was decided on; anything else was carried out or is void
        Some(task) => task.wanted() && !mark.uid.is_empty() && task.version.to_string() == mark.task_version,
        None => mark.uid.is_empty() && given_out(world, service, &mark.id),
    }
}

/// Whether an id without a Task may become one: it stands in the service's list, or, a daemon's, among the shares.
fn given_out(world: &World, service: &Service, id: &str) -> bool {
    service.allocations.iter().any(|a| a.id == id) || reserved(world, service, id)
}

/// Whether some instance holds a share for a task of the service with this id.
fn reserved(world: &World, service: &Service, id: &str) -> bool {
    shares(world, service).any(|share| share == id)
}

/// The tasks of the service that instances hold shares for.
fn shares<'a>(world: &'a World, service: &'a Service) -> impl Iterator<Item = &'a str> {
    let shares = world.holding(&service.uid).flat_map(|i| &i.reservations);
    let own = shares.filter(|r| {
        r.namespace == service.key.namespace && r.service.as_ref().is_some_and(|s| s.uid == service.uid)
    });
    own.map(|r| r.task.as_str())
}

/// The lists after this pass: what was seen leaves them, what is decided enters them.
#[must_use]
pub fn lists(
    world: &World,
    service: &Service,
    plan: &ServicePlan,
    placed: &[Placed],
) -> (Vec<Allocation>, Vec<StopMark>) {
    let key = |id: &str| Key::new(&service.key.namespace, id);
    let mut allocations: Vec<Allocation> = service
        .allocations
        .iter()
        .filter(|a| world.task(&key(&a.id)).is_none())
        .cloned()
        .collect();
    if service.strategy == SchedulingStrategy::Replica {
        for Placed { id, start } in placed.iter().filter(|p| p.start.id.is_none()) {
            let created_at = world.now.to_string();
            allocations.push(Allocation {
                id: id.clone(),
                deployment: start.deployment.clone(),
                created_at,
                availability_zone: start.availability_zone.clone(),
            });
        }
    }
    let mut stopping: Vec<StopMark> = service
        .stopping
        .iter()
        .filter(|mark| due(world, service, mark))
        .cloned()
        .collect();
    for stop in &plan.stop {
        if !stopping.iter().any(|mark| mark.id == stop.task.name) {
            stopping.push(StopMark {
                id: stop.task.name.clone(),
                uid: stop.uid.clone(),
                task_version: stop.version.clone(),
                reason: stop.reason.clone(),
                availability_zone: stop.availability_zone.clone(),
            });
        }
    }
    (allocations, stopping)
}

/// Ids given out whose Tasks are seen now: this pass's planning write takes them off the list and tells the start, so
/// that each is told once, whoever created it. (EVT-10)
#[must_use]
pub fn arrived(world: &World, service: &Service) -> Moves {
    let exists = |a: &&Allocation| {
        let task = world.task(&Key::new(&service.key.namespace, &a.id));
        task.is_some_and(|task| !task.tombstone)
    };
    let found = service.allocations.iter().filter(exists);
    Moves::new(found.map(|a| (a.availability_zone.clone(), a.id.clone())))
}

/// Tasks that were decided to stop and are seen to be told so: this pass's planning write takes their marks off the list
/// and tells the stop, so that each is told once, whoever carried it out. One that ended otherwise is told by nobody.
/// (EVT-11)
#[must_use]
pub fn departed(world: &World, service: &Service) -> Moves {
    let told = |mark: &&StopMark| {
        let task = world.task(&Key::new(&service.key.namespace, &mark.id));
        task.is_some_and(|task| {
            task.uid == mark.uid
                && task.desired == DesiredStatus::Stopped
                && task.stop_code == Some(StopCode::ServiceSchedulerInitiated)
        })
    };
    let marks = service.stopping.iter().filter(told);
    Moves::new(marks.map(|mark| (mark.availability_zone.clone(), mark.id.clone())))
}

/// What the status says after this pass; `started` are the starts to tell. Returns the event messages that are new.
#[must_use]
pub fn next_status(
    world: &World,
    object: &EcsService,
    service: &Service,
    plan: &ServicePlan,
    placed: &[Placed],
    started: &Moves,
) -> (EcsServiceStatus, Vec<String>) {
    let old = object.status.clone().unwrap_or_default();
    let mut next = old.clone();
    let count = |last: fn(LastStatus) -> bool| {
        let tasks = world
            .tasks_of(&service.uid)
            .filter(|t| t.desired == DesiredStatus::Running && last(t.last));
        i64::try_from(tasks.count()).unwrap_or(i64::MAX)
    };
    if service.deleting { "DRAINING" } else { "ACTIVE" }.clone_into(&mut next.status);
    next.observed_generation = object.metadata.generation;
    next.desired_count = i64::from(plan.desired_count);
    next.running_count = count(|last| last == LastStatus::Running);
    next.pending_count = count(|last| last < LastStatus::Running);
    next.selector = Some(format!("{}={}", labels::SERVICE, object.name_any()));
    next.deployments.clone_from(&plan.deployments);
    next.service_deployments.clone_from(&plan.history);
    (next.allocations, next.stopping) = lists(world, service, plan, placed);
    next.placement_failures.clone_from(&plan.failures);
    let states = progress::states(plan);
    next.conditions = conditions::merge(&old.conditions, &states, object.metadata.generation, world.now);
    let stopped = departed(world, service);
    let coming: BTreeSet<&str> = next.allocations.iter().map(|a| a.id.as_str()).collect();
    let any_placed = || shares(world, service).any(|share| coming.contains(share));
    let settled = (coming.is_empty() || !any_placed())
        && next.stopping.iter().all(|mark| mark.uid.is_empty())
        && placed.iter().all(|p| started.any(&p.id));
    let texts = events::texts(&service.ecs_name, plan, started, &stopped, settled);
    let said = events::add(&mut next.events, &service.ecs_name, &texts, world.now);
    let recorded = old.observed_task_version.as_ref().and_then(|v| v.parse().ok());
    let is_false = recorded.is_some_and(|recorded: u64| recorded > service.observed_task_version);
    if next != old || is_false {
        let newest = world.tasks_of(&service.uid).map(|t| t.version).max().unwrap_or(0);
        let seen = service.observed_task_version.max(world.task_version).max(newest);
        next.observed_task_version = Some(seen.to_string());
    }
    (next, said)
}

impl Ledger {
    /// Writes a service's status, if it differs, on the version the plan was made on.
    pub async fn write_service(&self, object: &EcsService, next: &EcsServiceStatus) -> Outcome<()> {
        let before = object.status.clone().unwrap_or_default();
        let (uid, version) = (
            object.uid().unwrap_or_default(),
            object.resource_version().unwrap_or_default(),
        );
        let change = match &object.status {
            None => patch::whole("status", next, &uid, &version),
            Some(_) => patch::conditional("status", &before, next, &uid, &version),
        };
        let Some(change) = change else {
            return Outcome::Applied(());
        };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let api = self.services(&namespace);
        let outcome = self
            .send(
                "ecsservice",
                api.patch_status(&name, &params, &Patch::Merge(change)),
            )
            .await;
        if matches!(outcome, Outcome::Stale)
            && let Some(read) = self.send("ecsservice_get", api.get(&name)).await.applied()
        {
            self.cache.learn_service(read);
        }
        outcome.map(|answer| {
            self.pace.wrote(Key::new(namespace, name).to_string());
            self.cache.learn_service(answer);
        })
    }
}
