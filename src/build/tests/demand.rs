use serde_json::json;

use super::*;
use crate::build::demand;
use crate::domain::resources::Resources;

fn two(a: Value, b: Value) -> Value {
    let mut list = Vec::new();
    for (name, members) in [("a", a), ("b", b)] {
        let mut one = json!({"name": name, "image": "i"});
        one.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        list.push(one);
    }
    Value::Array(list)
}

#[test]
fn res_9_hrm_2_sums_containers_and_prefers_reservations() {
    let spec = definition(json!({"containerDefinitions": two(
        json!({"cpu": 256, "memory": 512, "memoryReservation": 128, "portMappings": [
            {"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
            {"containerPort": 81, "hostPort": 0}]}),
        json!({"cpu": 10, "memory": 64, "resourceRequirements": [{"type": "GPU", "value": "2"}]}),
    )}));
    let expected = Resources {
        cpu: 266,
        memory: 192,
        pods: 1,
        gpu: 2,
        ports: [8080].into(),
        ports_udp: [53].into(),
    };
    assert_eq!(demand(&spec), Ok(expected));
}

#[test]
fn res_9_task_sizes_go_before_the_sums() {
    let spec = definition(
        json!({"cpu": "1 vCPU", "memory": "0.5 GB", "containerDefinitions": two(
        json!({"cpu": 256}), json!({"cpu": 10, "memory": 64}))}),
    );
    let asked = demand(&spec).unwrap();
    assert_eq!((asked.cpu, asked.memory), (1024, 512));
}

#[test]
fn res_9_host_mode_takes_container_ports_and_awsvpc_none() {
    let ports = json!({"portMappings": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]});
    let with = |mode: &str| {
        let mut spec = container(ports.clone());
        spec.network_mode = Some(serde_json::from_value(json!(mode)).unwrap());
        demand(&spec).unwrap().ports
    };
    assert_eq!(with("host"), [80, 81].into());
    assert_eq!(with("bridge"), [81].into());
    assert_eq!(with("awsvpc"), [].into());
}

#[test]
fn res_11_a_task_takes_one_pod_slot_whatever_its_network_mode() {
    for mode in ["host", "bridge", "awsvpc"] {
        let mut spec = container(json!({}));
        spec.network_mode = Some(serde_json::from_value(json!(mode)).unwrap());
        assert_eq!(demand(&spec).unwrap().pods, 1, "{mode}");
    }
}

#[test]
fn res_10_no_cpu_reserves_nothing() {
    assert_eq!(demand(&container(json!({"cpu": 0}))).unwrap().cpu, 0);
    assert_eq!(demand(&container(json!({"cpu": 1}))).unwrap().cpu, 1);
}

#[test]
fn td_9_task_sizes_are_read_in_all_forms() {
    for (text, units) in [
        ("1024", 1024),
        ("1 vCPU", 1024),
        (".5 vcpu", 512),
        ("0.25vCPU", 256),
        ("196608", 196_608),
    ] {
        let mut spec = container(json!({"cpu": 0}));
        spec.cpu = Some(text.to_owned());
        assert_eq!(demand(&spec).map(|r| r.cpu), Ok(units), "{text}");
    }
    for (text, mib) in [("512", 512), ("1 GB", 1024), ("0.5GB", 512)] {
        let mut spec = container(json!({}));
        spec.memory = Some(text.to_owned());
        assert_eq!(demand(&spec).map(|r| r.memory), Ok(mib), "{text}");
    }
    for bad in ["", "0", "127", "196609", "one", "-1", "1 core", "1.5"] {
        let mut spec = container(json!({"cpu": 0}));
        spec.cpu = Some(bad.to_owned());
        assert!(demand(&spec).unwrap_err()[0].starts_with("cpu: "), "{bad}");
    }
}

#[test]
fn td_10_a_container_needs_memory_or_a_reservation() {
    let mut spec = definition(json!({"containerDefinitions": [{"name": "app", "image": "i"}]}));
    assert_eq!(
        demand(&spec).unwrap_err(),
        [
            "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."
        ]
    );
    spec.memory = Some("64".to_owned());
    assert_eq!(demand(&spec).unwrap().memory, 64);
}

#[test]
fn td_11_containers_must_fit_into_the_task() {
    let mut spec = container(json!({}));
    (spec.cpu, spec.memory) = (Some("128".to_owned()), Some("100".to_owned()));
    assert_eq!(
        demand(&spec).unwrap_err(),
        [
            "cpu: the containers ask for 256 units, the task has 128.",
            "memory: the containers reserve 128 MiB, the task has 100.",
        ]
    );
}
