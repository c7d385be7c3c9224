//! Ports, name servers, host names: what a Pod has once for all its containers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerPort, HostAlias, PodDNSConfig, PodSpec};

use crate::api::{ContainerDefinition, NetworkMode, PortMapping, TaskDefinitionSpec, TransportProtocol};

use super::names::is_label;
use super::unsupported::Refusals;

/// Ports of one container. Host port 0 or absent is none in bridge mode; in host mode the container's port is the node's;
/// in awsvpc mode the task has an address of its own. (TD-15, RES-9)
pub(super) fn ports(
    container: &ContainerDefinition,
    mode: NetworkMode,
    refusals: &mut Refusals,
) -> Vec<ContainerPort> {
    let mut ports = Vec::new();
    for mapping in &container.port_mappings {
        if mapping.container_port_range.is_some() {
            refusals.refuse(
                &container.name,
                "portMappings",
                "a containerPortRange is not available: list the ports.",
            );
            continue;
        }
        let Some(container_port) = mapping.container_port.and_then(port_number) else {
            refusals.refuse(
                &container.name,
                "portMappings",
                "containerPort must be 1 to 65535.",
            );
            continue;
        };
        let asked = mapping.host_port.unwrap_or(0);
        if mode != NetworkMode::Bridge && asked != 0 && asked != i64::from(container_port) {
            refusals.refuse(
                &container.name,
                "portMappings",
                format!("hostPort {asked} must be absent or equal containerPort {container_port} in this network mode."),
            );
        }
        ports.push(ContainerPort {
            container_port: i32::from(container_port),
            host_port: match mode {
                NetworkMode::Bridge => port_number(asked).map(i32::from),
                NetworkMode::Host => Some(i32::from(container_port)),
                NetworkMode::None | NetworkMode::Awsvpc => None,
            },
            name: port_name(container, mapping, refusals),
            protocol: Some(protocol_name(mapping).to_owned()),
            ..ContainerPort::default()
        });
    }
    ports
}

/// Containers of a task share one network in a Pod, and host ports are the node's: nobody may ask for one twice.
pub(super) fn check_ports(spec: &TaskDefinitionSpec, refusals: &mut Refusals) {
    let mut inside: BTreeMap<(i64, &str), &str> = BTreeMap::new();
    let mut host: BTreeMap<(i64, &str), &str> = BTreeMap::new();
    for container in &spec.container_definitions {
        let name = container.name.as_str();
        for mapping in &container.port_mappings {
            let protocol = protocol_name(mapping);
            if let Some(port) = mapping.container_port
                && let Some(other) = inside
                    .insert((port, protocol), name)
                    .filter(|other| *other != name)
            {
                refusals.refuse(
                    name,
                    "portMappings",
                    format!("containerPort {port} is container '{other}''s too: containers of a task share one network here."),
                );
            }
            let on_host = match spec.network_mode.unwrap_or_default() {
                NetworkMode::Bridge => mapping.host_port.filter(|p| *p != 0),
                NetworkMode::Host => mapping.container_port,
                NetworkMode::None | NetworkMode::Awsvpc => None,
            };
            if let Some(port) = on_host
                && let Some(other) = host.insert((port, protocol), name)
            {
                refusals.refuse(
                    name,
                    "portMappings",
                    format!("host port {port} is asked for twice (container '{other}')."),
                );
            }
        }
    }
}

/// Name servers, search domains, /etc/hosts and host name of the Pod.
pub(super) fn apply(spec: &TaskDefinitionSpec, pod: &mut PodSpec, refusals: &mut Refusals) {
    let host = spec.network_mode == Some(NetworkMode::Host);
    pod.host_network = host.then_some(true);
    let servers = agreed(spec, "dnsServers", |c| non_empty(&c.dns_servers), refusals);
    let searches = agreed(
        spec,
        "dnsSearchDomains",
        |c| non_empty(&c.dns_search_domains),
        refusals,
    );
    if servers.is_some() || searches.is_some() {
        pod.dns_policy = servers.is_some().then(|| "None".to_owned());
        pod.dns_config = Some(PodDNSConfig {
            nameservers: servers,
            searches,
            options: None,
        });
    }
    if host && pod.dns_policy.is_none() {
        pod.dns_policy = Some("ClusterFirstWithHostNet".to_owned());
    }
    pod.hostname = agreed(
        spec,
        "hostname",
        |c| c.hostname.clone().filter(|h| !h.is_empty()),
        refusals,
    );
    if let Some(hostname) = pod.hostname.as_deref().filter(|h| host || !is_label(h)) {
        refusals.refuse_task(
            "hostname",
            if host {
                "can't be set in network mode host.".to_owned()
            } else {
                format!(
                    "'{hostname}' is no host name for a Pod: lower-case letters, digits and '-', at most 63."
                )
            },
        );
    }
    pod.host_aliases = aliases(spec, refusals);
}

