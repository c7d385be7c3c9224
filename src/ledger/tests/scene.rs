//! A small cluster as the operator's stores know it: node and instance n1 (1024 CPU units), definition web:1 (512).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use kube::runtime::events::Recorder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::script::{Server, server};
use crate::cache::Cache;
use crate::controllers::errors::Error;
use crate::controllers::queue::Action;
use crate::controllers::{Context, instance, service, task};
use crate::ledger::Ledger;
use crate::ledger::commit::Report;
use crate::ledger::fence::FENCE;
use crate::plan;
use crate::plan::world::Key;
use crate::report::apply::Applier;
use crate::runtime::metrics::Metrics;

/// A second less than F3's wait.
pub(super) const ALMOST: Duration = Duration::from_secs(29);
const _: () = assert!(ALMOST.as_secs() + 1 == FENCE.as_secs());

pub(super) const NAMESPACE: &str = "shop";
pub(super) const GET: Method = Method::GET;
pub(super) const POST: Method = Method::POST;
pub(super) const PATCH: Method = Method::PATCH;
pub(super) const DELETE: Method = Method::DELETE;
pub(super) const INSTANCE: &str = "containerinstances/n1";
pub(super) const INSTANCE_STATUS: &str = "containerinstances/n1/status";
pub(super) const SERVICE: &str = "namespaces/shop/ecsservices/web";
pub(super) const SERVICE_STATUS: &str = "namespaces/shop/ecsservices/web/status";
pub(super) const TASKS: &str = "namespaces/shop/tasks";
pub(super) const TASK: &str = "namespaces/shop/tasks/t1";
pub(super) const TASK_STATUS: &str = "namespaces/shop/tasks/t1/status";
pub(super) const PODS: &str = "namespaces/shop/pods";
pub(super) const POD: &str = "namespaces/shop/pods/t1-aaaaaaaa";

/// One operator process and what it knows.
pub(super) struct Scene {
    pub(super) cache: Arc<Cache>,
    pub(super) ledger: Ledger,
    pub(super) context: Arc<Context>,
}

/// A process that knows the small cluster, and the API server it talks to.
pub(super) fn begin() -> (Scene, Server) {
    let (client, server) = server();
    let cache = Arc::new(Cache::default());
    let metrics = Metrics::default();
    let ledger = Ledger::new(client.clone(), cache.clone(), metrics.clone());
    let context = Arc::new(Context {
        cache: cache.clone(),
        ledger: ledger.clone(),
        applier: Applier::new(client.clone(), cache.clone()),
        recorder: Recorder::new(client.clone(), "test".into()),
        client,
        metrics,
        leads: watch::channel(true).1,
        queues: Arc::default(),
    });
    let scene = Scene {
        cache,
        ledger,
        context,
    };
    scene.cache.nodes.put(from(&node()));
    scene.cache.namespaces.put(from(&namespace()));
    scene.cache.budgets.put(from(&budget()));
    scene.cache.clusters.put(from(&cluster()));
    scene.cache.clusters_changed();
    let definition = scene.cache.definitions.put(from(&definition())).unwrap();
    scene
        .cache
        .definition_changed(&crate::cache::store::key_of(definition.object().as_ref()));
    scene.knows_instance(&instance_at(10, &[]));
    (scene, server)
}

/// An object from its JSON.
pub(super) fn from<K: DeserializeOwned>(value: &Value) -> K {
    serde_json::from_value(value.clone()).unwrap()
}

pub(super) fn key(name: &str) -> Key {
    Key::new(NAMESPACE, name)
}

impl Scene {
    pub(super) fn knows_instance(&self, value: &Value) {
        self.cache.learn_instance(from(value));
    }

    pub(super) fn knows_task(&self, value: &Value) {
        self.cache.learn_task(from(value));
    }

    pub(super) fn knows_service(&self, value: &Value) {
        self.cache.learn_service(from(value));
    }

    pub(super) fn knows_pod(&self, value: &Value) {
        self.cache.pods.put(from(value));
    }

    /// Plans service web on what is known now and carries the plan out.
    pub(super) async fn pass(&self) -> Report {
        let world = self.cache.snapshot(Timestamp::now(), 7);
        let object = self.cache.services.get(&key("web")).unwrap();
        let service = world.services[&key("web")].clone();
        let plan = plan::service(&world, &key("web"));
        self.ledger.commit(&world, &object, &service, &plan).await
    }

    /// Looks at task t1.
    pub(super) async fn look_at_task(&self) -> Result<Action, Error> {
        Box::pin(task::reconcile(key("t1"), self.context.clone())).await
    }

    /// Looks at service web.
    pub(super) async fn look_at_service(&self) -> Result<Action, Error> {
        service::reconcile(key("web"), self.context.clone()).await
    }

    /// Looks at instance n1.
    pub(super) async fn look_at_instance(&self) -> Result<Action, Error> {
        instance::reconcile(Key::new("", "n1"), self.context.clone()).await
    }

    /// This process made an authorising write on t1 just now and sent no Pod create.
    pub(super) fn authorised(&self) {
        self.ledger.fences().authorised(UID, tokio::time::Instant::now());
    }

    /// `authorised-by` of this process.
    pub(super) fn me(&self) -> String {
        format!("{}.0", self.ledger.process())
    }
}

