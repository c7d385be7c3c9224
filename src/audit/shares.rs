//! The ledger: what a write of a `ContainerInstance` gives, and what it takes away. (I1, I3, and I5's shares)

use std::collections::BTreeSet;

use super::facts::{effective, holds, shown};
use super::world::{Change, Moved, World};
use super::{Invariant, Moment, Options, Report};
use crate::api::ContainerInstance;
use crate::domain::records::{InstanceStatus, QueueEntry, Reservation};
use crate::domain::resources::Resources;
use crate::plan::world::Key;

type Amount = (&'static str, fn(&Resources) -> i64);

const AMOUNTS: [Amount; 4] = [
    ("cpu", |r| r.cpu),
    ("memory", |r| r.memory),
    ("pods", |r| r.pods),
    ("gpu", |r| r.gpu),
];

fn entries(object: Option<&ContainerInstance>) -> &[Reservation] {
    object
        .and_then(|o| o.status.as_ref())
        .map_or(&[], |s| &s.reservations)
}

fn key(entry: &Reservation) -> Key {
    Key::new(&entry.namespace, &entry.task)
}

fn dropped(moved: &Moved<ContainerInstance>) -> impl Iterator<Item = &Reservation> {
    let gone = |entry: &&Reservation| {
        !moved
            .after
            .as_deref()
            .is_some_and(|after| holds(after, &key(entry)))
    };
    entries(moved.before.as_deref()).iter().filter(gone)
}

/// Whether the task of a vanished entry still had a right to it.
fn has_right(world: &World, instance: &str, entry: &Reservation) -> bool {
    world.tasks.get(&key(entry)).is_some_and(|task| {
        let same = entry.uid.as_ref().is_none_or(|uid| *uid == task.uid);
        task.alive && same && task.is_on(instance)
    })
}

/// Remembers shares that running tasks lost and have not got back.
pub(super) fn note(world: &mut World, change: &Change) {
    let Change::Instance(moved) = change else { return };
    let instance = &moved.key.name;
    let lost: Vec<Key> = dropped(moved)
        .filter(|e| has_right(world, instance, e))
        .map(key)
        .collect();
    world
        .wiped
        .extend(lost.into_iter().map(|task| (instance.clone(), task)));
    for entry in entries(moved.after.as_deref()) {
        world.wiped.remove(&(instance.clone(), key(entry)));
    }
}

/// Judges one write of an instance.
pub(super) fn judge(
    world: &World,
    moved: &Moved<ContainerInstance>,
    moment: Moment,
    options: Options,
    report: &mut Report,
) {
    let object = format!("ContainerInstance {}", moved.key.name);
    let mut say = |invariant, sentence| report.add(invariant, moment.version, object.clone(), sentence);
    if !options.expect_wipe {
        for sentence in dropped(moved).filter_map(|entry| loss(world, &moved.key.name, entry)) {
            say(Invariant::I5, sentence);
        }
    }
    let Some(after) = moved.after.as_deref() else {
        return;
    };
    let is_new = |entry: &&Reservation| {
        !moved
            .before
            .as_deref()
            .is_some_and(|before| holds(before, &key(entry)))
    };
    let (restored, added): (Vec<_>, Vec<_>) = entries(Some(after))
        .iter()
        .filter(is_new)
        .partition(|entry| entry.restored);
    for entry in restored {
        let ran = entry
            .uid
            .as_ref()
            .is_some_and(|uid| world.pods_of.contains_key(uid));
        if !ran {
            let task = shown(&key(entry));
            say(
                Invariant::I1,
                format!("the share of {task} is marked restored, and no Pod of it was ever seen"),
            );
        }
    }
    let queued = newly_queued(moved.before.as_deref(), after);
    report.figures.queued = report.figures.queued.saturating_add(queued);
    let mut say = |invariant, sentence| report.add(invariant, moment.version, object.clone(), sentence);
    for task in in_both(after) {
        let sentence = format!("{task} has a share and stands in the queue: what waits takes no room");
        say(Invariant::I1, sentence);
    }
    if added.is_empty() {
        return;
    }
    let names: Vec<String> = added.iter().map(|entry| shown(&key(entry))).collect();
    let names = names.join(", ");
    for (object, when) in [(moved.before.as_deref(), "before"), (Some(after), "in")] {
        let status = object.map_or(InstanceStatus::Active, effective);
        // a new instance may get its daemons' shares with the very write that makes it ACTIVE (record 0009)
        let joins = when == "before" && status == InstanceStatus::Registering;
        if status != InstanceStatus::Active && !joins {
            let status = format!("{status:?}").to_uppercase();
            say(
                Invariant::I3,
                format!("a share was added for {names}; {when} that write the instance was {status}"),
            );
            break;
        }
    }
    let lacks = lacks(after, &added);
    if !lacks.is_empty() {
        say(
            Invariant::I1,
            format!("a share was added for {names} without room: {}", lacks.join("; ")),
        );
    }
    let count = u64::try_from(added.len()).unwrap_or(u64::MAX);
    report.figures.reservations = report.figures.reservations.saturating_add(count);
}

/// Entries of a queue that a write added.
fn newly_queued(before: Option<&ContainerInstance>, after: &ContainerInstance) -> u64 {
    fn queue(object: &ContainerInstance) -> impl Iterator<Item = &QueueEntry> {
        object.status.iter().flat_map(|s| &s.queue)
    }
    let known = |entry: &&QueueEntry| before.is_some_and(|before| queue(before).any(|known| known == *entry));
    u64::try_from(queue(after).filter(|entry| !known(entry)).count()).unwrap_or(u64::MAX)
}

/// Tasks of which an instance holds a share and that wait for one there too. (OPT-1)
fn in_both(object: &ContainerInstance) -> Vec<String> {
    let queue = object.status.iter().flat_map(|s| &s.queue);
    let tasks = queue.map(|entry| Key::new(&entry.namespace, &entry.task));
    tasks
        .filter(|task| holds(object, task))
        .map(|task| shown(&task))
        .collect()
}

/// Why an entry should not have gone, if so.
fn loss(world: &World, instance: &str, entry: &Reservation) -> Option<String> {
    let task = shown(&key(entry));
    if has_right(world, instance, entry) {
        return Some(format!(
            "the share of {task} vanished, and its Task is not STOPPED"
        ));
    }
    if world.tasks.contains_key(&key(entry)) {
        return None;
    }
    // without a Task, a late create may still come (F1); only a namespace that is going hinders it
    let service = entry.service.as_ref().and_then(|s| world.service(&s.uid));
    let going = service.is_none_or(|s| s.metadata.deletion_timestamp.is_some());
    (!going).then(|| format!("the share of {task} was given up, and neither its Task nor a tombstone exists"))
}

/// What there is not enough of, counting only what the new entries ask for.
fn lacks(after: &ContainerInstance, added: &[&Reservation]) -> Vec<String> {
    let Some(status) = &after.status else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, amount) in AMOUNTS {
        let sum = |parts: &mut dyn Iterator<Item = &Resources>| {
            parts.fold(0i128, |total, part| {
                total.saturating_add(i128::from(amount(part)))
            })
        };
        let asked = sum(&mut added.iter().map(|e| &e.amounts));
        let reserved = sum(&mut status.reservations.iter().map(|e| &e.amounts));
        let taken = reserved.saturating_add(i128::from(amount(&status.foreign)));
        let registered = i128::from(amount(&status.registered_resources));
        if asked > 0 && taken > registered {
            found.push(format!("{taken} of {registered} {name} are taken"));
        }
    }
    let tcp: fn(&Resources) -> &BTreeSet<u16> = |r| &r.ports;
    let udp: fn(&Resources) -> &BTreeSet<u16> = |r| &r.ports_udp;
    for (protocol, ports) in [("TCP", tcp), ("UDP", udp)] {
        for entry in added {
            let others = status
                .reservations
                .iter()
                .filter(|other| key(other) != key(entry))
                .map(|e| &e.amounts);
            let others = others.chain([&status.foreign, &status.registered_resources]);
            let taken: BTreeSet<u16> = others.flat_map(|r| ports(r).iter().copied()).collect();
            for port in ports(&entry.amounts).intersection(&taken) {
                found.push(format!("{protocol} port {port} is taken"));
            }
        }
    }
    found
}
