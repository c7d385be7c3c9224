//! What a Pod asks the kubelet for, by Kubernetes' own rule.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::domain::resources::Resources;
use crate::domain::units;

/// Resource name of GPUs. (RES-2)
pub(super) const GPU: &str = "nvidia.com/gpu";

/// What a Pod takes of its node, in the ledger's units, rounded up: the larger of (containers + native sidecars) and the
/// peak while init containers run; pod-level resources go before that; plus overhead; one Pod slot; its host ports. Ours
/// and foreign Pods are counted alike. A quantity that can't be read counts as nothing.
#[must_use]
pub fn effective_request(spec: &PodSpec) -> Resources {
    let mut sum = Resources {
        cpu: units::units_taken(units::millicores_of_nanos(total(spec, "cpu"))),
        memory: units::mib_taken(total(spec, "memory")),
        gpu: units::count_of_nanos(total(spec, GPU)),
        pods: 1,
        ..Resources::default()
    };
    let host_network = spec.host_network.unwrap_or(false);
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    for port in spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|c| c.ports.iter().flatten())
    {
        let taken = port
            .host_port
            .or(host_network.then_some(port.container_port))
            .unwrap_or(0);
        match u16::try_from(taken) {
            Ok(0) | Err(_) => {}
            Ok(taken) if port.protocol.as_deref() == Some("UDP") => {
                sum.ports_udp.insert(taken);
            }
            Ok(taken) => {
                sum.ports.insert(taken);
            }
        }
    }
    sum
}

/// Whether an init container is a native sidecar.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn total(spec: &PodSpec, resource: &str) -> i128 {
    let overhead = quantity(spec.overhead.as_ref(), resource).unwrap_or(0);
    let whole_pod = spec.resources.as_ref().and_then(|r| request(r, resource));
    let asked = whole_pod.unwrap_or_else(|| aggregated(spec, resource));
    asked.saturating_add(overhead)
}

fn aggregated(spec: &PodSpec, resource: &str) -> i128 {
    let of = |c: &Container| {
        c.resources
            .as_ref()
            .and_then(|r| request(r, resource))
            .unwrap_or(0)
    };
    let mut sidecars: i128 = 0;
    let mut peak: i128 = 0;
    for container in spec.init_containers.iter().flatten() {
        let asked = of(container);
        if is_sidecar(container) {
            sidecars = sidecars.saturating_add(asked);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars.saturating_add(asked));
        }
    }
    let running = spec
        .containers
        .iter()
        .map(of)
        .fold(sidecars, i128::saturating_add);
    running.max(peak)
}

/// A request; where there is none but a limit, the API server takes the limit.
fn request(resources: &ResourceRequirements, resource: &str) -> Option<i128> {
    quantity(resources.requests.as_ref(), resource).or_else(|| quantity(resources.limits.as_ref(), resource))
}

fn quantity(amounts: Option<&BTreeMap<String, Quantity>>, resource: &str) -> Option<i128> {
    amounts?.get(resource).and_then(|q| units::quantity_nanos(&q.0))
}
