//! How much each peer may ask: ECS's agent allows about 40 requests a second, 60 at once. (PROT-25)

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Requests a second that a peer may go on with.
const RATE: f64 = 40.0;
/// Requests that a peer that was silent may make at once.
const BURST: f64 = 60.0;
/// Connections that a peer may have at a time.
const OPEN_MAX: usize = 32;
/// Peers that are remembered.
const PEERS_MAX: usize = 10_000;
/// A peer that was silent for so long has all its requests again.
const REFILL: Duration = Duration::from_secs(2);

struct Peer {
    left: f64,
    at: Instant,
    open: usize,
}

/// What peers have used. Clones share everything.
#[derive(Clone, Default)]
pub(super) struct Limits {
    peers: Arc<Mutex<HashMap<IpAddr, Peer>>>,
}

/// A connection of a peer, until it is dropped.
pub(super) struct Open {
    limits: Limits,
    peer: IpAddr,
}

impl Limits {
    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a peer in; `None` if it has too many connections, or too many peers are there to remember another.
    pub(super) fn enter(&self, peer: IpAddr, now: Instant) -> Option<Open> {
        let mut peers = self.peers();
        if peers.len() >= PEERS_MAX && !peers.contains_key(&peer) {
            peers.retain(|_, known| known.open > 0 || now.duration_since(known.at) < REFILL);
            if peers.len() >= PEERS_MAX {
                return None;
            }
        }
        let known = peers.entry(peer).or_insert(Peer {
            left: BURST,
            at: now,
            open: 0,
        });
        if known.open >= OPEN_MAX {
            return None;
        }
        known.open = known.open.saturating_add(1);
        Some(Open {
            limits: self.clone(),
            peer,
        })
    }
}

impl Open {
    /// Whether the peer may make a request now; if so, it counts.
    pub(super) fn pay(&self, now: Instant) -> bool {
        let mut peers = self.limits.peers();
        let Some(known) = peers.get_mut(&self.peer) else {
            return false;
        };
        let since = now.duration_since(known.at).as_secs_f64();
        known.left = RATE.mul_add(since, known.left).min(BURST);
        known.at = now;
        let pays = known.left >= 1.0;
        if pays {
            known.left -= 1.0;
        }
        pays
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(known) = self.limits.peers().get_mut(&self.peer) {
            known.open = known.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_peer_has_60_requests_at_once_and_40_a_second_others_have_their_own_prot_25() {
        let (limits, begin) = (Limits::default(), Instant::now());
        let one = limits.enter(peer(1), begin).unwrap();
        let paid = |at: Instant| (0..1000).take_while(|_| one.pay(at)).count();
        assert_eq!(paid(begin), 60);
        assert_eq!(paid(begin), 0);
        assert_eq!(paid(begin + Duration::from_secs(1)), 40);
        assert_eq!(paid(begin + Duration::from_secs(60)), 60);
        assert!(limits.enter(peer(2), begin).unwrap().pay(begin));
    }

    #[test]
    fn a_peer_has_so_many_connections_and_coming_back_refills_nothing_prot_25() {
        let (limits, begin) = (Limits::default(), Instant::now());
        let open: Vec<_> = (0..OPEN_MAX)
            .map(|_| limits.enter(peer(1), begin).unwrap())
            .collect();
        assert!(limits.enter(peer(1), begin).is_none());
        while open[0].pay(begin) {}
        drop(open);
        assert!(!limits.enter(peer(1), begin).unwrap().pay(begin));
    }

    #[test]
    fn peers_that_were_silent_are_forgotten_to_make_room_for_others_prot_25() {
        let (limits, begin) = (Limits::default(), Instant::now());
        let max = u32::try_from(PEERS_MAX).unwrap();
        let stays = limits.enter(peer(0), begin).unwrap();
        (1..max).for_each(|number| drop(limits.enter(peer(number), begin)));
        assert!(limits.enter(peer(max), begin).is_none());
        assert!(limits.enter(peer(max), begin + REFILL).is_some());
        assert!(stays.pay(begin + REFILL) && limits.peers().len() == 2);
    }
}
