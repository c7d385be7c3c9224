use k8s_openapi::api::core::v1::Container;
use serde_json::json;

use super::*;
use crate::build::container_names;

fn one(members: Value) -> Container {
    spec_of(container(members)).containers.remove(0)
}

fn as_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn res_12_cpu_is_a_request_and_memory_a_limit() {
    let resources = |members: Value| as_json(&one(members).resources);
    assert_eq!(
        resources(json!({"cpu": 100, "memory": 200, "memoryReservation": 50})),
        json!({"requests": {"cpu": "97m", "memory": "50Mi"}, "limits": {"memory": "200Mi"}})
    );
    assert_eq!(
        resources(json!({"cpu": 0, "memory": null, "memoryReservation": 50})),
        json!({"requests": {"cpu": "0", "memory": "50Mi"}})
    );
    assert_eq!(
        resources(json!({"resourceRequirements": [{"type": "GPU", "value": "2"}]})),
        json!({"requests": {"cpu": "250m", "memory": "128Mi", "nvidia.com/gpu": "2"},
               "limits": {"memory": "128Mi", "nvidia.com/gpu": "2"}})
    );
}

#[test]
fn td_12_names_become_dns_labels_one_to_one() {
    let names = ["App_1", "app-1", "app_1", "___", "x".repeat(255).as_str(), "ok"].map(str::to_owned);
    let list: Vec<Value> = names
        .iter()
        .map(|n| json!({"name": n, "image": "i", "memory": 10}))
        .collect();
    let spec = definition(json!({"containerDefinitions": list}));
    let mapped = container_names(&spec);
    let distinct: std::collections::BTreeSet<&String> = mapped.values().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(distinct.iter().all(|n| crate::build::names::is_label(n)));
    assert_eq!((mapped["app-1"].as_str(), mapped["ok"].as_str()), ("app-1", "ok"));
    // These are the names of running containers: they must never change.
    assert_eq!(mapped["App_1"], "app-1-1257d988");
    assert_eq!(spec_of(spec).containers[0].name, mapped["App_1"]);
}

#[test]
fn words_reach_the_container_as_they_are() {
    let built = one(json!({
        "command": ["echo $(HOST) $$ $HOME", "$HOME"],
        "environment": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "a$b"}],
    }));
    assert_eq!(built.args.unwrap(), ["echo $$(HOST) $$$$ $$HOME", "$HOME"]);
    let values: Vec<_> = built.env.unwrap().into_iter().map(|v| v.value.unwrap()).collect();
    assert_eq!(values, ["$$(B)", "a$b"]);
}

