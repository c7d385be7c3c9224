//! Whether tasks are placed behind stopping ones, and what of an instance's room is promised to those that wait there.

use jiff::SignedDuration;

use super::eligibility::{check_status, withheld};
use super::timeline::stopping_on;
use super::world::{Instance, Key, World};
use crate::domain::records::QueueEntry;
use crate::domain::resources::Resources;

/// Whether the share of a stopping task counts as free for placement. (OPT-5)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimistic {
    /// Not before it is STOPPED.
    #[default]
    Off,
    /// At once, as ECS does; a task that waits behind it stays there. (OPT-1, OPT-3)
    On,
    /// If it is expected to be STOPPED within this time and nothing is sooner.
    Smart(SignedDuration),
}

/// What queued tasks need beyond what stopping tasks give back: others don't get that. So all that is queued starts at the
/// latest when everything that was stopping has ended, however much comes in between. (OPT-1)
pub(super) fn promised(world: &World, instance: &Instance) -> Resources {
    if instance.queue.is_empty() {
        return Resources::default();
    }
    let queued = Resources::sum(instance.queue.iter().map(|entry| &entry.amounts));
    let returning = Resources::sum(stopping_on(world, instance).map(|(entry, _)| &entry.amounts));
    queued.excess_over(&returning)
}

/// What becomes of an entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its task gets its share now.
    Starts,
    /// It stays.
    Waits,
    /// Its task waits here no more.
    Goes,
}

/// What becomes of each entry of the instance's queue: those go whose tasks wait no more, all of them where nothing new is
/// placed; those that fit now start, the first that came first. Nobody waits for one that does not fit. What daemons hold
/// back is theirs. (HRM-5 to HRM-7, DAEMON-26)
#[must_use]
pub fn turns(world: &World, instance: &Instance) -> Vec<Turn> {
    if instance.queue.is_empty() {
        return Vec::new();
    }
    let cluster = world.clusters.get(&instance.cluster);
    let used = cluster.is_some_and(|c| c.optimistic != Optimistic::Off && !c.deleting);
    if !used || check_status(instance).is_some() {
        return instance.queue.iter().map(|_| Turn::Goes).collect();
    }
    let mut room = instance.remaining().remaining(&withheld(world, instance));
    let mut turn = |entry: &QueueEntry| {
        let key = Key::new(&entry.namespace, &entry.task);
        let waits =
            |task: &super::world::Task| task.wanted() && task.instance.is_none() && task.uid == entry.uid;
        if !world.task(&key).is_some_and(|task| waits(task)) || instance.reservation(&key).is_some() {
            Turn::Goes
        } else if room.lack_for(&entry.amounts).is_some() {
            Turn::Waits
        } else {
            room = room.remaining(&entry.amounts);
            Turn::Starts
        }
    };
    instance.queue.iter().map(&mut turn).collect()
}
