//! The placement pipeline: one task at a time, each seeing the ones before it. (PLACE-1)
//!
//! Filters first (status, attributes, constraints, resources), then the strategies; what remains equal is drawn.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::backoff;
use super::choice::draw;
use super::deployment::Recipe;
use super::eligibility::{
    Claim, check_distinct, check_refused, check_resources, check_rules, check_status, claims, withheld_by,
};
use super::members::Member;
use super::prospect::Verdict;
use super::ranking::Ranking;
use super::world::{Instance, Rejection, Service, World};
use crate::domain::records::{InstanceStatus, Reservation, ServiceRef};
use crate::domain::resources::Resources;

/// An instance with the room for a task, or why it is out.
struct Slot {
    instance: Arc<Instance>,
    verdict: Result<Resources, Rejection>,
}

/// Places tasks of one service in a working copy of the world.
pub(super) struct Placer<'a> {
    world: World,
    service: &'a Service,
    claims: Vec<Claim>,
    recipe: Recipe<'a>,
    ranking: Ranking,
    /// Instances of the cluster by name.
    slots: BTreeMap<String, Slot>,
    placed: u32,
}

impl<'a> Placer<'a> {
    /// A working copy of the world; `staying` are the tasks that count for spreading.
    pub(super) fn new<'m>(
        world: &World,
        service: &'a Service,
        recipe: Recipe<'a>,
        staying: impl IntoIterator<Item = &'m Member<'m>>,
    ) -> Self {
        let mut placer = Self {
            world: world.clone(),
            service,
            claims: claims(world, &service.cluster),
            recipe,
            ranking: Ranking::new(world, service, staying),
            slots: BTreeMap::new(),
            placed: 0,
        };
        for instance in world.instances_of(&service.cluster) {
            if instance.status != InstanceStatus::Inactive {
                let slot = placer.judge(Arc::clone(instance));
                placer.slots.insert(instance.name.clone(), slot);
            }
        }
        placer
    }

    /// Why each instance is out, sorted by name.
    pub(super) fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.slots.values().filter_map(|slot| slot.verdict.as_ref().err())
    }

    /// What each instance is to the next task, sorted by name.
    pub(super) fn verdicts(&self) -> Vec<(String, Verdict)> {
        let verdict = |slot: &Slot| match &slot.verdict {
            Ok(_) => Verdict::Fits,
            Err(rejection) => Verdict::Rejected(rejection.clone()),
        };
        let slots = self.slots.values();
        slots
            .map(|slot| (slot.instance.name.clone(), verdict(slot)))
            .collect()
    }

    /// Chooses an instance for the task `id` and takes the room there. `None`: no instance fits, and none will for
    /// the next task of this pass.
    pub(super) fn place(&mut self, id: &str) -> Option<String> {
        let candidates: Vec<(&Arc<Instance>, &Resources)> = self
            .slots
            .values()
            .filter_map(|slot| Some((&slot.instance, slot.verdict.as_ref().ok()?)))
            .collect();
        let (instance, _) = self.ranking.best(
            candidates,
            |(instance, room)| (instance, room),
            |(instance, _)| draw(self.world.seed, &[&self.service.uid, id, &instance.name]),
        )?;
        let mut instance = Instance::clone(instance);
        self.placed = self.placed.saturating_add(1);
        instance.reservations.push(self.entry());
        self.ranking.add(&instance, 1);
        let (name, instance) = (instance.name.clone(), Arc::new(instance));
        self.world.instances.insert(name.clone(), Arc::clone(&instance));
        let slot = self.judge(instance);
        self.slots.insert(name.clone(), slot);
        Some(name)
    }

    /// When instances where a task of the service just failed to start are tried again.
    pub(super) fn retries(&self) -> impl Iterator<Item = Timestamp> {
        self.slots
            .keys()
            .filter_map(|name| backoff::instance_until(&self.world, self.service, None, name))
    }

    fn judge(&self, instance: Arc<Instance>) -> Slot {
        let verdict = self.room(&instance);
        Slot { instance, verdict }
    }

    /// The room for a task on the instance, if it can take one: what is left, less what daemons hold back.
    /// (PLACE-2 to PLACE-6, DAEMON-26)
    fn room(&self, instance: &Instance) -> Result<Resources, Rejection> {
        let (world, service, recipe) = (&self.world, self.service, self.recipe);
        let namespace = &service.key.namespace;
        let rules = || {
            check_rules(
                world,
                instance,
                namespace,
                None,
                recipe.definition,
                recipe.constraints,
            )
        };
        let distinct = || {
            service
                .distinct_instance
                .then(|| check_distinct(world, instance, service))
                .flatten()
        };
        let refused =
            || backoff::instance_until(world, service, None, &instance.name).map(|_| check_refused(instance));
        if let Some(rejection) = check_status(instance)
            .or_else(rules)
            .or_else(distinct)
            .or_else(refused)
        {
            return Err(rejection);
        }
        let held_back = withheld_by(world, instance, &self.claims);
        let room = instance.remaining().remaining(&held_back);
        match check_resources(instance, &room, recipe.demand) {
            Some(rejection) => Err(rejection),
            None => Ok(room),
        }
    }

    /// An entry as the ledger will make it, under a name no task has.
    fn entry(&self) -> Reservation {
        Reservation {
            namespace: self.service.key.namespace.clone(),
            task: format!("#{}", self.placed),
            uid: None,
            service: Some(ServiceRef {
                name: self.service.key.name.clone(),
                uid: self.service.uid.clone(),
                daemon: false,
                deployment: None,
            }),
            amounts: self.recipe.demand.clone(),
            since: String::new(),
            restored: false,
        }
    }
}
