//! Tasks that are moved between zones: started where fewest are, and stopped elsewhere when they are healthy. (AZ-4, AZ-5)

use std::collections::BTreeSet;

use super::Pass;
use crate::domain::records::{Deployment, RolloutState};
use crate::domain::rollout::Standing;
use crate::plan::backoff;
use crate::plan::deployment;
use crate::plan::members::{Member, count};
use crate::plan::placement::Placer;
use crate::plan::world::{Key, World};
use crate::plan::zones::{Zones, zone_of};
use crate::plan::{STARTS_MAX, Start, texts};

impl Pass<'_> {
    /// Zones of the service's running tasks, if they are to be kept balanced. (AZ-1)
    fn zones(&self) -> Option<Zones<'_>> {
        let recipe = self.recipe.filter(|_| self.service.rebalancing)?;
        Some(Zones::new(self.world, self.service, recipe))
    }

    /// Tasks beyond the desired count that are not healthy yet and without which the zones are not balanced: others will
    /// stop for them. (AZ-4)
    pub(super) fn moving_in(&self) -> BTreeSet<Key> {
        let good = &self.heaps.good;
        let (arrived, coming): (Vec<&Member<'_>>, Vec<&Member<'_>>) = good
            .iter()
            .copied()
            .partition(|m| m.standing == Standing::Healthy);
        if coming.is_empty() || count(good.iter()) <= self.service.desired_count {
            return BTreeSet::new();
        }
        let zones = self.zones().map(|zones| zones.with(self.world, arrived));
        let needed = zones.is_some_and(|zones| !zones.balanced());
        let coming = coming.into_iter().filter(|_| needed);
        coming.map(|m| m.key.clone()).collect()
    }

    /// Whether tasks beyond the desired count are there because others were started elsewhere: nobody has changed it.
    pub(super) fn moved_out(&self) -> bool {
        let before = self.service.deployments.first().map(|d| d.desired_count);
        self.service.rebalancing && before == Some(i64::from(self.service.desired_count))
    }

    /// Starts tasks where there are fewest, as far as upper allows, when all others are there and healthy. (AZ-4, AZ-5)
    pub(super) fn rebalance(&mut self) {
        let healthy = count(self.heaps.good.iter().filter(|m| m.standing == Standing::Healthy));
        let completed = |d: &&Deployment| d.rollout_state == RolloutState::Completed;
        let Some(primary) = self.plan.deployments.first().filter(completed).cloned() else {
            return;
        };
        let (throttled, _) = backoff::throttle(self.world, self.service, &primary.id);
        if throttled.is_some() || !deployment::arrived(&self.plan, self.members, healthy) {
            return;
        }
        let (Some(recipe), Some(zones)) = (self.recipe, self.zones()) else {
            return;
        };
        let mut zones = zones.with(self.world, self.heaps.good.iter().copied());
        let (name, said) = (&self.service.ecs_name, zones.describe());
        if zones.balanced() {
            if self
                .service
                .stopping
                .iter()
                .any(|m| m.availability_zone.is_some())
            {
                self.plan.events.push(texts::balanced(name, &said));
            }
            return;
        }
        let room = STARTS_MAX.min(usize::try_from(self.bounds.startable(healthy)).unwrap_or(usize::MAX));
        let mut placer = Placer::new(self.world, self.service, recipe, self.members);
        let (mut start, mut full) = (vec![], vec![]);
        while start.len() < room
            && let Some((from, to)) = zones.move_from_to()
        {
            let id = format!("{}#{}", self.service.version, start.len());
            let Some(instance) = placer.place_in(&id, Some(to)) else {
                zones.close(to);
                full.push(texts::zone_full(name, to));
                continue;
            };
            zones.moved(from, to);
            start.push(Start {
                instance,
                behind: None,
                deployment: primary.id.clone(),
                definition: primary.task_definition_name.clone(),
                id: None,
                demand: recipe.demand.clone(),
                availability_zone: Some(to.to_owned()),
            });
        }
        if !start.is_empty() {
            self.plan.events.push(texts::not_balanced(name, &said));
        }
        self.plan.events.extend(full);
        let protected = self.heaps.good.iter().filter_map(|m| m.protected_until);
        self.alarms.extend(placer.retries().chain(protected));
        self.plan.start = start;
    }
}

/// The zone that a member is in.
pub(super) fn zone(world: &World, member: &Member<'_>) -> Option<String> {
    let instance = world.instances.get(member.instance?)?;
    zone_of(instance).map(ToOwned::to_owned)
}
