//! The daemon lane: an instance gets its daemons' shares with the very write that says how it is, so that a new node is
//! never seen with room and without its daemons; and while daemons are being started, replicas wait a moment, so that
//! the API server's time goes to daemons first. Order and latency only: room is held back in any case. (DAEMON-26)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Ledger;
use super::commit::{Started, service_task};
use super::instance::Ask;
use super::service::Placed;
use crate::plan::world::{Key, Service};

/// Longest time the start of a replica waits for daemons that are being started.
const GIVE_WAY_MAX: Duration = Duration::from_secs(2);

/// A daemon task to be started with an instance's status.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its service.
    pub service: Arc<Service>,
    /// What is started, and its id.
    pub placed: Placed,
}

impl Due {
    /// The share it takes.
    #[must_use]
    pub fn ask(&self) -> Ask {
        Ask::of(&self.service, &self.placed)
    }
}

/// Daemons on their way, and those that came without their service's own pass.
#[derive(Debug)]
pub struct Lane {
    starting: watch::Sender<usize>,
    untold: Mutex<HashMap<Key, Vec<String>>>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            starting: watch::Sender::new(0),
            untold: Mutex::default(),
        }
    }
}

/// Daemons are being started as long as this lives.
#[derive(Debug)]
pub struct Starting(watch::Sender<usize>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

impl Lane {
    /// Says that daemons are being started.
    #[must_use]
    pub fn enter(&self) -> Starting {
        self.starting.send_modify(|n| *n = n.saturating_add(1));
        Starting(self.starting.clone())
    }

    /// Waits while daemons are being started, at most [`GIVE_WAY_MAX`].
    pub(super) async fn give_way(&self) {
        let mut starting = self.starting.subscribe();
        // an elapsed wait is as good as an empty lane
        drop(tokio::time::timeout(GIVE_WAY_MAX, starting.wait_for(|n| *n == 0)).await);
    }

    /// Remembers a start that the service has not told yet.
    fn keep(&self, service: &Key, ids: Vec<String>) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.entry(service.clone()).or_default().extend(ids);
    }

    /// Starts that the service has not told yet.
    pub(super) fn take(&self, service: &Key) -> Vec<String> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.remove(service).unwrap_or_default()
    }
}

impl Ledger {
    /// Daemons on their way.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Creates the Tasks and Pods of daemons whose shares were given with an instance's status, not before `share_seen`.
    pub async fn start_given(&self, instance: &str, given: &[Due], share_seen: Instant) {
        for due in given {
            let (service, start) = (&due.service, &due.placed.start);
            let Some(deployment) = service.deployments.iter().find(|d| d.id == start.deployment) else {
                continue;
            };
            let spec = service_task(service, &deployment.id, &deployment.task_definition, instance);
            let key = Key::new(&service.key.namespace, &due.placed.id);
            if self.create_and_run(&key, spec, share_seen).await == Started::Yes {
                self.lane.keep(&service.key, vec![key.name]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn replicas_wait_for_daemons_on_their_way_two_seconds_at_most() {
        let lane = Lane::default();
        let begun = Instant::now();
        lane.give_way().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let starting = lane.enter();
        tokio::join!(lane.give_way(), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(starting);
        });
        assert_eq!(begun.elapsed(), Duration::from_millis(300));
        let (_stuck, begun) = (lane.enter(), Instant::now());
        lane.give_way().await;
        assert_eq!(begun.elapsed(), GIVE_WAY_MAX);
    }
}