fn aliases(spec: &TaskDefinitionSpec, refusals: &mut Refusals) -> Option<Vec<HostAlias>> {
    let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
    for container in &spec.container_definitions {
        for entry in &container.extra_hosts {
            let (name, address) = (entry.hostname.as_str(), entry.ip_address.as_str());
            if address.parse::<std::net::IpAddr>().is_err() {
                refusals.refuse(
                    &container.name,
                    "extraHosts",
                    format!("'{address}' is no IP address."),
                );
            }
            if addresses
                .insert(name, address)
                .is_some_and(|other| other != address)
            {
                refusals.refuse(
                    &container.name,
                    "extraHosts",
                    format!("'{name}' has two addresses: the containers of a task share /etc/hosts."),
                );
            }
        }
    }
    let mut by_address: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, address) in addresses {
        by_address.entry(address).or_default().push(name.to_owned());
    }
    let alias = |(ip, names): (&str, Vec<String>)| HostAlias {
        ip: ip.to_owned(),
        hostnames: Some(names),
    };
    (!by_address.is_empty()).then(|| by_address.into_iter().map(alias).collect())
}

/// The value that all containers which set it agree on. It holds for the whole Pod, also for those that do not set it.
fn agreed<T: PartialEq>(
    spec: &TaskDefinitionSpec,
    member: &str,
    of: impl Fn(&ContainerDefinition) -> Option<T>,
    refusals: &mut Refusals,
) -> Option<T> {
    let mut agreed: Option<(T, &str)> = None;
    let mut unset = false;
    for container in &spec.container_definitions {
        match (of(container), &agreed) {
            (None, _) => unset = true,
            (Some(value), Some((first, name))) if value != *first => refusals.refuse(
                &container.name,
                member,
                format!("differs from that of container '{name}': the containers of a task share one."),
            ),
            (Some(_), Some(_)) => {}
            (Some(value), None) => agreed = Some((value, &container.name)),
        }
    }
    if let Some((_, name)) = agreed.as_ref().filter(|_| unset) {
        refusals.report(
            name,
            member,
            "holds for all containers of the task: a Pod has one.",
        );
    }
    agreed.map(|(value, _)| value)
}

fn non_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn port_number(port: i64) -> Option<u16> {
    u16::try_from(port).ok().filter(|p| *p != 0)
}

fn protocol_name(mapping: &PortMapping) -> &'static str {
    match mapping.protocol.unwrap_or_default() {
        TransportProtocol::Tcp => "TCP",
        TransportProtocol::Udp => "UDP",
    }
}

/// A port's name, if Kubernetes takes it: at most 15 lower-case letters, digits and single hyphens, one letter at least.
fn port_name(
    container: &ContainerDefinition,
    mapping: &PortMapping,
    refusals: &mut Refusals,
) -> Option<String> {
    let name = mapping.name.as_deref()?;
    let taken = container
        .port_mappings
        .iter()
        .filter(|m| m.name.as_deref() == Some(name))
        .count()
        > 1;
    let letters = name.bytes().any(|b| b.is_ascii_lowercase());
    if is_label(name) && name.len() <= 15 && letters && !name.contains("--") && !taken {
        return Some(name.to_owned());
    }
    refusals.report(
        &container.name,
        "portMappings",
        format!(
            "the port name '{name}' has no effect: Kubernetes allows 15 lower-case letters, digits and '-'."
        ),
    );
    None
}
