//! `RunTask`: a request to run tasks once, as ECS's call of that name. (RUN-1)

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    Commit, Condition, DEFAULT_CLUSTER, LaunchType, PlacementConstraint, PlacementFailure, PlacementStrategy,
    Tag, TaskOverride, rules,
};

/// A request to run up to ten tasks once; its name is the client token. (RUN-1, RUN-4)
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "RunTask",
    plural = "runtasks",
    singular = "runtask",
    category = "ecs-operator",
    category = "all",
    namespaced,
    doc = "A request to run up to ten tasks once. Its name is the client token: a second request of the same name is \
           refused.",
    validation = Rule::new("self.metadata.name.size() <= 48")
        .message("The name of a RunTask must be no more than 48 characters."),
    status = "RunTaskStatus",
    derive = "PartialEq",
    selectable = ".spec.cluster",
    printcolumn(
        name = "Task Definition",
        type_ = "string",
        json_path = ".spec.taskDefinition",
        description = "family or family:revision"
    ),
    printcolumn(
        name = "Count",
        type_ = "integer",
        json_path = ".spec.count",
        description = "Tasks asked for"
    ),
    printcolumn(
        name = "Placed",
        type_ = "integer",
        json_path = ".status.placedCount",
        description = "Tasks that have an instance"
    ),
    printcolumn(
        name = "Answered",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Answered\")].status",
        description = "Whether nothing is waited for any more"
    ),
    printcolumn(
        name = "Commit",
        type_ = "string",
        json_path = ".spec.commit",
        description = "Partial or AllOrNothing",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Placed\")].message",
        description = "What became of it",
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
#[x_kube(validation = Rule::new(rules::RUN_TASK_FIXED.expression())
    .message("A RunTask never changes, its name is the client token: make another request under another name."))]
pub struct RunTaskSpec {
    /// Name of the EcsCluster that the tasks run in.
    #[serde(default = "default_cluster")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster: String,
    /// `family` or `family:revision` of the same namespace; an ARN is accepted. A bare family is resolved once, for all
    /// tasks. (TD-4)
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(rules::TASK_DEFINITION_REFERENCE)
        .message("taskDefinition must be family, family:revision or the ARN of a task definition."))]
    pub task_definition: String,
    /// How many tasks, 1 to 10. (RUN-1)
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub count: u32,
    /// What becomes of the request if not all tasks have a place: Partial runs those that have, as ECS does; of
    /// AllOrNothing none runs before all have their share of an instance.
    #[serde(default)]
    pub commit: Commit,
    /// Task group of the tasks; default `family:FAMILY`. (TASK-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("!self.startsWith('service:')")
        .message("A task group that begins with service: is reserved for the tasks of a service."))]
    pub group: Option<String>,
    /// Who started the tasks: up to 128 letters, digits, hyphens, underscores and slashes. (TASK-10, RUN-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_/-]*$"))]
    pub started_by: Option<String>,
    /// Where the tasks are launched: only EC2 is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 'EC2'")
        .message("launchType must be EC2: FARGATE and EXTERNAL are not available on Kubernetes."))]
    pub launch_type: Option<LaunchType>,
    /// Rules that the instances must satisfy, joined by and; at most 10 with those of the task definition. (RUN-1, CONS-3)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// How candidates are ranked, in order; at most 5; default random. (STRAT-1, STRAT-9)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub placement_strategy: Vec<PlacementStrategy>,
    /// Until when (RFC 3339) what has no place now waits for one. Left out, it is placed now or not at all, as by ECS.
    /// (RUN-2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), extend("format" = "date-time"))]
    pub queue_until: Option<String>,
    /// What the tasks change of their task definition. (RUN-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Box<TaskOverride>>,
    /// Tags of the tasks. (VAL-8)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<Tag>,
}

fn default_cluster() -> String {
    DEFAULT_CLUSTER.to_owned()
}

const fn one() -> u32 {
    1
}

/// ECS's answer to the request, and how far the operator has come. (RUN-2)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTaskStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Which attempt this is: one of AllOrNothing that had to give shares back begins anew, with new Tasks.
    #[serde(default)]
    pub attempt: u32,
    /// `family:revision` that the tasks run. (TD-4)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub task_definition: Option<String>,
    /// The operator process that creates the Tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub authorised_by: Option<String>,
    /// All Tasks of the attempt were created: none is created any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
    /// Of AllOrNothing: every task has its share, so they run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub committed: bool,
    /// Of AllOrNothing: why none of the tasks will run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Tasks that were placed.
    #[serde(default)]
    pub placed_count: u32,
    /// Those tasks. (RUN-2)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tasks: Vec<RequestedTask>,
    /// Why the others were not, or wait: per instance the first failing check, the closest instance first. (RUN-2, FAIL)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub placement_failures: Vec<PlacementFailure>,
    /// When every task had ended (RFC 3339). The request is deleted an hour later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub finished_at: Option<String>,
    /// Answered: nothing is waited for any more. Placed: all tasks are. Finished: all that were have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A task that was placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestedTask {
    /// Name of the Task.
    pub name: String,
    /// ContainerInstance on which it has its share.
    pub container_instance: String,
}
