//! A service being deleted: all its tasks stop, ids given out are cancelled. (SVC-3, SVC-6)

use super::members::members;
use super::world::{Service, World};
use super::{STOPS_MAX, ServicePlan, deployment, drain};
use crate::domain::records::{InstanceStatus, SchedulingStrategy};

/// Plans the end of a service. Protection does not hold anything; on DRAINING instances daemons still stop last (I4).
pub(super) fn plan(world: &World, service: &Service) -> ServicePlan {
    let members = members(world, service);
    let mut plan = deployment::begin(world, service, &members);
    let held = |instance: Option<&str>| {
        service.strategy == SchedulingStrategy::Daemon
            && instance
                .and_then(|name| world.instances.get(name))
                .is_some_and(|i| i.status == InstanceStatus::Draining && !drain::only_daemons_left(world, i))
    };
    plan.stop = members
        .iter()
        .filter(|m| m.live() && !held(m.instance))
        .map(super::members::Member::scale_in)
        .take(STOPS_MAX)
        .collect();
    deployment::finish(world, service, &mut plan, &members, false);
    plan
}
