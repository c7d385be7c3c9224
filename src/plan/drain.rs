//! Draining: what holds daemons on an instance.

use super::world::{Instance, Key, World};
use crate::domain::records::InstanceStatus;

/// Whether this is a DRAINING instance.
pub(super) fn draining(world: &World, instance: Option<&str>) -> bool {
    let instance = instance.and_then(|name| world.instances.get(name));
    instance.is_some_and(|i| i.status == InstanceStatus::Draining)
}

/// Whether every task on the instance but its daemons is STOPPED, and none can come any more: only then are daemons
/// told to stop on a DRAINING instance. (DAEMON-42 to DAEMON-44)
#[must_use]
pub fn only_daemons_left(world: &World, instance: &Instance) -> bool {
    let running = world
        .tasks_on(&instance.name)
        .any(|t| !t.is_daemon() && t.alive());
    // a share without a Task, or of a run-once task that nobody has bound yet
    let coming = instance
        .reservations
        .iter()
        .filter(|r| !r.service.as_ref().is_some_and(|s| s.daemon))
        .any(|r| {
            world
                .task(&Key::new(&r.namespace, &r.task))
                .is_none_or(|t| t.instance.is_none() && t.wanted() && r.admits(&t.uid))
        });
    !running && !coming
}
