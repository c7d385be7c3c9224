//! Containers are told to stop, in their order, and killed when their time is up.

use jiff::{SignedDuration, Timestamp};

use super::{Cause, Container, Facts, Life, Look, Role, Stage, Stopping, after, containers, seconds};
use crate::simulated::behaviour::Behaviour;
use crate::simulated::wire::Container as ContainerSpec;

/// Seconds that a container has between SIGTERM and SIGKILL, however little is left.
const LEAST_SECONDS: i64 = 2;

/// The time and code of the exit of a container that was told to end, given when it is told and when it is killed.
pub(crate) fn exit(
    behaviour: &Behaviour,
    (told, killed): (Timestamp, Timestamp),
    pace: SignedDuration,
) -> (Timestamp, i32) {
    let stop = behaviour.stop;
    let own = stop.map_or(Some(pace), |stop| stop.after);
    match own.map(|own| after(told, own)).filter(|due| *due <= killed) {
        Some(due) => (due, stop.map_or(0, |stop| stop.code)),
        None => (killed, 137),
    }
}

impl Container {
    /// Tells it to end: first its hook, then SIGTERM, and SIGKILL at the deadline.
    pub(crate) fn begin_stop(
        &mut self,
        spec: &ContainerSpec,
        behaviour: &Behaviour,
        now: Timestamp,
        deadline: Timestamp,
    ) {
        let Stage::Running(running) = &mut self.stage else {
            return;
        };
        let hook = spec
            .lifecycle
            .pre_stop
            .as_ref()
            .map(|hook| behaviour.pre_stop.unwrap_or_else(|| seconds(hook.sleep.seconds)));
        let told = after(now, hook.unwrap_or_default()).min(deadline.max(now));
        let killed = deadline.max(after(told, seconds(LEAST_SECONDS)));
        // a second, shorter order brings forward what the first one set
        let (told, killed) = running
            .stop
            .map_or((told, killed), |old| (told.min(old.0), killed.min(old.1)));
        running.stop = Some((told, killed));
    }
}

impl Life {
    /// Brings the Pod to its end, with this much grace.
    pub(crate) fn begin_stop(&mut self, cause: Cause, grace: i64, now: Timestamp) {
        self.stopping = Some(Stopping {
            cause,
            since: now,
            deadline: after(now, seconds(grace)),
        });
    }

    /// Whether the Pod is to end, or sooner than it was.
    pub(crate) fn asked_to_stop(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        if let Some(limit) = facts.spec.active_deadline_seconds
            && self.stopping.is_none()
            && look.reached(after(self.begun, seconds(limit)))
        {
            self.begin_stop(
                Cause::Deadline,
                facts.spec.termination_grace_period_seconds.unwrap_or(30),
                look.now,
            );
            return true;
        }
        let Some(grace) = facts.deletion else { return false };
        match &mut self.stopping {
            None => {
                self.begin_stop(Cause::Deleted, grace, look.now);
                true
            }
            Some(stopping) => {
                let deadline = after(stopping.since, seconds(grace)).max(look.now);
                let shorter = deadline < stopping.deadline;
                if shorter {
                    stopping.deadline = deadline;
                    for container in &mut self.containers {
                        if let Stage::Running(running) = &mut container.stage
                            && let Some((told, killed)) = running.stop
                        {
                            let told = told.min(deadline);
                            let least = after(told.max(look.now), seconds(LEAST_SECONDS));
                            running.stop = Some((told, killed.min(deadline.max(least))));
                        }
                    }
                }
                shorter
            }
        }
    }

    /// Tells those to end whose turn it is: main and init containers at once, sidecars last and in reverse order.
    pub(crate) fn stop(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        let Some(stopping) = self.stopping else {
            return false;
        };
        let mut changed = false;
        let mut later_run = false;
        let all: Vec<_> = containers(facts.spec).collect();
        for (index, (role, spec)) in all.into_iter().enumerate().rev() {
            let Some(container) = self.containers.get_mut(index) else {
                continue;
            };
            let Some(behaviour) = facts.behaviours.get(index) else {
                continue;
            };
            if let Stage::Running(running) = &container.stage
                && running.stop.is_none()
                && (role != Role::Sidecar || !later_run)
            {
                container.begin_stop(spec, behaviour, look.now, stopping.deadline);
                changed = true;
            }
            later_run |= container.is_running();
        }
        changed
    }
}
