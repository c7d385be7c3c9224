//! Records that the objects carry and the planners read: states, rules, the ledger's entries.

#![allow(
    unreachable_pub,
    reason = "the KubeSchema derive re-declares the types in a private scope"
)]
#![allow(
    clippy::doc_markdown,
    reason = "field docs are plain text in `kubectl explain`, and RUNNING or CamelCase there is no code"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::deployment::*;
pub use super::protection::*;
use super::resources::Resources;

/// Format of the ledger in ContainerInstance status that this program writes.
pub const LEDGER_VERSION: i64 = 1;

/// Whether a task should run. It becomes STOPPED once and never returns. (TASK-4)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DesiredStatus {
    /// The task should run.
    #[default]
    Running,
    /// The task should stop, or has stopped.
    Stopped,
}

/// Where a task is in its life. A task only moves to the right and may skip states. (TASK-3)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LastStatus {
    /// Preparation before launch.
    Provisioning,
    /// Waiting for the node to start its containers.
    #[default]
    Pending,
    /// Steps after the containers run.
    Activating,
    /// All containers reached their steady state.
    Running,
    /// Steps before the stop.
    Deactivating,
    /// The node is stopping the containers.
    Stopping,
    /// Clean-up after the stop.
    Deprovisioning,
    /// The end.
    Stopped,
}

/// Why a task stopped, as a code. (TASK-13)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StopCode {
    /// The task never reached RUNNING.
    TaskFailedToStart,
    /// An essential container ended.
    EssentialContainerExited,
    /// StopTask, or a forced deregistration.
    UserInitiated,
    /// Scale-in, deployment, drain or health.
    ServiceSchedulerInitiated,
    /// The machine went away.
    TerminationNotice,
}

/// Health of a task or container. (TASK-16)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    /// All health checks of essential containers pass.
    Healthy,
    /// A health check of an essential container fails.
    Unhealthy,
    /// No health check, or no result yet.
    #[default]
    Unknown,
}

/// Where tasks are launched: only EC2 is available. (PLACE-4)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LaunchType {
    /// Container instances: the nodes of the cluster.
    #[default]
    EC2,
    /// Not available on Kubernetes.
    FARGATE,
    /// Not available on Kubernetes.
    EXTERNAL,
}

/// A rule that an instance must satisfy. (CONS-1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'memberOf' || (has(self.expression) && self.expression.trim().size() > 0)")
        .message("memberOf expression must be specified and must not be empty."),
    validation = Rule::new("self.type != 'distinctInstance' || !has(self.expression)")
        .message("distinctInstance expression should not be specified.")
)]
pub struct PlacementConstraint {
    /// Kind of the constraint: `memberOf` or `distinctInstance`.
    #[serde(rename = "type")]
    pub type_: PlacementConstraintType,
    /// A cluster query language expression, at most 2000 characters; required for `memberOf`, refused for
    /// `distinctInstance`. (CONS-1, CONS-2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub expression: Option<String>,
}

/// Kind of a placement constraint. (CONS-1)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlacementConstraintType {
    /// No two tasks of the same group on one instance. (CONS-4)
    DistinctInstance,
    /// The instance satisfies a cluster query language expression.
    MemberOf,
}

/// How candidates are ranked. (STRAT-1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'random' || !has(self.field) || self.field == ''")
        .message("The random placement strategy does not support a field. Remove the field and try again."),
    validation = Rule::new(
        r"self.type != 'spread' || (has(self.field) && self.field.matches('^(instanceId|host|attribute:[A-Za-z0-9_/\\.-]{1,128})$'))"
    )
    .message("The spread placement strategy needs a field: instanceId, host or attribute:NAME."),
    validation = Rule::new(
        "self.type != 'binpack' || (has(self.field) && self.field.lowerAscii() in ['cpu', 'memory'])"
    )
    .message("The binpack placement strategy needs a field: cpu or memory.")
)]
pub struct PlacementStrategy {
    /// Kind of the strategy: `random`, `spread` or `binpack`.
    #[serde(rename = "type")]
    pub type_: PlacementStrategyType,
    /// What is compared. For spread: `instanceId`, `host` or `attribute:NAME`; for binpack: `cpu` or `memory`; for
    /// random: nothing. (VAL-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub field: Option<String>,
}

/// Kind of a placement strategy. (STRAT-2, STRAT-3, STRAT-6)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlacementStrategyType {
    /// Any candidate.
    Random,
    /// The group with the fewest tasks.
    Spread,
    /// The instance with the least left that still fits.
    Binpack,
}

/// A name with an optional value, on an instance. (ATTR-1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// 1 to 128 letters, digits, `-`, `_`, `/`, `\`, `.`. (ATTR-2)
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_/\\.-]+$"))]
    pub name: String,
    /// 1 to 128 letters, digits, `-`, `_`, `.`, `@`, `/`, `\`, `:`, space; no space at either end. (ATTR-3)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 128),
        regex(pattern = r"^([A-Za-z0-9_.@/\\:-]([A-Za-z0-9_.@/\\: -]*[A-Za-z0-9_.@/\\:-])?)?$")
    )]
    pub value: Option<String>,
}

