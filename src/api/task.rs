//! `Task`: one run of a task definition on one instance. (TASK)

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, DEFAULT_CLUSTER, DesiredStatus, HealthStatus, LastStatus, LaunchType, PlacementConstraint,
    PlacementFailure, PlacementStrategy, ProtectionAnswer, Quiesce, RunTaskRef, ServiceRef, StopCode, Tag,
    TaskOverride, TaskProtection, rules,
};

/// One run of a task definition, bound to one instance and never moved. (TASK-17)
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "Task",
    plural = "tasks",
    singular = "task",
    shortname = "ecstask",
    category = "ecs-operator",
    category = "all",
    namespaced,
    doc = "One run of a task definition, bound to one container instance and never moved.",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("The name of a Task must be no more than 63 characters."),
    status = "TaskStatus",
    derive = "PartialEq",
    selectable = ".spec.cluster",
    selectable = ".spec.containerInstance",
    selectable = ".spec.desiredStatus",
    selectable = ".spec.group",
    selectable = ".status.lastStatus",
    printcolumn(
        name = "Group",
        type_ = "string",
        json_path = ".spec.group",
        description = "service:NAME or family:NAME"
    ),
    printcolumn(
        name = "Task Definition",
        type_ = "string",
        json_path = ".spec.taskDefinition",
        description = "family:revision"
    ),
    printcolumn(
        name = "Instance",
        type_ = "string",
        json_path = ".spec.containerInstance",
        description = "ContainerInstance it is bound to"
    ),
    printcolumn(
        name = "Desired",
        type_ = "string",
        json_path = ".spec.desiredStatus",
        description = "RUNNING or STOPPED"
    ),
    printcolumn(
        name = "Last",
        type_ = "string",
        json_path = ".status.lastStatus",
        description = "Where it is in its life"
    ),
    printcolumn(
        name = "Health",
        type_ = "string",
        json_path = ".status.healthStatus",
        description = "Health of its essential containers",
        priority = 1
    ),
    printcolumn(
        name = "Protected Until",
        type_ = "string",
        json_path = ".status.protectedUntil",
        description = "When its scale-in protection ends",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.stoppedReason",
        description = "Why it stopped",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(rules::TASK_FIXED.expression()).message(
        "A task is immutable but for desiredStatus, stoppedReason, stopCode, protection and the first \
         containerInstance."
    ),
    validation = Rule::new(
        "has(self.service) == has(oldSelf.service) && (!has(self.service) || \
         (self.service.name == oldSelf.service.name && self.service.uid == oldSelf.service.uid && \
         (has(self.service.daemon) && self.service.daemon) == (has(oldSelf.service.daemon) && oldSelf.service.daemon)))"
    )
    .message("service is set at creation and never changes."),
    validation = Rule::new(
        "(has(self.tombstone) && self.tombstone) == (has(oldSelf.tombstone) && oldSelf.tombstone)"
    )
    .message("tombstone is set at creation and never changes."),
    validation = Rule::new(
        "!has(oldSelf.containerInstance) || \
         (has(self.containerInstance) && self.containerInstance == oldSelf.containerInstance)"
    )
    .message("containerInstance is set once: a task never moves to another instance."),
    validation = Rule::new("!has(self.tombstone) || !self.tombstone || self.desiredStatus == 'STOPPED'")
        .message("A tombstone never runs: desiredStatus must be STOPPED."),
    validation = Rule::new(
        "!has(self.group) || !self.group.startsWith('service:') || has(self.service) || \
         (has(self.tombstone) && self.tombstone)"
    )
    .message("A task group that begins with service: is reserved for the tasks of a service."),
    validation = Rule::new("!has(self.overrides) || !has(self.service)").message(
        "overrides are for run-once tasks: the tasks of a service run its task definition as it is."
    ),
    validation = Rule::new(
        "!has(self.protection) || !self.protection.protectionEnabled || has(self.service)"
    )
    .message(
        "TASK_NOT_VALID: the task is not of a service; only the tasks of a service can be protected."
    ),
    validation = Rule::new(
        "oldSelf.desiredStatus != 'STOPPED' || !has(self.protection) || !self.protection.protectionEnabled || \
         (has(oldSelf.protection) && self.protection == oldSelf.protection)"
    )
    .message("TASK_NOT_VALID: the task was told to stop; only a task that should run can be protected.")
)]
pub struct TaskSpec {
    /// Name of the EcsCluster that the task runs in.
    #[serde(default = "default_cluster")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// ContainerInstance the task is bound to. Set at creation (StartTask) or once by a scheduler; never changed. Left
    /// out, the operator chooses one (RunTask). (RUN-1, RUN-6)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub container_instance: Option<String>,
    /// `family:revision` of the same namespace; an ARN is accepted. (TD-4)
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(rules::TASK_DEFINITION_REFERENCE)
        .message("taskDefinition must be family, family:revision or the ARN of a task definition."))]
    pub task_definition: String,
    /// What is wanted of the task: RUNNING, or STOPPED, once and for ever. (TASK-4)
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf || self == 'STOPPED'")
        .message("desiredStatus becomes STOPPED once and never returns to RUNNING."))]
    pub desired_status: DesiredStatus,
    /// Why it was told to stop. (TASK-13)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub stopped_reason: Option<String>,
    /// Code of why it was told to stop. (TASK-13)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<StopCode>,
    /// Task group; default `family:FAMILY`, always `service:NAME` for the tasks of a service. (TASK-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub group: Option<String>,
    /// Who started the task: up to 128 letters, digits, hyphens, underscores and slashes; for the tasks of a service
    /// the deployment id. (TASK-10, RUN-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_/-]*$"))]
    pub started_by: Option<String>,
    /// Where the task is launched: only EC2 is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 'EC2'")
        .message("launchType must be EC2: FARGATE and EXTERNAL are not available on Kubernetes."))]
    pub launch_type: Option<LaunchType>,
    /// Rules that the instance must satisfy, joined by and; at most 10 with those of the task definition. (RUN-1, CONS-3)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// How candidates are ranked, in order; at most 5; default random. Nothing is left to rank if containerInstance is
    /// set. (STRAT-1, STRAT-9)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub placement_strategy: Vec<PlacementStrategy>,
    /// Until when (RFC 3339) the task waits to be placed if nothing fits now. Left out, it is placed now or STOPPED with
    /// the reason, as ECS's RunTask does. (RUN-2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), extend("format" = "date-time"))]
    pub queue_until: Option<String>,
    /// What the task changes of its task definition; not for the tasks of a service. (RUN-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Box<TaskOverride>>,
    /// The service it belongs to; set by the operator. (SVC-14)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// The RunTask that it was made for; set by the operator. (RUN-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_task: Option<RunTaskRef>,
    /// Scale-in protection: set it on a task that runs, as ECS's UpdateTaskProtection does. (PROT-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<TaskProtection>,
    /// A task that will never run: it takes the place of one whose creation is uncertain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tombstone: bool,
    /// Tags of the task. (VAL-8)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<Tag>,
}

