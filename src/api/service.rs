//! `EcsService`: keeps tasks of a task definition running. (SVC, DEP)

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Allocation, Condition, DEFAULT_CLUSTER, Deployment, LaunchType, PlacementConstraint, PlacementFailure,
    PlacementStrategy, SchedulingStrategy, ServiceDeployment, StopMark, Tag, ThresholdConfiguration, rules,
};

/// A service: `desiredCount` tasks (REPLICA) or one on each eligible instance (DAEMON).
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "EcsService",
    plural = "ecsservices",
    singular = "ecsservice",
    shortname = "ecssvc",
    category = "ecs-operator",
    category = "all",
    namespaced,
    doc = "An ECS service: keeps tasks of a task definition running.",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("The name of an EcsService must be no more than 63 characters."),
    validation = Rule::new("has(self.spec.serviceName) || !self.metadata.name.contains('.')").message(
        "A service name is made of letters, digits, hyphens and underscores: give spec.serviceName or a name \
         without dots."
    ),
    validation = Rule::new(
        "(has(self.spec.serviceName) ? self.spec.serviceName : self.metadata.name) == \
         (has(oldSelf.spec.serviceName) ? oldSelf.spec.serviceName : oldSelf.metadata.name)"
    )
    .message("serviceName is fixed at creation: delete the service and create another one."),
    status = "EcsServiceStatus",
    derive = "PartialEq",
    selectable = ".spec.cluster",
    scale(
        spec_replicas_path = ".spec.desiredCount",
        status_replicas_path = ".status.runningCount",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Strategy",
        type_ = "string",
        json_path = ".spec.schedulingStrategy",
        description = "REPLICA or DAEMON"
    ),
    printcolumn(
        name = "Task Definition",
        type_ = "string",
        json_path = ".spec.taskDefinition",
        description = "family or family:revision"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredCount",
        description = "Tasks wanted; of a daemon the number of eligible instances"
    ),
    printcolumn(
        name = "Running",
        type_ = "integer",
        json_path = ".status.runningCount",
        description = "Tasks in RUNNING"
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.pendingCount",
        description = "Tasks in PENDING"
    ),
    printcolumn(
        name = "Rollout",
        type_ = "string",
        json_path = ".status.deployments[0].rolloutState",
        description = "State of the primary deployment"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Steady state"
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.deployments[0].taskDefinition",
        description = "Task definition of the primary deployment",
        priority = 1
    ),
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "EcsCluster",
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
    validation = Rule::new("self.schedulingStrategy != 'DAEMON' || !has(self.desiredCount)").message(
        "The daemon scheduling strategy does not support a desired count for services. Remove the desired count \
         value and try again"
    ),
    validation = Rule::new("self.schedulingStrategy != 'REPLICA' || has(self.desiredCount)")
        .message("desiredCount is required for the REPLICA scheduling strategy (0 is allowed)."),
    validation = Rule::new(
        "self.schedulingStrategy != 'DAEMON' || !has(self.placementStrategy) || self.placementStrategy.size() == 0"
    )
    .message(
        "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and \
         try again"
    ),
    validation = Rule::new(
        "self.schedulingStrategy != 'DAEMON' || !has(self.deploymentConfiguration) || \
         !has(self.deploymentConfiguration.maximumPercent) || self.deploymentConfiguration.maximumPercent <= 100"
    )
    .message(
        "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment \
         configuration. Change the maximumPercent value to 100, and try again"
    ),
    validation = Rule::new(
        "self.schedulingStrategy != 'DAEMON' || !has(self.deploymentConfiguration) || \
         !has(self.deploymentConfiguration.minimumHealthyPercent) || \
         self.deploymentConfiguration.minimumHealthyPercent < 100"
    )
    .message("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."),
    validation = Rule::new(
        "self.schedulingStrategy != 'REPLICA' || !has(self.deploymentConfiguration) || \
         !has(self.deploymentConfiguration.maximumPercent) || self.deploymentConfiguration.maximumPercent >= 100"
    )
    .message("maximumPercent must be at least 100 for the REPLICA scheduling strategy."),
    validation = Rule::new(
        "!has(self.deploymentConfiguration) || !has(self.deploymentConfiguration.earlySuccessCriteria) || \
         !self.deploymentConfiguration.earlySuccessCriteria.enable || \
         !has(self.deploymentConfiguration.earlySuccessCriteria.healthyPercent) || \
         self.deploymentConfiguration.earlySuccessCriteria.healthyPercent >= \
         (has(self.deploymentConfiguration.minimumHealthyPercent) ? \
         self.deploymentConfiguration.minimumHealthyPercent : self.schedulingStrategy == 'DAEMON' ? 0 : 100)"
    )
    .message(
        "healthyPercent of earlySuccessCriteria must be at least minimumHealthyPercent, which is 100 for REPLICA and \
         0 for DAEMON unless set."
    ),
    validation = Rule::new(
        "!has(self.availabilityZoneRebalancing) || self.availabilityZoneRebalancing != 'ENABLED' || \
         self.schedulingStrategy == 'REPLICA'"
    )
    .message("Availability Zone rebalancing does not support the DAEMON scheduling strategy."),
    validation = Rule::new(
        "!has(self.availabilityZoneRebalancing) || self.availabilityZoneRebalancing != 'ENABLED' || \
         !has(self.deploymentConfiguration) || !has(self.deploymentConfiguration.maximumPercent) || \
         self.deploymentConfiguration.maximumPercent > 100"
    )
    .message("Availability Zone rebalancing needs a maximumPercent above 100."),
    validation = Rule::new(
        "!has(self.availabilityZoneRebalancing) || self.availabilityZoneRebalancing != 'ENABLED' || \
         !has(self.placementStrategy) || self.placementStrategy.size() == 0 || \
         (self.placementStrategy[0].type == 'spread' && has(self.placementStrategy[0].field) && \
         self.placementStrategy[0].field == 'attribute:ecs.availability-zone')"
    )
    .message(
        "Availability Zone rebalancing needs no placement strategy, or spread on \
         attribute:ecs.availability-zone as the first one."
    ),
    validation = Rule::new(
        "!has(self.availabilityZoneRebalancing) || self.availabilityZoneRebalancing != 'ENABLED' || \
         !has(self.placementConstraints) || self.placementConstraints.all(c, !has(c.expression) || \
         !c.expression.contains('attribute:ecs.availability-zone'))"
    )
    .message(
        "Availability Zone rebalancing does not support a placement constraint on \
         attribute:ecs.availability-zone."
    )
)]
pub struct EcsServiceSpec {
    /// ECS name of the service; default is the object's name. Its tasks are in group `service:NAME`. Fixed at
    /// creation. (SVC-4)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub service_name: Option<String>,
    /// Name of the EcsCluster that the service runs in. Fixed at creation. (CLU-4)
    #[serde(default = "default_cluster")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("cluster is fixed at creation: delete the service and create another one."))]
    pub cluster: String,
    /// `family` or `family:revision` of the same namespace; a bare family means its latest ACTIVE revision at the
    /// time this field was set. An ARN is accepted. (TD-4)
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(rules::TASK_DEFINITION_REFERENCE)
        .message("taskDefinition must be family, family:revision or the ARN of a task definition."))]
    pub task_definition: String,
    /// Number of tasks, 0 to 5000: required for REPLICA, refused for DAEMON. (SVC-8, DAEMON-6)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5000))]
    pub desired_count: Option<i64>,
    /// How many tasks there are and where: REPLICA (default) or DAEMON. Fixed at creation. (SVC-2)
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("schedulingStrategy is fixed at creation: delete the service and create another one."))]
    pub scheduling_strategy: SchedulingStrategy,
    /// Where tasks are launched: only EC2 is available. (DAEMON-8)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 'EC2'")
        .message("launchType must be EC2: FARGATE and EXTERNAL are not available on Kubernetes."))]
    pub launch_type: Option<LaunchType>,
    /// Bounds and failure handling of deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_configuration: Option<DeploymentConfiguration>,
    /// Which controller deploys: only type ECS is available. (SVC-2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_controller: Option<DeploymentController>,
    /// Rules that an instance must satisfy, joined by and; at most 10 with those of the task definition. (CONS-3)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// How candidates are ranked, in order; at most 5; not for DAEMON. (STRAT-1, DAEMON-7)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub placement_strategy: Vec<PlacementStrategy>,
    /// Failing health checks are ignored this many seconds after a task's start. (SVC-12)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647i64))]
    pub health_check_grace_period_seconds: Option<i64>,
    /// Whether running tasks are moved to keep the zones balanced: ENABLED or DISABLED. Default is ENABLED for REPLICA with a
    /// maximumPercent above 100, no placement strategy but spread on zones first, and no constraint on zones.
    /// (AZ-1 to AZ-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone_rebalancing: Option<AvailabilityZoneRebalancing>,
    /// Names of EcsServices of the same namespace with the DAEMON strategy, at most 10: tasks are placed only on instances where
    /// a task of each runs and, if it has health checks, is healthy. On a draining instance such a daemon leaves after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub depends_on_daemons: Vec<String>,
    /// Any change of this text starts a new deployment of the same task definition. (SVC-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub force_new_deployment: Option<String>,
    /// Tags of the service. (VAL-8)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<Tag>,
}

