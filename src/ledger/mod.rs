//! The ledger: the only code that writes placement. Every write is conditional on the version it was decided on.
//!
//! - [`instance`]: reserve, release and describe: ContainerInstance status.
//! - [`service`]: the planning write: EcsService status.
//! - [`task`]: create, tombstone, authorise, stop and end Tasks.
//! - [`request`]: the Tasks of a RunTask, and its status.
//! - [`pod`]: create, relabel, delete and let go of Pods.
//! - [`carried_over`]: stops that were decided on and not carried out.
//! - [`commit`]: a whole plan in the order allocate, reserve, create, run.
//!
//! Creates carry no version and caches are stale, so "I don't see it" never proves "it can't come": the fences F1 to F5
//! are in [`fence`] and in the modules named above.

#![allow(
    clippy::disallowed_methods,
    reason = "this module and its children are the writers"
)]

pub mod answer;
pub mod bind;
pub mod carried_over;
pub mod commit;
pub mod describe;
pub mod events;
pub mod fence;
pub mod instance;
pub mod lane;
pub mod membership;
mod mirror;
pub mod outcome;
pub mod patch;
pub mod pod;
pub mod progress;
pub mod queue;
pub mod request;
pub mod rules;
pub mod service;
pub mod task;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::api::{ContainerInstance, EcsService, Task};
use crate::cache::Cache;
use crate::plan::world::Key;
use crate::runtime::metrics::Metrics;
use crate::runtime::source;
use fence::Fences;
use outcome::Outcome;

/// Field manager of conditional writes of placement.
pub const FIELD_MANAGER: &str = "ecs-operator-ledger";

pub use crate::domain::records::LEDGER_VERSION;
pub use crate::runtime::client::REQUEST_TIMEOUT;

/// The turn to write to one instance.
type Turn = tokio::sync::Mutex<()>;

/// The writer of placement. Clones share everything.
#[derive(Clone)]
pub struct Ledger {
    client: Client,
    cache: Arc<Cache>,
    metrics: Metrics,
    process: Arc<str>,
    /// Base of the endpoint that Pods are told of.
    agent: Option<Arc<str>>,
    fences: Arc<Fences>,
    queues: Arc<Mutex<HashMap<String, Weak<Turn>>>>,
    put_off: Arc<mirror::PutOff>,
    pace: Arc<mirror::Pace>,
    lane: Arc<lane::Lane>,
    /// The turn to place a run-once task.
    run_once: Arc<Turn>,
    /// Instances of which this process has said that their ledger is newer than the program.
    told_newer: Arc<Mutex<HashSet<String>>>,
}

impl Ledger {
    /// A ledger that writes through `client`, which must have [`REQUEST_TIMEOUT`] on the server's side and no retries.
    #[must_use]
    pub fn new(client: Client, cache: Arc<Cache>, metrics: Metrics) -> Self {
        let process: Arc<str> = source::id().into();
        Self {
            client,
            cache,
            metrics,
            process,
            agent: None,
            fences: Arc::default(),
            queues: Arc::default(),
            put_off: Arc::default(),
            pace: Arc::default(),
            lane: Arc::default(),
            run_once: Arc::default(),
            told_newer: Arc::default(),
        }
    }

    /// The same ledger, which tells each new Pod of the endpoint at `base`: `http://HOST:PORT`. (PROT-20)
    #[must_use]
    pub fn with_agent(self, base: Option<&str>) -> Self {
        Self {
            agent: base.map(Arc::from),
            ..self
        }
    }

    /// Id of this process, as it stands in `authorised-by`.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// What this process knows of authorisations and Pod creates.
    #[must_use]
    pub fn fences(&self) -> &Fences {
        &self.fences
    }

    /// Drops what the fences keep of Tasks that are no more.
    pub fn sweep_fences(&self) {
        let tasks = self.cache.tasks.all();
        let known: HashSet<String> = tasks.iter().filter_map(|task| task.uid()).collect();
        let world = self.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
        let reserved = world.instances.values().flat_map(|i| &i.reservations);
        let reserved = reserved.map(|r| Key::new(&r.namespace, &r.task));
        let given_out = world.services.values().flat_map(|s| {
            let ids = s.allocations.iter();
            ids.map(|a| Key::new(&s.key.namespace, &a.id))
        });
        let awaited: HashSet<Key> = reserved.chain(given_out).collect();
        self.fences
            .sweep(|uid| known.contains(uid), |key| awaited.contains(key));
    }

    fn instances(&self) -> Api<ContainerInstance> {
        Api::all(self.client.clone())
    }

    fn services(&self, namespace: &str) -> Api<EcsService> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn tasks(&self, namespace: &str) -> Api<Task> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The queue of one instance: inside a process all writes to it go through one after the other. A queue lasts as
    /// long as somebody waits in it or has the turn.
    fn queue(&self, instance: &str) -> Arc<Turn> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(instance).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Turn::default());
        queues.insert(instance.to_owned(), Arc::downgrade(&queue));
        queue
    }

    /// How long the counts of an instance may wait yet, from now on if they did not before.
    #[must_use]
    pub fn counts_wait(&self, instance: &str) -> Duration {
        self.put_off.left(instance).unwrap_or_default()
    }

    /// Runs a request under the deadline and counts its outcome.
    async fn send<T>(
        &self,
        object: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Outcome<T> {
        let outcome = match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Ok(result) => Outcome::from(result),
            Err(_) => Outcome::Unknown("no answer within the deadline".to_owned()),
        };
        self.metrics.commit(object, outcome.label());
        outcome
    }
}

/// Parameters of every create and update here.
fn post() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}
