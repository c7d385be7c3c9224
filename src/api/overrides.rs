//! What a run-once task changes of its task definition. (RUN-5)

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KeyValuePair, ResourceRequirement, ecs_only, rules};

/// Most characters of overrides as JSON. (RUN-5)
pub const OVERRIDES_CHARACTERS_MAX: usize = 8192;

/// Changes to the task definition for one run-once task: at most 8192 characters as JSON. (RUN-5)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskOverride {
    /// Changes to containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub container_overrides: Vec<ContainerOverride>,
    /// CPU of the whole task, in units ("1024") or vCPU ("1 vCPU"): 128 to 196608 units. (TD-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = rules::CPU_PATTERN))]
    pub cpu: Option<String>,
    /// Memory of the whole task, in MiB ("512") or GB ("1 GB"). (TD-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = rules::MEMORY_PATTERN))]
    pub memory: Option<String>,
    /// Role of the task; mapped to a ServiceAccount by the cluster's roleMappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub task_role_arn: Option<String>,
    /// Accepted; image pulls use the Pod's own credentials: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub execution_role_arn: Option<String>,
    /// Ephemeral storage of a Fargate task: the task is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::EphemeralStorage>")]
    pub ephemeral_storage: Option<Value>,
    /// Elastic Inference accelerators. Not available on Kubernetes: the task is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), with = "Vec<ecs_only::InferenceAcceleratorOverride>")]
    pub inference_accelerator_overrides: Vec<Value>,
}

/// Changes to one container; what is left out stays as the task definition says. (RUN-5)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerOverride {
    /// Name of a container of the task definition.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Arguments, in place of those of the task definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 8192)))]
    pub command: Vec<String>,
    /// Environment variables that are added, or replace those of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub environment: Vec<KeyValuePair>,
    /// Files with environment variables in S3. Not available on Kubernetes: the task is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), with = "Vec<ecs_only::EnvironmentFile>")]
    pub environment_files: Vec<Value>,
    /// CPU units that are reserved for the container. (RES-9)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 196_608))]
    pub cpu: Option<i64>,
    /// Memory in MiB at which the container is killed. (TD-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 33_554_432))]
    pub memory: Option<i64>,
    /// Memory in MiB that is reserved for the container. (TD-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 33_554_432))]
    pub memory_reservation: Option<i64>,
    /// GPUs that the container gets for itself, in place of those of the task definition. (TD-19)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub resource_requirements: Vec<ResourceRequirement>,
}