fn default_cluster() -> String {
    DEFAULT_CLUSTER.to_owned()
}

/// What the operator observed of a task. (TASK-1)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Where the task is in its life. (TASK-3)
    #[serde(default)]
    pub last_status: LastStatus,
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Health of its essential containers. (TASK-16)
    #[serde(default)]
    pub health_status: HealthStatus,
    /// CONNECTED or DISCONNECTED. (TASK-19)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connectivity: Option<String>,
    /// Its Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// State of its containers. (TASK-2)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub containers: Vec<ContainerState>,
    /// PENDING → RUNNING (RFC 3339). (TASK-11)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RUNNING → STOPPING (RFC 3339). (TASK-11)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<String>,
    /// → STOPPED (RFC 3339). (TASK-11)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
    /// Scale-in, deployments and drains leave the task until then (RFC 3339); absent if it is not protected. (PROT-3)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_until: Option<String>,
    /// The last request for protection that was answered. (PROT-3)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionAnswer>,
    /// Only protection keeps the task: it should finish its work and end its protection. (PROT-11)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiesce: Option<Quiesce>,
    /// Code of why it stopped. (TASK-13)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<StopCode>,
    /// Why it stopped. (TASK-13)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub stopped_reason: Option<String>,
    /// Why the task could not be placed, per instance the first failing check, the closest instance first. (RUN-2)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub placement_failures: Vec<PlacementFailure>,
    /// Where the task waits behind stopping ones for its share. (OPT-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Queued>,
    /// Placed, Ready and, if it has health checks, Healthy; Protected, if that was ever asked for; Quiesce, if only
    /// protection keeps or kept it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a task waits, behind whom, and for how long. (OPT-1)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    /// ContainerInstance in whose queue it stands.
    #[schemars(length(max = 253))]
    pub container_instance: String,
    /// Tasks there that are stopping, whose end it waits for: `namespace/name`, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 127)))]
    pub behind: Vec<String>,
    /// When it is expected to start (RFC 3339); absent if nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub until: Option<String>,
}

/// A Pod by name and uid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodRef {
    /// Name of the Pod.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// State of one container. (TASK-2)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// Name as in the task definition.
    pub name: String,
    /// PENDING, RUNNING or STOPPED.
    pub last_status: LastStatus,
    /// Exit code, once stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Runtime error, if any. (TASK-14)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Health of the container.
    #[serde(default)]
    pub health_status: HealthStatus,
    /// Id the runtime gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// Digest of the image it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}
