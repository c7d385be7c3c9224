//! Availability Zone rebalancing: in which zones a service's tasks are, and where one more is to go so that one elsewhere
//! may stop. (AZ-4, AZ-5)

use std::collections::BTreeMap;

use super::deployment::Recipe;
use super::eligibility::meets_rules;
use super::fleet::{Fleet, Row};
use super::members::Member;
use super::ranking::ZONE;
use super::world::{Instance, Service, World};

/// Zones that differ by no more than this many tasks are balanced. (AZ-4)
const DIFFERENCE_MAX: u32 = 1;

/// The zones that have an instance for the service's tasks, with the number of its tasks in each.
#[derive(Clone, Debug)]
pub(super) struct Zones<'w>(BTreeMap<&'w str, Zone>);

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    tasks: u32,
    /// Those that may stop for one elsewhere.
    movable: u32,
    /// None of its instances has room for one more.
    full: bool,
}

/// The zone of an instance, if it says one.
pub(super) fn zone_of(instance: &Instance) -> Option<&str> {
    let zone = instance.attributes.get(ZONE)?.as_deref();
    zone.filter(|zone| !zone.is_empty())
}

impl<'w> Zones<'w> {
    /// The zones in which an instance is open to the service, whatever room there is.
    pub(super) fn new(world: &'w World, service: &'w Service, recipe: Recipe<'w>) -> Self {
        let fits = |row: &Row| {
            let namespace = &service.key.namespace;
            let (definition, constraints) = (recipe.definition, recipe.constraints);
            meets_rules(world, row.instance(), namespace, None, definition, constraints)
        };
        let zones = world.fleet(&service.cluster).into_iter().flat_map(Fleet::zones);
        let open = zones.filter_map(|(zone, mut rows)| rows.any(fits).then_some(zone));
        Self(open.map(|zone| (zone, Zone::default())).collect())
    }

    /// The same zones with these tasks.
    pub(super) fn with<'m>(&self, world: &World, members: impl IntoIterator<Item = &'m Member<'m>>) -> Self {
        let mut zones = self.clone();
        for member in members {
            let instance = member.instance.and_then(|name| world.instances.get(name));
            if let Some(zone) = instance.and_then(|i| zone_of(i))
                && let Some(zone) = zones.0.get_mut(zone)
            {
                zone.tasks = zone.tasks.saturating_add(1);
                let movable = u32::from(member.protected_until.is_none());
                zone.movable = zone.movable.saturating_add(movable);
            }
        }
        zones
    }

    /// Whether no two zones differ by more than one task.
    pub(super) fn balanced(&self) -> bool {
        let counts = || self.0.values().map(|zone| zone.tasks);
        let least = counts().min().unwrap_or(0);
        counts().all(|tasks| tasks.saturating_sub(least) <= DIFFERENCE_MAX)
    }

    /// The zone that has most tasks, one of which may stop, and the one that has fewest and may have room, unless they are
    /// balanced.
    pub(super) fn move_from_to(&self) -> Option<(&'w str, &'w str)> {
        let movable = self.0.iter().filter(|(_, zone)| zone.movable > 0);
        let (from, many) = movable.max_by_key(|(_, zone)| zone.tasks)?;
        let open = self.0.iter().filter(|(_, zone)| !zone.full);
        let (to, few) = open.min_by_key(|(_, zone)| zone.tasks)?;
        (many.tasks.saturating_sub(few.tasks) > DIFFERENCE_MAX).then_some((from, to))
    }

    /// Counts a task in one zone that will take the place of one in another.
    pub(super) fn moved(&mut self, from: &str, to: &str) {
        if let Some(zone) = self.0.get_mut(from) {
            zone.tasks = zone.tasks.saturating_sub(1);
            zone.movable = zone.movable.saturating_sub(1);
        }
        if let Some(zone) = self.0.get_mut(to) {
            zone.tasks = zone.tasks.saturating_add(1);
        }
    }

    /// Notes that a zone has no room.
    pub(super) fn close(&mut self, zone: &str) {
        if let Some(zone) = self.0.get_mut(zone) {
            zone.full = true;
        }
    }

    /// `n tasks in AZ1, m tasks in AZ2`. (EVT-8)
    pub(super) fn describe(&self) -> String {
        let zones = self.0.iter();
        let counts: Vec<String> = zones
            .map(|(name, zone)| format!("{} tasks in {name}", zone.tasks))
            .collect();
        counts.join(", ")
    }
}
