use serde_json::json;

use super::*;
use crate::build::pod_name;

#[test]
fn f5_pod_is_named_owned_and_held_by_its_finalizer() {
    let built = build(container(json!({})), &json!({}), false).unwrap();
    let meta = serde_json::to_value(&built.metadata).unwrap();
    assert_eq!(
        meta,
        json!({
            "name": "0123456789abcdef0123456789abcdef-deadbeef",
            "namespace": "shop",
            "finalizers": ["ecs-operator.dev/pod"],
            "labels": {
                "ecs-operator.dev/cluster": "default",
                "ecs-operator.dev/service": "web",
                "ecs-operator.dev/task": "0123456789abcdef0123456789abcdef",
            },
            "ownerReferences": [{
                "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
                "name": "0123456789abcdef0123456789abcdef", "uid": "DEADBEEF-1111-2222-3333-444455556666",
                "controller": true, "blockOwnerDeletion": true,
            }],
        })
    );
}

#[test]
fn plain_pod_is_what_a_plain_definition_says() {
    let spec = spec_of(container(json!({
        "command": ["serve"], "entryPoint": ["/bin/app"], "environment": [{"name": "A", "value": "1"}],
    })));
    assert_eq!(
        serde_json::to_value(&spec).unwrap(),
        json!({
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "app", "image": "app:1", "command": ["/bin/app"], "args": ["serve"],
                "env": [{"name": "A", "value": "1"}],
                "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
            }],
            "enableServiceLinks": false,
            "nodeName": "node-1",
            "restartPolicy": "Never",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            ],
        })
    );
}

#[test]
fn pod_of_an_unstored_task_is_refused() {
    let mut unstored = task();
    unstored.metadata.uid = None;
    assert_eq!(pod_name(&unstored), None);
    let result = pod(&PodInput {
        task: &unstored,
        definition: &stored(container(json!({}))),
        cluster: &cluster(&json!({})),
        daemon: false,
        node_name: "node-1",
        agent: None,
    });
    assert_eq!(
        result.unwrap_err(),
        ["The task was not yet stored: it has no uid or no namespace."]
    );
}

