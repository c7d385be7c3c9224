//! The life of a Pod on its machine, as a value: what its containers do and what the kubelet does about it. [`Life::step`]
//! takes it on to a moment and says when to look again. There is no clock here and nobody to talk to.

mod probes;
mod recover;
mod start;
mod stop;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use super::amounts::is_sidecar;
use super::behaviour::{Behaviour, Exit};
use super::wire::{Container as ContainerSpec, PodSpec};

/// Times and defaults that hold for all machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the beginning of a pull to its end; an image is pulled before a container's first start.
    pub pull: SignedDuration,
    /// From being created to running.
    pub start: SignedDuration,
    /// From SIGTERM to the exit.
    pub stop: SignedDuration,
}

/// What is known about a Pod beside its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) spec: &'a PodSpec,
    /// `namespace`, `name` and `uid`, for messages.
    pub(crate) names: [&'a str; 3],
    /// One for each container, init containers first.
    pub(crate) behaviours: &'a [Behaviour],
    /// Since when they behave so.
    pub(crate) told: Timestamp,
    /// Seconds of grace, once it is to be deleted.
    pub(crate) deletion: Option<i64>,
    pub(crate) pace: Pace,
}

/// Which place a container has in its Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Ends before the next one starts.
    Init,
    /// An init container that goes on.
    Sidecar,
    /// What the Pod is for.
    Main,
}

/// The containers of a Pod with their roles, init containers first.
pub(crate) fn containers(spec: &PodSpec) -> impl DoubleEndedIterator<Item = (Role, &ContainerSpec)> + Clone {
    let init = spec.init_containers.iter().map(|container| {
        let role = if is_sidecar(container) {
            Role::Sidecar
        } else {
            Role::Init
        };
        (role, container)
    });
    init.chain(spec.containers.iter().map(|container| (Role::Main, container)))
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Running {
    pub(crate) since: Timestamp,
    /// When it is told to end, and when it is killed.
    pub(crate) stop: Option<(Timestamp, Timestamp)>,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Not its turn yet.
    Idle,
    /// It cannot be started, for this reason.
    Held(String),
    /// It waits to be started again.
    BackOff { until: Timestamp, seconds: i64 },
    /// It is being started.
    Creating { until: Timestamp },
    /// It runs.
    Running(Running),
    /// It has ended.
    Ended(Ended),
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    pub(crate) stage: Stage,
    /// How the run before ended.
    pub(crate) last: Option<Ended>,
    pub(crate) restarts: u32,
    /// Seconds to wait before the next start, and when that was decided.
    backoff: Option<(i64, Timestamp)>,
}

impl Container {
    fn new() -> Self {
        Self {
            stage: Stage::Idle,
            last: None,
            restarts: 0,
            backoff: None,
        }
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running(_))
    }

    /// How it ended, if that is where it stands.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        match &self.stage {
            Stage::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Whether it ran at some time.
    pub(crate) fn has_run(&self) -> bool {
        self.last.is_some() || matches!(self.stage, Stage::Running(_) | Stage::Ended(_))
    }
}

/// Why a Pod is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is to be deleted, or its object is gone.
    Deleted,
    /// Its work is done, or can never be.
    Complete,
    /// `activeDeadlineSeconds` have passed.
    Deadline,
}

/// A Pod that is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopping {
    pub(crate) cause: Cause,
    pub(crate) since: Timestamp,
    /// When what still runs is killed.
    pub(crate) deadline: Timestamp,
}

/// The life of a Pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Life {
    /// When the kubelet took it on.
    pub(crate) begun: Timestamp,
    /// Init containers first.
    pub(crate) containers: Vec<Container>,
    pub(crate) stopping: Option<Stopping>,
    /// Reason and message with which it was refused.
    pub(crate) refused: Option<(String, String)>,
    /// A main container was started since the machine was: what comes before them is not done again.
    initialized: bool,
}

