use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::build::{demand, effective_request, unsupported};

fn any_container(index: usize) -> impl Strategy<Value = Value> {
    let edge = (
        0..index.max(1),
        prop::sample::select(vec!["START", "HEALTHY", "SUCCESS"]),
    );
    (
        (0i64..3000, prop::option::of(6i64..5000), 6i64..5000),
        (any::<bool>(), 0i64..3, prop::collection::vec((0u16..3, 1u16..50, any::<bool>()), 0..3)),
        prop::collection::vec(edge, 0..3),
    )
        .prop_map(move |((cpu, reservation, memory), (essential, gpus, ports), edges)| {
            let depends: Vec<Value> = edges
                .into_iter()
                .filter(|_| index > 0)
                .map(|(target, condition)| json!({"containerName": format!("C_{target}"), "condition": condition}))
                .collect();
            let ports: Vec<Value> = ports
                .into_iter()
                .map(|(host, port, udp)| {
                    let container_port = 1000 * (u16::try_from(index).unwrap() + 1) + port;
                    json!({"containerPort": container_port, "hostPort": if host == 0 { 0 } else { container_port },
                           "protocol": if udp { "udp" } else { "tcp" }})
                })
                .collect();
            json!({
                "name": format!("C_{index}"), "image": "i", "cpu": cpu,
                "memory": memory + reservation.unwrap_or(0), "memoryReservation": reservation, "essential": essential,
                "resourceRequirements":
                    if gpus > 0 { json!([{"type": "GPU", "value": gpus.to_string()}]) } else { json!([]) },
                "dependsOn": depends, "portMappings": ports,
                "healthCheck": {"command": ["CMD", "true"]},
            })
        })
}

pub(super) fn any_definition() -> impl Strategy<Value = TaskDefinitionSpec> {
    let containers = (1usize..6).prop_flat_map(|n| (0..n).map(any_container).collect::<Vec<_>>());
    let sizes = (prop::option::of(128i64..20_000), prop::option::of(6i64..60_000));
    let mode = prop::sample::select(vec!["bridge", "host", "awsvpc"]);
    (containers, sizes, mode).prop_map(|(containers, (cpu, memory), mode)| {
        let mut value = json!({"containerDefinitions": containers, "networkMode": mode});
        let members = value.as_object_mut().unwrap();
        if let Some(cpu) = cpu {
            members.insert("cpu".to_owned(), json!(cpu.to_string()));
        }
        if let Some(memory) = memory {
            members.insert("memory".to_owned(), json!(memory.to_string()));
        }
        definition(value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn res_9_a_pod_never_asks_for_more_than_its_demand(spec in any_definition()) {
        prop_assume!(unsupported(&spec).refused.is_empty());
        let asked = effective_request(&spec_of(spec.clone()));
        let counted = demand(&spec).unwrap();
        prop_assert!(asked.cpu <= counted.cpu && asked.memory <= counted.memory && asked.gpu <= counted.gpu);
        prop_assert_eq!(asked.pods, 1);
        // An init container's host ports are counted by ECS alone.
        prop_assert!(asked.ports.is_subset(&counted.ports) && asked.ports_udp.is_subset(&counted.ports_udp));
    }

    #[test]
    fn a_pod_is_made_exactly_if_nothing_is_refused(spec in any_definition()) {
        let refused = unsupported(&spec).refused;
        match build(spec, &json!({}), false) {
            Ok(_) => prop_assert_eq!(refused, Vec::<String>::new()),
            Err(errors) => prop_assert_eq!(errors, refused),
        }
    }

    #[test]
    fn kubernetes_own_rules_for_pods_hold(spec in any_definition()) {
        prop_assume!(unsupported(&spec).refused.is_empty());
        let pod = spec_of(spec);
        prop_assert!(!pod.containers.is_empty());
        let mut names = std::collections::BTreeSet::new();
        for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
            prop_assert!(crate::build::names::is_label(&container.name) && names.insert(&container.name));
        }
        for init in pod.init_containers.iter().flatten().filter(|c| c.restart_policy.is_none()) {
            prop_assert!(init.readiness_probe.is_none() && init.startup_probe.is_none());
        }
        // Requests of containers must fit into the request of the Pod.
        if let Some(requests) = pod.resources.clone().and_then(|r| r.requests) {
            let mut bare = pod.clone();
            bare.resources = None;
            let (whole, sum) = (effective_request(&pod), effective_request(&bare));
            prop_assert!(!requests.contains_key("cpu") || sum.cpu <= whole.cpu);
            prop_assert!(!requests.contains_key("memory") || sum.memory <= whole.memory);
        }
        prop_assert!(pod.termination_grace_period_seconds.unwrap() >= 30);
    }
}

#[test]
fn effective_request_counts_as_kubernetes_does() {
    let spec: PodSpec = serde_json::from_value(json!({
        "initContainers": [
            {"name": "a", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "b", "resources": {"requests": {"cpu": "900m", "memory": "1Gi"}}},
            {"name": "c", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}},
             "ports": [{"containerPort": 1, "hostPort": 9}]},
        ],
        "containers": [
            {"name": "d", "resources": {"requests": {"cpu": "0.5"}, "limits": {"cpu": 2, "memory": "128M"}}},
            {"name": "e", "ports": [{"containerPort": 53, "hostPort": 53, "protocol": "UDP"}]},
        ],
        "overhead": {"cpu": "24m"},
    }))
    .unwrap();
    let asked = effective_request(&spec);
    // cpu: max(500 + 200, 100 + 900) + 24 millicores; memory: the init container's.
    assert_eq!((asked.cpu, asked.memory, asked.pods), (1049, 1024, 1));
    assert_eq!((asked.ports, asked.ports_udp), ([9].into(), [53].into()));
}
