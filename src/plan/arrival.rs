//! Whether the daemons of an instance have arrived there.

use super::eligibility::expected;
use super::world::{Instance, World};
use crate::domain::records::{InstanceStatus, LastStatus};

/// Whether every daemon that belongs on the instance and can fit there runs: foreign Pods may come now. An instance
/// that takes no tasks waits for none.
#[must_use]
pub fn daemons_run(world: &World, instance: &Instance) -> bool {
    let claims = world.claims(&instance.cluster);
    instance.status == InstanceStatus::Active
        && instance.connected
        && expected(world, instance, &claims)
            .iter()
            .all(|claim| runs(world, instance, &claim.uid))
}

fn runs(world: &World, instance: &Instance, service: &str) -> bool {
    world.tasks_on(&instance.name).any(|task| {
        task.wanted()
            && task.last == LastStatus::Running
            && task.service.as_ref().is_some_and(|s| s.uid == service)
    })
}
