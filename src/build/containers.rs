//! One container definition to one container of the Pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceRequirements, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::{ContainerDefinition, NetworkMode};
use crate::domain::units;

use super::demand::{Sizes, gpus, reserved_memory};
use super::depends_on::{Arranged, Role};
use super::effective::GPU;
use super::unsupported::{Refusals, check_container};
use super::{env, network, probes, security};

/// Builds one container. `name` is its name in the Pod.
pub(super) fn container(
    arranged: Arranged<'_>,
    name: &str,
    mode: NetworkMode,
    sizes: Sizes,
    mounts: Vec<VolumeMount>,
    refusals: &mut Refusals,
) -> Container {
    let definition = arranged.container;
    check_container(definition, refusals);
    probes::check(definition, refusals);
    let words = |list: Option<&Vec<String>>| {
        list.filter(|l| !l.is_empty())
            .map(|l| l.iter().map(|word| env::literal(word)).collect())
    };
    let check = probes::declared(definition).filter(|_| arranged.role != Role::Init);
    if arranged.role == Role::Init && definition.health_check.is_some() {
        refusals.report(
            &definition.name,
            "healthCheck",
            "has no effect: others wait for this container to end.",
        );
    }
    if arranged.role == Role::Init
        && definition
            .port_mappings
            .iter()
            .any(|p| p.host_port.unwrap_or(0) != 0)
    {
        refusals.report(
            &definition.name,
            "portMappings",
            "host ports have no effect: others wait for this container to end.",
        );
    }
    Container {
        name: name.to_owned(),
        image: Some(definition.image.clone()),
        command: words(definition.entry_point.as_ref()),
        args: words(definition.command.as_ref()),
        env: some(env::variables(definition, refusals)),
        ports: some(network::ports(definition, mode, refusals)),
        resources: Some(resources(definition, sizes)),
        readiness_probe: check.and_then(probes::readiness),
        startup_probe: check
            .filter(|_| arranged.awaited_healthy && arranged.role == Role::Sidecar)
            .and_then(|check| probes::startup(check, definition.start_timeout)),
        restart_policy: (arranged.role == Role::Sidecar).then(|| "Always".to_owned()),
        security_context: security::context(definition, refusals),
        stdin: definition.interactive.filter(|i| *i),
        tty: definition.pseudo_terminal.filter(|t| *t),
        volume_mounts: some(mounts),
        working_dir: definition.working_directory.clone().filter(|d| !d.is_empty()),
        ..Container::default()
    }
}

/// CPU is a request only: a container may burst (RES-12). Memory is the limit, memoryReservation (else memory) the request.
/// Requests are written out even where they are 0, so that no default of the namespace makes the Pod bigger than its
/// reservation. Kubernetes wants no container's limit above the Pod's: it would never be reached anyway.
fn resources(definition: &ContainerDefinition, sizes: Sizes) -> ResourceRequirements {
    let mut requests = BTreeMap::new();
    let mut limits = BTreeMap::new();
    requests.insert("cpu".to_owned(), millicores(definition.cpu));
    requests.insert("memory".to_owned(), mib(reserved_memory(definition)));
    if let Some(limit) = definition.memory {
        limits.insert(
            "memory".to_owned(),
            mib(limit.min(sizes.task_memory.unwrap_or(limit))),
        );
    }
    let gpus = gpus(definition);
    if gpus > 0 {
        requests.insert(GPU.to_owned(), Quantity(gpus.to_string()));
        limits.insert(GPU.to_owned(), Quantity(gpus.to_string()));
    }
    ResourceRequirements {
        requests: Some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        claims: None,
    }
}

/// Size of the whole task: request and limit of the Pod. (TD-9)
pub(super) fn pod_resources(sizes: Sizes) -> Option<ResourceRequirements> {
    let cpu = sizes.task_cpu.map(|units| ("cpu".to_owned(), millicores(units)));
    let memory = sizes.task_memory.map(|size| ("memory".to_owned(), mib(size)));
    let amounts: BTreeMap<String, Quantity> = cpu.into_iter().chain(memory).collect();
    (!amounts.is_empty()).then(|| ResourceRequirements {
        requests: Some(amounts.clone()),
        limits: Some(amounts),
        claims: None,
    })
}

fn millicores(units: i64) -> Quantity {
    match units::millicores_of_units(units) {
        0 => Quantity("0".to_owned()),
        millicores => Quantity(format!("{millicores}m")),
    }
}

fn mib(amount: i64) -> Quantity {
    if amount == 0 {
        Quantity("0".to_owned())
    } else {
        Quantity(format!("{amount}Mi"))
    }
}

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