fn tolerated(spec: &PodSpec) -> Vec<String> {
    spec.tolerations
        .iter()
        .flatten()
        .map(|t| {
            assert_eq!(t.toleration_seconds, None);
            format!(
                "{}:{}",
                t.key.clone().unwrap_or_default(),
                t.effect.clone().unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn daemon_43_daemon_pods_tolerate_what_daemonset_pods_and_autoscalers_ask_for_daemon_46_drain_18() {
    let settings = json!({
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "startupTaint": "example.com/starting",
        "daemonPriorityClassName": "first", "replicaPriorityClassName": "later",
    });
    let built = build(container(json!({})), &settings, true).unwrap();
    let spec = built.spec.unwrap();
    assert_eq!(
        tolerated(&spec),
        [
            "dedicated:NoSchedule",
            "node.kubernetes.io/not-ready:NoExecute",
            "node.kubernetes.io/unreachable:NoExecute",
            "node.kubernetes.io/disk-pressure:NoSchedule",
            "node.kubernetes.io/memory-pressure:NoSchedule",
            "node.kubernetes.io/pid-pressure:NoSchedule",
            "node.kubernetes.io/unschedulable:NoSchedule",
            "karpenter.sh/disrupted:",
            "ToBeDeletedByClusterAutoscaler:",
            "example.com/starting:",
        ]
    );
    assert_eq!(spec.priority_class_name.as_deref(), Some("first"));
    let annotations = built.metadata.annotations.unwrap();
    assert_eq!(
        annotations["cluster-autoscaler.kubernetes.io/daemonset-pod"],
        "true"
    );
    assert_eq!(built.metadata.labels.unwrap()["ecs-operator.dev/hold"], "true");

    let replica = build(container(json!({})), &settings, false).unwrap();
    assert_eq!(replica.metadata.annotations, None);
    let spec = replica.spec.unwrap();
    assert_eq!(
        tolerated(&spec),
        [
            "dedicated:NoSchedule",
            "node.kubernetes.io/not-ready:NoExecute",
            "node.kubernetes.io/unreachable:NoExecute",
            "example.com/starting:",
        ]
    );
    assert_eq!(spec.priority_class_name.as_deref(), Some("later"));
}

#[test]
fn daemons_on_the_node_network_tolerate_its_absence() {
    let mut host = container(json!({}));
    host.network_mode = Some(crate::api::NetworkMode::Host);
    let spec = build(host, &json!({}), true).unwrap().spec.unwrap();
    assert!(tolerated(&spec).contains(&"node.kubernetes.io/network-unavailable:NoSchedule".to_owned()));
}

#[test]
fn run_once_tasks_are_held_too() {
    let mut alone = task();
    alone.spec.service = None;
    let built = pod(&PodInput {
        task: &alone,
        definition: &stored(container(json!({}))),
        cluster: &cluster(&json!({})),
        daemon: false,
        node_name: "node-1",
        agent: None,
    })
    .unwrap();
    let labels = built.metadata.labels.unwrap();
    assert_eq!(labels["ecs-operator.dev/hold"], "true");
    assert!(!labels.contains_key("ecs-operator.dev/service"));
}

#[test]
fn a_mapped_role_gives_a_service_account_with_token() {
    let settings = json!({"roleMappings": {"arn:aws:iam::1:role/shop": "shop"}});
    let with = |role: &str| {
        let mut spec = container(json!({}));
        spec.task_role_arn = Some(role.to_owned());
        let spec = build(spec, &settings, false).unwrap().spec.unwrap();
        (
            spec.service_account_name.unwrap(),
            spec.automount_service_account_token.unwrap(),
        )
    };
    assert_eq!(with("arn:aws:iam::1:role/shop"), ("shop".to_owned(), true));
    assert_eq!(with("arn:aws:iam::1:role/other"), ("default".to_owned(), false));
}

#[test]
fn docker_labels_become_annotations_per_container() {
    let built = build(
        container(json!({"dockerLabels": {"com.example/x y": "1"}})),
        &json!({}),
        false,
    )
    .unwrap();
    assert_eq!(
        built.metadata.annotations.unwrap()["docker-labels.ecs-operator.dev/app"],
        r#"{"com.example/x y":"1"}"#
    );
}

#[test]
fn a_container_that_asks_for_it_finds_a_file_that_says_whether_the_task_should_finish_prot_11() {
    let label =
        |directory: &str| json!({ "dockerLabels": { "ecs-operator.dev/quiesce-directory": directory } });
    let spec = spec_of(several(&[label("/run/ecs"), json!({}), label("/var/run")]));
    let volumes = serde_json::to_value(&spec.volumes).unwrap();
    let name = &volumes[0]["name"];
    let field = json!({ "fieldPath": "metadata.annotations['ecs-operator.dev/quiesce']" });
    let file = json!({ "path": "quiesce", "fieldRef": field });
    assert_eq!(
        volumes,
        json!([{ "name": name, "downwardAPI": { "items": [file] } }])
    );
    let mounts = |at: usize| serde_json::to_value(&spec.containers[at].volume_mounts).unwrap();
    assert_eq!(
        mounts(0),
        json!([{ "name": name, "mountPath": "/run/ecs", "readOnly": true }])
    );
    assert_eq!(mounts(1), Value::Null);
    assert_eq!(mounts(2)[0]["mountPath"], "/var/run");
    let wrong = build(several(&[label("here")]), &json!({}), false).unwrap_err();
    assert!(wrong[0].contains("'here' must be an absolute path"), "{wrong:?}");
    assert_eq!(spec_of(several(&[json!({})])).volumes, None, "nobody asks");
}

#[test]
fn modes_of_pid_and_ipc_reach_the_pod() {
    let with = |pid: Option<&str>, ipc: Option<&str>| {
        let mut spec = container(json!({}));
        (spec.pid_mode, spec.ipc_mode) = (pid.map(str::to_owned), ipc.map(str::to_owned));
        let spec = spec_of(spec);
        (spec.host_pid, spec.share_process_namespace, spec.host_ipc)
    };
    assert_eq!(with(Some("host"), Some("host")), (Some(true), None, Some(true)));
    assert_eq!(with(Some("task"), Some("task")), (None, Some(true), None));
    assert_eq!(with(None, None), (None, None, None));
}

#[test]
fn td_9_a_task_size_is_request_and_limit_of_the_pod() {
    let mut spec = container(json!({"memory": 512, "memoryReservation": 64}));
    (spec.cpu, spec.memory) = (Some("1024".to_owned()), Some("256".to_owned()));
    let spec = spec_of(spec);
    assert_eq!(
        serde_json::to_value(&spec.resources).unwrap(),
        json!({"requests": {"cpu": "1000m", "memory": "256Mi"}, "limits": {"cpu": "1000m", "memory": "256Mi"}})
    );
    // A container's limit above the task's would be refused by the API server and never be reached.
    assert_eq!(
        serde_json::to_value(&spec.containers[0].resources).unwrap(),
        json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}})
    );
}
