//! A world in which nothing waits on an instance behind stopping tasks.

use std::sync::Arc;

use crate::plan::world::{Cluster, Instance, Optimistic, World};

/// The same world, but that what waits behind stopping tasks waits for room anywhere, so that it starts when they have
/// ended. (OPT-1)
#[must_use]
pub(super) fn unqueued(world: &World) -> World {
    let mut changed = world.clone();
    for (name, cluster) in &world.clusters {
        let cluster = Cluster {
            optimistic: Optimistic::Off,
            ..Cluster::clone(cluster)
        };
        changed.clusters.insert(name.clone(), Arc::new(cluster));
    }
    for (name, instance) in world.instances.iter().filter(|(_, i)| !i.queue.is_empty()) {
        let mut instance = Instance::clone(instance);
        instance.queue.clear();
        changed.instances.insert(name.clone(), Arc::new(instance));
    }
    changed
}
