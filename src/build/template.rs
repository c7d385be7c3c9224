//! The part of a Pod that follows from the definition alone.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSecurityContext, PodSpec};

use crate::api::{ContainerDefinition, TaskDefinitionSpec};

use super::containers::{container, pod_resources, some};
use super::demand::Sizes;
use super::depends_on::{self, Role, arrange};
use super::names::{container_names, is_subdomain};
use super::unsupported::{Refusals, check_task};
use super::{network, security, volumes};

/// Prefix of the annotation that holds a container's Docker labels as a JSON object, followed by its name in the Pod.
const DOCKER_LABELS: &str = "docker-labels.ecs-operator.dev";

/// What every Pod of a definition has.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
}

/// Builds it, and names everything that has no counterpart. With refusals the template is incomplete. Sizes that can't be
/// read are [`super::demand`]'s to report.
pub(super) fn template(spec: &TaskDefinitionSpec) -> (Template, Refusals) {
    let mut refusals = Refusals::default();
    check_task(spec, &mut refusals);
    network::check_ports(spec, &mut refusals);
    let names = container_names(spec);
    let name_of = |definition: &ContainerDefinition| names.get(&definition.name).cloned().unwrap_or_default();
    let arranged = arrange(&spec.container_definitions, &mut refusals);
    let sizes = Sizes::of(spec).unwrap_or_default();
    let mode = spec.network_mode.unwrap_or_default();
    let mut volumes = volumes::volumes(spec, &mut refusals);
    let (mut containers, mut before) = (Vec::new(), Vec::new());
    for one in &arranged {
        let mounts = volumes.mounts.remove(&one.container.name).unwrap_or_default();
        let built = container(*one, &name_of(one.container), mode, sizes, mounts, &mut refusals);
        if one.role == Role::App {
            containers.push(built);
        } else {
            before.push(built);
        }
    }
    let sysctls = security::sysctls(spec, &mut refusals);
    let mut pod = PodSpec {
        containers,
        init_containers: some(before),
        enable_service_links: Some(false),
        host_ipc: (spec.ipc_mode.as_deref() == Some("host")).then_some(true),
        host_pid: (spec.pid_mode.as_deref() == Some("host")).then_some(true),
        share_process_namespace: (spec.pid_mode.as_deref() == Some("task")).then_some(true),
        image_pull_secrets: pull_secrets(spec, &mut refusals),
        resources: pod_resources(sizes),
        restart_policy: Some("Never".to_owned()),
        security_context: some(sysctls).map(|list| PodSecurityContext {
            sysctls: Some(list),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(depends_on::grace_seconds(&arranged)),
        volumes: some(volumes.volumes),
        ..PodSpec::default()
    };
    network::apply(spec, &mut pod, &mut refusals);
    let annotations = spec
        .container_definitions
        .iter()
        .filter(|c| !c.docker_labels.is_empty())
        .map(|c| {
            (
                format!("{DOCKER_LABELS}/{}", name_of(c)),
                serde_json::json!(c.docker_labels).to_string(),
            )
        })
        .collect();
    (
        Template {
            annotations,
            spec: pod,
        },
        refusals,
    )
}

/// Seconds in which the containers of a definition have ended after they were told to. (STOP-4)
#[must_use]
pub fn grace_seconds(spec: &TaskDefinitionSpec) -> i64 {
    depends_on::grace_seconds(&arrange(&spec.container_definitions, &mut Refusals::default()))
}

/// Secrets with registry credentials: a name, or the last part of an ARN.
fn pull_secrets(spec: &TaskDefinitionSpec, refusals: &mut Refusals) -> Option<Vec<LocalObjectReference>> {
    let mut names = BTreeSet::new();
    for container in &spec.container_definitions {
        let Some(credentials) = &container.repository_credentials else {
            continue;
        };
        let parameter = credentials.credentials_parameter.as_str();
        let name = parameter.rsplit([':', '/']).next().unwrap_or(parameter);
        if is_subdomain(name) {
            names.insert(name.to_owned());
        } else {
            refusals.refuse(
                &container.name,
                "repositoryCredentials",
                format!("'{name}' can't be the name of a Secret of type kubernetes.io/dockerconfigjson in the task's namespace."),
            );
        }
    }
    some(
        names
            .into_iter()
            .map(|name| LocalObjectReference { name })
            .collect(),
    )
}
