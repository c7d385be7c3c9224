use serde_json::json;

use super::*;
use crate::build::unsupported;

/// Each member, added to a container, is refused with one sentence that begins so.
fn each_is_refused(cases: &[(Value, &str)]) {
    for (members, begin) in cases {
        let spec = container(members.clone());
        let refused = unsupported(&spec).refused;
        assert_eq!(refused.len(), 1, "{members}: {refused:?}");
        assert!(
            refused[0].starts_with(&format!("Container 'app': {begin}")),
            "{members}: {refused:?}"
        );
        assert_eq!(build(spec, &json!({}), false).unwrap_err(), refused);
    }
}

#[test]
fn td_21_container_members_without_counterpart_are_refused_by_name() {
    each_is_refused(&[
        (json!({"links": ["db"]}), "links: are not available"),
        (
            json!({"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]}),
            "ulimits: are not",
        ),
        (
            json!({"environmentFiles": [{"value": "arn:x", "type": "s3"}]}),
            "environmentFiles: are not",
        ),
        (
            json!({"firelensConfiguration": {"type": "fluentbit"}}),
            "firelensConfiguration: is not",
        ),
        (json!({"credentialSpecs": ["x"]}), "credentialSpecs: are not"),
        (json!({"disableNetworking": true}), "disableNetworking: is not"),
        (
            json!({"restartPolicy": {"enabled": true}}),
            "restartPolicy: is not available",
        ),
        (
            json!({"resourceRequirements": [{"type": "InferenceAccelerator", "value": "d"}]}),
            "resourceRequirements: type",
        ),
        (
            json!({"resourceRequirements": [{"type": "GPU", "value": "0"}]}),
            "resourceRequirements: a number",
        ),
        (
            json!({"linuxParameters": {"devices": [{"hostPath": "/dev/kvm"}]}}),
            "linuxParameters.devices: are not",
        ),
        (
            json!({"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["noexec"]}]}}),
            "linuxParameters.tmpfs: mount option 'noexec'",
        ),
        (json!({"user": "nginx"}), "user: 'nginx' is a name"),
        (json!({"user": "1000:www"}), "user: '1000:www' is a name"),
        (
            json!({"dockerSecurityOptions": ["label:type:x"]}),
            "dockerSecurityOptions: 'label:type:x'",
        ),
        (
            json!({"dockerSecurityOptions": ["no-new-privileges"], "privileged": true}),
            "dockerSecurityOptions: no-new",
        ),
    ]);
}

#[test]
fn td_21_checks_ports_mounts_and_references_are_refused_where_a_pod_can_not_have_them() {
    each_is_refused(&[
        (
            json!({"healthCheck": {"command": ["curl", "x"]}}),
            "healthCheck: the command must begin",
        ),
        (
            json!({"healthCheck": {"command": ["CMD"]}}),
            "healthCheck: the command must begin",
        ),
        (
            json!({"portMappings": [{"containerPortRange": "80-90"}]}),
            "portMappings: a containerPortRange",
        ),
        (
            json!({"portMappings": [{"hostPort": 80}]}),
            "portMappings: containerPort must be",
        ),
        (
            json!({"portMappings": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]}),
            "portMappings: host port 80 is asked for twice",
        ),
        (
            json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]}),
            "mountPoints: there is no volume 'x'",
        ),
        (
            json!({"mountPoints": [{"containerPath": "/x"}]}),
            "mountPoints: sourceVolume and containerPath",
        ),
        (
            json!({"volumesFrom": [{"sourceContainer": "x"}]}),
            "volumesFrom: there is no container 'x'",
        ),
        (
            json!({"repositoryCredentials": {"credentialsParameter": "No_Name"}}),
            "repositoryCredentials: 'No_Name'",
        ),
        (
            json!({"extraHosts": [{"hostname": "a", "ipAddress": "host-gateway"}]}),
            "extraHosts: 'host-gateway' is no IP",
        ),
        (
            json!({"environment": [{"name": "A=B", "value": ""}]}),
            "environment: 'A=B' can't name",
        ),
        (
            json!({"secrets": [{"name": "A", "valueFrom": "arn:aws:ssm:x"}]}),
            "secrets 'A': 'arn:aws:ssm:x' lives in AWS",
        ),
        (
            json!({"secrets": [{"name": "A", "valueFrom": "/prod/key"}]}),
            "secrets 'A': '/prod/key' can't be read",
        ),
        (
            json!({"secrets": [{"name": "A", "valueFrom": "secret/Bad_Name/k"}]}),
            "secrets 'A': 'secret/Bad_Name/k' can't",
        ),
    ]);
}

