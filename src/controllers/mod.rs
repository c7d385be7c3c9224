//! Controllers: thin loops that wait for what changed, take a snapshot, ask a planner and hand its plan to the ledger.

pub mod cluster;
pub mod definition;
mod ended;
pub mod errors;
mod fairness;
pub mod feeds;
mod hold;
pub mod instance;
mod neighbours;
mod news;
pub mod node;
mod protection;
pub mod queue;
mod queued;
pub mod request;
mod run_once;
pub mod service;
mod start;
pub mod task;
mod waiting;
mod wiring;

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::ledger::Ledger;
use crate::report::apply::Applier;
use crate::runtime::metrics::Metrics;

/// What every controller uses.
#[derive(Clone)]
pub struct Context {
    /// What is known of the cluster.
    pub cache: Arc<Cache>,
    /// The writer of placement.
    pub ledger: Ledger,
    /// The writer of all else.
    pub applier: Applier,
    /// For Kubernetes events.
    pub recorder: Recorder,
    /// Client for live reads.
    pub client: Client,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether this replica plans.
    pub leads: watch::Receiver<bool>,
    /// What is to be looked at.
    pub queues: Arc<queue::Queues>,
}

impl Context {
    /// Whether this replica plans now.
    #[must_use]
    pub fn plans(&self) -> bool {
        *self.leads.borrow()
    }
}