fn default_cluster() -> String {
    DEFAULT_CLUSTER.to_owned()
}

/// Whether the tasks are kept balanced over the zones: ENABLED or DISABLED. (AZ-1 to AZ-5)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum AvailabilityZoneRebalancing {
    /// Zones are kept balanced.
    Enabled,
    /// Zones are left as they are.
    Disabled,
}

/// Which controller deploys. (SVC-2)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct DeploymentController {
    /// ECS; CODE_DEPLOY and EXTERNAL are refused.
    #[serde(rename = "type")]
    #[x_kube(validation = Rule::new("self == 'ECS'")
        .message("deploymentController must be of type ECS: CODE_DEPLOY and EXTERNAL are not available on Kubernetes."))]
    pub type_: DeploymentControllerType,
}

/// Kind of deployment controller. (SVC-2)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentControllerType {
    /// Rolling update.
    Ecs,
    /// Not available on Kubernetes.
    CodeDeploy,
    /// Not available on Kubernetes.
    External,
}

/// Bounds of a deployment, in percent of the desired count. (PCT)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentConfiguration {
    /// How deployments go: only ROLLING is available. (ROLL-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 'ROLLING'")
        .message("strategy must be ROLLING: BLUE_GREEN, LINEAR and CANARY are not available on Kubernetes."))]
    pub strategy: Option<DeploymentStrategy>,
    /// Upper bound on RUNNING and PENDING tasks. Default 200, for DAEMON 100. (PCT-1, PCT-2, DAEMON-30)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub maximum_percent: Option<i64>,
    /// Lower bound on healthy RUNNING tasks. Default 100, for DAEMON 0. (PCT-1, PCT-2, DAEMON-30)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub minimum_healthy_percent: Option<i64>,
    /// Whether a deployment whose tasks keep failing is given up, and the last one that worked restored. (CB-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_circuit_breaker: Option<DeploymentCircuitBreaker>,
    /// Whether less than all tasks are enough for a deployment to be COMPLETED. (ROLL-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_success_criteria: Option<EarlySuccessCriteria>,
    /// Minutes, 0 (default) to 1440, that a deployment must meet what makes it COMPLETED without a break; failures count
    /// meanwhile. (ROLL-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1440))]
    pub bake_time_in_minutes: Option<i64>,
}

