//! Probes, worked out instead of run: what fails is known beforehand, so the moments at which a kubelet would come to a
//! verdict are too.

use jiff::Timestamp;

use super::{Container, Facts, Life, Look, Running, Stage, after, containers, seconds};
use crate::simulated::behaviour::{Behaviour, ProbeKind};
use crate::simulated::wire::{Container as ContainerSpec, Probe};

/// Times in which a probe fails.
fn windows(
    behaviour: &Behaviour,
    kind: ProbeKind,
    since: Timestamp,
    told: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let failing = behaviour.failing.iter().filter(|failing| failing.probe == kind);
    let mut found: Vec<_> = failing
        .map(|failing| {
            let from = failing.after.map_or(told, |wait| after(since, wait).max(told));
            (
                from,
                failing.lasts.map_or(Timestamp::MAX, |lasts| after(from, lasts)),
            )
        })
        .collect();
    found.sort_unstable();
    found
}

/// Which probe is the first at or after a moment.
fn first_from(moment: Timestamp, base: Timestamp, period: i64) -> i64 {
    let passed = moment.duration_since(base).as_millis();
    let period = i128::from(period.max(1)).saturating_mul(1_000);
    let whole = passed.max(0).checked_div(period).unwrap_or(0);
    let inexact = passed.max(0).checked_rem(period).is_some_and(|rest| rest > 0);
    i64::try_from(whole.saturating_add(i128::from(inexact))).unwrap_or(i64::MAX)
}

/// The moments at which enough probes in a row said the same, and what they said. The first probe is at `base`.
fn verdicts(probe: &Probe, failing: &[(Timestamp, Timestamp)], base: Timestamp) -> Vec<(Timestamp, bool)> {
    let period = probe.period_seconds.max(1);
    let mut found = Vec::new();
    // probes of one kind: from the n-th up to the m-th
    let mut run = |from: i64, to: i64, good: bool| {
        let needed = if good {
            probe.success_threshold
        } else {
            probe.failure_threshold
        }
        .max(1);
        let last = from.saturating_add(needed).saturating_sub(1);
        if last < to {
            found.push((after(base, seconds(period.saturating_mul(last))), good));
        }
    };
    let mut at = 0;
    for (from, until) in failing {
        let from = first_from(*from, base, period).max(at);
        let until = if *until == Timestamp::MAX {
            i64::MAX
        } else {
            first_from(*until, base, period)
        }
        .max(from);
        if from > at {
            run(at, from, true);
        }
        if until > from {
            run(from, until, false);
        }
        at = until;
    }
    if at < i64::MAX {
        run(at, i64::MAX, true);
    }
    found
}

/// The newest verdict by now; the next one is noted.
fn newest(verdicts: &[(Timestamp, bool)], look: &mut Look) -> Option<bool> {
    verdicts
        .iter()
        .take_while(|(at, _)| look.reached(*at))
        .last()
        .map(|(_, good)| *good)
}

impl Running {
    /// When it was taken as started: at once, or when its startup probe said so; and when that probe gave it up.
    fn started(
        &self,
        spec: &ContainerSpec,
        behaviour: &Behaviour,
        told: Timestamp,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some(probe) = &spec.startup_probe else {
            return (Some(self.since), None);
        };
        let failing = windows(behaviour, ProbeKind::Startup, self.since, told);
        let base = after(self.since, seconds(probe.initial_delay_seconds));
        match verdicts(probe, &failing, base).first() {
            Some((at, true)) => (Some(*at), None),
            Some((at, false)) => (None, Some(*at)),
            None => (None, None),
        }
    }

    fn verdicts(
        &self,
        kind: ProbeKind,
        probe: &Probe,
        behaviour: &Behaviour,
        told: Timestamp,
        started: Timestamp,
    ) -> Vec<(Timestamp, bool)> {
        let failing = windows(behaviour, kind, self.since, told);
        let base = after(self.since, seconds(probe.initial_delay_seconds)).max(started);
        verdicts(probe, &failing, base)
    }
}

impl Container {
    /// Whether it runs and is taken as started.
    pub(crate) fn is_started(
        &self,
        spec: &ContainerSpec,
        behaviour: &Behaviour,
        facts: &Facts<'_>,
        look: &mut Look,
    ) -> bool {
        let Stage::Running(running) = &self.stage else {
            return false;
        };
        running
            .started(spec, behaviour, facts.told)
            .0
            .is_some_and(|at| look.reached(at))
    }

    fn is_ready(
        &self,
        spec: &ContainerSpec,
        behaviour: &Behaviour,
        facts: &Facts<'_>,
        look: &mut Look,
    ) -> bool {
        let Stage::Running(running) = &self.stage else {
            return false;
        };
        let started = running.started(spec, behaviour, facts.told).0;
        let Some(started) = started.filter(|at| look.reached(*at)) else {
            return false;
        };
        spec.readiness_probe.as_ref().is_none_or(|probe| {
            let verdicts = running.verdicts(ProbeKind::Readiness, probe, behaviour, facts.told, started);
            newest(&verdicts, look).unwrap_or(false)
        })
    }

    /// The probe by which it is to be killed by now.
    fn is_given_up<'a>(
        &self,
        spec: &'a ContainerSpec,
        behaviour: &Behaviour,
        facts: &Facts<'_>,
        look: &mut Look,
    ) -> Option<&'a Probe> {
        let Stage::Running(running) = &self.stage else {
            return None;
        };
        let (started, gave_up) = running.started(spec, behaviour, facts.told);
        if gave_up.is_some_and(|at| look.reached(at)) {
            return spec.startup_probe.as_ref();
        }
        let started = started.filter(|at| look.reached(*at))?;
        let probe = spec.liveness_probe.as_ref()?;
        let verdicts = running.verdicts(ProbeKind::Liveness, probe, behaviour, facts.told, started);
        let failed = verdicts.iter().find(|(_, good)| !good);
        failed.is_some_and(|(at, _)| look.reached(*at)).then_some(probe)
    }
}

impl Life {
    /// Kills what a liveness or startup probe gave up, and notes when a readiness probe changes its mind.
    pub(crate) fn probed(&mut self, facts: &Facts<'_>, look: &mut Look) -> bool {
        let mut changed = false;
        let all = self
            .containers
            .iter_mut()
            .zip(containers(facts.spec))
            .zip(facts.behaviours);
        for ((container, (_, spec)), behaviour) in all {
            container.is_ready(spec, behaviour, facts, look);
            let is_told = matches!(&container.stage, Stage::Running(running) if running.stop.is_some());
            if self.stopping.is_some() || is_told {
                continue;
            }
            if let Some(probe) = container.is_given_up(spec, behaviour, facts, look) {
                let grace = probe.termination_grace_period_seconds;
                let grace = grace
                    .or(facts.spec.termination_grace_period_seconds)
                    .unwrap_or(30);
                container.begin_stop(spec, behaviour, look.now, after(look.now, seconds(grace)));
                changed = true;
            }
        }
        changed
    }

    /// Whether each container is started and ready now.
    pub(crate) fn health(&self, facts: &Facts<'_>, now: Timestamp) -> Vec<(bool, bool)> {
        let mut look = Look { now, next: None };
        let all = self
            .containers
            .iter()
            .zip(containers(facts.spec))
            .zip(facts.behaviours);
        all.map(|((container, (_, spec)), behaviour)| {
            (
                container.is_started(spec, behaviour, facts, &mut look),
                container.is_ready(spec, behaviour, facts, &mut look),
            )
        })
        .collect()
    }
}