#[test]
fn td_7_task_members_without_counterpart_are_refused_by_name() {
    for (members, begin) in [
        (
            json!({"requiresCompatibilities": ["FARGATE"]}),
            "requiresCompatibilities: must contain EC2",
        ),
        (
            json!({"networkMode": "none"}),
            "networkMode: 'none' is not available",
        ),
        (json!({"pidMode": "other"}), "pidMode: must be"),
        (json!({"ipcMode": "none"}), "ipcMode: must be"),
        (
            json!({"proxyConfiguration": {"type": "APPMESH"}}),
            "proxyConfiguration: is not",
        ),
        (
            json!({"inferenceAccelerators": []}),
            "inferenceAccelerators: is not",
        ),
        (
            json!({"ephemeralStorage": {"sizeInGiB": 30}}),
            "ephemeralStorage: is for Fargate",
        ),
        (json!({"cpu": "many"}), "cpu: 'many' is not a task size"),
        (json!({"memory": "much"}), "memory: 'much' is not a task size"),
        (
            json!({"volumes": [{"name": "v", "efsVolumeConfiguration": {}}]}),
            "Volume 'v': efsVolumeConfiguration: is not",
        ),
        (
            json!({"volumes": [{"name": "v", "dockerVolumeConfiguration": {}}]}),
            "Volume 'v': dockerVolumeConfiguration: is",
        ),
        (
            json!({"volumes": [{"name": "v", "fsxWindowsFileServerVolumeConfiguration": {}}]}),
            "Volume 'v': fsxWindows",
        ),
        (
            json!({"volumes": [{"name": "v", "configuredAtLaunch": true}]}),
            "Volume 'v': configuredAtLaunch: is not",
        ),
        (
            json!({"volumes": [{"name": "v", "host": {"sourcePath": "a/../b"}}]}),
            "Volume 'v': host.sourcePath: must be",
        ),
        (
            json!({"volumes": [{"name": "v", "host": {"sourcePath": "/a"}, "persistentVolumeClaim": "c"}]}),
            "Volume 'v': host: a volume is",
        ),
        (
            json!({"volumes": [{"name": "v", "persistentVolumeClaim": "C"}]}),
            "Volume 'v': persistentVolumeClaim: is no",
        ),
    ] {
        let mut value = json!({"containerDefinitions": [{"name": "app", "image": "i", "memory": 9,
            "mountPoints": if members.get("volumes").is_some() { json!([{"sourceVolume": "v", "containerPath": "/v"}]) } else { json!([]) }}]});
        value
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        let refused = unsupported(&definition(value)).refused;
        assert_eq!(refused.len(), 1, "{members}: {refused:?}");
        assert!(refused[0].starts_with(begin), "{members}: {refused:?}");
    }
}

#[test]
fn what_containers_of_a_pod_share_must_not_differ() {
    for (a, b, begin) in [
        (
            json!({"hostname": "x"}),
            json!({"hostname": "y"}),
            "Container 'b': hostname: differs",
        ),
        (
            json!({"dnsServers": ["1.1.1.1"]}),
            json!({"dnsServers": ["2.2.2.2"]}),
            "Container 'b': dnsServers: differs",
        ),
        (
            json!({"extraHosts": [{"hostname": "h", "ipAddress": "1.1.1.1"}]}),
            json!({"extraHosts": [{"hostname": "h", "ipAddress": "2.2.2.2"}]}),
            "Container 'b': extraHosts: 'h' has two",
        ),
        (
            json!({"systemControls": [{"namespace": "net.x", "value": "1"}]}),
            json!({"systemControls": [{"namespace": "net.x", "value": "2"}]}),
            "Container 'b': systemControls: 'net.x' has",
        ),
        (
            json!({"portMappings": [{"containerPort": 80, "hostPort": 8080}]}),
            json!({"portMappings": [{"containerPort": 80, "hostPort": 8081}]}),
            "Container 'b': portMappings: containerPort 80 is",
        ),
    ] {
        let refused = unsupported(&several(&[a, b])).refused;
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].starts_with(begin), "{refused:?}");
    }
}

#[test]
fn td_12_names_are_unique_and_one_container_is_essential() {
    let twice = definition(json!({"containerDefinitions": [
        {"name": "a", "image": "i", "memory": 9}, {"name": "a", "image": "i", "memory": 9}]}));
    assert_eq!(
        unsupported(&twice).refused,
        ["Container 'a': name: two containers have this name."]
    );
    let none = unsupported(&container(json!({"essential": false}))).refused;
    assert!(
        none.contains(&"containerDefinitions: at least one container must be essential.".to_owned()),
        "{none:?}"
    );
}

#[test]
fn members_without_effect_are_reported_and_do_not_hinder() {
    let mut spec = container(json!({
        "logConfiguration": {"logDriver": "awslogs"},
        "linuxParameters": {"initProcessEnabled": true, "maxSwap": 10, "swappiness": 3},
        "portMappings": [{"containerPort": 80, "name": "Web_Port"}],
    }));
    spec.execution_role_arn = Some("arn:aws:iam::1:role/x".to_owned());
    spec.enable_fault_injection = Some(true);
    let found = unsupported(&spec);
    assert_eq!(found.refused, Vec::<String>::new());
    let members: Vec<&str> = found
        .reported
        .iter()
        .map(|s| s.split(": ").take(2).last().unwrap())
        .collect();
    assert_eq!(
        members,
        [
            "has no effect.",
            "has no effect",
            "logConfiguration",
            "linuxParameters.initProcessEnabled",
            "linuxParameters.maxSwap",
            "linuxParameters.swappiness",
            "portMappings",
        ]
    );
}

#[test]
fn td_13_a_definition_of_more_than_64_kib_is_refused_with_its_size() {
    let filled = |bytes: usize| {
        let spec = |value: String| container(json!({"environment": [{"name": "A", "value": value}]}));
        let rest = serde_json::to_vec(&spec(String::new())).unwrap().len();
        unsupported(&spec("x".repeat(bytes - rest))).refused
    };
    assert_eq!(filled(65_536), Vec::<String>::new());
    assert_eq!(
        filled(65_537),
        ["containerDefinitions: the task definition has 65537 bytes, at most 65536 are allowed: shorten it."]
    );
}
