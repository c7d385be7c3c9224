//! `EcsCluster`: a set of nodes and the settings of the scheduler for them. (CLU-1 to CLU-7)

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

/// Which nodes are container instances of this cluster, and how tasks are scheduled on them.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "EcsCluster",
    plural = "ecsclusters",
    singular = "ecscluster",
    shortname = "ecscl",
    category = "ecs-operator",
    doc = "A set of nodes on which ECS tasks run, and the settings of their scheduler.",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("The name of an EcsCluster must be no more than 63 characters."),
    validation = Rule::new("!self.metadata.name.contains('.')")
        .message("The name of an EcsCluster is made of letters, digits and hyphens only."),
    status = "EcsClusterStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.status",
        description = "ACTIVE, DEPROVISIONING or INACTIVE"
    ),
    printcolumn(
        name = "Instances",
        type_ = "integer",
        json_path = ".status.registeredContainerInstancesCount",
        description = "Instances in ACTIVE and DRAINING"
    ),
    printcolumn(
        name = "Services",
        type_ = "integer",
        json_path = ".status.activeServicesCount",
        description = "Services in ACTIVE"
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
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since creation"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct EcsClusterSpec {
    /// Nodes that join: a label selector. Empty selects all nodes. A node that two clusters select joins the older one.
    #[serde(default)]
    #[schemars(with = "super::schema::BoundedSelector")]
    pub node_selector: LabelSelector,
    /// Tolerations that every task of the cluster gets, and that make tainted nodes candidates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tolerations: Vec<Toleration>,
    /// Whether the share of a stopping task counts as free: `off` (never), `on` (as ECS), `smart`. (OPT-5)
    #[serde(default)]
    pub optimistic_placement: OptimisticPlacement,
    /// With `smart`, a task waits behind a stopping task only if that is expected to be STOPPED within this many seconds.
    /// Default 30. (OPT-5)
    #[serde(default = "default_max_wait_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub optimistic_placement_max_wait_seconds: i64,
    /// What cordoning a node does to its instance: `Drain` (default) or `StopPlacing`.
    #[serde(default)]
    pub on_cordon: OnCordon,
    /// Whether tasks of replica services and run-once tasks are placed only on instances whose daemons all run and, where they
    /// have health checks, are healthy. What runs stays when a daemon is replaced. Default false.
    #[serde(default)]
    pub replicas_wait_for_daemons: bool,
    /// What still runs on an instance this many seconds after it began to drain is told to stop, protected and run-once tasks
    /// and those that hold minimumHealthyPercent among it; daemons last as ever. 0 (default) = never. (DRAIN-15, DRAIN-17)
    #[serde(default)]
    #[schemars(range(min = 0, max = 604_800))]
    pub drain_timeout_seconds: i64,
    /// After this many seconds without a ready node its replica tasks are replaced; 0 = never, as ECS. Default 300.
    #[serde(default = "default_disconnected_seconds")]
    #[schemars(range(min = 0, max = 604_800))]
    pub disconnected_task_timeout_seconds: i64,
    /// A task without health checks is healthy this many seconds after RUNNING. Default 40. (HEALTH-1)
    #[serde(default = "default_healthy_after_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub healthy_after_seconds: i64,
    /// TCP host ports that no task may take. Default 22, 10250, 10256. (RES-6)
    #[serde(default = "default_reserved_ports")]
    #[schemars(length(max = 100), inner(range(min = 1)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub reserved_ports: Vec<u16>,
    /// Namespaces whose services may use the DAEMON strategy: a label selector. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::BoundedSelector>")]
    pub daemon_namespaces: Option<LabelSelector>,
    /// Namespaces that may place tasks in this cluster: a label selector. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::schema::BoundedSelector>")]
    pub allowed_namespaces: Option<LabelSelector>,
    /// taskRoleArn to ServiceAccount name. Without an entry: `default`, without a mounted token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 500), with = "BTreeMap<String, super::schema::ObjectName>")]
    pub role_mappings: BTreeMap<String, String>,
    /// PriorityClass of daemon Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub daemon_priority_class_name: Option<String>,
    /// PriorityClass of all other Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub replica_priority_class_name: Option<String>,
    /// Key of a NoSchedule taint that nodes register with and that keeps Pods of others off a new node: the operator takes
    /// it off when all daemons that belong there run. Tasks tolerate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 317),
        regex(
            pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
        )
    )]
    pub startup_taint: Option<String>,
}

fn default_disconnected_seconds() -> i64 {
    300
}

fn default_max_wait_seconds() -> i64 {
    30
}

fn default_healthy_after_seconds() -> i64 {
    40
}

fn default_reserved_ports() -> Vec<u16> {
    vec![22, 10250, 10256]
}

/// Whether the share of a stopping task counts as free. (OPT-5)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimisticPlacement {
    /// Never: counted until STOPPED.
    #[default]
    Off,
    /// Always, as ECS does: where no instance has room, a task of a service waits behind stopping ones, and is not moved.
    On,
    /// Only behind tasks that are expected to stop soon, where that is soonest; it moves when there is room elsewhere.
    Smart,
}

/// What cordoning a node does to its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnCordon {
    /// The instance drains.
    #[default]
    Drain,
    /// The instance takes no new tasks and keeps those it has.
    StopPlacing,
}

/// What the operator observed of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EcsClusterStatus {
    /// ACTIVE, DEPROVISIONING (being deleted) or INACTIVE. (CLU-2)
    #[serde(default)]
    pub status: String,
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Instances in ACTIVE and DRAINING. (CLU-3)
    #[serde(default)]
    pub registered_container_instances_count: i64,
    /// Tasks in RUNNING.
    #[serde(default)]
    pub running_tasks_count: i64,
    /// Tasks in PENDING.
    #[serde(default)]
    pub pending_tasks_count: i64,
    /// Services whose status is ACTIVE. (CLU-3)
    #[serde(default)]
    pub active_services_count: i64,
    /// Ready, Conflicted, Complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
