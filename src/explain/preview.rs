//! A rehearsal, told service by service and instance by instance.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::Picture;
use super::instance::{Drain, drain};
use super::rehearsal::{Outcome, Rest, Step, What, rehearse, waiting};
use super::service::{self, InstanceVerdict};
use super::task;
use crate::domain::records::{InstanceStatus, SchedulingStrategy};
use crate::plan::world::{Key, World};

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The moment it begins at.
    pub as_of: Timestamp,
    /// Seconds until nothing more is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_rest_after_seconds: Option<i64>,
    /// Why no rest is in sight, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_at_rest: Option<String>,
    /// Passes over all services that it took.
    pub passes: u32,
    /// Services to which something happens, that are asked about, or that have tasks without a place.
    pub services: Vec<ServicePreview>,
    /// Run-once tasks that wait for a place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run_once: Vec<RunOncePreview>,
    /// Services that stay as they are.
    pub unchanged: usize,
    /// Instances that are added, and those that drain.
    pub instances: Vec<InstancePreview>,
    /// What the snapshot lacks, and what is left out.
    pub notes: Vec<String>,
}

/// What would happen to a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePreview {
    /// `NAMESPACE/NAME`.
    pub service: String,
    /// REPLICA or DAEMON.
    pub scheduling_strategy: SchedulingStrategy,
    /// In order.
    pub steps: Vec<StepLine>,
    /// Tasks wanted at the end.
    pub desired: u32,
    /// Tasks that run at the end, by instance.
    pub tasks: BTreeMap<String, usize>,
    /// Tasks that have no place at the end.
    pub without_place: usize,
    /// Whether a task finds no place, be it one that is missing or one that is to replace another.
    pub finds_no_place: bool,
    /// What its planner says at the end.
    pub says: Vec<String>,
    /// If tasks have no place: what the next would meet on each instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<InstanceVerdict>,
}

/// What would happen to a run-once task that waits for a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOncePreview {
    /// `NAMESPACE/NAME`.
    pub task: String,
    /// When it starts, if it gets a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<StepLine>,
    /// If it gets none: what it would meet on each instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<InstanceVerdict>,
    /// If it gets none: what its planner says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

/// Something that would happen to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepLine {
    /// When.
    pub after_seconds: i64,
    /// What.
    pub what: StepKind,
    /// `NAMESPACE/ID`; made up if it is not there yet.
    pub task: String,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Why it is told to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it has ended at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_after_seconds: Option<i64>,
}

/// What happens to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepKind {
    /// It starts.
    Starts,
    /// It is told to stop.
    ToldToStop,
    /// It has ended, at the latest.
    Ended,
}

/// What would happen on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstancePreview {
    /// Its name.
    pub instance: String,
    /// Whether it is made up.
    pub added: bool,
    /// Its status.
    pub status: InstanceStatus,
    /// In order.
    pub steps: Vec<StepLine>,
    /// Seconds until a DRAINING instance is empty, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_after_seconds: Option<i64>,
    /// What a DRAINING instance waits for at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Drain>,
}

impl Preview {
    /// Whether every task has a place, those that run once included, nothing is stalled, every drain ends, and there is a rest.
    #[must_use]
    pub fn works_out(&self) -> bool {
        let placed = self.services.iter().all(|s| !s.finds_no_place);
        let placed = placed && self.run_once.iter().all(|task| task.starts.is_some());
        let drained = self
            .instances
            .iter()
            .all(|i| i.left.as_ref().is_none_or(|left| left.done));
        placed && drained && self.not_at_rest.is_none()
    }
}

/// What is asked about.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Services that the manifests have.
    pub services: BTreeSet<Key>,
    /// Instances that are added.
    pub added: BTreeSet<String>,
}

/// Tells what would happen.
#[must_use]
pub fn preview(picture: &Picture, asked: &Asked) -> Preview {
    let begin = picture.world.now;
    let outcome = rehearse(picture);
    let after = Picture {
        world: outcome.world.clone(),
        ..picture.clone()
    };
    let all = outcome.world.services.keys();
    let told: Vec<ServicePreview> = all
        .filter_map(|key| of_service(&after, &outcome, begin, key, asked))
        .collect();
    let last = outcome.steps.last().map_or(begin, |step| step.at);
    Preview {
        as_of: begin,
        at_rest_after_seconds: (outcome.rest != Rest::NotReached).then(|| seconds(begin, last)),
        not_at_rest: (outcome.rest == Rest::NotReached).then(|| {
            format!(
                "no rest after {} passes, {} s ahead: something is started and stopped again and again, see the last steps",
                outcome.passes,
                seconds(begin, outcome.world.now)
            )
        }),
        passes: outcome.passes,
        unchanged: outcome.world.services.len().saturating_sub(told.len()),
        services: told,
        run_once: of_run_once(&picture.world, &after, &outcome),
        instances: of_instances(&outcome, begin, asked),
        notes: notes(picture, &outcome),
    }
}