/// What an instance is. (CI-2)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    /// Not yet described by the operator.
    #[default]
    Registering,
    /// It takes tasks if connected.
    Active,
    /// It takes no tasks, and those it has move away.
    Draining,
    /// Its node is gone; it goes when its reservations are released.
    Inactive,
}

/// The share of one task. At most 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Namespace of the task.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name (id) of the task.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub task: String,
    /// Uid of the task, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// The service it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// What it takes.
    pub amounts: Resources,
    /// When it was reserved (RFC 3339).
    #[schemars(length(max = 40))]
    pub since: String,
    /// Put back for a running Pod after the ledger was lost, whatever the room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
}

impl Reservation {
    /// Whether it is the share of a task of this namespace and name.
    #[must_use]
    pub fn is_for(&self, namespace: &str, task: &str) -> bool {
        self.task == task && self.namespace == namespace
    }

    /// Whether it can be the share of the task with this uid: it names no other. (F4)
    #[must_use]
    pub fn admits(&self, uid: &str) -> bool {
        self.uid.as_ref().is_none_or(|known| known == uid)
    }
}

/// Most tasks that wait on one instance behind stopping ones. (OPT-1)
pub const QUEUE_MAX: usize = 50;

/// A task that waits on an instance behind stopping tasks. It takes no room; at most 512 bytes. (OPT-1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// Namespace of the task.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name (id) of the task.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub task: String,
    /// Uid of the task.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The service it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// What it is to take.
    pub amounts: Resources,
    /// When it was queued (RFC 3339).
    #[schemars(length(max = 40))]
    pub since: String,
}

impl QueueEntry {
    /// Whether it is the entry of a task of this namespace and name.
    #[must_use]
    pub fn is_for(&self, namespace: &str, task: &str) -> bool {
        self.task == task && self.namespace == namespace
    }
}

/// A service by name and uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Name of the EcsService object.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Whether it is a DAEMON service: at most one task of it is reserved here. (DAEMON-35)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub daemon: bool,
    /// The deployment that asked for the task (`ecs-svc/…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub deployment: Option<String>,
}

/// What becomes of a request for several tasks that not all have a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Commit {
    /// Those that have a place run; for the others there are the reasons, as from ECS. (RUN-2)
    #[default]
    Partial,
    /// None runs before all have their share of an instance.
    AllOrNothing,
}

/// The request that a task was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTaskRef {
    /// Name of the RunTask.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Which attempt of the request the task is of: 1 for the first.
    pub attempt: u32,
    /// Whether it waits for the others.
    #[serde(default)]
    pub commit: Commit,
}

/// How many tasks a service has and where. (SVC-2)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchedulingStrategy {
    /// `desiredCount` tasks, placed by strategies.
    #[default]
    Replica,
    /// One task on each eligible instance.
    Daemon,
}

/// How many failures are too many. (CB-3)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'COUNT' || !has(self.value) || self.value <= 100")
        .message("thresholdConfiguration value must be between 1 and 100 for BOUNDED_PERCENT and UNBOUNDED_PERCENT."),
    validation = Rule::new("self.type != 'COUNT' || has(self.value)")
        .message("thresholdConfiguration value is required for type COUNT.")
)]
pub struct ThresholdConfiguration {
    /// What `value` is: BOUNDED_PERCENT (default) of the desired count, at least 3 and at most 200 failures;
    /// UNBOUNDED_PERCENT of the desired count; or COUNT, that many failures. (CB-3)
    #[serde(rename = "type", default)]
    pub type_: ThresholdType,
    /// 1 to 100 for the percent types, default 50; required for COUNT. Rounded up. (CB-3, VAL-12)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647i64))]
    pub value: Option<i64>,
}

/// What a threshold's value is. (CB-3)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ThresholdType {
    /// Percent of the desired count, at least 3 and at most 200.
    #[default]
    BoundedPercent,
    /// Percent of the desired count.
    UnboundedPercent,
    /// A number of failures.
    Count,
}

/// A task id given out for a service, not yet seen as a Task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    /// Name of the Task to be: 32 hex digits. (ARN-1)
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub id: String,
    /// Deployment it is for.
    pub deployment: String,
    /// When it was given out (RFC 3339).
    pub created_at: String,
    /// Zone that it is started in so that one elsewhere may stop. (AZ-4)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
}

/// A task decided to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StopMark {
    /// Name of the Task.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub id: String,
    /// Its uid, or empty if it was never seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// resourceVersion of the Task that was decided on; empty if it was never seen: then a tombstone cancels it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_version: String,
    /// Reason given to the Task. (TASK-13)
    pub reason: String,
    /// Zone that it leaves, for one was started elsewhere. (AZ-4)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
}

/// Why an instance could not take a task. (FAIL)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementFailure {
    /// Name of the ContainerInstance.
    pub container_instance: String,
    /// The first failing check, in ECS's words. (FAIL)
    pub reason: String,
    /// What was asked and what there was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
