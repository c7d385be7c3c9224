//! A scheduler of one's own: starts tasks, each on the instance with the most CPU left.
//!
//! `cargo run --example scheduler -- FAMILY:REVISION [COUNT]`; `KUBECONFIG` leads to the cluster, and the kubeconfig's
//! context has the namespace.
//!
//! It decides and does not reserve: the operator's ledger admits each task to its instance, or the task is STOPPED with the
//! reason, and the next instance is tried. README.md beside this file has the protocol.

#![allow(
    clippy::disallowed_methods,
    reason = "no part of the operator: it writes for itself"
)]
#![allow(clippy::print_stdout, reason = "its output")]

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use ecs_operator::api::{ContainerInstance, LastStatus, Task, TaskDefinition, TaskSpec};
use ecs_operator::domain::resources::Resources;
use kube::api::{Api, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};

/// Cluster that it places in.
const CLUSTER: &str = "default";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let definition = arguments
        .next()
        .context("name a task definition: FAMILY:REVISION")?;
    let count = arguments.next().map_or(Ok(1), |count| count.parse())?;
    let client = Client::try_default().await?;
    let namespace = client.default_namespace().to_owned();
    schedule(&client, &namespace, &definition, count).await
}

/// Starts so many tasks of a definition, one after the other.
///
/// # Errors
/// No instance takes another one, or there is no such definition.
pub(crate) async fn schedule(
    client: &Client,
    namespace: &str,
    definition: &str,
    count: u32,
) -> anyhow::Result<()> {
    let definitions = Api::<TaskDefinition>::namespaced(client.clone(), namespace);
    let found = definitions.list(&ListParams::default()).await?;
    let named = |d: &&TaskDefinition| format!("{}:{}", d.spec.family, d.spec.revision) == definition;
    let status = found.items.iter().find(named).and_then(|d| d.status.as_ref());
    let demand = status
        .and_then(|s| s.required_resources.as_ref())
        .with_context(|| format!("no task can be made of {definition}: see kubectl get taskdefinitions"))?;
    let scheduler = Scheduler {
        instances: Api::all(client.clone()),
        tasks: Api::namespaced(client.clone(), namespace),
        definition,
        demand,
    };
    for _ in 0..count {
        scheduler.place().await?;
    }
    Ok(())
}

struct Scheduler<'a> {
    instances: Api<ContainerInstance>,
    tasks: Api<Task>,
    definition: &'a str,
    demand: &'a Resources,
}

impl Scheduler<'_> {
    /// Starts a task where it fits; each instance is tried once.
    async fn place(&self) -> anyhow::Result<()> {
        let mut tried = BTreeSet::new();
        while let Some(instance) = self.emptiest(&tried).await? {
            if self.start(&instance).await? {
                return Ok(());
            }
            tried.insert(instance);
        }
        bail!("no instance takes {} now", self.definition)
    }

    /// The instance with the most CPU left, of those that take new tasks and have room for one, but for those `tried`.
    async fn emptiest(&self, tried: &BTreeSet<String>) -> anyhow::Result<Option<String>> {
        let instances = self.instances.list(&ListParams::default()).await?;
        let left = |i: &ContainerInstance| i.status.as_ref().map_or(0, |s| s.remaining_resources.cpu);
        let open = instances.items.iter().filter(|i| self.has_room(i));
        let best = open
            .filter(|i| !tried.contains(&i.name_any()))
            .max_by_key(|i| left(i));
        Ok(best.map(ResourceExt::name_any))
    }

    fn has_room(&self, instance: &ContainerInstance) -> bool {
        let Some(status) = &instance.status else {
            return false;
        };
        let mut conditions = status.conditions.iter();
        instance.spec.cluster == CLUSTER
            && conditions.any(|c| c.type_ == "Schedulable" && c.status == "True")
            && status.remaining_resources.lack_for(self.demand).is_none()
    }

    /// Creates a Task that is bound there, and waits for the answer: whether it was admitted.
    async fn start(&self, instance: &str) -> anyhow::Result<bool> {
        let spec = TaskSpec {
            cluster: CLUSTER.to_owned(),
            task_definition: self.definition.to_owned(),
            container_instance: Some(instance.to_owned()),
            started_by: Some("scheduler-rs".to_owned()),
            ..TaskSpec::default()
        };
        let mut task = Task::new("", spec);
        task.metadata.name = None;
        task.metadata.generate_name = Some("scheduled-".to_owned());
        let name = self.tasks.create(&PostParams::default(), &task).await?.name_any();
        let answered = |task: Option<&Task>| {
            let last = task.and_then(|task| task.status.as_ref()).map(|s| s.last_status);
            matches!(last, Some(LastStatus::Running | LastStatus::Stopped))
        };
        let task = await_condition(self.tasks.clone(), &name, answered).await?;
        let status = task
            .and_then(|task| task.status)
            .context("the task was deleted")?;
        // one that has a Pod had its share, however it ended
        let admitted = status.last_status == LastStatus::Running || status.pod.is_some();
        match status.stopped_reason {
            None => println!("{name} on {instance}: RUNNING"),
            Some(reason) => println!("{name} on {instance}: STOPPED ({reason})"),
        }
        Ok(admitted)
    }
}
