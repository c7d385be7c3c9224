//! The containers of a task definition. (TD-10 to TD-21)

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KeyValuePair, ecs_only};

/// One container. (TD-21)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.memory) || !has(self.memoryReservation) || self.memory > self.memoryReservation"
)
.message(Message::Expression(
    r#""Invalid setting for container '" + self.name + "'. 'memory' must be greater than 'memoryReservation'.""#.into()
)))]
pub struct ContainerDefinition {
    /// Name of the container: 1 to 255 letters, digits, hyphens and underscores; unique in the task definition. (TD-12)
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Image that the container runs.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// CPU units that are reserved for the container; 1024 are one vCPU, 0 reserves nothing. (RES-9, RES-10)
    #[serde(default)]
    #[schemars(range(min = 0, max = 196_608))]
    pub cpu: i64,
    /// Memory in MiB at which the container is killed. (TD-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 33_554_432))]
    pub memory: Option<i64>,
    /// Memory in MiB that is reserved for the container; less than `memory`, if both are given. (TD-10)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6, max = 33_554_432))]
    pub memory_reservation: Option<i64>,
    /// Whether the end of this container stops the task. At least one container is essential. (TD-12, TASK-8)
    #[serde(default = "default_true")]
    pub essential: bool,
    /// Ports of the container that are opened. (TD-15)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub port_mappings: Vec<PortMapping>,
    /// Entry point, in place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(max = 32_768)))]
    pub entry_point: Option<Vec<String>>,
    /// Arguments, in place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), inner(length(max = 32_768)))]
    pub command: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub environment: Vec<KeyValuePair>,
    /// Variables from Secrets or ConfigMaps of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub secrets: Vec<Secret>,
    /// Files with environment variables in S3. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), with = "Vec<ecs_only::EnvironmentFile>")]
    pub environment_files: Vec<Value>,
    /// Other containers that must reach a condition before this one starts. (TD-17)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub depends_on: Vec<ContainerDependency>,
    /// Seconds to wait for the dependencies before the task is given up. (TD-18)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub start_timeout: Option<i64>,
    /// Seconds between the stop signal and the kill; hours are legal; default 30. (STOP-3)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub stop_timeout: Option<i64>,
    /// Command that tells whether the container works. (TD-16)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Whether and when the container is restarted in place, without replacing the task. (TD-18)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// GPUs that the container gets for itself. (TD-19)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Where the volumes of the task are mounted in the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub mount_points: Vec<MountPoint>,
    /// Other containers whose mounts this container gets as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub volumes_from: Vec<VolumeFrom>,
    /// User that the container runs as: `uid` or `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub user: Option<String>,
    /// Directory in which the command runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub working_directory: Option<String>,
    /// Whether the container runs with all rights on its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// Whether the root file system of the container is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readonly_root_filesystem: Option<bool>,
    /// Whether the container gets a standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactive: Option<bool>,
    /// Whether the container gets a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudo_terminal: Option<bool>,
    /// Linux options: capabilities, tmpfs, shared memory, init process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux_parameters: Option<LinuxParameters>,
    /// Name of the Secret with the registry's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_credentials: Option<RepositoryCredentials>,
    /// Lines that are added to /etc/hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub extra_hosts: Vec<HostEntry>,
    /// Addresses of name servers, in place of the cluster's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 253)))]
    pub dns_servers: Vec<String>,
    /// Domains in which short names are looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub dns_search_domains: Vec<String>,
    /// Host name that the container sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub hostname: Option<String>,
    /// Labels of the container; they become annotations of the Pod.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 200))]
    pub docker_labels: std::collections::BTreeMap<String, String>,
    /// Kernel parameters that are set for the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub system_controls: Vec<SystemControl>,
    /// Links to other containers. Not available on Kubernetes: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 2048)))]
    pub links: Vec<String>,
    /// Resource limits of the processes in the container. Not available on Kubernetes: reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), with = "Vec<ecs_only::Ulimit>")]
    pub ulimits: Vec<Value>,
    /// Where ECS sends the container's output. Reported: on Kubernetes the logging of the node applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::LogConfiguration>")]
    pub log_configuration: Option<Value>,
    /// Settings of a log router. Not available on Kubernetes: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::FirelensConfiguration>")]
    pub firelens_configuration: Option<Value>,
    /// Labels for SELinux or AppArmor. Not available: reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 2048)))]
    pub docker_security_options: Vec<String>,
    /// Credential specs for Windows. Not available: reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 2048)))]
    pub credential_specs: Vec<String>,
    /// Whether the container has no network. Not available on Kubernetes: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_networking: Option<bool>,
    /// Whether an image tag is resolved once for all tasks. Accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub version_consistency: Option<String>,
}

fn default_true() -> bool {
    true
}

/// A port of a container. (TD-15)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.containerPort) || has(self.containerPortRange)")
    .message("A port mapping needs a containerPort."))]
