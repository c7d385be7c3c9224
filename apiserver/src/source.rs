//! Where time and chance come from. The server itself reads neither a clock nor a random source.

use std::sync::Arc;

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Tells the time that is written into objects.
pub trait Clock: Send + Sync {
    /// Now, to the precision that the source has.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// Letters and digits of generated names: no vowels and nothing that looks like another, so that no words come about.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Time and chance for one server.
pub struct Sources {
    clock: Arc<dyn Clock>,
    random: StdRng,
}

impl Sources {
    /// The machine's clock and randomness.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: StdRng::from_os_rng(),
        }
    }

    /// A given clock, and the machine's randomness.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ..Self::system()
        }
    }

    /// A given clock, and everything random drawn from `seed`: the same requests then give the same objects.
    pub fn seeded(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            clock,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time as objects carry it: RFC 3339, whole seconds.
    pub fn now_text(&self) -> String {
        seconds(self.now())
    }

    /// A new version 4 UUID.
    pub fn uid(&mut self) -> String {
        let bits = (self.random.random::<u128>() & !(0xf000_u128 << 64) & !(0xc000_u128 << 48))
            | (0x4000_u128 << 64)
            | (0x8000_u128 << 48);
        let hex = format!("{bits:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        )
    }

    /// The five letters that end a generated name.
    pub fn suffix(&mut self) -> String {
        (0..5)
            .filter_map(|_| SUFFIX_LETTERS.get(self.random.random_range(0..SUFFIX_LETTERS.len())))
            .map(|letter| char::from(*letter))
            .collect()
    }

    /// A number from `low` up to and without `high`; `low` when there is none.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if low < high {
            self.random.random_range(low..high)
        } else {
            low
        }
    }
}

/// RFC 3339 in UTC with whole seconds, as `metav1.Time` is written.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4_and_repeat_with_the_seed() {
        let mut first = Sources::seeded(Arc::new(SystemClock), 7);
        let mut second = Sources::seeded(Arc::new(SystemClock), 7);
        for _ in 0..100 {
            let uid = first.uid();
            assert_eq!(uid, second.uid());
            let parts: Vec<&str> = uid.split('-').collect();
            assert_eq!(
                parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
                [8, 4, 4, 4, 12]
            );
            assert!(
                parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]),
                "{uid}"
            );
        }
        assert_ne!(first.uid(), first.uid());
    }

    #[test]
    fn seconds_drop_the_fraction() {
        let time: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(seconds(time), "2026-01-02T03:04:05Z");
    }
}
