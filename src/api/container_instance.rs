//! `ContainerInstance`: a node that takes tasks, and the ledger of what is reserved on it. (CI-1 to CI-15)

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribute, Condition, InstanceStatus, QueueEntry, Reservation};
use crate::domain::resources::Resources;

/// A node of the cluster as an ECS container instance. Made by the operator and named as the node; users set
/// `spec.status` to drain it and `spec.attributes` to describe it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "ContainerInstance",
    plural = "containerinstances",
    singular = "containerinstance",
    shortname = "ecsci",
    category = "ecs-operator",
    doc = "A node of the cluster as an ECS container instance, with the ledger of what is reserved on it.",
    status = "ContainerInstanceStatus",
    derive = "PartialEq",
    selectable = ".spec.cluster",
    selectable = ".spec.status",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "EcsCluster it belongs to"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.status",
        description = "ACTIVE, DRAINING or INACTIVE"
    ),
    printcolumn(
        name = "Connected",
        type_ = "boolean",
        json_path = ".status.agentConnected",
        description = "Whether the node is ready"
    ),
    printcolumn(
        name = "Running",
        type_ = "integer",
        json_path = ".status.runningTasksCount",
        description = "Tasks in RUNNING"
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.pendingTasksCount",
        description = "Tasks in PENDING"
    ),
    printcolumn(
        name = "CPU",
        type_ = "integer",
        json_path = ".status.remainingResources.cpu",
        description = "CPU units left"
    ),
    printcolumn(
        name = "Memory",
        type_ = "integer",
        json_path = ".status.remainingResources.memory",
        description = "MiB of memory left"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.statusReason",
        description = "Why it is not ACTIVE",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since registration"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstanceSpec {
    /// Name of the EcsCluster; set by the operator when the instance registers.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("cluster is fixed at registration: an instance cannot move to another cluster."))]
    pub cluster: String,
    /// What is wanted of the instance: ACTIVE, or DRAINING to move its tasks away, daemons last. (CI-4, DRAIN-1)
    #[serde(default)]
    #[schemars(with = "String", length(max = 64))]
    #[x_kube(validation = Rule::new("self in ['ACTIVE', 'DRAINING']")
        .message("Container instance status should be one of [ACTIVE, DRAINING]"))]
    pub status: InstanceDesiredStatus,
    /// Instead of `drainTimeoutSeconds` of the EcsCluster: seconds, 0 = never. May change while the instance drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub drain_timeout_seconds: Option<i64>,
    /// Custom attributes, at most 10. Names that begin with `ecs.` or `com.amazonaws.ecs.` are reserved. (ATTR-4, ATTR-5)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new(
            "self.all(a, !a.name.startsWith('ecs.') && !a.name.startsWith('com.amazonaws.ecs.'))"
        )
        .message("Attribute names that begin with ecs. or com.amazonaws.ecs. are reserved.")
    )]
    pub attributes: Vec<Attribute>,
}

/// What the user wants of an instance. (CI-4)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum InstanceDesiredStatus {
    /// It takes tasks.
    #[default]
    Active,
    /// It takes no tasks, and those it has move away.
    Draining,
}

/// What the operator observed of an instance, and the ledger. Written by the ledger alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstanceStatus {
    /// ACTIVE, DRAINING, INACTIVE or REGISTERING. (CI-2)
    #[serde(default)]
    pub status: InstanceStatus,
    /// Why the status is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether the node is ready. (CI-6)
    #[serde(default)]
    pub agent_connected: bool,
    /// When the node was first seen not ready, while it is not (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_since: Option<String>,
    /// When it began to drain, while it is DRAINING (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_since: Option<String>,
    /// When tasks that still run here are told to stop, while it is DRAINING and that was asked for (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_deadline: Option<String>,
    /// Tasks run here that the ledger has no entry for yet; nothing new is reserved until it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restoring: bool,
    /// Whether new tasks may be placed: ACTIVE, connected, not cordoned, no taint that is not tolerated.
    #[serde(default)]
    pub schedulable: bool,
    /// Version of the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Id of the machine: the last part of the node's providerID, else the node's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_instance_id: Option<String>,
    /// When the node joined (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<String>,
    /// Uid of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// Attributes that the operator sets from the node. (ATTR-6)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// What the node offers to Pods; ports are those reserved. (RES-3 to RES-6)
    #[serde(default)]
    pub registered_resources: Resources,
    /// What Pods that are not ours take.
    #[serde(default)]
    pub foreign: Resources,
    /// Registered less foreign less reserved. (RES-8)
    #[serde(default)]
    pub remaining_resources: Resources,
    /// Tasks with desiredStatus RUNNING that are not pending. (CI-11)
    #[serde(default)]
    pub running_tasks_count: i64,
    /// Tasks with desiredStatus RUNNING that have not started. (CI-11)
    #[serde(default)]
    pub pending_tasks_count: i64,
    /// The ledger: one entry for each task that has a share of this instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "task".into()]))]
    pub reservations: Vec<Reservation>,
    /// Tasks that wait here behind stopping ones, in the order they came; they take no room. (OPT-1)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "task".into()]))]
    pub queue: Vec<QueueEntry>,
    /// Format of the ledger; an operator that knows only an older one leaves it alone.
    #[serde(default)]
    pub ledger_version: i64,
    /// Schedulable, Draining, Overcommitted, Selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
