//! The daemon lane: while a daemon is due somewhere, replica services of the cluster wait a moment, so that its Pod is
//! made before theirs. A matter of order and latency only; room is held back for daemons in any case (DAEMON-26).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::world::Key;

/// Longest time a replica service gives way.
const GIVE_WAY_MAX: Duration = Duration::from_secs(1);

/// Which services give way, and since when.
#[derive(Debug, Default)]
pub struct Lane {
    since: Mutex<HashMap<Key, Instant>>,
}

impl Lane {
    /// Whether the service gives way now: while daemons are `due`, but no longer than [`GIVE_WAY_MAX`] at a time.
    pub fn gives_way(&self, service: &Key, due: bool) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if due
            && since
                .entry(service.clone())
                .or_insert_with(Instant::now)
                .elapsed()
                < GIVE_WAY_MAX
        {
            return true;
        }
        since.remove(service);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
