//! Members of a definition that have no counterpart in a Pod: refused or reported by name.

use crate::api::{ContainerDefinition, NetworkMode, TaskDefinitionSpec};

use super::demand::Sizes;
use super::template::template;

/// What a definition asks for that a Pod can't give. Each entry is a sentence that names the container and the member, and
/// says what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// No task is made of the definition while there is one of these.
    pub refused: Vec<String>,
    /// Accepted, but without effect or with a different one.
    pub reported: Vec<String>,
}

impl Refusals {
    pub(super) fn refuse(&mut self, container: &str, member: &str, text: impl AsRef<str>) {
        self.refused
            .push(sentence(Some(container), member, text.as_ref()));
    }

    pub(super) fn refuse_task(&mut self, member: &str, text: impl AsRef<str>) {
        self.refused.push(sentence(None, member, text.as_ref()));
    }

    pub(super) fn report(&mut self, container: &str, member: &str, text: impl AsRef<str>) {
        self.reported
            .push(sentence(Some(container), member, text.as_ref()));
    }

    pub(super) fn report_task(&mut self, member: &str, text: impl AsRef<str>) {
        self.reported.push(sentence(None, member, text.as_ref()));
    }
}

fn sentence(container: Option<&str>, member: &str, text: &str) -> String {
    match container {
        Some(container) => format!("Container '{container}': {member}: {text}"),
        None => format!("{member}: {text}"),
    }
}

/// Everything in a definition that makes tasks impossible (`refused`) or has no or another effect (`reported`).
/// `refused` is empty exactly if [`super::pod`] can make a Pod of it.
#[must_use]
pub fn unsupported(spec: &TaskDefinitionSpec) -> Refusals {
    let (_, mut refusals) = template(spec);
    if let Err(mut errors) = Sizes::of(spec) {
        refusals.refused.append(&mut errors);
    }
    refusals
}

/// Most bytes of a task definition as JSON. (TD-13)
const BYTES_MAX: usize = 65_536;

/// Task members without a counterpart.
pub(super) fn check_task(spec: &TaskDefinitionSpec, refusals: &mut Refusals) {
    let ec2 = |c: &String| c.eq_ignore_ascii_case("EC2");
    if !spec.requires_compatibilities.is_empty() && !spec.requires_compatibilities.iter().any(ec2) {
        refusals.refuse_task(
            "requiresCompatibilities",
            "must contain EC2: nodes are container instances here.",
        );
    }
    let bytes = serde_json::to_vec(spec).map_or(0, |json| json.len());
    if bytes > BYTES_MAX {
        refusals.refuse_task(
            "containerDefinitions",
            format!("the task definition has {bytes} bytes, at most {BYTES_MAX} are allowed: shorten it."),
        );
    }
    if spec.network_mode == Some(NetworkMode::None) {
        refusals.refuse_task(
            "networkMode",
            "'none' is not available: every Pod has a network. Use bridge, host or awsvpc.",
        );
    }
    if !matches!(spec.pid_mode.as_deref(), None | Some("host" | "task")) {
        refusals.refuse_task("pidMode", "must be 'host' or 'task'.");
    }
    if !matches!(spec.ipc_mode.as_deref(), None | Some("host" | "task")) {
        refusals.refuse_task(
            "ipcMode",
            "must be 'host' or 'task': the containers of a Pod always share one IPC namespace.",
        );
    }
    if spec.proxy_configuration.is_some() {
        refusals.refuse_task(
            "proxyConfiguration",
            "is not available: leave it out and use a service mesh of the cluster.",
        );
    }
    if spec.inference_accelerators.is_some() {
        refusals.refuse_task("inferenceAccelerators", "is not available: leave it out.");
    }
    if spec.ephemeral_storage.is_some() {
        refusals.refuse_task("ephemeralStorage", "is for Fargate only: leave it out.");
    }
    if spec.enable_fault_injection == Some(true) {
        refusals.report_task("enableFaultInjection", "has no effect.");
    }
    if spec.execution_role_arn.is_some() {
        refusals.report_task(
            "executionRoleArn",
            "has no effect: images are pulled with the Pod's own credentials.",
        );
    }
    if spec.container_definitions.is_empty() {
        refusals.refuse_task("containerDefinitions", "at least one container is needed.");
    } else if !spec.container_definitions.iter().any(|c| c.essential) {
        refusals.refuse_task(
            "containerDefinitions",
            "at least one container must be essential.",
        );
    }
    let mut names: Vec<&str> = spec
        .container_definitions
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    names.sort_unstable();
    if let Some([twice, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        refusals.refuse(twice, "name", "two containers have this name.");
    }
}

/// Container members without a counterpart.
pub(super) fn check_container(container: &ContainerDefinition, refusals: &mut Refusals) {
    let name = &container.name;
    for (present, member, text) in [
        (
            !container.links.is_empty(),
            "links",
            "are not available: containers of a task share one network, use localhost.",
        ),
        (
            !container.ulimits.is_empty(),
            "ulimits",
            "are not available: set them in the node's container runtime and leave them out.",
        ),
        (
            !container.environment_files.is_empty(),
            "environmentFiles",
            "are not available: put the variables into a ConfigMap and name it in secrets as configmap/NAME/KEY.",
        ),
        (
            container.firelens_configuration.is_some(),
            "firelensConfiguration",
            "is not available: leave the log router out and collect logs on the node.",
        ),
        (
            !container.credential_specs.is_empty(),
            "credentialSpecs",
            "are not available: leave them out.",
        ),
        (
            container.disable_networking == Some(true),
            "disableNetworking",
            "is not available: every Pod has a network.",
        ),
        (
            container.restart_policy.as_ref().is_some_and(|p| p.enabled),
            "restartPolicy",
            "is not available: Kubernetes knows no restartAttemptPeriod. Leave it out; the service replaces the task.",
        ),
    ] {
        if present {
            refusals.refuse(name, member, text);
        }
    }
    for requirement in &container.resource_requirements {
        if requirement.type_ != "GPU" {
            refusals.refuse(
                name,
                "resourceRequirements",
                format!("type '{}' is not available, only GPU.", requirement.type_),
            );
        } else if requirement.value.trim().parse::<i64>().unwrap_or(0) <= 0 {
            refusals.refuse(
                name,
                "resourceRequirements",
                "a number of GPUs must be a positive whole number.",
            );
        }
    }
    if container.log_configuration.is_some() {
        refusals.report(
            name,
            "logConfiguration",
            "has no effect: the container's output goes to the node's log files.",
        );
    }
    if let Some(linux) = &container.linux_parameters {
        if !linux.devices.is_empty() {
            refusals.refuse(
                name,
                "linuxParameters.devices",
                "are not available: use a device plugin, or a privileged container.",
            );
        }
        if linux.init_process_enabled == Some(true) {
            refusals.report(
                name,
                "linuxParameters.initProcessEnabled",
                "has no effect: use an image with an init process.",
            );
        }
        if linux.max_swap.is_some_and(|s| s != 0) {
            refusals.report(
                name,
                "linuxParameters.maxSwap",
                "has no effect: swap is a setting of the node.",
            );
        }
        if linux.swappiness.is_some() {
            refusals.report(
                name,
                "linuxParameters.swappiness",
                "has no effect: swap is a setting of the node.",
            );
        }
    }
}