/// How deployments go. (ROLL-1)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentStrategy {
    /// Rolling update.
    Rolling,
    /// Not available on Kubernetes.
    BlueGreen,
    /// Not available on Kubernetes.
    Linear,
    /// Not available on Kubernetes.
    Canary,
}

/// When less than all tasks are enough. With `enable` the other two are required. The tasks that are missing are started
/// afterwards, and the circuit breaker counts no more. (ROLL-9)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.enable || (has(self.healthyPercent) && has(self.sourceServiceRevisionCleanup))")
    .message("earlySuccessCriteria with enable: true need healthyPercent and sourceServiceRevisionCleanup."))]
pub struct EarlySuccessCriteria {
    /// Whether they are used.
    pub enable: bool,
    /// Healthy tasks of the new deployment that are enough, in percent of the desired count, rounded up, at least one; not
    /// below minimumHealthyPercent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub healthy_percent: Option<i64>,
    /// BLOCKING: tasks of older deployments must have been told to stop before. DEFERRED: they may be told afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_service_revision_cleanup: Option<ServiceRevisionCleanup>,
}

/// When tasks of older deployments must be gone. (ROLL-9)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceRevisionCleanup {
    /// Before the deployment is COMPLETED.
    Blocking,
    /// At any time.
    Deferred,
}

