//! Containers are started, in their order, and started again.

use jiff::Timestamp;

use super::{Cause, Container, Facts, Life, Look, Role, Running, Stage, after, containers, seconds};
use crate::simulated::behaviour::Behaviour;

/// The first wait before a container is started again, and the longest.
const BACKOFF_SECONDS: (i64, i64) = (10, 300);

/// Whether a container that ended with this code is to be started again.
pub(crate) fn restarts(policy: &str, role: Role, code: i32) -> bool {
    match (role, policy) {
        (Role::Main, "OnFailure") | (Role::Init, "Always" | "OnFailure") => code != 0,
        (Role::Sidecar, _) | (Role::Main, "Always") => true,
        (Role::Main | Role::Init, _) => false,
    }
}

impl Life {
    /// Whether no main container will ever do anything again.
    fn is_complete(&self, facts: &Facts<'_>) -> bool {
        let policy = facts.spec.restart_policy.as_str();
        let is_final = |container: &Container, role| {
            container
                .ended()
                .is_some_and(|ended| !restarts(policy, role, ended.code))
        };
        let all = || self.containers.iter().zip(containers(facts.spec));
        let mut mains = all().filter(|(_, (role, _))| *role == Role::Main);
        let failed_before = all().any(|(container, (role, _))| {
            role == Role::Init
                && is_final(container, role)
                && container.ended().is_some_and(|ended| ended.code != 0)
        });
        mains.all(|(container, (role, _))| is_final(container, role)) || (failed_before && !self.initialized)
    }

    /// Starts what is to be started; whether anything changed.
    pub(crate) fn start(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        if self.is_complete(facts) {
            self.begin_stop(
                Cause::Complete,
                facts.spec.termination_grace_period_seconds.unwrap_or(30),
                look.now,
            );
            return true;
        }
        let initialized = self.initialized;
        let policy = facts.spec.restart_policy.as_str();
        let mut changed = false;
        for (index, (role, spec)) in containers(facts.spec).enumerate() {
            let Some(container) = self.containers.get_mut(index) else {
                break;
            };
            let Some(behaviour) = facts.behaviours.get(index) else {
                break;
            };
            if role == Role::Init && initialized {
                continue;
            }
            let ended = container.ended().map(|ended| ended.code);
            if ended.is_none_or(|code| restarts(policy, role, code)) {
                changed |= advance(container, behaviour, facts, look);
            }
            let goes_on = match role {
                Role::Main => {
                    self.initialized |= container.is_running();
                    true
                }
                Role::Init => container.ended().is_some_and(|ended| ended.code == 0),
                Role::Sidecar => initialized || container.is_started(spec, behaviour, facts, look),
            };
            if !goes_on {
                break;
            }
        }
        changed
    }
}

/// Takes a container that is to run one stage on; whether it could.
fn advance(container: &mut Container, behaviour: &Behaviour, facts: &Facts<'_>, look: &mut Look) -> bool {
    match &container.stage {
        Stage::Running(_) => false,
        Stage::Idle => {
            create(container, behaviour, facts, look.now);
            true
        }
        Stage::Held(reason) => {
            if behaviour.waiting.as_ref() == Some(reason) {
                return false;
            }
            create(container, behaviour, facts, look.now);
            true
        }
        Stage::Ended(ended) => {
            let finished = ended.finished.unwrap_or(look.now);
            container.last = Some(ended.clone());
            match container.wait(finished) {
                Some((until, seconds)) if until > look.now => {
                    container.stage = Stage::BackOff { until, seconds };
                }
                _ => create(container, behaviour, facts, look.now),
            }
            true
        }
        Stage::BackOff { until, .. } => {
            let due = look.reached(*until);
            if due {
                create(container, behaviour, facts, look.now);
            }
            due
        }
        Stage::Creating { until } => {
            let due = look.reached(*until);
            if due {
                if container.last.is_some() {
                    container.restarts = container.restarts.saturating_add(1);
                }
                container.stage = Stage::Running(Running {
                    since: look.now,
                    stop: None,
                });
            }
            due
        }
    }
}

fn create(container: &mut Container, behaviour: &Behaviour, facts: &Facts<'_>, now: Timestamp) {
    if let Some(reason) = &behaviour.waiting {
        container.stage = Stage::Held(reason.clone());
        return;
    }
    let pull = match container.last {
        Some(_) => None,
        None => Some(behaviour.pull.unwrap_or(facts.pace.pull)),
    };
    if container.last.is_some() {
        container.note_restart(now);
    }
    let start = behaviour.start.unwrap_or(facts.pace.start);
    container.stage = Stage::Creating {
        until: after(after(now, pull.unwrap_or_default()), start),
    };
}

impl Container {
    /// Until when to wait after an end, and the length of that wait. The first restart waits for nothing, nor does one after a
    /// run of twice the longest wait.
    fn wait(&self, finished: Timestamp) -> Option<(Timestamp, i64)> {
        let (wait, since) = self.backoff?;
        let fresh = finished > after(since, seconds(BACKOFF_SECONDS.1.saturating_mul(2)));
        (!fresh).then(|| (after(finished, seconds(wait)), wait))
    }

    /// Remembers that it is started again, and how long the next wait will be.
    fn note_restart(&mut self, now: Timestamp) {
        let finished = self.last.as_ref().and_then(|last| last.finished).unwrap_or(now);
        let wait = match self.wait(finished) {
            Some((_, before)) => before.saturating_mul(2).min(BACKOFF_SECONDS.1),
            None => BACKOFF_SECONDS.0,
        };
        self.backoff = Some((wait, now));
    }
}
