//! What a task takes of its instance. (RES-9, HRM-2)

use crate::api::{ContainerDefinition, NetworkMode, TaskDefinitionSpec, TransportProtocol};
use crate::domain::resources::Resources;
use crate::domain::units;

use super::effective::effective_request;
use super::template::template;

/// Bounds of a task's cpu on EC2, in units. (TD-9)
const TASK_CPU_UNITS: std::ops::RangeInclusive<i64> = 128..=196_608;
/// Least memory of a task or container, in MiB. (TD-10)
const MEMORY_MIN_MIB: i64 = 6;
/// Most memory we count, in MiB: 32 TiB, the schema's bound for containers.
const MEMORY_MAX_MIB: i64 = 33_554_432;

/// What a task of this definition takes: ECS's sum (RES-9), or the Pod's effective request where that is larger.
///
/// CPU is in units. A Pod asks for `floor(units × 1000 / 1024)` millicores per container, the node registers
/// `floor(millicores × 1024 / 1000)` units: see [`crate::domain::units`] for why the kubelet then always has room for what
/// the ledger admitted. Memory is in MiB and exact.
///
/// # Errors
/// Sizes that ECS would not register, a sentence each. (TD-9, TD-10, TD-11)
pub fn demand(spec: &TaskDefinitionSpec) -> Result<Resources, Vec<String>> {
    let sizes = Sizes::of(spec)?;
    let (template, _) = template(spec);
    let pod = effective_request(&template.spec);
    let mut sum = Resources {
        cpu: sizes
            .task_cpu
            .unwrap_or_else(|| total(spec, |c| c.cpu))
            .max(pod.cpu),
        memory: sizes
            .task_memory
            .unwrap_or_else(|| total(spec, reserved_memory))
            .max(pod.memory),
        pods: 1,
        gpu: total(spec, gpus).max(pod.gpu),
        ports: pod.ports,
        ports_udp: pod.ports_udp,
    };
    for (port, protocol) in host_ports(spec) {
        match protocol {
            TransportProtocol::Tcp => sum.ports.insert(port),
            TransportProtocol::Udp => sum.ports_udp.insert(port),
        };
    }
    Ok(sum)
}

/// Sizes of the whole task, checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// CPU units of the task, if set.
    pub(super) task_cpu: Option<i64>,
    /// MiB of the task, if set.
    pub(super) task_memory: Option<i64>,
}

impl Sizes {
    /// Reads and checks the sizes of a definition. (TD-9, TD-10, TD-11)
    pub(super) fn of(spec: &TaskDefinitionSpec) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let sizes = Self {
            task_cpu: spec
                .cpu
                .as_deref()
                .and_then(|text| keep(task_cpu_units(text), &mut errors)),
            task_memory: spec
                .memory
                .as_deref()
                .and_then(|text| keep(task_memory_mib(text), &mut errors)),
        };
        for container in &spec.container_definitions {
            check_container(container, spec.memory.is_some(), &mut errors);
        }
        let cpu = total(spec, |c| c.cpu);
        if let Some(task) = sizes.task_cpu.filter(|task| cpu > *task) {
            errors.push(format!(
                "cpu: the containers ask for {cpu} units, the task has {task}."
            ));
        }
        let memory = total(spec, reserved_memory);
        if let Some(task) = sizes.task_memory.filter(|task| memory > *task) {
            errors.push(format!(
                "memory: the containers reserve {memory} MiB, the task has {task}."
            ));
        }
        if errors.is_empty() { Ok(sizes) } else { Err(errors) }
    }
}

fn keep(result: Result<i64, String>, errors: &mut Vec<String>) -> Option<i64> {
    result.map_err(|error| errors.push(error)).ok()
}