/// When to give a deployment up. `enable` and `rollback` are required. (CB-1, VAL-12)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentCircuitBreaker {
    /// Whether a deployment fails when too many of its tasks never reach RUNNING or, once one of them runs, are stopped
    /// for failed health checks. No more tasks of it are started then. (CB-4, CB-5, CB-9)
    pub enable: bool,
    /// Whether the last completed deployment is restored then. `spec.taskDefinition` is not changed: status.deployments
    /// says what was restored and why, and another value there or of forceNewDeployment starts anew. (CB-10)
    pub rollback: bool,
    /// Whether a task that becomes healthy clears the count of failures. Default true. (CB-6)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_on_healthy_task: Option<bool>,
    /// How many failures are too many. Default 50 percent of the desired count, at least 3 and at most 200. (CB-2, CB-3)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_configuration: Option<ThresholdConfiguration>,
}

/// What the operator observed of a service, and what it decided. Written by the ledger alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EcsServiceStatus {
    /// ACTIVE, DRAINING (being deleted, tasks still exist). (SVC-3)
    #[serde(default)]
    pub status: String,
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Tasks wanted; of a daemon the number of eligible instances. (DAEMON-5)
    #[serde(default)]
    pub desired_count: i64,
    /// Tasks in RUNNING. (SVC-8)
    #[serde(default)]
    pub running_count: i64,
    /// Tasks in PENDING. (SVC-8)
    #[serde(default)]
    pub pending_count: i64,
    /// Label selector of the service's tasks, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The PRIMARY deployment first, then ACTIVE ones, newest first: those that have tasks and, while the PRIMARY is not
    /// completed, the one that it can be rolled back to or was rolled back from. (DEP-2, CB-10)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub deployments: Vec<Deployment>,
    /// The last 10 deployments and what became of them, newest first. (DEP-8)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub service_deployments: Vec<ServiceDeployment>,
    /// The last 100 events, newest first. (EVT-1)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub events: Vec<ServiceEvent>,
    /// Task ids decided on that were not yet seen as Tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub allocations: Vec<Allocation>,
    /// Tasks decided to stop that were not yet seen stopping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000))]
    pub stopping: Vec<StopMark>,
    /// The highest resourceVersion of Tasks that the author of this status had seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_task_version: Option<String>,
    /// Why no task could be placed, per instance the first reason; empty when nothing waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub placement_failures: Vec<PlacementFailure>,
    /// Ready, Progressing, Stalled, Complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A service event. (EVT-1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEvent {
    /// Unique id.
    pub id: String,
    /// When it happened (RFC 3339).
    pub created_at: String,
    /// ECS's text. (EVT-4)
    #[schemars(length(max = 1024))]
    pub message: String,
}
