use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::json;

use super::*;
use crate::build::{PodInput, pod};

fn build(spec: TaskDefinitionSpec, settings: &Value, daemon: bool) -> Result<Pod, Vec<String>> {
    pod(&PodInput {
        task: &task(),
        definition: &stored(spec),
        cluster: &cluster(settings),
        daemon,
        node_name: "node-1",
    })
}

fn spec_of(spec: TaskDefinitionSpec) -> PodSpec {
    build(spec, &json!({}), false).unwrap().spec.unwrap()
}

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
