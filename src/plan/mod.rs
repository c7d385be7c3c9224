//! Pure planners: a snapshot of the world in, a plan out. No I/O, clock or randomness; they never fail, they explain.

pub mod eligibility;
pub mod world;

use crate::domain::records::{Deployment, PlacementFailure};
use crate::domain::resources::Resources;
use world::{Key, Rejection};

/// A task to be started on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Instance chosen.
    pub instance: String,
    /// Deployment it is for.
    pub deployment: String,
    /// Object name of the TaskDefinition.
    pub definition: String,
    /// An id allocated earlier that has neither Task nor reservation yet; `None`: a new one is drawn.
    pub id: Option<String>,
    /// What it takes.
    pub demand: Resources,
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
    /// Instances that were passed over while a task waits.
    pub failures: Vec<PlacementFailure>,
    /// Event texts, without the prefix `(service NAME) `. (EVT-4)
    pub events: Vec<String>,
    /// Nothing can be done until the user changes something: why.
    pub stalled: Option<String>,
    /// SVC-13 holds.
    pub steady: bool,
    /// When to plan again although nothing changed.
    pub wake_at: Option<jiff::Timestamp>,
}

/// The closest of several rejections: furthest stage, then lowest id. (EVT-7)
#[must_use]
pub fn closest(rejections: &[Rejection]) -> Option<&Rejection> {
    rejections.iter().max_by(|a, b| {
        a.stage
            .cmp(&b.stage)
            .then_with(|| b.failure.container_instance.cmp(&a.failure.container_instance))
    })
}
