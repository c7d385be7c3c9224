//! The walk-through of the daemon strategy, played through the API: what `hack/tour.sh` does with kubectl.

#![allow(clippy::disallowed_methods, reason = "what a user does, not placement")]

use std::time::Duration;

use anyhow::bail;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::table::Table;
use super::terminal::say;
use super::{machines, manifests, steady};
use crate::api::{ContainerInstance, DesiredStatus, EcsService, LastStatus, Task};
use crate::cli::local::MachineArgs;
use crate::simulated;

/// Longest time that a step may take.
const STEP: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What `kubectl drain` waits before it asks again.
const EVICT_AGAIN: Duration = Duration::from_secs(5);

const AGENT: &str = include_str!("../../e2e/tour/agent.yaml");
const WEB: &str = include_str!("../../e2e/tour/web.yaml");

/// Plays it.
pub(super) async fn play(client: &Client, machine: &MachineArgs) -> anyhow::Result<()> {
    let tour = Tour { client };
    step("Every node is a container instance");
    steady::instances(client, 3).await?;
    tour.get("containerinstances", "NAME").await?;

    step("Register a task definition and create a DAEMON service: one task on each instance");
    tour.apply("e2e/tour/agent.yaml", AGENT).await?;
    tour.until("three daemon tasks", || tour.running("agent", 3))
        .await?;
    tour.get("tasks", "Instance").await?;

    step("Put an attribute on two instances and constrain the service to it: the other task stops");
    let attributes = json!({"spec": {"attributes": [{"name": "env", "value": "prod"}]}});
    for name in ["node-1", "node-2"] {
        show(&format!(
            "kubectl patch containerinstance {name} --type merge -p '{attributes}'"
        ));
        let api: Api<ContainerInstance> = Api::all(client.clone());
        api.patch(name, &PatchParams::default(), &Patch::Merge(&attributes))
            .await?;
    }
    let constraint = json!([{"type": "memberOf", "expression": "attribute:env == prod"}]);
    tour.patch_service("agent", &json!({"spec": {"placementConstraints": constraint}}))
        .await?;
    tour.until("two daemon tasks", || tour.running("agent", 2))
        .await?;
    tour.get("tasks", "Instance").await?;
    tour.patch_service("agent", &json!({"spec": {"placementConstraints": []}}))
        .await?;
    tour.until("three daemon tasks", || tour.running("agent", 3))
        .await?;

    step("A replica service that wants more than there is, then one more instance: its daemon comes first");
    tour.apply("e2e/tour/web.yaml", WEB).await?;
    tour.until("a replica that waits for room", || tour.waiting("web"))
        .await?;
    show("ecs-operator local add node-4");
    let added = machines::machine("node-4".to_owned(), "us-east-1a", machine)?;
    simulated::add(client, &added).await?;
    tour.until("four daemon tasks", || tour.running("agent", 4))
        .await?;
    tour.until("replicas beside them", || tour.beside("node-4"))
        .await?;
    tour.get("tasks", "Instance").await?;

    step("Drain an instance as anybody would: its daemon leaves last, and the drain ends by itself");
    tour.patch_service("web", &json!({"spec": {"desiredCount": 3}}))
        .await?;
    tour.drain("node-1").await?;
    tour.until("no task left on node-1", || tour.empty("node-1"))
        .await?;
    tour.stopped_in_order("node-1").await?;
    tour.get("containerinstances", "NAME").await?;
    tour.until("steady services", || tour.steady()).await?;
    tour.get("ecsservices", "NAME").await
}

fn step(text: &str) {
    say(&format!("\n# {text}"));
}

fn show(command: &str) {
    say(&format!("$ {command}"));
}

struct Tour<'a> {
    client: &'a Client,
}