pub struct PortMapping {
    /// Port in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: Option<i64>,
    /// Port on the node; 0 or absent: none. (RES-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub host_port: Option<i64>,
    /// tcp (default) or udp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<TransportProtocol>,
    /// Name of the port, for reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub name: Option<String>,
    /// Protocol of the application: `http`, `http2` or `grpc`. Accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub app_protocol: Option<String>,
    /// A range of ports in the container. Not available: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub container_port_range: Option<String>,
}

/// Transport protocol of the port: `tcp` (default) or `udp`. (TD-15)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// What a container waits for. (TD-17)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDependency {
    /// The other container.
    #[schemars(length(min = 1, max = 255))]
    pub container_name: String,
    /// The condition it must reach.
    pub condition: ContainerCondition,
}

/// START, COMPLETE, SUCCESS or HEALTHY. (TD-17)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerCondition {
    /// It has started.
    Start,
    /// It has ended: not available on Kubernetes.
    Complete,
    /// It has ended with exit code 0.
    Success,
    /// Its health check passes.
    Healthy,
}

/// A command that tells whether the container works. (TD-16)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `CMD` and arguments, or `CMD-SHELL` and a shell line.
    #[schemars(length(min = 1, max = 100), inner(length(max = 32_768)))]
    #[x_kube(validation = Rule::new("self.size() == 0 || self[0] in ['CMD', 'CMD-SHELL']")
        .message("The command of a healthCheck must begin with CMD or CMD-SHELL."))]
    pub command: Vec<String>,
    /// Seconds between checks, 5 to 300, default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 300))]
    pub interval: Option<i64>,
    /// Seconds a check may take, 2 to 60, default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 60))]
    pub timeout: Option<i64>,
    /// Failures until unhealthy, 1 to 10, default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub retries: Option<i64>,
    /// Seconds in which failures do not count, 0 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 300))]
    pub start_period: Option<i64>,
}

/// Restart of a container in place. (TD-18)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartPolicy {
    /// Whether it is restarted.
    pub enabled: bool,
    /// Exit codes after which it is not restarted; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub ignored_exit_codes: Vec<i64>,
    /// Seconds it must have run to be restarted, 60 to 1800, default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 1800))]
    pub restart_attempt_period: Option<i64>,
}

/// A count of devices. (TD-19)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'GPU' || self.value.matches('^[1-9][0-9]{0,3}$')")
    .message("The value of a resource requirement of type GPU must be a whole number of at least 1."))]
pub struct ResourceRequirement {
    /// GPU. InferenceAccelerator and NeuronDevice are not available: reported, tasks are refused.
    #[serde(rename = "type")]
    #[schemars(length(max = 32))]
    pub type_: String,
    /// How many: a whole number, as text.
    #[schemars(length(max = 32))]
    pub value: String,
    /// How several containers share the device. Not available: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ecs_only::SharingStrategy>")]
    pub sharing_strategy: Option<Value>,
}

/// A variable from a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// `secret/NAME/KEY` or `configmap/NAME/KEY` of the task's namespace.
    #[schemars(length(min = 1, max = 2048))]
    pub value_from: String,
}

/// A volume in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// Name of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub source_volume: Option<String>,
    /// Path in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub container_path: Option<String>,
    /// Whether it is mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The mounts of another container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeFrom {
    /// The other container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub source_container: Option<String>,
    /// Whether it is mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// Linux options of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinuxParameters {
    /// Kernel capabilities added and dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<KernelCapabilities>,
    /// Whether an init process runs in the container. Accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_process_enabled: Option<bool>,
    /// Size of /dev/shm in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub shared_memory_size: Option<i64>,
    /// File systems in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tmpfs: Vec<Tmpfs>,
    /// Devices of the node. Not available: reported, tasks are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), with = "Vec<ecs_only::Device>")]
    pub devices: Vec<Value>,
    /// Swap space in MiB. Not available: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_swap: Option<i64>,
    /// How readily memory is swapped out. Not available: reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<i64>,
}

/// Kernel capabilities, without the prefix `CAP_`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelCapabilities {
    /// Capabilities that are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 64)))]
    pub add: Vec<String>,
    /// Capabilities that are taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 64)))]
    pub drop: Vec<String>,
}

/// A memory file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tmpfs {
    /// Path in the container.
    #[schemars(length(min = 1, max = 4096))]
    pub container_path: String,
    /// Size in MiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub size: i64,
    /// Mount options. Not available: reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 64)))]
    pub mount_options: Vec<String>,
}

/// Name of the Secret with the registry's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCredentials {
    /// Name of a Secret of type `kubernetes.io/dockerconfigjson`; of an ARN the last part is taken.
    #[schemars(length(min = 1, max = 2048))]
    pub credentials_parameter: String,
}

/// A line of /etc/hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostEntry {
    /// Host name of the line.
    #[schemars(length(min = 1, max = 253))]
    pub hostname: String,
    /// Address of the line.
    #[schemars(length(min = 1, max = 64))]
    pub ip_address: String,
}

/// A kernel parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemControl {
    /// Name, such as `net.core.somaxconn`.
    #[schemars(length(min = 1, max = 253))]
    pub namespace: String,
    /// Value of the parameter.
    #[schemars(length(max = 253))]
    pub value: String,
}