/// Uid of task t1.
pub(super) const UID: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// Node n1, ready.
pub(super) fn node() -> Value {
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1", "uid": "node-1", "resourceVersion": "1" },
        "spec": { "providerID": "x:///n1" },
        "status": { "allocatable": { "cpu": "1", "memory": "2Gi", "pods": "10" },
            "conditions": [{ "type": "Ready", "status": "True" }] } })
}

pub(super) fn namespace() -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": NAMESPACE, "uid": "ns-1", "resourceVersion": "1" } })
}

/// The budget that holds Pods, as the operator made it.
pub(super) fn budget() -> Value {
    let made = serde_json::to_value(crate::report::hold::hold(NAMESPACE)).unwrap();
    stored(&made, "b-1", 1)
}

/// The namespace while it is being deleted.
pub(super) fn namespace_going() -> Value {
    let mut going = namespace();
    going["metadata"]["resourceVersion"] = json!("2");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    going
}

fn cluster() -> Value {
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsCluster",
        "metadata": { "name": "default", "uid": "c-1", "resourceVersion": "1" }, "spec": { "nodeSelector": {} } })
}

/// Definition web:1.
pub(super) fn definition() -> Value {
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "TaskDefinition",
        "metadata": { "name": "web.1", "namespace": NAMESPACE, "uid": "d-1", "resourceVersion": "1" },
        "spec": { "family": "web", "revision": 1,
            "containerDefinitions": [{ "name": "app", "image": "app:1", "cpu": 512, "memory": 256 }] } })
}

/// Instance n1 at a version, with the shares of these tasks, 512 CPU units each.
pub(super) fn instance_at(version: u64, tasks: &[&str]) -> Value {
    let shares: Vec<Value> = tasks
        .iter()
        .map(|task| {
            json!({ "namespace": NAMESPACE, "task": task, "since": "2026-01-01T00:00:00Z",
                "amounts": { "cpu": 512, "memory": 256, "pods": 1 } })
        })
        .collect();
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "ContainerInstance",
        "metadata": { "name": "n1", "uid": "i-1", "resourceVersion": version.to_string(),
            "finalizers": ["ecs-operator.dev/instance"] },
        "spec": { "cluster": "default" },
        "status": { "status": "ACTIVE", "agentConnected": true, "schedulable": true, "ledgerVersion": 1,
            "registeredResources": { "cpu": 1024, "memory": 2048, "pods": 10 }, "reservations": shares } })
}

/// Service web at a version, wanting this many tasks.
pub(super) fn service_at(version: u64, desired: u32) -> Value {
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "EcsService",
        "metadata": { "name": "web", "namespace": NAMESPACE, "uid": "s-1", "resourceVersion": version.to_string(),
            "finalizers": ["ecs-operator.dev/service"], "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "cluster": "default", "taskDefinition": "web:1", "desiredCount": desired } })
}

/// Task t1 on n1 at a version, authorised by `author` (nobody: empty).
pub(super) fn task_at(version: u64, author: &str) -> Value {
    let mut task = json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
        "metadata": { "name": "t1", "namespace": NAMESPACE, "uid": UID, "resourceVersion": version.to_string(),
            "finalizers": ["ecs-operator.dev/task"], "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "cluster": "default", "taskDefinition": "web:1", "containerInstance": "n1" } });
    if !author.is_empty() {
        task["metadata"]["annotations"] = json!({ "ecs-operator.dev/authorised-by": author });
    }
    task
}

/// Task t1, told to stop.
pub(super) fn stopping_at(version: u64, author: &str) -> Value {
    let mut task = task_at(version, author);
    task["spec"]["desiredStatus"] = json!("STOPPED");
    task["spec"]["stopCode"] = json!("UserInitiated");
    task["spec"]["stoppedReason"] = json!("why");
    task
}

/// The Pod of t1, in this phase.
pub(super) fn pod_at(version: u64, phase: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "t1-aaaaaaaa", "namespace": NAMESPACE, "uid": "p-1",
            "resourceVersion": version.to_string(), "finalizers": ["ecs-operator.dev/pod"],
            "labels": { "ecs-operator.dev/task": "t1", "ecs-operator.dev/cluster": "default",
                "ecs-operator.dev/hold": "true" },
            "ownerReferences": [{ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task", "name": "t1",
                "uid": UID, "controller": true }] },
        "spec": { "nodeName": "n1", "containers": [{ "name": "app", "image": "app:1",
            "resources": { "requests": { "cpu": "500m", "memory": "256Mi" } } }] },
        "status": { "phase": phase } })
}

/// What the API server makes of a create: the object with uid and version.
pub(super) fn stored(body: &Value, uid: &str, version: u64) -> Value {
    let mut object = body.clone();
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

/// What the API server makes of a merge patch.
pub(super) fn patched(object: &Value, patch: &Value, version: u64) -> Value {
    let mut object = object.clone();
    merge(&mut object, patch);
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

fn merge(into: &mut Value, patch: &Value) {
    if patch.is_object() && !into.is_object() {
        *into = json!({});
    }
    let (Some(object), Some(patch)) = (into.as_object_mut(), patch.as_object()) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), value);
        }
    }
}