fn notes(picture: &Picture, outcome: &Outcome) -> Vec<String> {
    let mut notes = picture.notes.clone();
    if let Rest::Until(then) = outcome.rest {
        notes.push(format!(
            "the next that is due is at {then}: what follows from it is left out"
        ));
    }
    notes
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

fn line(step: &Step, begin: Timestamp) -> StepLine {
    let (what, reason, by) = match &step.what {
        What::Starts => (StepKind::Starts, None, None),
        What::Ended => (StepKind::Ended, None, None),
        What::ToldToStop { reason, by } => (StepKind::ToldToStop, Some(reason.clone()), *by),
    };
    StepLine {
        after_seconds: seconds(begin, step.at),
        what,
        task: step.task.to_string(),
        service: step.service.as_ref().map(ToString::to_string),
        instance: step.instance.clone(),
        reason,
        ended_after_seconds: by.map(|by| seconds(begin, by)),
    }
}

fn of_service(
    after: &Picture,
    outcome: &Outcome,
    begin: Timestamp,
    key: &Key,
    asked: &Asked,
) -> Option<ServicePreview> {
    let world = &after.world;
    let service = world.services.get(key)?;
    let mine = outcome.steps.iter().filter(|s| s.service.as_ref() == Some(key));
    let steps: Vec<StepLine> = mine.map(|step| line(step, begin)).collect();
    let explained = service::explain(after, key)?;
    let waits = explained.finds_no_place || explained.waiting > 0;
    if steps.is_empty() && !waits && !asked.services.contains(key) {
        return None;
    }
    let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
    for task in world.tasks_of(&service.uid).filter(|t| t.wanted()) {
        if let Some(instance) = &task.instance {
            let count = tasks.entry(instance.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }
    Some(ServicePreview {
        service: explained.service,
        scheduling_strategy: explained.scheduling_strategy,
        steps,
        desired: explained.desired,
        tasks,
        without_place: explained.waiting,
        finds_no_place: waits,
        says: explained.says,
        verdicts: if waits { explained.instances } else { Vec::new() },
    })
}

fn of_run_once(before: &World, after: &Picture, outcome: &Outcome) -> Vec<RunOncePreview> {
    let told = |key: Key| {
        let starts = outcome
            .steps
            .iter()
            .find(|s| s.task == key && s.what == What::Starts);
        let explained = task::explain(after, &key).filter(|_| starts.is_none());
        let (verdicts, says) =
            explained.map_or_else(Default::default, |found| (found.instances, found.waits_for));
        RunOncePreview {
            task: key.to_string(),
            starts: starts.map(|step| line(step, before.now)),
            verdicts,
            says,
        }
    };
    waiting(before).into_iter().map(told).collect()
}

fn of_instances(outcome: &Outcome, begin: Timestamp, asked: &Asked) -> Vec<InstancePreview> {
    let world: &World = &outcome.world;
    let shown = world
        .instances
        .values()
        .filter(|i| asked.added.contains(&i.name) || i.status == InstanceStatus::Draining);
    shown
        .map(|instance| {
            let here = outcome
                .steps
                .iter()
                .filter(|s| s.instance.as_ref() == Some(&instance.name));
            let steps: Vec<StepLine> = here.map(|step| line(step, begin)).collect();
            let draining = instance.status == InstanceStatus::Draining;
            let left = draining.then(|| drain(world, instance));
            let done = left.as_ref().is_some_and(|left| left.done);
            InstancePreview {
                instance: instance.name.clone(),
                added: asked.added.contains(&instance.name),
                status: instance.status,
                empty_after_seconds: done.then(|| steps.last().map_or(0, |step| step.after_seconds)),
                left: left.filter(|left| !left.done),
                steps,
            }
        })
        .collect()
}
