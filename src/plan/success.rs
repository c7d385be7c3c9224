//! When a deployment is COMPLETED: everything has arrived, or what its service calls enough, and it stayed so for its bake
//! time. (ROLL-8, ROLL-9)

use jiff::{SignedDuration, Timestamp};

use super::ServicePlan;
use super::members::{Member, count};
use super::world::{Service, World};
use crate::domain::deployment::Deployment;
use crate::domain::rollout::Standing;

/// Where a deployment in progress is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not enough is there.
    Open,
    /// Enough is there; it must stay so until then.
    Baking(Timestamp),
    /// Enough was there for long enough.
    Succeeded,
}

/// How far the PRIMARY is; `arrived`: all of it is there, and nothing else.
pub(super) fn progress(
    world: &World,
    service: &Service,
    plan: &ServicePlan,
    members: &[Member<'_>],
    arrived: bool,
) -> Progress {
    let Some(primary) = plan.deployments.first() else {
        return Progress::Open;
    };
    if !arrived && !enough(service, plan, primary, members) {
        return Progress::Open;
    }
    let bake = SignedDuration::from_mins(i64::from(service.success.bake_minutes));
    let since = primary.baking_since.as_ref().and_then(|at| at.parse().ok());
    let until = since.unwrap_or(world.now).checked_add(bake);
    match until.unwrap_or(world.now) {
        until if until > world.now => Progress::Baking(until),
        _ => Progress::Succeeded,
    }
}

/// Whether the share of the PRIMARY that the service calls enough is healthy. (ROLL-9)
fn enough(service: &Service, plan: &ServicePlan, primary: &Deployment, members: &[Member<'_>]) -> bool {
    let Some(early) = service.success.early.filter(|_| plan.stalled.is_none()) else {
        return false;
    };
    let stops = |m: &Member<'_>| plan.stop.iter().any(|stop| stop.task == m.key);
    let staying = |m: &&Member<'_>| m.live() && !stops(m);
    let of_primary = |m: &&Member<'_>| m.deployment == primary.id;
    let healthy = members.iter().filter(staying).filter(of_primary);
    let healthy = count(healthy.filter(|m| m.standing == Standing::Healthy));
    let older = members.iter().any(|m| m.wanted && m.deployment != primary.id);
    healthy >= early.enough(plan.desired_count) && !(early.blocking && older)
}