/// A moment, and the next one at which something is due.
#[derive(Debug)]
pub(crate) struct Look {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Look {
    fn reached(&mut self, due: Timestamp) -> bool {
        if due > self.now && self.next.is_none_or(|next| due < next) {
            self.next = Some(due);
        }
        due <= self.now
    }
}

/// The sum, or the end of time.
pub(crate) fn after(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

/// Changes that one step may make to each container: far more than a Pod can need.
const CHANGES: usize = 16;

impl Life {
    /// A Pod that nothing has been done for.
    pub(crate) fn new(spec: &PodSpec, now: Timestamp) -> Self {
        let containers = containers(spec).map(|_| Container::new()).collect();
        Self {
            begun: now,
            containers,
            stopping: None,
            refused: None,
            initialized: false,
        }
    }

    /// A Pod that the kubelet does not take.
    pub(crate) fn refuse(&mut self, reason: String, message: String) {
        self.containers.clear();
        self.stopping = None;
        self.refused = Some((reason, message));
    }

    /// Whether a main container was started since the machine was.
    pub(crate) fn is_initialized(&self) -> bool {
        self.initialized
    }

    /// Whether nothing runs any more and nothing will.
    pub(crate) fn is_over(&self) -> bool {
        self.refused.is_some()
            || (self.stopping.is_some() && !self.containers.iter().any(Container::is_running))
    }

    /// Somebody else declared that the Pod has ended: so it does.
    pub(crate) fn end(&mut self, now: Timestamp) {
        if self.stopping.is_none() {
            self.begin_stop(Cause::Complete, 0, now);
        }
    }

    /// The machine lost its power: what ran is gone, and init containers have to run again.
    pub(crate) fn lose(&mut self, spec: &PodSpec, now: Timestamp) {
        self.initialized = false;
        for (container, (role, _)) in self.containers.iter_mut().zip(containers(spec)) {
            if role == Role::Init
                && let Stage::Ended(ended) = &container.stage
                && ended.code == 0
                && self.stopping.is_none()
            {
                container.last = Some(ended.clone());
                container.stage = Stage::Idle;
            }
            if let Stage::Running(running) = &container.stage {
                container.stage = Stage::Ended(Ended {
                    code: 255,
                    reason: "Unknown".to_owned(),
                    message: None,
                    started: Some(running.since),
                    finished: Some(now),
                });
            }
        }
    }

    /// Takes the Pod on to `now`. Without a kubelet that attends to it only containers act, by ending. The answer is when
    /// something is due next.
    pub(crate) fn step(&mut self, facts: &Facts<'_>, now: Timestamp, attended: bool) -> Option<Timestamp> {
        let mut look = Look { now, next: None };
        for _ in 0..self.containers.len().saturating_add(2).saturating_mul(CHANGES) {
            look.next = None;
            let changed = self.ends(facts, &mut look) || (attended && self.attend(facts, &mut look));
            if !changed {
                return look.next;
            }
        }
        // a container that ends in the very moment it starts: looked at again, but not at once
        Some(after(now, seconds(1)))
    }

    /// Containers that end by themselves, or by what they were told.
    fn ends(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        let mut changed = false;
        for (container, behaviour) in self.containers.iter_mut().zip(facts.behaviours) {
            let Stage::Running(running) = &container.stage else {
                continue;
            };
            let own = behaviour
                .exit
                .and_then(|exit| own_exit(exit, container.restarts, running, facts.told));
            let told = running
                .stop
                .map(|stop| stop::exit(behaviour, stop, facts.pace.stop));
            let first = own.into_iter().chain(told).min();
            let Some((due, code)) = first.filter(|(due, _)| look.reached(*due)) else {
                continue;
            };
            let reason = if code == 0 { "Completed" } else { "Error" };
            container.stage = Stage::Ended(Ended {
                code,
                reason: reason.to_owned(),
                message: None,
                started: Some(running.since),
                finished: Some(due),
            });
            changed = true;
        }
        changed
    }

    /// What the kubelet does.
    fn attend(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        if self.refused.is_some() {
            return false;
        }
        self.asked_to_stop(facts, look)
            || self.probed(facts, look)
            || if self.stopping.is_some() {
                self.stop(facts, look)
            } else {
                self.start(facts, look)
            }
    }
}

/// When a container ends by itself. What is said later than it started holds from then on.
fn own_exit(exit: Exit, restarts: u32, running: &Running, told: Timestamp) -> Option<(Timestamp, i32)> {
    let counts = exit.runs.is_none_or(|runs| restarts < runs);
    counts.then(|| (after(running.since, exit.after).max(told), exit.code))
}
