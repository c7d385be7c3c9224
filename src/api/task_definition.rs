//! `TaskDefinition`: an immutable revision of a family. (TD)

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attribute, Condition, ContainerDefinition, PlacementConstraint, Tag, ecs_only, rules};
use crate::domain::resources::Resources;

/// A revision of a task definition. The output of `aws ecs describe-task-definition` (its `taskDefinition`) can be
/// pasted as spec. Immutable but for `status`. (TD-1, TD-2)
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ecs-operator.dev",
    version = "v1alpha1",
    kind = "TaskDefinition",
    plural = "taskdefinitions",
    singular = "taskdefinition",
    shortname = "ecstd",
    category = "ecs-operator",
    category = "all",
    namespaced,
    doc = "An immutable revision of an ECS task definition.",
    validation = rules::object_name(),
    status = "TaskDefinitionStatus",
    derive = "PartialEq",
    selectable = ".spec.family",
    printcolumn(
        name = "Family",
        type_ = "string",
        json_path = ".spec.family",
        description = "Family"
    ),
    printcolumn(
        name = "Revision",
        type_ = "integer",
        json_path = ".spec.revision",
        description = "Revision"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".spec.status",
        description = "ACTIVE or INACTIVE"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether tasks can be made of it"
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
    validation = Rule::new(rules::TASK_DEFINITION_FIXED.expression()).message(
        "A task definition revision is immutable except for its status: register a new revision instead."
    ),
    validation = Rule::new("self.containerDefinitions.exists(c, !has(c.essential) || c.essential)")
        .message("At least one container must be essential."),
    validation = rules::container_names(),
    validation = rules::container_memory(),
    validation = rules::cpu_sum(),
    validation = rules::memory_sum(),
    validation = rules::host_ports(),
    validation = rules::mounted_volumes(),
    validation = rules::dependencies_exist(),
    validation = rules::dependencies_not_self(),
    validation = rules::dependencies_not_essential(),
    validation = rules::dependencies_healthy()
)]
pub struct TaskDefinitionSpec {
    /// Family of the revision: 1 to 255 letters, digits, hyphens and underscores. (VAL-1)
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub family: String,
    /// Number of the revision in its family, from 1. (TD-1)
    #[schemars(range(min = 1, max = 999_999_999))]
    pub revision: i64,
    /// ACTIVE or INACTIVE; the only member that may change. (TD-3, TD-5)
    #[serde(default)]
    pub status: TaskDefinitionState,
    /// Containers of the task: 1 to 10. (TD-13)
    #[schemars(length(min = 1, max = 10))]
    pub container_definitions: Vec<ContainerDefinition>,
    /// CPU of the whole task, in units ("1024") or vCPU ("1 vCPU"): 128 to 196608 units. (TD-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = rules::CPU_PATTERN))]
    #[x_kube(validation = rules::cpu_range())]
    pub cpu: Option<String>,
    /// Memory of the whole task, in MiB ("512") or GB ("1 GB"). (TD-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = rules::MEMORY_PATTERN))]
    #[x_kube(validation = rules::memory_range())]
    pub memory: Option<String>,
    /// How the containers see the network: `bridge` (default), `host`, `none` or `awsvpc`. (TD-8)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// Volumes that containers mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,
    /// Rules for every task of this revision; only memberOf. (TD-14)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(validation = Rule::new("self.all(c, c.type != 'distinctInstance')")
        .message("constraint.type 'distinctInstance' is not supported."))]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// Role of the task; mapped to a ServiceAccount by the cluster's roleMappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub task_role_arn: Option<String>,
    /// Accepted; image pulls use the Pod's own credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub execution_role_arn: Option<String>,
    /// Whose processes the containers see: `host` or `task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^(host|task)$"))]
    pub pid_mode: Option<String>,
    /// With whom the containers share memory: `host`, `task` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^(host|task|none)$"))]
    pub ipc_mode: Option<String>,
    /// Launch types that the task definition is made for; EC2 must be among them, if any is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.size() == 0 || 'EC2' in self")
        .message("requiresCompatibilities must include EC2: only the EC2 launch type is available on Kubernetes."))]
    pub requires_compatibilities: Vec<String>,
    /// Operating system and CPU architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_platform: Option<RuntimePlatform>,
    /// Attributes that an instance must have; those ECS computes for its own agent are ignored. (ATTR-9)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), with = "Vec<ecs_only::RequiredAttribute>")]
    pub requires_attributes: Vec<Attribute>,
    /// Tags of the task definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub tags: Vec<Tag>,
    /// The App Mesh proxy of the task. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::ProxyConfiguration>")]
    pub proxy_configuration: Option<Value>,
    /// Elastic Inference accelerators. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<ecs_only::InferenceAccelerator>>", length(max = 10))]
    pub inference_accelerators: Option<Value>,
    /// Ephemeral storage of a Fargate task: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::EphemeralStorage>")]
    pub ephemeral_storage: Option<Value>,
    /// Whether faults may be injected. Not available on Kubernetes: reported when true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_fault_injection: Option<bool>,
    /// How the task is isolated from others on its machine. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::TrustedExecutionConfiguration>")]
    pub trusted_execution_configuration: Option<Value>,
    /// ARN that ECS gave the revision: accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub task_definition_arn: Option<String>,
    /// Launch types that ECS found it fit for: accepted and ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 64)))]
    pub compatibilities: Vec<String>,
    /// When it was registered with ECS: accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ecs_only::timestamp")]
    pub registered_at: Option<Value>,
    /// Who registered it with ECS: accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub registered_by: Option<String>,
    /// When it was deregistered from ECS: accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ecs_only::timestamp")]
    pub deregistered_at: Option<Value>,
    /// When deletion was asked of ECS: made by ECS, accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ecs_only::timestamp")]
    pub delete_requested_at: Option<Value>,
}

