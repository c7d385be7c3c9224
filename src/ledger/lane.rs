//! The daemon lane: an instance gets its daemons' shares with the very write that says how it is, so that a new node is
//! never seen with room and without its daemons; and while daemons are being started, replicas wait a moment, so that
//! the API server's time goes to daemons first. Order and latency only: room is held back in any case. (DAEMON-26)

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Ledger;
use super::instance::Ask;
use super::service::Placed;
use crate::plan::world::{Key, Service};

/// Longest time the pass of a replica service waits for daemons that are due.
const PASS_WAITS_MAX: Duration = Duration::from_secs(1);
/// Longest time the start of a replica waits for daemons that are being started.
const START_WAITS_MAX: Duration = Duration::from_secs(2);

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
#[derive(Debug, Default)]
pub struct Lane {
    starting: Arc<Count>,
    waiting: Mutex<HashMap<Key, Instant>>,
    untold: Mutex<HashMap<Key, Vec<String>>>,
}

/// Daemons are being started as long as this lives.
#[derive(Debug)]
pub struct Starting(Arc<Count>);

/// How many daemons are being started. Who waits for none is woken in the order of waiting, so that a run can be repeated.
#[derive(Debug, Default)]
struct Count {
    number: AtomicUsize,
    none: Notify,
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.0.number.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Lane {
    /// Says that daemons are being started.
    #[must_use]
    pub fn enter(&self) -> Starting {
        self.starting.number.fetch_add(1, Ordering::SeqCst);
        Starting(self.starting.clone())
    }

    /// Whether the pass of a replica service gives way now: while daemons are `due`, but no longer than
    /// [`PASS_WAITS_MAX`] at a time.
    pub fn gives_way(&self, service: &Key, due: bool) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if due
            && waiting
                .entry(service.clone())
                .or_insert_with(Instant::now)
                .elapsed()
                < PASS_WAITS_MAX
        {
            return true;
        }
        waiting.remove(service);
        false
    }

    /// Waits while daemons are being started, at most [`START_WAITS_MAX`].
    pub(super) async fn give_way(&self) {
        let none = async {
            loop {
                let none = self.starting.none.notified();
                if self.starting.number.load(Ordering::SeqCst) == 0 {
                    return;
                }
                none.await;
            }
        };
        // an elapsed wait is as good as an empty lane
        drop(tokio::time::timeout(START_WAITS_MAX, none).await);
    }

    /// Remembers a start that the service has not told yet.
    fn keep(&self, service: &Key, ids: Vec<String>) {
        if ids.is_empty() {
            return;
        }
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
    /// Whether the instance is to be looked at again: something moved, or a share is to be released.
    pub async fn start_given(&self, instance: &str, given: Vec<Due>, share_seen: Instant) -> bool {
        let mut again = false;
        for Due { service, placed } in given {
            let starts = self
                .create_given(&service, &service.deployments, instance, vec![placed], share_seen)
                .await;
            again |= starts.again || !starts.release.is_empty();
            self.lane.keep(&service.key, starts.ids);
        }
        again
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
        assert_eq!(begun.elapsed(), START_WAITS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_service_gives_way_to_daemons_for_a_second_at_most() {
        let (lane, web) = (Lane::default(), Key::new("ns", "web"));
        assert!(!lane.gives_way(&web, false));
        assert!(lane.gives_way(&web, true));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(lane.gives_way(&web, true));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(
            !lane.gives_way(&web, true),
            "a daemon that cannot be placed holds nobody up"
        );
        assert!(lane.gives_way(&web, true), "the next time it gives way again");
    }
}
