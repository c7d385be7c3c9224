//! When room frees up on an instance: its stopping tasks, each with the time by which it is expected to be STOPPED.
//!
//! An estimate, for convenience: nothing is promised by it, and no share is given because of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::world::{Instance, Key, Task, World};
use crate::domain::records::{DesiredStatus, QueueEntry, Reservation};
use crate::domain::resources::Resources;

/// Seconds that a task may take to stop whose definition is gone. (STOP-3)
const STOP_SECONDS: i64 = 30;
/// A task that should have stopped before now is expected to take as long again as it is late, and at least this long.
const LATE: SignedDuration = SignedDuration::from_secs(5);
/// Stops of the same definition that are learned from: the newest ones.
const LEARNED_MAX: usize = 5;

/// A stopping task, and when its share is expected to be free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The task.
    pub task: Key,
    /// When it is expected to be STOPPED.
    pub at: Timestamp,
    /// What it gives back.
    pub amounts: Resources,
}

/// What an instance has left now, and what it will have.
#[derive(Clone, Debug)]
pub struct Timeline<'a> {
    instance: &'a Instance,
    now: Timestamp,
    /// What is kept for daemons. (DAEMON-26)
    withheld: Resources,
    /// By time, then by task.
    departures: Vec<Departure>,
}

impl<'a> Timeline<'a> {
    /// The timeline of an instance, of whose room this is withheld for daemons.
    #[must_use]
    pub fn of(world: &World, instance: &'a Instance, withheld: Resources) -> Self {
        let departure = |(entry, task): (&Reservation, &Arc<Task>)| Departure {
            task: task.key.clone(),
            at: expected_end(world, task),
            amounts: entry.amounts.clone(),
        };
        let mut departures: Vec<_> = stopping_on(world, instance).map(departure).collect();
        departures.sort_by(|a, b| (a.at, &a.task).cmp(&(b.at, &b.task)));
        Self {
            instance,
            now: world.now,
            withheld,
            departures,
        }
    }

    /// The stopping tasks, the first to end first.
    #[must_use]
    pub fn departures(&self) -> &[Departure] {
        &self.departures
    }

    /// What is left for tasks that are no daemons after the first `ended` departures. Ports are those taken.
    #[must_use]
    pub fn room_after(&self, ended: usize) -> Resources {
        let gone: BTreeSet<&Key> = self.departures.iter().take(ended).map(|d| &d.task).collect();
        let stays = |r: &&Reservation| !gone.contains(&Key::new(&r.namespace, &r.task));
        let reserved = Resources::sum(
            self.instance
                .reservations
                .iter()
                .filter(stays)
                .map(|r| &r.amounts),
        );
        let offered = self.instance.registered.remaining(&self.instance.foreign);
        offered.remaining(&self.withheld).remaining(&reserved)
    }

    /// What is left when all departures have ended and all that waits has started: what may be queued yet. (OPT-1)
    #[must_use]
    pub fn unpromised(&self) -> Resources {
        let queued = Resources::sum(self.instance.queue.iter().map(|entry| &entry.amounts));
        self.room_after(self.departures.len()).remaining(&queued)
    }

    /// When a task of this demand is expected to start that is queued behind the first `ahead` entries, and how many
    /// departures that takes; `None`: not because of these departures. Nobody waits for those ahead that don't fit.
    #[must_use]
    pub fn earliest(&self, ahead: usize, demand: &Resources) -> Option<(Timestamp, usize)> {
        let mut waiting: Vec<&QueueEntry> = self.instance.queue.iter().take(ahead).collect();
        let mut started = Resources::default();
        for ended in 0..=self.departures.len() {
            let room = self.room_after(ended);
            waiting.retain(|entry| {
                let fits = room.remaining(&started).lack_for(&entry.amounts).is_none();
                if fits {
                    started.add(&entry.amounts);
                }
                !fits
            });
            if room.remaining(&started).lack_for(demand).is_none() {
                let before = ended.checked_sub(1).and_then(|last| self.departures.get(last));
                return Some((before.map_or(self.now, |departure| departure.at), ended));
            }
        }
        None
    }
}

/// The shares on an instance whose tasks are told to stop and have not ended.
pub(super) fn stopping_on<'w>(
    world: &'w World,
    instance: &'w Instance,
) -> impl Iterator<Item = (&'w Reservation, &'w Arc<Task>)> {
    instance.reservations.iter().filter_map(|entry| {
        let task = world.task(&Key::new(&entry.namespace, &entry.task))?;
        let stops = task.desired == DesiredStatus::Stopped && task.alive() && entry.admits(&task.uid);
        stops.then_some((entry, task))
    })
}

/// When a stopping task is expected to be STOPPED: as soon as others of its service and definition were, if they were
/// sooner than it must be; then by the end of its stopTimeouts; what is late is expected to be later and later. (STOP-4)
fn expected_end(world: &World, task: &Task) -> Timestamp {
    let since = task.stopping_at.unwrap_or(world.now);
    let definition = world.definition_in_use(&task.key.namespace, &task.definition);
    let allowed = SignedDuration::from_secs(definition.map_or(STOP_SECONDS, |d| d.stop_seconds));
    let usual = usual_stop(world, task).filter(|usual| *usual < allowed);
    let after = |taking: SignedDuration| since.checked_add(taking).unwrap_or(Timestamp::MAX);
    let in_time = usual.into_iter().chain([allowed]).map(after);
    in_time.filter(|at| *at >= world.now).min().unwrap_or_else(|| {
        let late = world.now.duration_since(after(allowed)).max(LATE);
        world.now.checked_add(late).unwrap_or(Timestamp::MAX)
    })
}

/// The longest that one of the newest stops took of tasks that ran for the same service with the same definition.
fn usual_stop(world: &World, task: &Task) -> Option<SignedDuration> {
    let service = &task.service.as_ref()?.uid;
    let took = |other: &Arc<Task>| {
        other.started_at?;
        let (began, ended) = (other.stopping_at?, other.stopped_at?);
        Some((ended, ended.duration_since(began)))
    };
    let same = world
        .tasks_of(service)
        .filter(|other| !other.alive() && other.definition == task.definition);
    let mut stops: Vec<_> = same.filter_map(took).collect();
    stops.sort_by(|a, b| b.cmp(a));
    stops.into_iter().take(LEARNED_MAX).map(|(_, took)| took).max()
}
