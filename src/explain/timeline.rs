//! When room frees up on an instance, and who waits for it there. (OPT-1)

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::resources::Resources;
use crate::plan::eligibility::withheld;
use crate::plan::timeline::Timeline;
use crate::plan::world::{Instance, Key, World};

/// What is left when a stopping task has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Freed {
    /// When it is expected to have ended.
    pub about: Timestamp,
    /// `NAMESPACE/ID`.
    pub task: String,
    /// What is left then for tasks that are no daemons, if nothing is started.
    pub left: Resources,
}

/// A task that waits on the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// `NAMESPACE/ID`.
    pub task: String,
    /// What it is to take.
    pub takes: Resources,
    /// When it is expected to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Timestamp>,
}

/// The stopping tasks of an instance, and those that wait for their room.
#[must_use]
pub(super) fn of(world: &World, instance: &Instance) -> (Vec<Freed>, Vec<Waiting>) {
    let timeline = Timeline::of(world, instance, withheld(world, instance));
    let departures = timeline.departures().iter().zip(1..);
    let freed = departures.map(|(departure, ended)| Freed {
        about: departure.at,
        task: departure.task.to_string(),
        left: Resources {
            // what is read here as free would be ports that are taken
            ports: BTreeSet::new(),
            ports_udp: BTreeSet::new(),
            ..timeline.room_after(ended)
        },
    });
    let queue = instance.queue.iter().enumerate();
    let waiting = queue.map(|(ahead, entry)| Waiting {
        task: Key::new(&entry.namespace, &entry.task).to_string(),
        takes: entry.amounts.clone(),
        about: timeline.earliest(ahead, &entry.amounts).map(|(at, _)| at),
    });
    (freed.collect(), waiting.collect())
}

/// When there is room for this demand on an instance that has none now, because of its stopping tasks.
#[must_use]
pub(super) fn room_for(world: &World, instance: &str, demand: &Resources) -> Option<Timestamp> {
    let instance = world.instances.get(instance)?;
    let timeline = Timeline::of(world, instance, withheld(world, instance));
    let (at, ended) = timeline.earliest(instance.queue.len(), demand)?;
    (ended > 0).then_some(at)
}
