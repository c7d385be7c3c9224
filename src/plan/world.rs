//! The snapshot: an immutable picture of the world at one moment, in domain types.
//!
//! Its maps are persistent, so taking a snapshot costs nothing and the shell keeps it up to date event by event.
//! Same world, same plan: iteration is sorted, time and the seed for ties are part of it.

mod index;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::deployment::{CircuitBreaker, SuccessCriteria};
use crate::domain::expr::{Expression, ParseError};
use crate::domain::records::{
    Allocation, Attribute, Deployment, DesiredStatus, HealthStatus, InstanceStatus, LastStatus, QueueEntry,
    QuiesceReason, Reservation, SchedulingStrategy, ServiceDeployment, ServiceRef, StopCode, StopMark,
};
use crate::domain::resources::Resources;

pub use super::key::Key;
pub use super::optimistic::Optimistic;
pub use super::rejection::Rejection;
pub use super::request::{Request, RunOnce};
pub use snapshot::{Kept, World};

/// Settings of an EcsCluster that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Name.
    pub name: String,
    /// Being deleted: nothing is placed. (CLU-5)
    pub deleting: bool,
    /// Seconds after RUNNING until a task without health checks is healthy. (HEALTH-1)
    pub healthy_after_seconds: i64,
    /// Seconds without a ready node until replica tasks are replaced; 0 = never.
    pub disconnected_task_timeout_seconds: i64,
    /// Replicas and run-once tasks go only where all daemons are ready.
    pub replicas_wait_for_daemons: bool,
    /// Whether tasks wait behind stopping ones. (OPT-5)
    pub optimistic: Optimistic,
    /// Namespaces that may place tasks; `None`: all.
    pub allowed_namespaces: Option<BTreeSet<String>>,
    /// Namespaces that may run daemons; `None`: all.
    pub daemon_namespaces: Option<BTreeSet<String>>,
}

/// A container instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Name, equal to the node's.
    pub name: String,
    /// Uid of the ContainerInstance.
    pub uid: String,
    /// resourceVersion of the ContainerInstance.
    pub version: u64,
    /// EcsCluster it belongs to.
    pub cluster: String,
    /// Effective status: the user's wish, the node's state and the recorded status together.
    pub status: InstanceStatus,
    /// Node is ready. (CI-6)
    pub connected: bool,
    /// When the node was last seen ready, if it is not now.
    pub disconnected_since: Option<Timestamp>,
    /// Takes new tasks: not cordoned, no taint that is not tolerated.
    pub schedulable: bool,
    /// Version of the kubelet.
    pub agent_version: Option<String>,
    /// Id of the machine.
    pub ec2_instance_id: String,
    /// When the node joined.
    pub registered_at: Option<Timestamp>,
    /// Built-in and custom attributes.
    pub attributes: BTreeMap<String, Option<String>>,
    /// What the node offers.
    pub registered: Resources,
    /// What Pods that are not ours take.
    pub foreign: Resources,
    /// The ledger's entries.
    pub reservations: Vec<Reservation>,
    /// Tasks that wait behind stopping ones, in their order. (OPT-1)
    pub queue: Vec<QueueEntry>,
    /// Whether Tasks are bound here that the ledger has no entry for: nothing new is reserved until it has.
    pub overcommitted: bool,
    /// Version of its ledger, if that is newer than this program's: it must not be written.
    pub newer_ledger: Option<i64>,
}

impl Instance {
    /// Registered less foreign less reserved. (RES-8)
    #[must_use]
    pub fn remaining(&self) -> Resources {
        let reserved = Resources::sum(self.reservations.iter().map(|r| &r.amounts));
        self.registered.remaining(&self.foreign).remaining(&reserved)
    }

    /// The entry of a task.
    #[must_use]
    pub fn reservation(&self, task: &Key) -> Option<&Reservation> {
        self.reservations
            .iter()
            .find(|r| r.is_for(&task.namespace, &task.name))
    }
}

/// A revision of a task definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Namespace and object name.
    pub key: Key,
    /// Uid of the object.
    pub uid: String,
    /// Family.
    pub family: String,
    /// Revision.
    pub revision: i64,
    /// ACTIVE. (TD-3)
    pub active: bool,
    /// Being deleted. (TD-6)
    pub deleting: bool,
    /// What a task of it takes, or why no task can be made of it.
    pub demand: Result<Resources, Vec<String>>,
    /// Its own constraints, or the first that cannot be read. (TD-14)
    pub constraints: Result<Vec<Expression>, ParseError>,
    /// Attributes that an instance must have. (ATTR-9)
    pub required_attributes: Vec<Attribute>,
    /// Whether an essential container has a health check. (HEALTH-1)
    pub health_checked: bool,
    /// Seconds that a task of it may take to stop: the longest chain of stopTimeouts. (STOP-3)
    pub stop_seconds: i64,
}

