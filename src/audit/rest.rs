//! At rest nothing is left behind. (I8)

use std::collections::BTreeSet;

use super::facts::shown;
use super::world::World;
use super::{Invariant, Report};
use crate::plan::world::Key;

/// Judges the state at the end of the history.
pub(super) fn judge(world: &World, version: u64, report: &mut Report) {
    let mut say = |object: String, sentence: String| report.add(Invariant::I8, version, object, sentence);
    for (key, instance) in &world.instances {
        for entry in instance.status.iter().flat_map(|s| &s.reservations) {
            let task = Key::new(&entry.namespace, &entry.task);
            let found = world.tasks.get(&task);
            let what = match found {
                None => "does not exist",
                Some(task) if !task.alive => "is STOPPED",
                Some(task) if !task.is_on(&key.name) => "is bound elsewhere",
                Some(_) => continue,
            };
            let sentence = format!("a share is left for Task {}, which {what}", shown(&task));
            say(format!("ContainerInstance {}", key.name), sentence);
        }
    }
    let mut queued = BTreeSet::new();
    for (key, instance) in &world.instances {
        for entry in instance.status.iter().flat_map(|s| &s.queue) {
            let task = Key::new(&entry.namespace, &entry.task);
            let what = match world.tasks.get(&task) {
                None => "does not exist",
                Some(task) if !task.alive => "is STOPPED",
                Some(task) if task.uid != entry.uid => "is another of that name",
                Some(task) if task.instance.is_some() => "is bound",
                Some(_) if !queued.insert(task.clone()) => "stands in another queue too",
                Some(_) => continue,
            };
            let sentence = format!("Task {} waits in its queue, which {what}", shown(&task));
            say(format!("ContainerInstance {}", key.name), sentence);
        }
    }
    for (key, task) in world.tasks.iter().filter(|(_, task)| task.alive) {
        let Some(instance) = &task.instance else { continue };
        if !world.reserved(instance, key) {
            let sentence = format!("it is not STOPPED, and the ledger of {instance} holds no share for it");
            say(format!("Task {}", shown(key)), sentence);
        }
    }
    for (key, service) in &world.services {
        let Some(status) = &service.status else { continue };
        let lists = [
            ("allocations", status.allocations.len()),
            ("stopping", status.stopping.len()),
        ];
        for (list, left) in lists.into_iter().filter(|(_, left)| *left > 0) {
            say(
                format!("EcsService {}", shown(key)),
                format!("{left} entries are left in status.{list}"),
            );
        }
    }
}
