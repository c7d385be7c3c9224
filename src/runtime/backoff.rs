//! Waiting times that grow, with jitter.

use std::time::Duration;

use super::source;

/// Doubling waits between a first and a largest one, each between half and the whole of its nominal length.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// From `first` to `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            attempt: 0,
        }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let nominal = self
            .first
            .saturating_mul(2u32.saturating_pow(self.attempt))
            .min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        jittered(nominal)
    }

    /// Starts again with the first wait.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// A random time between half and the whole of `nominal`.
#[must_use]
pub fn jittered(nominal: Duration) -> Duration {
    source::between(nominal.div_f64(2.0), nominal)
}
