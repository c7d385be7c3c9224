//! Tests of the builders; names carry the rule ids.

mod demand;
mod pod;

use serde_json::{Value, json};

use crate::api::{EcsCluster, Task, TaskDefinition, TaskDefinitionSpec};

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
