//! A world in which nothing waits on an instance behind stopping tasks.

use crate::plan::world::{Optimistic, World};

/// The same world, but that what waits behind stopping tasks waits for room anywhere, so that it starts when they have
/// ended. (OPT-1)
#[must_use]
pub(super) fn unqueued(world: &World) -> World {
    let mut changed = world.clone();
    changed.edit_clusters(|cluster| cluster.optimistic = Optimistic::Off);
    for (name, _) in world.instances.iter().filter(|(_, i)| !i.queue.is_empty()) {
        changed.edit_instance(name, |instance| instance.queue.clear());
    }
    changed
}