fn check_container(container: &ContainerDefinition, task_has_memory: bool, errors: &mut Vec<String>) {
    let name = &container.name;
    if container.cpu < 0 {
        errors.push(format!(
            "Invalid setting for container '{name}'. 'cpu' must not be negative."
        ));
    }
    for (member, value) in [
        ("memory", container.memory),
        ("memoryReservation", container.memory_reservation),
    ] {
        if value.is_some_and(|mib| !(MEMORY_MIN_MIB..=MEMORY_MAX_MIB).contains(&mib)) {
            errors.push(format!(
                "Invalid setting for container '{name}'. '{member}' must be {MEMORY_MIN_MIB} to {MEMORY_MAX_MIB} MiB."
            ));
        }
    }
    match (container.memory, container.memory_reservation) {
        (None, None) if !task_has_memory => errors.push(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )),
        (Some(limit), Some(reserved)) if limit < reserved => errors.push(format!(
            "Invalid setting for container '{name}'. 'memory' must not be less than 'memoryReservation'."
        )),
        _ => {}
    }
}

/// MiB a container reserves: memoryReservation if set, else memory. (RES-9)
pub(super) fn reserved_memory(container: &ContainerDefinition) -> i64 {
    container.memory_reservation.or(container.memory).unwrap_or(0)
}

/// GPUs of a container. (TD-19)
pub(super) fn gpus(container: &ContainerDefinition) -> i64 {
    container
        .resource_requirements
        .iter()
        .filter(|r| r.type_ == "GPU")
        .map(|r| r.value.trim().parse().unwrap_or(0).max(0))
        .fold(0, i64::saturating_add)
}

/// Host ports a task takes: every non-zero one in bridge mode, every container port in host mode, none in awsvpc mode.
/// (RES-9, RES-11, TD-15)
pub(super) fn host_ports(spec: &TaskDefinitionSpec) -> impl Iterator<Item = (u16, TransportProtocol)> {
    let mode = spec.network_mode.unwrap_or_default();
    spec.container_definitions
        .iter()
        .flat_map(|c| &c.port_mappings)
        .filter_map(move |port| {
            let taken = match mode {
                NetworkMode::Bridge => port.host_port,
                NetworkMode::Host => port.container_port,
                NetworkMode::None | NetworkMode::Awsvpc => None,
            };
            let taken = u16::try_from(taken?).ok().filter(|p| *p != 0)?;
            Some((taken, port.protocol.unwrap_or_default()))
        })
}

fn total(spec: &TaskDefinitionSpec, of: impl Fn(&ContainerDefinition) -> i64) -> i64 {
    spec.container_definitions
        .iter()
        .map(of)
        .fold(0, i64::saturating_add)
}

/// CPU units of a task size: `1024`, `1 vCPU`, `.5 vcpu`. (TD-9)
fn task_cpu_units(text: &str) -> Result<i64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let units = match lower.strip_suffix("vcpu") {
        Some(cores) => units::decimal_nanos(cores.trim_end())
            .and_then(|n| n.checked_mul(1024))
            .map(units::count_of_nanos),
        None => lower.parse().ok(),
    };
    units
        .filter(|units| TASK_CPU_UNITS.contains(units))
        .ok_or_else(|| {
            format!(
                "cpu: '{text}' is not a task size; give {} to {} units, or vCPU as in '1 vCPU'.",
                TASK_CPU_UNITS.start(),
                TASK_CPU_UNITS.end()
            )
        })
}

/// MiB of a task size: `512`, `1 GB`. (TD-9)
fn task_memory_mib(text: &str) -> Result<i64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let mib = match lower.strip_suffix("gb") {
        Some(gigabytes) => units::decimal_nanos(gigabytes.trim_end())
            .and_then(|n| n.checked_mul(1024))
            .map(units::count_of_nanos),
        None => lower.parse().ok(),
    };
    mib.filter(|mib| (MEMORY_MIN_MIB..=MEMORY_MAX_MIB).contains(mib)).ok_or_else(|| {
        format!("memory: '{text}' is not a task size; give MiB (at least {MEMORY_MIN_MIB}), or GB as in '1 GB'.")
    })
}
