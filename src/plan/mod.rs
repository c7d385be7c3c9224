//! Pure planners: a snapshot of the world in, a plan out. No I/O, clock or randomness; they never fail, they explain.

mod arrival;
mod awaited;
mod backoff;
mod board;
mod breaker;
mod choice;
mod daemon;
pub mod deployment;
mod drain;
pub mod eligibility;
mod fleet;
mod held_up;
mod history;
mod key;
mod members;
pub mod optimistic;
pub mod permission;
mod placement;
mod prospect;
mod protection;
pub mod queued;
mod quiesce;
mod ranking;
mod rejection;
mod replica;
pub mod request;
pub mod run_task;
mod scale_in;
pub mod start_task;
mod success;
mod teardown;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod texts;
pub mod timeline;
pub mod world;
mod zones;

use std::sync::Arc;

use crate::domain::records::{Deployment, PlacementFailure, SchedulingStrategy, ServiceDeployment};
use crate::domain::resources::Resources;
pub use arrival::daemons_run;
pub use drain::only_daemons_left;
pub use prospect::{Asker, Prospect, Verdict, prospect};
pub use protection::crowded;
pub use quiesce::Tell;
pub use rejection::closest;
pub use texts::UNPLACED;
use world::{Key, World};

/// Most tasks a pass starts for a service, those already given an id included: bounds the service's status, where
/// each id waits as a record of about 120 bytes, and the Tasks one write may answer for.
pub const STARTS_MAX: usize = 200;

/// Most stops that are decided on and not yet carried out, for the same reason.
pub const STOPS_MAX: usize = 200;

/// Most instances named in `failures`: enough to see the pattern, few enough for a status.
pub const FAILURES_MAX: usize = 50;

/// A task to be started on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Instance chosen.
    pub instance: String,
    /// The task is created without an instance, to wait there behind stopping tasks; about until then. (OPT-1)
    pub behind: Option<jiff::Timestamp>,
    /// Deployment it is for.
    pub deployment: String,
    /// Object name of the TaskDefinition.
    pub definition: String,
    /// An id allocated earlier that has neither Task nor reservation yet; `None`: a new one is drawn.
    pub id: Option<String>,
    /// What it takes.
    pub demand: Resources,
    /// Zone that it is started in so that one elsewhere may stop. (AZ-4)
    pub availability_zone: Option<String>,
}

/// A task to be told to stop, if it is still as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The task.
    pub task: Key,
    /// Its uid; empty if it was never seen: it is cancelled by a tombstone.
    pub uid: String,
    /// Its resourceVersion; empty if it was never seen.
    pub version: String,
    /// stoppedReason it gets. (TASK-13)
    pub reason: String,
    /// Zone that it leaves, for one was started elsewhere. (AZ-4)
    pub availability_zone: Option<String>,
}

/// What a service's planner wants done, and what it has to say. Same snapshot, same plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePlan {
    /// Tasks wanted; of a daemon the number of eligible instances. (DAEMON-5)
    pub desired_count: u32,
    /// Tasks to start.
    pub start: Vec<Start>,
    /// Tasks to stop.
    pub stop: Vec<Stop>,
    /// The deployments as they are now, PRIMARY first.
    pub deployments: Vec<Deployment>,
    /// The last deployments and what became of them, newest first. (DEP-8)
    pub history: Vec<ServiceDeployment>,
    /// Instances that were passed over while a task waits.
    pub failures: Vec<PlacementFailure>,
    /// A task waits, and the cluster has no instance at all.
    pub no_instances: bool,
    /// Event texts, without the prefix `(service NAME) `. (EVT-4)
    pub events: Vec<String>,
    /// Nothing can be done until the user changes something: why.
    pub stalled: Option<String>,
    /// The newest task of the PRIMARY ended before or soon after it ran: which, and why.
    pub failing: Option<String>,
    /// Starts of the PRIMARY fail again and again. (EVT-30)
    pub impaired: bool,
    /// Nothing is to be started or stopped, but the tasks are not healthy yet: what makes them so.
    pub warming: Option<String>,
    /// Tasks that are placed and can't start yet: why, and how many.
    pub held_up: Option<String>,
    /// Tasks that should go and are protected: which, and until when. (PROT-7, PROT-8)
    pub protected: Option<String>,
    /// Protected tasks that should finish, or need not any more. (PROT-11)
    pub tell: Vec<Tell>,
    /// The service went back to an older deployment: what failed, and what to change. (CB-10)
    pub rolled_back: Option<String>,
    /// SVC-13 holds.
    pub steady: bool,
    /// When to plan again although nothing changed.
    pub wake_at: Option<jiff::Timestamp>,
}

/// Daemon services that have a task to start now and come before `service`: none if it is a daemon itself. (DAEMON-20)
#[must_use]
pub fn daemons_due(world: &World, asking: &world::Service) -> Vec<Key> {
    if asking.strategy == SchedulingStrategy::Daemon {
        return Vec::new();
    }
    world
        .daemons()
        .filter(|s| s.cluster == asking.cluster && !s.deleting && daemon::lacking(world, s))
        .filter(|s| !service(world, &s.key).start.is_empty())
        .map(|s| s.key.clone())
        .collect()
}

/// Daemon tasks that an instance lacks and can take now, those of older services first. Planned for every change of an
/// instance, without waiting for the services' own passes. (DAEMON-20)
#[must_use]
pub fn daemons_due_on(world: &World, instance: &world::Instance) -> Vec<(Arc<world::Service>, Start)> {
    let mut due: Vec<_> = world
        .daemons()
        .filter_map(|s| Some((s.clone(), daemon::due_on(world, s, instance)?)))
        .collect();
    due.sort_by(|(a, _), (b, _)| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
    due
}

/// Plans one service. Unknown services have an empty plan.
#[must_use]
pub fn service(world: &World, key: &Key) -> ServicePlan {
    let Some(service) = world.services.get(key) else {
        return ServicePlan::default();
    };
    match service.strategy {
        _ if service.deleting => teardown::plan(world, service),
        SchedulingStrategy::Daemon => daemon::plan(world, service),
        SchedulingStrategy::Replica => replica::plan(world, service),
    }
}
