//! What scenarios are written with: a namespace of their own, objects by a line, and waiting for conditions.

pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod history;
pub(crate) mod operator;

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use ecs_operator::api::{
    ContainerInstance, EcsService, InstanceDesiredStatus, InstanceStatus, LastStatus, Task, TaskDefinition,
};
use ecs_operator::audit::{Options, Recorder, audit};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The image of test workloads; see `e2e/tools/workload`.
pub(crate) const WORKLOAD: &str = "localhost/ecs-e2e/workload:1";
/// How often conditions are looked at.
const POLL: Duration = Duration::from_millis(100);

/// A client of the cluster that KUBECONFIG names.
pub(crate) async fn client() -> Client {
    Client::try_default()
        .await
        .expect("KUBECONFIG must name a cluster; run hack/test.sh")
}

/// Waits until `look` gives something; panics with what it last said when the deadline passes.
pub(crate) async fn eventually<T, F>(what: &str, seconds: u64, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if Instant::now() >= deadline => {
                panic!("not within {seconds}s: {what}; last seen: {why}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// A scenario with a namespace of its own.
pub(crate) struct Scenario {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    recorder: Option<Recorder>,
    expect_wipe: bool,
}

impl Scenario {
    /// Begins with a clean cluster: every instance ACTIVE and connected, without custom attributes or tasks of ours.
    pub(crate) async fn begin(name: &str) -> Self {
        let client = client().await;
        for node in Api::<Node>::all(client.clone())
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            if node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true)) {
                Api::<Node>::all(client.clone())
                    .uncordon(&node.name_any())
                    .await
                    .unwrap();
            }
        }
        let mut scenario = Self {
            client,
            namespace: format!("e2e-{name}-{:04x}", rand::random::<u16>()),
            recorder: None,
            expect_wipe: false,
        };
        for instance in scenario.instances().await {
            if instance.spec.status != InstanceDesiredStatus::Active || !instance.spec.attributes.is_empty() {
                scenario
                    .patch_instance(
                        &instance.name_any(),
                        json!({ "status": "ACTIVE", "attributes": [] }),
                    )
                    .await;
            }
        }
        eventually(
            "every node is an ACTIVE, connected, empty instance",
            90,
            || async {
                // nodes of a control plane need not be instances
                let workers = ListParams::default().labels("!node-role.kubernetes.io/control-plane");
                let nodes = Api::<Node>::all(scenario.client.clone())
                    .list(&workers)
                    .await
                    .unwrap()
                    .items;
                let instances = scenario.instances().await;
                let fine = |i: &&ContainerInstance| {
                    i.status.as_ref().is_some_and(|s| {
                        s.status == InstanceStatus::Active && s.agent_connected && s.reservations.is_empty()
                    })
                };
                let ready = instances.iter().filter(fine).count();
                if ready > 0 && ready == nodes.len() && ready == instances.len() {
                    Ok(())
                } else {
                    Err(format!(
                        "{} nodes, {} instances, {ready} of them ready",
                        nodes.len(),
                        instances.len()
                    ))
                }
            },
        )
        .await;
        scenario.recorder = Some(Recorder::start(scenario.client.clone()).await.unwrap());
        let namespace: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": scenario.namespace } })).unwrap();
        Api::all(scenario.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        scenario
    }

    /// Waits until every task that is not to run has STOPPED and released its share.
    pub(crate) async fn quiet(&self, seconds: u64) {
        eventually(
            "what is to stop has stopped and released its share",
            seconds,
            || async {
                let tasks = self
                    .api::<Task>()
                    .list(&ListParams::default())
                    .await
                    .unwrap()
                    .items;
                let alive = tasks.iter().filter(|t| last(t) != LastStatus::Stopped).count();
                let running = tasks
                    .iter()
                    .filter(|t| wanted(t) && last(t) == LastStatus::Running)
                    .count();
                let instances = self.instances().await;
                let reserved: usize = instances.iter().map(|i| reservations(i, &self.namespace)).sum();
                if alive == running && reserved == running {
                    Ok(())
                } else {
                    Err(format!(
                        "{alive} tasks alive, {running} RUNNING, {reserved} reservations"
                    ))
                }
            },
        )
        .await;
    }

    /// Says that the scenario wipes the ledger by hand: the auditor does not hold that against the operator.
    pub(crate) fn wipes_the_ledger(&mut self) {
        self.expect_wipe = true;
    }

    /// Ends: services go, their tasks stop, nothing stays reserved, and the auditor finds no invariant broken.
    pub(crate) async fn end(mut self) {
        let services: Api<EcsService> = self.api();
        services
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .unwrap();
        let tasks: Api<Task> = self.api();
        eventually("every task has stopped and nothing is reserved", 90, || async {
            let alive = tasks.list(&ListParams::default()).await.unwrap().items;
            let alive = alive.iter().filter(|t| last(t) != LastStatus::Stopped).count();
            let reserved: usize = self
                .instances()
                .await
                .iter()
                .map(|i| reservations(i, &self.namespace))
                .sum();
            let left = services.list(&ListParams::default()).await.unwrap().items.len();
            if alive + reserved + left == 0 {
                Ok(())
            } else {
                Err(format!(
                    "{left} services, {alive} tasks alive, {reserved} reservations"
                ))
            }
        })
        .await;
        if let Some(recorder) = self.recorder.take() {
            let history = recorder.stop(Duration::from_secs(30)).await;
            let options = Options {
                quiet: true,
                expect_wipe: self.expect_wipe,
            };
            let report = audit(&history, &options);
            println!("audited: {:?}", report.figures);
            assert!(
                report.violations.is_empty(),
                "the auditor found: {:#?}",
                report.violations
            );
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
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

    pub(crate) async fn instances(&self) -> Vec<ContainerInstance> {
        Api::<ContainerInstance>::all(self.client.clone())
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
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
    pub(crate) async fn running_on(&self, service: &str, instances: &[&str], seconds: u64) -> Vec<Task> {
        let mut wanted: Vec<String> = instances.iter().map(ToString::to_string).collect();
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

pub(crate) fn last(task: &Task) -> LastStatus {
    if task.spec.tombstone {
        return LastStatus::Stopped;
    }
    task.status.as_ref().map(|s| s.last_status).unwrap_or_default()
}

/// Whether a task is to run and has not ended.
pub(crate) fn wanted(task: &Task) -> bool {
    task.spec.desired_status == ecs_operator::api::DesiredStatus::Running
        && task.metadata.deletion_timestamp.is_none()
        && last(task) != LastStatus::Stopped
}

pub(crate) fn placed_on(task: &Task) -> String {
    task.spec.container_instance.clone().unwrap_or_default()
}

pub(crate) fn reservations(instance: &ContainerInstance, namespace: &str) -> usize {
    let entries = instance.status.iter().flat_map(|s| &s.reservations);
    entries.filter(|r| r.namespace == namespace).count()
}
