//! A namespace of a scenario: objects by a line, and waiting for what becomes of them.

use std::fmt::Debug;

use ecs_operator::api::{ContainerInstance, EcsService, LastStatus, RolloutState, Task, TaskDefinition};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ground::{is_local, sick, teach};
use super::{WORKLOAD, cluster, eventually, last, names, placed_on, wanted};

/// Label of the namespaces that scenarios make.
pub(crate) const MADE_HERE: &str = "ecs-operator-e2e";

/// A namespace of a scenario.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Space {
    /// Makes the namespace.
    pub(super) async fn make(client: Client, namespace: &str) -> Self {
        let metadata = json!({ "name": namespace, "labels": { MADE_HERE: "scenario" } });
        let object: Namespace = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        // no Pod is admitted before; local mode admits without
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        eventually("the namespace has its service account", 60, || async {
            let found = accounts.get_opt("default").await.unwrap().map(drop);
            found.or(is_local().then_some(())).ok_or_else(String::new)
        })
        .await;
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn create<K>(&self, mut object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        if is_local() {
            teach(&mut object);
        }
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    pub(crate) async fn patch<K>(&self, name: &str, change: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap()
    }

    /// Registers `family:revision` with one container of the workload image; `container` adds to or replaces its
    /// members.
    pub(crate) async fn definition(
        &self,
        family: &str,
        revision: i64,
        cpu: i64,
        container: Value,
    ) -> TaskDefinition {
        let mut definition = json!({ "name": "main", "image": WORKLOAD, "cpu": cpu, "memory": 64 });
        for (key, value) in container.as_object().unwrap() {
            definition[key] = value.clone();
        }
        self.create(json!({
            "metadata": { "name": format!("{family}.{revision}") },
            "spec": { "family": family, "revision": revision, "containerDefinitions": [definition] },
        }))
        .await
    }

    /// Creates a service; `spec` adds to it.
    pub(crate) async fn service(&self, name: &str, definition: &str, spec: Value) -> EcsService {
        let mut whole = json!({ "taskDefinition": definition });
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        self.create(json!({ "metadata": { "name": name }, "spec": whole }))
            .await
    }

    /// Placement constraints by which tasks run on this instance only.
    pub(crate) async fn only_on(&self, instance: &str) -> Value {
        let status = self.instance(instance).await.status;
        let id = status.and_then(|s| s.ec2_instance_id).expect("its id");
        json!([{ "type": "memberOf", "expression": format!("ec2InstanceId == '{id}'") }])
    }

    /// What a shell line says in a container of a task that runs.
    pub(crate) async fn inside(&self, task: &Task, container: &str, line: &str) -> String {
        let pod = task.status.as_ref().and_then(|s| s.pod.clone());
        let pod = pod.expect("the task has a Pod").name;
        let whose = ["--namespace", &self.namespace, "--container", container];
        cluster::kubectl(&[&["exec", &pod][..], &whose, &["--", "sh", "-c", line]].concat()).await
    }

    /// Lets the health checks fail of a container that is sick once it finds the file `/tmp/sick`.
    pub(crate) async fn fall_ill(&self, task: &Task, container: &str) {
        if is_local() {
            let pod = task.status.as_ref().and_then(|s| s.pod.clone());
            let pod = pod.expect("the task has a Pod").name;
            self.patch::<Pod>(&pod, sick(container)).await;
        } else {
            self.inside(task, container, "touch /tmp/sick").await;
        }
    }

    /// The version of the API server: whatever happened up to now has no higher one.
    pub(crate) async fn version(&self) -> u64 {
        let one = ListParams::default().limit(1);
        let list = Api::<ContainerInstance>::all(self.client.clone())
            .list(&one)
            .await;
        let version = list.unwrap().metadata.resource_version;
        version.and_then(|v| v.parse().ok()).expect("a resourceVersion")
    }

    pub(crate) async fn instances(&self) -> Vec<ContainerInstance> {
        Api::<ContainerInstance>::all(self.client.clone())
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// Names of all instances.
    pub(crate) async fn instance_names(&self) -> Vec<String> {
        names(&self.instances().await)
    }

    pub(crate) async fn instance(&self, name: &str) -> ContainerInstance {
        Api::<ContainerInstance>::all(self.client.clone())
            .get(name)
            .await
            .unwrap()
    }

    pub(crate) async fn patch_instance(&self, name: &str, spec: Value) {
        let api: Api<ContainerInstance> = Api::all(self.client.clone());
        api.patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": spec })),
        )
        .await
        .unwrap();
    }

    /// Tasks of a service, stopped ones included.
    pub(crate) async fn tasks(&self, service: &str) -> Vec<Task> {
        let of = ListParams::default().labels(&format!("ecs-operator.dev/service={service}"));
        self.api::<Task>().list(&of).await.unwrap().items
    }

    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// Waits until the RUNNING tasks of a service are on exactly these instances (a name may stand several times).
    pub(crate) async fn running_on(
        &self,
        service: &str,
        instances: &[impl AsRef<str>],
        seconds: u64,
    ) -> Vec<Task> {
        let mut wanted: Vec<String> = instances.iter().map(|i| i.as_ref().to_owned()).collect();
        wanted.sort();
        eventually(&format!("{service} runs on {wanted:?}"), seconds, || async {
            let running: Vec<Task> = self
                .tasks(service)
                .await
                .into_iter()
                .filter(|t| last(t) == LastStatus::Running)
                .collect();
            let mut found: Vec<String> = running.iter().map(placed_on).collect();
            found.sort();
            if found == wanted {
                Ok(running)
            } else {
                Err(format!("{found:?}; {}", self.explain(service).await))
            }
        })
        .await
    }

    /// Waits until a service has this many RUNNING tasks and no others that are to run.
    pub(crate) async fn running(&self, service: &str, count: usize, seconds: u64) -> Vec<Task> {
        eventually(
            &format!("{service} has {count} RUNNING tasks"),
            seconds,
            || async {
                let tasks = self.tasks(service).await;
                let wanted: Vec<Task> = tasks.into_iter().filter(wanted).collect();
                let running = wanted.iter().filter(|t| last(t) == LastStatus::Running).count();
                if running == count && wanted.len() == count {
                    Ok(wanted)
                } else {
                    Err(format!(
                        "{running} RUNNING of {}; {}",
                        wanted.len(),
                        self.explain(service).await
                    ))
                }
            },
        )
        .await
    }

    /// Waits until a service's one deployment is a completed one of this definition.
    pub(crate) async fn rolled_out(&self, service: &str, definition: &str, seconds: u64) {
        eventually(
            &format!("{definition} is rolled out by {service}"),
            seconds,
            || async {
                let object = self.api::<EcsService>().get(service).await.unwrap();
                let status = object.status.unwrap_or_default();
                let found: Vec<_> = status
                    .deployments
                    .iter()
                    .map(|d| (d.task_definition.as_str(), d.rollout_state))
                    .collect();
                if found == [(definition, RolloutState::Completed)] {
                    Ok(())
                } else {
                    Err(format!("{found:?}; {}", self.explain(service).await))
                }
            },
        )
        .await;
    }

    /// Waits until a service says that it has reached a steady state.
    pub(crate) async fn steady(&self, service: &str, seconds: u64) {
        eventually(&format!("{service} is steady"), seconds, || async {
            let object = self.api::<EcsService>().get(service).await.unwrap();
            let status = object.status.unwrap_or_default();
            let ready = |c: &&Condition| c.type_ == "Ready" && c.status == "True";
            if status.observed_generation == object.metadata.generation
                && status.conditions.iter().any(|c| ready(&c))
            {
                Ok(())
            } else {
                Err(self.explain(service).await)
            }
        })
        .await;
    }

    /// What the service says of itself.
    pub(crate) async fn explain(&self, service: &str) -> String {
        match self.api::<EcsService>().get(service).await {
            Ok(object) => {
                let status = object.status.unwrap_or_default();
                let conditions: Vec<_> = status
                    .conditions
                    .iter()
                    .map(|c| format!("{}={} {}", c.type_, c.status, c.message))
                    .collect();
                let events: Vec<_> = status.events.iter().take(3).map(|e| e.message.clone()).collect();
                format!("{conditions:?} {events:?}")
            }
            Err(error) => error.to_string(),
        }
    }

    /// Event texts of a service, newest first.
    pub(crate) async fn events(&self, service: &str) -> Vec<String> {
        let object = self.api::<EcsService>().get(service).await.unwrap();
        object
            .status
            .unwrap_or_default()
            .events
            .into_iter()
            .map(|e| e.message)
            .collect()
    }
}
