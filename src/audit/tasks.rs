//! Tasks: no second daemon on an instance, no name twice, daemons leave last, protected ones are left alone. (I2, I4,
//! I7, F4)

use super::facts::{Task, effective, shown};
use super::world::{Change, Moved, World};
use super::{Invariant, Moment, Report};
use crate::api::ContainerInstance;
use crate::domain::records::{InstanceStatus, Reservation, StopCode};
use crate::plan::world::Key;

/// Begin of the reason of stops by scale-in, deployment and drain. (TASK-13)
const SCALING: &str = "Scaling activity initiated by";

/// Whether the instance a task is bound to drains.
pub(super) fn drains(world: &World, task: &Task) -> bool {
    let instance = task.instance.as_ref().and_then(|name| world.instance(name));
    instance.is_some_and(|object| effective(object) == InstanceStatus::Draining)
}

/// Remembers of every stop that is decided on whether the task's instance was DRAINING then.
pub(super) fn note(world: &mut World, change: &Change) {
    let Change::Service(moved) = change else { return };
    let Some(status) = moved.after.as_ref().and_then(|s| s.status.as_ref()) else {
        return;
    };
    let old = moved
        .before
        .as_ref()
        .and_then(|s| s.status.as_ref())
        .map_or(&[][..], |s| &s.stopping);
    for mark in status
        .stopping
        .iter()
        .filter(|mark| !old.iter().any(|o| o.id == mark.id))
    {
        let key = Key::new(&moved.key.namespace, &mark.id);
        let draining = world.tasks.get(&key).is_some_and(|task| drains(world, task));
        world.marks.insert(key, draining);
    }
}

/// Judges one write of a Task.
pub(super) fn judge(world: &World, moved: &Moved<Task>, moment: Moment, report: &mut Report) {
    let Some(after) = &moved.after else { return };
    let object = format!("Task {}", shown(&moved.key));
    let service = after.service.as_ref().filter(|_| moved.before.is_none());
    if service.is_some_and(|s| world.was_deleted(&s.uid, &moved.key)) {
        let sentence = "its service had a task of this name before: names are never used twice".to_owned();
        report.add(Invariant::I5, moment.version, object.clone(), sentence);
    }
    if let Some(other) = second_daemon(world, moved, after) {
        let sentence = format!(
            "{} of the same daemon service should run on that instance too",
            shown(other)
        );
        report.add(Invariant::I2, moment.version, object.clone(), sentence);
    }
    let told_now = moved.before.as_ref().is_some_and(|before| !before.told) && after.told;
    if !told_now || after.stop_code != Some(StopCode::ServiceSchedulerInitiated) {
        return;
    }
    report.figures.stops = report.figures.stops.saturating_add(1);
    // a decision made before the instance began to drain is carried out
    let decided_before = world.marks.get(&moved.key) == Some(&false);
    if after.is_daemon() && drains(world, after) && !decided_before {
        let name = after.instance.as_deref().unwrap_or_default();
        let held = world
            .instance(name)
            .and_then(|instance| holder(world, name, instance));
        if let Some(held) = held {
            let sentence = format!(
                "a daemon was told to stop on DRAINING {name} before {}",
                shown(&held)
            );
            report.add(Invariant::I4, moment.version, object.clone(), sentence);
        }
    }
    if let Some(until) = moved.before.as_ref().and_then(|before| before.protected_until)
        && moment.at.is_none_or(|at| until > at)
        && binds(world, after)
    {
        let sentence = format!(
            "it was told to stop ({}) while protected until {until}",
            after.stopped_reason
        );
        report.add(Invariant::I7, moment.version, object, sentence);
    }
}

/// Another task of the daemon service that should run where this one now should.
fn second_daemon<'a>(world: &'a World, moved: &Moved<Task>, after: &Task) -> Option<&'a Key> {
    let service = after.service.as_ref().filter(|s| s.daemon && after.wanted)?;
    let instance = after.instance.as_deref()?;
    if moved
        .before
        .as_ref()
        .is_some_and(|before| before.wanted && before.is_on(instance))
    {
        return None;
    }
    let same = |task: &Task| task.service.as_ref().is_some_and(|s| s.uid == service.uid);
    let mut others = world.tasks.iter().filter(|(key, _)| **key != moved.key);
    others
        .find(|(_, task)| task.wanted && task.is_on(instance) && same(task))
        .map(|(key, _)| key)
}

/// A task that holds the daemons of a DRAINING instance: one that is no daemon, was admitted there and is not STOPPED,
/// or has a share there and may still come: its Task is not there, or not bound. (DAEMON-43)
fn holder(world: &World, name: &str, instance: &ContainerInstance) -> Option<Key> {
    let runs = |key: &Key| {
        let mut here = world.pods.values().filter(|pod| pod.node == name && !pod.ended);
        here.any(|pod| pod.task.as_ref().is_some_and(|(task, _)| task == key))
    };
    let bound = world.tasks.iter().find(|(key, task)| {
        task.alive && !task.is_daemon() && task.is_on(name) && (world.reserved(name, key) || runs(key))
    });
    let coming = || {
        let entries = instance.status.iter().flat_map(|s| &s.reservations);
        let mut others = entries.filter(|e| !e.service.as_ref().is_some_and(|s| s.daemon));
        let unbound = |entry: &Reservation, task: &Task| {
            task.instance.is_none() && task.wanted && entry.admits(&task.uid)
        };
        let comes = |entry: &&Reservation| {
            let task = world.tasks.get(&Key::new(&entry.namespace, &entry.task));
            task.is_none_or(|task| unbound(entry, task))
        };
        others.find(comes).map(|e| Key::new(&e.namespace, &e.task))
    };
    bound.map(|(key, _)| key.clone()).or_else(coming)
}

/// Whether protection binds whoever stopped the task: it was scale-in, a deployment or a drain of its service, and not
/// the end of the service or a daemon's instance. (PROT-7, PROT-8, PROT-12)
fn binds(world: &World, task: &Task) -> bool {
    let service = task.service.as_ref().and_then(|s| world.service(&s.uid));
    let stays = service.is_some_and(|s| s.metadata.deletion_timestamp.is_none());
    let leaving = task.is_daemon() && drains(world, task);
    task.stopped_reason.starts_with(SCALING) && stays && !leaving
}