impl Definition {
    /// `family:revision`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

/// A ranking of candidates. (STRAT)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Any. (STRAT-2)
    Random,
    /// Fewest tasks on the instance. (STRAT-3)
    SpreadInstance,
    /// Fewest tasks in the group of instances with the same value of this attribute. (STRAT-3)
    SpreadAttribute(String),
    /// Least CPU left. (STRAT-6)
    BinpackCpu,
    /// Least memory left. (STRAT-6)
    BinpackMemory,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Namespace and object name.
    pub key: Key,
    /// Uid.
    pub uid: String,
    /// resourceVersion of the EcsService.
    pub version: u64,
    /// When it was created; older daemons come first.
    pub created_at: Timestamp,
    /// ECS name: its tasks are in group `service:NAME`.
    pub ecs_name: String,
    /// EcsCluster.
    pub cluster: String,
    /// Being deleted. (SVC-3)
    pub deleting: bool,
    /// REPLICA or DAEMON.
    pub strategy: SchedulingStrategy,
    /// `spec.desiredCount`; 0 for daemons.
    pub desired_count: u32,
    /// `spec.taskDefinition`.
    pub requested_definition: String,
    /// `spec.forceNewDeployment`.
    pub forced: Option<String>,
    /// minimumHealthyPercent. (PCT-2)
    pub minimum_healthy_percent: u32,
    /// maximumPercent. (PCT-2)
    pub maximum_percent: u32,
    /// deploymentCircuitBreaker. (CB-1)
    pub circuit_breaker: CircuitBreaker,
    /// What makes a deployment COMPLETED. (ROLL-8, ROLL-9)
    pub success: SuccessCriteria,
    /// Daemon services of the namespace that its tasks wait for on each instance.
    pub depends_on_daemons: Vec<String>,
    /// healthCheckGracePeriodSeconds. (SVC-12)
    pub health_check_grace_period_seconds: u32,
    /// Constraints of the service, or the first that cannot be read.
    pub constraints: Result<Vec<Expression>, ParseError>,
    /// distinctInstance is asked. (CONS-4)
    pub distinct_instance: bool,
    /// Strategies in order. (STRAT-7)
    pub strategies: Vec<Strategy>,
    /// Running tasks are moved between zones. (AZ-1)
    pub rebalancing: bool,
    /// `status.deployments`, PRIMARY first.
    pub deployments: Vec<Deployment>,
    /// `status.serviceDeployments`, newest first. (DEP-8)
    pub history: Vec<ServiceDeployment>,
    /// `status.allocations`.
    pub allocations: Vec<Allocation>,
    /// `status.stopping`.
    pub stopping: Vec<StopMark>,
    /// `status.observedTaskVersion`; nobody plans on an older Task store.
    pub observed_task_version: u64,
}

impl Service {
    /// Task group of its tasks. (TASK-9)
    #[must_use]
    pub fn group(&self) -> String {
        format!("service:{}", self.ecs_name)
    }

    /// The PRIMARY deployment.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }
}

/// `protected_until` of a task whose request for protection has no answer yet: until there is one, it is left alone.
pub const ASKED: Timestamp = Timestamp::MAX;

/// A container that can't start yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// Name as in the definition.
    pub container: String,
    /// Why, as the node says. (TASK-14)
    pub reason: String,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Namespace and name (id).
    pub key: Key,
    /// Uid.
    pub uid: String,
    /// resourceVersion of the Task.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// EcsCluster.
    pub cluster: String,
    /// Instance it is bound to.
    pub instance: Option<String>,
    /// Group. (TASK-9)
    pub group: String,
    /// The service it belongs to.
    pub service: Option<ServiceRef>,
    /// Deployment id, or who started it. (TASK-10)
    pub started_by: String,
    /// `family:revision`.
    pub definition: String,
    /// RUNNING, or STOPPED (a deletionTimestamp counts as STOPPED).
    pub desired: DesiredStatus,
    /// Where it is in its life; a tombstone is STOPPED from its creation.
    pub last: LastStatus,
    /// Health. (TASK-16)
    pub health: HealthStatus,
    /// Since when its health checks pass, if they do now.
    pub healthy_since: Option<Timestamp>,
    /// PENDING → RUNNING.
    pub started_at: Option<Timestamp>,
    /// → STOPPING.
    pub stopping_at: Option<Timestamp>,
    /// → STOPPED.
    pub stopped_at: Option<Timestamp>,
    /// Why it stopped, or is told to.
    pub stop_code: Option<StopCode>,
    /// The same in words.
    pub stopped_reason: Option<String>,
    /// What holds its start up.
    pub held_up: Option<HeldUp>,
    /// It will never run.
    pub tombstone: bool,
    /// Protected from scale-in and deployments until then. (PROT-1)
    pub protected_until: Option<Timestamp>,
    /// Why it was told to finish, if it was. (PROT-11)
    pub told: Option<QuiesceReason>,
    /// What it asks of its place, if anything.
    pub run_once: Option<Arc<RunOnce>>,
}

impl Task {
    /// Whether the task has not ended.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.last != LastStatus::Stopped
    }

    /// Whether it should run.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.desired == DesiredStatus::Running && self.alive()
    }

    /// Whether it belongs to a DAEMON service.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.service.as_ref().is_some_and(|s| s.daemon)
    }
}