#[test]
fn secrets_come_from_secrets_and_config_maps() {
    let built = one(json!({"secrets": [
        {"name": "P", "valueFrom": "secret/db/password"}, {"name": "C", "valueFrom": "configmap/app.cfg/a.b_c"}]}));
    assert_eq!(
        as_json(&built.env),
        json!([
            {"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "app.cfg", "key": "a.b_c"}}},
        ])
    );
}

#[test]
fn td_16_health_check_is_a_readiness_probe_and_never_a_liveness_probe() {
    let built = one(json!({"healthCheck": {"command": ["CMD", "check", "-f"], "startPeriod": 60}}));
    assert_eq!(
        as_json(&built.readiness_probe),
        json!({"exec": {"command": ["check", "-f"]}, "periodSeconds": 30, "timeoutSeconds": 5,
               "failureThreshold": 3, "successThreshold": 1})
    );
    assert_eq!((built.liveness_probe, built.startup_probe), (None, None));
    assert_eq!(
        one(json!({"healthCheck": {"command": ["NONE"]}})).readiness_probe,
        None
    );
}

#[test]
fn td_15_ports_follow_the_network_mode() {
    let ports = |mode: &str| {
        let mut spec = container(json!({"portMappings": [
            {"containerPort": 80, "hostPort": 80, "name": "web"}, {"containerPort": 53, "hostPort": 0, "protocol": "udp"}]}));
        spec.network_mode = Some(serde_json::from_value(json!(mode)).unwrap());
        let spec = spec_of(spec);
        (
            as_json(&spec.containers[0].ports),
            spec.host_network,
            spec.dns_policy,
        )
    };
    assert_eq!(
        ports("bridge"),
        (
            json!([{"containerPort": 80, "hostPort": 80, "name": "web", "protocol": "TCP"},
                   {"containerPort": 53, "protocol": "UDP"}]),
            None,
            None
        )
    );
    assert_eq!(
        ports("host"),
        (
            json!([{"containerPort": 80, "hostPort": 80, "name": "web", "protocol": "TCP"},
                   {"containerPort": 53, "hostPort": 53, "protocol": "UDP"}]),
            Some(true),
            Some("ClusterFirstWithHostNet".to_owned())
        )
    );
    assert_eq!(
        ports("awsvpc").0[0],
        json!({"containerPort": 80, "name": "web", "protocol": "TCP"})
    );
}

#[test]
fn security_settings_reach_the_container() {
    let built = one(json!({
        "user": "1000:root", "readonlyRootFilesystem": true, "privileged": false, "workingDirectory": "/srv",
        "interactive": true, "pseudoTerminal": true, "dockerSecurityOptions": ["no-new-privileges"],
        "linuxParameters": {"capabilities": {"add": ["NET_ADMIN", "CAP_SYS_PTRACE"], "drop": ["ALL"]}},
    }));
    assert_eq!(
        as_json(&built.security_context),
        json!({"runAsUser": 1000, "runAsGroup": 0, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
               "capabilities": {"add": ["NET_ADMIN", "SYS_PTRACE"], "drop": ["ALL"]}})
    );
    assert_eq!(
        (built.working_dir.as_deref(), built.stdin, built.tty),
        (Some("/srv"), Some(true), Some(true))
    );
    assert_eq!(one(json!({})).security_context, None);
    assert_eq!(
        one(json!({"privileged": true}))
            .security_context
            .unwrap()
            .privileged,
        Some(true)
    );
}

#[test]
fn volumes_are_paths_claims_or_directories_of_the_task() {
    let mut spec = several(&[
        json!({"mountPoints": [{"sourceVolume": "Host_1", "containerPath": "/h", "readOnly": true},
                               {"sourceVolume": "tmp", "containerPath": "/t"}],
               "linuxParameters": {"sharedMemorySize": 64, "tmpfs": [{"containerPath": "/m", "size": 8}]}}),
        json!({"volumesFrom": [{"sourceContainer": "a", "readOnly": true}],
               "mountPoints": [{"sourceVolume": "claim", "containerPath": "/c"}]}),
    ]);
    spec.volumes = serde_json::from_value(json!([
        {"name": "Host_1", "host": {"sourcePath": "/var/data"}}, {"name": "tmp", "host": {}},
        {"name": "claim", "persistentVolumeClaim": "data"}, {"name": "unused"},
    ]))
    .unwrap();
    let pod = spec_of(spec);
    let mounts = |i: usize| {
        let list: Vec<String> = pod.containers[i]
            .volume_mounts
            .iter()
            .flatten()
            .map(|m| {
                format!(
                    "{}{}",
                    m.mount_path,
                    if m.read_only == Some(true) { ":ro" } else { "" }
                )
            })
            .collect();
        list
    };
    assert_eq!(mounts(0), ["/h:ro", "/t", "/dev/shm", "/m"]);
    assert_eq!(mounts(1), ["/c", "/h:ro", "/t:ro"]);
    let volumes: Vec<Value> = pod
        .volumes
        .iter()
        .flatten()
        .map(|v| {
            let mut value = as_json(v);
            value.as_object_mut().unwrap().remove("name");
            value
        })
        .collect();
    assert_eq!(
        volumes,
        [
            json!({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}),
            json!({"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}),
            json!({"hostPath": {"path": "/var/data"}}),
            json!({"emptyDir": {}}),
            json!({"persistentVolumeClaim": {"claimName": "data"}}),
        ]
    );
}

#[test]
fn what_a_pod_has_once_is_taken_from_the_containers_that_agree() {
    let spec = spec_of(several(&[
        json!({"dnsServers": ["10.0.0.2"], "dnsSearchDomains": ["x.local"], "hostname": "web",
               "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.9"}, {"hostname": "db2", "ipAddress": "10.0.0.9"}],
               "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
               "repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:eu-west-1:1:secret:registry"}}),
        json!({"extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.9"}],
               "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
               "repositoryCredentials": {"credentialsParameter": "registry"}}),
    ]));
    assert_eq!(spec.dns_policy.as_deref(), Some("None"));
    assert_eq!(
        as_json(&spec.dns_config),
        json!({"nameservers": ["10.0.0.2"], "searches": ["x.local"]})
    );
    assert_eq!(spec.hostname.as_deref(), Some("web"));
    assert_eq!(
        as_json(&spec.host_aliases),
        json!([{"ip": "10.0.0.9", "hostnames": ["db", "db2"]}])
    );
    assert_eq!(
        as_json(&spec.security_context),
        json!({"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]})
    );
    assert_eq!(as_json(&spec.image_pull_secrets), json!([{"name": "registry"}]));
}