/// Whether new tasks and services may use a revision. (TD-3)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskDefinitionState {
    /// They may.
    #[default]
    Active,
    /// Only what uses it already goes on. (TD-5)
    Inactive,
}

/// How the containers see the network: `bridge` (default), `host`, `none` or `awsvpc`. (TD-8)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A Pod network with host ports where asked.
    #[default]
    Bridge,
    /// The node's network.
    Host,
    /// No network in ECS; not available on Kubernetes.
    None,
    /// An address of its own: every Pod has one.
    Awsvpc,
}

/// Operating system and CPU architecture of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePlatform {
    /// CPU architecture: X86_64 or ARM64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cpu_architecture: Option<String>,
    /// Operating system: LINUX or a WINDOWS_SERVER_… value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub operating_system_family: Option<String>,
}

/// A volume of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name that mount points use.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// A path of the node; without it the volume lives and dies with the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostVolume>,
    /// A volume of the container runtime. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::DockerVolumeConfiguration>")]
    pub docker_volume_configuration: Option<Value>,
    /// A file system of Amazon EFS. Not available: mount a PersistentVolumeClaim instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::EfsVolumeConfiguration>")]
    pub efs_volume_configuration: Option<Value>,
    /// A bucket of Amazon S3. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::S3FilesVolumeConfiguration>")]
    pub s3files_volume_configuration: Option<Value>,
    /// A file system of Amazon FSx. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::FsxVolumeConfiguration>")]
    pub fsx_windows_file_server_volume_configuration: Option<Value>,
    /// Whether the service configures the volume at launch. Not available on Kubernetes: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_at_launch: Option<bool>,
    /// Name of a PersistentVolumeClaim of the namespace (ours, not ECS's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub persistent_volume_claim: Option<String>,
}

/// A path of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostVolume {
    /// Absolute path; absent: a volume of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub source_path: Option<String>,
}

/// What the operator observed of a task definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskDefinitionStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What one task of it takes of its instance, for schedulers of one's own; absent if no task can be made of it.
    /// (RES-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_resources: Option<Resources>,
    /// Ready: whether tasks can be made of it. Complete: members without effect are named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
