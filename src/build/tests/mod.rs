//! Tests of the builders; names carry the rule ids.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::needless_pass_by_value,
    reason = "small numbers and JSON literals in tests"
)]

mod containers;
mod demand;
mod depends_on;
mod health;
mod observe;
mod overrides;
mod properties;
mod refusals;
mod whole_pod;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::{Value, json};

use crate::api::{EcsCluster, Task, TaskDefinition, TaskDefinitionSpec};
use crate::build::{PodInput, pod};

/// A definition from the JSON that users paste.
fn definition(value: Value) -> TaskDefinitionSpec {
    let mut value = value;
    let object = value.as_object_mut().unwrap();
    object.entry("family").or_insert(json!("web"));
    object.entry("revision").or_insert(json!(1));
    serde_json::from_value(value).unwrap()
}

/// A definition with one container, `members` added to it.
fn container(members: Value) -> TaskDefinitionSpec {
    let mut one = json!({"name": "app", "image": "app:1", "cpu": 256, "memory": 128});
    one.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    definition(json!({"containerDefinitions": [one]}))
}

fn task() -> Task {
    let mut task: Task = serde_json::from_value(json!({
        "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
        "metadata": {"name": "0123456789abcdef0123456789abcdef", "namespace": "shop"},
        "spec": {"taskDefinition": "web:1", "containerInstance": "node-1", "service": {"name": "web", "uid": "svc-uid"}}
    }))
    .unwrap();
    task.metadata.uid = Some("DEADBEEF-1111-2222-3333-444455556666".to_owned());
    task
}

fn cluster(spec: &Value) -> EcsCluster {
    EcsCluster::new("default", serde_json::from_value(spec.clone()).unwrap())
}

fn stored(spec: TaskDefinitionSpec) -> TaskDefinition {
    TaskDefinition::new("web.1", spec)
}

fn build(spec: TaskDefinitionSpec, settings: &Value, daemon: bool) -> Result<Pod, Vec<String>> {
    let mut task = task();
    task.spec.service.as_mut().unwrap().daemon = daemon;
    pod(&PodInput {
        task: &task,
        definition: &stored(spec),
        cluster: &cluster(settings),
        daemon,
        node_name: "node-1",
        agent: None,
    })
}

fn spec_of(spec: TaskDefinitionSpec) -> PodSpec {
    build(spec, &json!({}), false).unwrap().spec.unwrap()
}

/// Containers of 10 MiB each, named a, b, c …, with these members.
fn several(members: &[Value]) -> TaskDefinitionSpec {
    let list: Vec<Value> = members
        .iter()
        .zip('a'..='z')
        .map(|(members, name)| {
            let mut one = json!({"name": name, "image": "i", "memory": 10});
            one.as_object_mut()
                .unwrap()
                .extend(members.as_object().unwrap().clone());
            one
        })
        .collect();
    definition(json!({"containerDefinitions": list}))
}

fn waits(pairs: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = pairs
        .iter()
        .map(|(name, condition)| json!({"containerName": name, "condition": condition}))
        .collect();
    Value::Array(list)
}
