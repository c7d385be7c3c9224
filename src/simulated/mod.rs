//! Simulated instances: machines that exist as Nodes, each with a kubelet that runs the Pods bound to it as a real one would,
//! but for the containers.
//!
//! A machine exists for every Node with the annotation [`MACHINE`], which says what it is made of. The annotation [`BROKEN`]
//! breaks it, taking that off mends it, deleting the Node removes it. How containers behave is said by annotations on their
//! Pods ([`behaviour`]) and by rules ([`Settings::rules`]). All state is in API objects: a process that ends loses nothing,
//! the next one takes up what it finds.
//!
//! It knows Kubernetes and nothing of ECS. Decisions are plain functions of news and time ([`fleet`]); [`run`] feeds them and
//! does what they ask for.

mod addresses;
mod admission;
mod amounts;
pub mod behaviour;
mod controllers;
mod desk;
mod effects;
mod feed;
mod fleet;
mod kubelet;
mod life;
mod machine;
mod node_status;
mod status;
#[cfg(test)]
mod tests;
mod wire;
mod world;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use behaviour::Rule;
pub use life::Pace;
pub use machine::{BROKEN, Fault, MACHINE, Machine};

use crate::runtime::source;
use desk::{Agenda, Desk};
use effects::{Effects, Timer};
use fleet::Fleet;
use world::News;

/// News taken in at once.
const BATCH: usize = 256;

/// Times and limits of all machines and controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between two renewals of a node's Lease; a Lease lasts four times as long.
    pub lease_every: SignedDuration,
    /// Between two reports of a node's status in which nothing is new.
    pub report_every: SignedDuration,
    /// How long containers take to start and stop where nothing else is said.
    pub pace: Pace,
    /// How containers behave by their image, where their Pod doesn't say. The first rule that fits counts most.
    pub rules: Vec<Rule>,
    /// How long a node may be silent before it counts as unknown.
    pub unknown_after: SignedDuration,
    /// How many Pods that have ended are kept.
    pub ended_pods: usize,
    /// `nodeInfo.kubeletVersion`.
    pub kubelet_version: String,
    /// Requests under way at a time.
    pub requests: usize,
    /// Time that a request may take.
    pub request_timeout: Duration,
}

impl Default for Settings {
    /// The times of a cluster, and containers that start and stop at once.
    fn default() -> Self {
        let zero = SignedDuration::ZERO;
        Self {
            lease_every: SignedDuration::from_secs(10),
            report_every: SignedDuration::from_mins(5),
            pace: Pace {
                pull: zero,
                start: zero,
                stop: zero,
            },
            rules: Vec::new(),
            unknown_after: SignedDuration::from_secs(50),
            ended_pods: 12_500,
            kubelet_version: "v1.37.0".to_owned(),
            requests: 64,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Runs all machines, and the controllers of their cluster, until `stop`.
pub async fn run(client: Client, settings: Settings, stop: CancellationToken) {
    let (tell, mut heard) = mpsc::channel(BATCH);
    let mut feeds = JoinSet::new();
    feeds.spawn(feed::run(
        client.clone(),
        "/api/v1/nodes",
        tell.clone(),
        News::Node,
    ));
    feeds.spawn(feed::run(client.clone(), "/api/v1/pods", tell.clone(), News::Pod));
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    feeds.spawn(feed::run(client.clone(), leases, tell.clone(), News::Lease));
    let budgets = "/apis/policy/v1/poddisruptionbudgets";
    feeds.spawn(feed::run(client.clone(), budgets, tell, News::Budget));
    let mut desk = Desk::new(client, settings.requests, settings.request_timeout);
    let mut agenda = Agenda::default();
    let mut fleet = Fleet::new(&Arc::new(settings));
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let mut effects = Effects::default();
        let next = agenda.next();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            answer = desk.answer(&mut agenda, source::now), if desk.is_busy() => {
                if let Some((target, outcome)) = answer {
                    fleet.written(&target, &outcome, source::now(), &mut effects);
                }
            }
            () = until(next), if next.is_some() => {
                let now = source::now();
                while let Some(timer) = agenda.take(now) {
                    match &timer {
                        Timer::Again(target) => desk.again(target),
                        timer => fleet.due(timer, now, &mut effects),
                    }
                    desk.accept(std::mem::take(&mut effects), &mut agenda);
                }
            }
            count = heard.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    // the feeds end only with us
                    return;
                }
                for news in batch.drain(..) {
                    fleet.hear(news, source::now(), &mut effects);
                }
            }
        }
        desk.accept(effects, &mut agenda);
    }
}

/// Waits for a moment.
async fn until(due: Option<jiff::Timestamp>) {
    let wait = due.map(|due| due.duration_since(source::now()));
    tokio::time::sleep(wait.and_then(|wait| wait.try_into().ok()).unwrap_or_default()).await;
}

const NODES: &str = "/api/v1/nodes";

/// Adds a machine: creates its Node.
pub async fn add(client: &Client, machine: &Machine) -> anyhow::Result<()> {
    let node = machine.node().map_err(anyhow::Error::msg)?;
    let request = Request::new(NODES).create(&PostParams::default(), node.to_string().into_bytes())?;
    client.request::<IgnoredAny>(request).await?;
    Ok(())
}

/// Removes a machine: deletes its Node.
pub async fn remove(client: &Client, name: &str) -> anyhow::Result<()> {
    let request = Request::new(NODES).delete(name, &DeleteParams::default())?;
    client.request::<IgnoredAny>(request).await?;
    Ok(())
}

/// Breaks a machine.
pub async fn break_(client: &Client, name: &str, fault: Fault) -> anyhow::Result<()> {
    annotate(client, name, fault.as_str().into()).await
}

/// Mends a machine, whatever is broken about it.
pub async fn mend(client: &Client, name: &str) -> anyhow::Result<()> {
    annotate(client, name, Value::Null).await
}

async fn annotate(client: &Client, name: &str, broken: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {BROKEN: broken}}}));
    let request = Request::new(NODES).patch(name, &PatchParams::default(), &patch)?;
    client.request::<IgnoredAny>(request).await?;
    Ok(())
}