impl Tour<'_> {
    async fn get(&self, plural: &str, sorted_by: &str) -> anyhow::Result<()> {
        show(&format!("kubectl get {plural}"));
        let table = Table::get(self.client, &format!("/apis/ecs-operator.dev/v1alpha1/{plural}")).await?;
        table
            .sorted_by(sorted_by)
            .lines()
            .iter()
            .for_each(|line| say(line));
        Ok(())
    }

    async fn apply(&self, name: &str, text: &str) -> anyhow::Result<()> {
        show(&format!("kubectl apply --server-side -f {name}"));
        for manifest in manifests::parse(name, text)? {
            say(&format!(
                "{} applied",
                manifests::apply(self.client, &manifest).await?
            ));
        }
        Ok(())
    }

    async fn patch_service(&self, name: &str, change: &Value) -> anyhow::Result<()> {
        show(&format!(
            "kubectl patch ecsservice {name} --type merge -p '{change}'"
        ));
        let api: Api<EcsService> = Api::default_namespaced(self.client.clone());
        api.patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await?;
        Ok(())
    }

    async fn until<F>(&self, what: &str, holds: impl Fn() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<bool>>,
    {
        let begun = Instant::now();
        while !holds().await? {
            if begun.elapsed() > STEP {
                bail!("waited {} s for {what}", STEP.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        let api: Api<Task> = Api::default_namespaced(self.client.clone());
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// Whether a service's tasks that are to run are that many, and all run.
    async fn running(&self, service: &str, count: usize) -> anyhow::Result<bool> {
        let tasks = self.tasks().await?;
        let last: Vec<LastStatus> = tasks
            .iter()
            .filter(|t| is_of(t, service) && t.spec.desired_status == DesiredStatus::Running)
            .map(last_status)
            .collect();
        Ok(last.len() == count && last.iter().all(|last| *last == LastStatus::Running))
    }

    async fn beside(&self, instance: &str) -> anyhow::Result<bool> {
        let tasks = self.tasks().await?;
        let runs = |t: &&Task| t.spec.container_instance.as_deref() == Some(instance) && is_of(t, "web");
        Ok(tasks
            .iter()
            .filter(runs)
            .any(|t| last_status(t) == LastStatus::Running))
    }

    async fn service(&self, name: &str) -> anyhow::Result<EcsService> {
        let api: Api<EcsService> = Api::default_namespaced(self.client.clone());
        Ok(api.get(name).await?)
    }

    /// Whether the service says that it lacks room; shows its words.
    async fn waiting(&self, name: &str) -> anyhow::Result<bool> {
        let events = self.service(name).await?.status.unwrap_or_default().events;
        let event = events
            .iter()
            .find(|e| e.message.contains("was unable to place a task"));
        if let Some(event) = event {
            show(&format!(
                "kubectl get ecsservice {name} -o 'jsonpath={{.status.events[0].message}}'"
            ));
            say(&event.message);
        }
        Ok(event.is_some())
    }

    async fn empty(&self, instance: &str) -> anyhow::Result<bool> {
        let api: Api<ContainerInstance> = Api::all(self.client.clone());
        let status = api.get(instance).await?.status.unwrap_or_default();
        Ok(status.reservations.is_empty())
    }

    async fn steady(&self) -> anyhow::Result<bool> {
        for name in ["agent", "web"] {
            let conditions = self.service(name).await?.status.unwrap_or_default().conditions;
            if !conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Cordons a node and evicts its Pods, asking again for those that a budget holds.
    async fn drain(&self, name: &str) -> anyhow::Result<()> {
        show(&format!("kubectl drain {name}"));
        Api::<Node>::all(self.client.clone()).cordon(name).await?;
        say(&format!("node/{name} cordoned"));
        let pods: Api<Pod> = Api::default_namespaced(self.client.clone());
        let there = ListParams::default().fields(&format!("spec.nodeName={name}"));
        let begun = Instant::now();
        loop {
            let found = pods.list(&there).await?.items;
            if found.is_empty() {
                say(&format!("node/{name} drained"));
                return Ok(());
            }
            let mut held = false;
            for pod in found.iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
                let pod = pod.name_any();
                match pods.evict(&pod, &EvictParams::default()).await {
                    Ok(_) => say(&format!("evicting pod default/{pod}")),
                    Err(kube::Error::Api(status)) if status.code == 429 => {
                        held = true;
                        say(&format!(
                            "error when evicting pods/{pod:?} (will retry after 5s): {}",
                            status.message
                        ));
                    }
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if begun.elapsed() > STEP {
                bail!("{name} was not drained within {} s", STEP.as_secs());
            }
            tokio::time::sleep(if held { EVICT_AGAIN } else { LOOK_EVERY }).await;
        }
    }

    async fn stopped_in_order(&self, instance: &str) -> anyhow::Result<()> {
        show(&format!(
            "kubectl get tasks --field-selector spec.containerInstance={instance} --sort-by=.status.stoppedAt"
        ));
        let mut tasks = self.tasks().await?;
        tasks.retain(|t| t.spec.container_instance.as_deref() == Some(instance));
        let stopped = |t: &Task| {
            t.status
                .as_ref()
                .and_then(|s| s.stopped_at.clone())
                .unwrap_or_default()
        };
        tasks.sort_by_key(stopped);
        let rows = tasks.iter().map(|task| {
            let group = task.spec.group.clone().unwrap_or_default();
            vec![json!(group), json!(last_status(task)), json!(stopped(task))]
        });
        let table = Table::of(&["GROUP", "LAST", "STOPPED"], rows.collect());
        table.lines().iter().for_each(|line| say(line));
        Ok(())
    }
}

fn is_of(task: &Task, service: &str) -> bool {
    task.spec.group.as_deref() == Some(&format!("service:{service}"))
}

fn last_status(task: &Task) -> LastStatus {
    task.status.as_ref().map(|s| s.last_status).unwrap_or_default()
}
