//! Time and chance: the only place of the operator where a clock is read or something is drawn.
//!
//! A simulation puts both under its rule for its own thread ([`simulate`]), and tests that make time go faster set the clock
//! of the whole process ([`set`]); everything else gets the machine's.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;

/// The time, as it is written into objects and compared with what stands there.
#[must_use]
pub fn now() -> Timestamp {
    #[cfg(any(test, feature = "testing"))]
    if let Some(now) = simulated::now() {
        return now;
    }
    Timestamp::now()
}

/// A new id: 32 hex digits, never used twice. (ARN-1, F4)
#[must_use]
pub fn id() -> String {
    format!("{:032x}", with_rng(|rng| rng.random::<u128>()))
}

/// A random time from `least` to `most`, `most` included.
#[must_use]
pub fn between(least: Duration, most: Duration) -> Duration {
    let span = most.saturating_sub(least);
    least.saturating_add(span.mul_f64(with_rng(|rng| rng.random_range(0.0..=1.0))))
}

fn with_rng<T>(draw: impl FnOnce(&mut dyn rand::RngCore) -> T) -> T {
    #[cfg(any(test, feature = "testing"))]
    if simulated::rules() {
        return simulated::with_rng(draw);
    }
    draw(&mut rand::rng())
}

#[cfg(any(test, feature = "testing"))]
pub use simulated::{Simulated, set, simulate};

#[cfg(any(test, feature = "testing"))]
mod simulated {
    use std::cell::RefCell;
    use std::marker::PhantomData;
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::Timestamp;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio::time::Instant;

    struct Rule {
        rng: StdRng,
        begin: Timestamp,
        begun: Instant,
    }

    thread_local! {
        static RULE: RefCell<Option<Rule>> = const { RefCell::new(None) };
    }

    const NOT_SET: i64 = i64::MIN;
    /// Microseconds since 1970 for every thread without a rule of its own.
    static CLOCK: AtomicI64 = AtomicI64::new(NOT_SET);

    /// From now on it is this time for the whole process, until it is set again.
    pub fn set(now: Timestamp) {
        CLOCK.store(now.as_microsecond(), Ordering::Relaxed);
    }

    /// Time and chance of this thread are under a rule as long as this lives.
    #[derive(Debug)]
    pub struct Simulated(PhantomData<*const ()>);

    impl Drop for Simulated {
        fn drop(&mut self) {
            RULE.with_borrow_mut(|rule| *rule = None);
        }
    }

    /// From now on everything this thread draws comes from `seed`, and its clock starts at `begin` and goes with tokio's,
    /// which may be paused. To be called inside a runtime.
    #[must_use = "the rule ends when this is dropped"]
    pub fn simulate(seed: u64, begin: Timestamp) -> Simulated {
        let rule = Rule {
            rng: StdRng::seed_from_u64(seed),
            begin,
            begun: Instant::now(),
        };
        RULE.with_borrow_mut(|now| *now = Some(rule));
        Simulated(PhantomData)
    }

    pub(super) fn rules() -> bool {
        RULE.with_borrow(Option::is_some)
    }

    pub(super) fn now() -> Option<Timestamp> {
        let ruled = RULE.with_borrow(|rule| {
            let rule = rule.as_ref()?;
            let passed = jiff::SignedDuration::try_from(rule.begun.elapsed()).ok()?;
            rule.begin.checked_add(passed).ok()
        });
        ruled.or_else(|| match CLOCK.load(Ordering::Relaxed) {
            NOT_SET => None,
            set => Timestamp::from_microsecond(set).ok(),
        })
    }

    pub(super) fn with_rng<T>(draw: impl FnOnce(&mut dyn rand::RngCore) -> T) -> T {
        RULE.with_borrow_mut(|rule| match rule {
            Some(rule) => draw(&mut rule.rng),
            None => draw(&mut rand::rng()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits_and_not_repeated_arn_1() {
        let (one, other) = (id(), id());
        assert_eq!(one.len(), 32);
        assert!(one.chars().all(|c| c.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }

    #[tokio::test(start_paused = true)]
    async fn under_a_rule_time_goes_with_the_runtime_and_chance_repeats_with_the_seed() {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let draw = || (id(), between(Duration::ZERO, Duration::from_secs(1)));
        let first = {
            let _rule = simulate(7, begin);
            assert_eq!(now(), begin);
            tokio::time::advance(Duration::from_secs(90)).await;
            assert_eq!(now().to_string(), "2026-01-01T00:01:30Z");
            draw()
        };
        assert_ne!(draw(), first, "the rule ended");
        let _rule = simulate(7, begin);
        assert_eq!(draw(), first);
    }
}
