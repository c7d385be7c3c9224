//! Shapes of ECS members that have no counterpart on Kubernetes or that only ECS's own agent reads. The specs keep
//! them as plain values; these types are their schemas, so that a pasted task definition is stored whole, its
//! immutability can be checked, and `kubectl explain` describes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{KeyValuePair, Secret};

/// A time that ECS wrote: seconds since 1970 as a number, or RFC 3339 text. Stored as it came.
pub(super) fn timestamp(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Where ECS sends the output of a container.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct LogConfiguration {
    /// Log driver, such as `awslogs` or `json-file`.
    #[schemars(length(min = 1, max = 64))]
    pub log_driver: String,
    /// Options of the log driver.
    #[schemars(extend("maxProperties" = 100))]
    pub options: Option<BTreeMap<String, String>>,
    /// Options whose values are secrets.
    #[schemars(length(max = 100))]
    pub secret_options: Option<Vec<Secret>>,
}

/// A resource limit of the processes in a container.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Ulimit {
    /// Name of the limit, such as `nofile`.
    #[schemars(length(min = 1, max = 32))]
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft_limit: i64,
    /// Hard limit; -1 is unlimited.
    pub hard_limit: i64,
}

/// A file with environment variables.
#[derive(JsonSchema)]
pub struct EnvironmentFile {
    /// ARN of the file in S3.
    #[schemars(length(min = 1, max = 2048))]
    pub value: String,
    /// Always `s3`.
    #[schemars(rename = "type", length(min = 1, max = 16))]
    pub type_: String,
}

/// The log router of a task.
#[derive(JsonSchema)]
pub struct FirelensConfiguration {
    /// `fluentd` or `fluentbit`.
    #[schemars(rename = "type", length(min = 1, max = 32))]
    pub type_: String,
    /// Options of the log router.
    #[schemars(extend("maxProperties" = 100))]
    pub options: Option<BTreeMap<String, String>>,
}

/// A device of the node.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Device {
    /// Path on the node.
    #[schemars(length(min = 1, max = 4096))]
    pub host_path: String,
    /// Path in the container; default is the path on the node.
    #[schemars(length(max = 4096))]
    pub container_path: Option<String>,
    /// `read`, `write`, `mknod`.
    #[schemars(length(max = 3), inner(length(max = 16)))]
    pub permissions: Option<Vec<String>>,
}

/// How several containers share a GPU.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct SharingStrategy {
    /// Shares under NVIDIA's multi-process service.
    pub nvidia_mps: Option<NvidiaMps>,
}

/// A share of a GPU under NVIDIA's multi-process service.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct NvidiaMps {
    /// Memory of the GPU, in MiB.
    pub memory: i64,
    /// Share of the GPU's computing power, in percent.
    pub max_compute_percent: Option<i64>,
}

/// A volume of the node's container runtime.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct DockerVolumeConfiguration {
    /// `task` or `shared`.
    #[schemars(length(max = 16))]
    pub scope: Option<String>,
    /// Whether a missing volume is made.
    pub autoprovision: Option<bool>,
    /// Volume driver.
    #[schemars(length(max = 255))]
    pub driver: Option<String>,
    /// Options of the driver.
    #[schemars(extend("maxProperties" = 100))]
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// Labels of the volume.
    #[schemars(extend("maxProperties" = 100))]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A file system of Amazon EFS.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct EfsVolumeConfiguration {
    /// Id of the file system.
    #[schemars(length(min = 1, max = 255))]
    pub file_system_id: String,
    /// Directory that is mounted as the root.
    #[schemars(length(max = 4096))]
    pub root_directory: Option<String>,
    /// ENABLED or DISABLED.
    #[schemars(length(max = 16))]
    pub transit_encryption: Option<String>,
    /// Port used for encrypted traffic.
    pub transit_encryption_port: Option<i64>,
    /// Who may mount it.
    pub authorization_config: Option<EfsAuthorizationConfig>,
}

/// Who may mount an EFS file system.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct EfsAuthorizationConfig {
    /// Id of the access point.
    #[schemars(length(max = 255))]
    pub access_point_id: Option<String>,
    /// ENABLED or DISABLED.
    #[schemars(length(max = 16))]
    pub iam: Option<String>,
}

/// A bucket of Amazon S3 as a file system.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct S3FilesVolumeConfiguration {
    /// ARN of the file system.
    #[schemars(length(min = 1, max = 2048))]
    pub file_system_arn: String,
    /// Directory that is mounted as the root.
    #[schemars(length(max = 4096))]
    pub root_directory: Option<String>,
    /// Port used for encrypted traffic.
    pub transit_encryption_port: Option<i64>,
    /// ARN of the access point.
    #[schemars(length(max = 2048))]
    pub access_point_arn: Option<String>,
}

/// A file system of Amazon FSx for Windows File Server.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct FsxVolumeConfiguration {
    /// Id of the file system.
    #[schemars(length(min = 1, max = 255))]
    pub file_system_id: String,
    /// Directory that is mounted as the root.
    #[schemars(length(max = 4096))]
    pub root_directory: String,
    /// Who may mount it.
    pub authorization_config: FsxAuthorizationConfig,
}

/// Who may mount an FSx file system.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct FsxAuthorizationConfig {
    /// ARN of the secret or parameter with the credentials.
    #[schemars(length(min = 1, max = 2048))]
    pub credentials_parameter: String,
    /// Domain of the directory service.
    #[schemars(length(min = 1, max = 255))]
    pub domain: String,
}

/// The App Mesh proxy of a task.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct ProxyConfiguration {
    /// Always APPMESH.
    #[schemars(rename = "type", length(max = 32))]
    pub type_: Option<String>,
    /// Container that is the proxy.
    #[schemars(length(min = 1, max = 255))]
    pub container_name: String,
    /// Settings of the network plugin.
    #[schemars(length(max = 50))]
    pub properties: Option<Vec<KeyValuePair>>,
}

/// An Elastic Inference accelerator.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct InferenceAccelerator {
    /// Name that containers use.
    #[schemars(length(min = 1, max = 255))]
    pub device_name: String,
    /// Type of the accelerator.
    #[schemars(length(min = 1, max = 255))]
    pub device_type: String,
}

/// Another type for an Elastic Inference accelerator of the task definition.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct InferenceAcceleratorOverride {
    /// Name that containers use.
    #[schemars(length(max = 255))]
    pub device_name: Option<String>,
    /// Type of the accelerator.
    #[schemars(length(max = 255))]
    pub device_type: Option<String>,
}

/// The ephemeral storage of a Fargate task.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct EphemeralStorage {
    /// Size in GiB.
    #[schemars(rename = "sizeInGiB")]
    pub size_in_gib: i64,
}

/// How a task is isolated from others on its machine.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct TrustedExecutionConfiguration {
    /// SHARED, ISOLATED_SANDBOX or CONFIDENTIAL_SANDBOX.
    #[schemars(length(min = 1, max = 32))]
    pub isolation_mode: String,
    /// Policy of the attestation.
    #[schemars(length(max = 16384))]
    pub attestation_policy: Option<String>,
}

/// An attribute that an instance must have. (ATTR-9)
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct RequiredAttribute {
    /// Name of the attribute.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Value it must have, if any is given.
    #[schemars(length(max = 128))]
    pub value: Option<String>,
    /// Always `container-instance`; ignored.
    #[schemars(length(max = 64))]
    pub target_type: Option<String>,
    /// Ignored.
    #[schemars(length(max = 2048))]
    pub target_id: Option<String>,
}
