//! What goes wrong, and how often: drawn from the seed once, so that each schedule has its own mixture.

use std::time::Duration;

use ecs_operator::ledger::rules::Rule;
use http::{Method, Request};
use kube::client::Body;
use rand::Rng;
use rand::rngs::StdRng;

use crate::network::between;

/// Usual time of one way.
const WAY_MAX: Duration = Duration::from_millis(12);
/// A write may be carried out that long after it was sent, and no longer: E on the way there, and T2, the server's own
/// deadline, at the server. Less than their sum, because the process counts T from before it sends.
const LATE_MAX: Duration = Duration::from_secs(24);
/// Time after which a broken connection is noticed.
const BREAKS_MAX: Duration = Duration::from_secs(15);

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Before the request is sent.
    Before,
    /// After the request was carried out, before its answer.
    After,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) there: Duration,
    pub(crate) back: Duration,
    pub(crate) request_lost: bool,
    pub(crate) answer_lost: bool,
    /// When a client notices that no answer will come.
    pub(crate) breaks_after: Duration,
    pub(crate) crash: Option<Crash>,
}

/// How a watch lags.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Lag {
    /// The longest delay of an event.
    pub(crate) most: Duration,
    /// Chance of an event to end the watch.
    pub(crate) closes: f64,
    /// Chance of an event to hold the watch up.
    pub(crate) stalls: f64,
}

/// Chances of everything that goes wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    crash: f64,
    request_lost: f64,
    answer_lost: f64,
    late_request: f64,
    late_answer: f64,
    lag: Lag,
    compacts: f64,
    /// Creates of Tasks and Pods have their own, higher chances.
    creates: f64,
    /// The write, counted from the user's first edit, at which its process is killed.
    pub(crate) crash_at: Option<u64>,
}

impl Lag {
    /// As good as none.
    pub(crate) fn short() -> Self {
        Self {
            most: Duration::from_millis(20),
            ..Self::default()
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self {
            lag: Lag::short(),
            ..Self::default()
        }
    }

    /// Nothing goes wrong but that a process is killed at this write, before or after it in turn.
    pub(crate) fn crash_at(write: u64) -> Self {
        Self {
            crash_at: Some(write),
            ..Self::none()
        }
    }

    /// Whether nothing goes wrong.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// A mixture: each fault is there or not, often or rarely.
    pub(crate) fn mixture(rng: &mut StdRng) -> Self {
        let mut chance = |most: f64| {
            if rng.random_bool(0.5) {
                most * rng.random_range(0.05..1.0_f64).powi(2)
            } else {
                0.0
            }
        };
        let faults = Self {
            crash: chance(0.03),
            request_lost: chance(0.05),
            answer_lost: chance(0.05),
            late_request: chance(0.1),
            late_answer: chance(0.1),
            lag: Lag {
                most: Duration::ZERO,
                closes: chance(0.02),
                stalls: chance(0.02),
            },
            compacts: chance(0.02),
            creates: chance(0.5),
            crash_at: None,
        };
        let most = [20, 200, 3_000, 20_000][rng.random_range(0..4)];
        Self {
            lag: Lag {
                most: Duration::from_millis(most),
                ..faults.lag
            },
            ..faults
        }
    }

    /// What a rule is there for, and little else.
    pub(crate) fn aimed_at(rule: Rule) -> Self {
        let lag = |most, stalls| Lag {
            most: Duration::from_millis(most),
            stalls,
            ..Lag::default()
        };
        let (creates, crash, lag) = match rule {
            Rule::F1 | Rule::F3 => (0.5, 0.01, lag(200, 0.0)),
            Rule::F2 => (0.3, 0.01, lag(3_000, 0.2)),
            Rule::F4 | Rule::F5 => (0.0, 0.0, lag(3_000, 0.0)),
        };
        Self {
            crash,
            lag,
            creates,
            ..Self::default()
        }
    }

    /// What becomes of a request.
    pub(crate) fn fate(&self, rng: &mut StdRng, request: &Request<Body>) -> Fate {
        let ms = Duration::from_millis;
        let mut fate = Fate {
            there: between(rng, ms(1), WAY_MAX),
            back: between(rng, ms(1), WAY_MAX),
            breaks_after: between(rng, ms(1), BREAKS_MAX),
            ..Fate::default()
        };
        let path = request.uri().path();
        if path.contains("/events") {
            return fate;
        }
        let is_watch = request.uri().query().is_some_and(|q| q.contains("watch="));
        let creates =
            request.method() == Method::POST && (path.ends_with("/tasks") || path.ends_with("/pods"));
        let more = if creates { self.creates } else { 0.0 };
        let late = |rng: &mut StdRng| between(rng, ms(500), LATE_MAX);
        if rng.random_bool((self.late_request + more / 2.0).min(1.0)) {
            fate.there = late(rng);
        }
        if rng.random_bool((self.late_answer + more / 4.0).min(1.0)) {
            fate.back = late(rng);
        }
        fate.request_lost = rng.random_bool(self.request_lost);
        fate.answer_lost = rng.random_bool((self.answer_lost + more / 8.0).min(1.0));
        if !is_watch && rng.random_bool((self.crash + more / 10.0).min(1.0)) {
            fate.crash = Some(if rng.random_bool(0.3) {
                Crash::Before
            } else {
                Crash::After
            });
        }
        fate
    }

    /// Whether a process is killed at this write.
    pub(crate) fn is_the_end(&self, write: u64) -> Option<Crash> {
        let after = if write.is_multiple_of(2) {
            Crash::After
        } else {
            Crash::Before
        };
        (self.crash_at == Some(write)).then_some(after)
    }

    /// How a new watch lags.
    pub(crate) fn lag(&self, rng: &mut StdRng) -> Lag {
        // some watches are prompt
        let most = if rng.random_bool(0.3) {
            Duration::from_millis(20)
        } else {
            self.lag.most
        };
        Lag { most, ..self.lag }
    }

    /// Whether the history is compacted now.
    pub(crate) fn compacts(&self, rng: &mut StdRng) -> bool {
        self.compacts > 0.0 && rng.random_bool(self.compacts)
    }
}
