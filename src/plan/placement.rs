//! The placement pipeline: one task at a time, each seeing the ones before it. (PLACE-1)
//!
//! Filters first (status, attributes, constraints, resources), then the strategies; what remains equal is drawn.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::choice::draws;
use super::deployment::Recipe;
use super::eligibility::{
    Claim, check_distinct, check_refused, check_resources, check_rules, check_status, claims, withheld_by,
};
use super::members::Member;
use super::prospect::Verdict;
use super::ranking::{Board, Ranking};
use super::world::{Instance, Rejection, Service, World};
use super::{awaited, backoff};
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
    board: Board,
    /// Instances of the cluster, sorted by name; the rows of the board.
    slots: Vec<Slot>,
    /// Instances where a task of the service failed.
    failed: BTreeSet<String>,
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
        let failed = backoff::failed_on(world, service);
        let instances = world.instances_of(&service.cluster);
        let instances: Vec<&Arc<Instance>> = instances
            .filter(|instance| instance.status != InstanceStatus::Inactive)
            .collect();
        let ranking = Ranking::new(world, service, staying);
        let mut placer = Self {
            world: world.clone(),
            service,
            claims: claims(world, &service.cluster),
            recipe,
            board: Board::new(
                &ranking,
                &instances.iter().map(|instance| &***instance).collect::<Vec<_>>(),
            ),
            slots: Vec::with_capacity(instances.len()),
            failed: failed.into_iter().map(ToOwned::to_owned).collect(),
            placed: 0,
        };
        for (row, instance) in instances.into_iter().enumerate() {
            let slot = placer.judge(row, Arc::clone(instance));
            placer.slots.push(slot);
        }
        placer
    }

    /// Why each instance is out, sorted by name.
    pub(super) fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.slots.iter().filter_map(|slot| slot.verdict.as_ref().err())
    }

    /// What each instance is to the next task, sorted by name.
    pub(super) fn verdicts(&self) -> Vec<(String, Verdict)> {
        let verdict = |slot: &Slot| match &slot.verdict {
            Ok(_) => Verdict::Fits,
            Err(rejection) => Verdict::Rejected(rejection.clone()),
        };
        let slots = self.slots.iter();
        slots
            .map(|slot| (slot.instance.name.clone(), verdict(slot)))
            .collect()
    }

    /// Chooses an instance for the task `id` and takes the room there. `None`: no instance fits, and none will for
    /// the next task of this pass.
    pub(super) fn place(&mut self, id: &str) -> Option<String> {
        self.place_where(id, |_| true)
    }

    /// As [`Self::place`], on one of these instances.
    pub(super) fn place_where(&mut self, id: &str, wanted: impl Fn(&Instance) -> bool) -> Option<String> {
        let draw = draws(self.world.seed, &[&self.service.uid, id]);
        let name = |row: usize| self.slots.get(row).map_or("", |slot| slot.instance.name.as_str());
        let admits = |row: usize| self.slots.get(row).is_some_and(|slot| wanted(&slot.instance));
        let row = self.board.best(admits, |row| draw(name(row)))?;
        let mut instance = Instance::clone(&self.slots.get(row)?.instance);
        self.placed = self.placed.saturating_add(1);
        instance.reservations.push(self.entry());
        self.board.add(row);
        let (name, instance) = (instance.name.clone(), Arc::new(instance));
        self.world.instances.insert(name.clone(), Arc::clone(&instance));
        let slot = self.judge(row, instance);
        if let Some(place) = self.slots.get_mut(row) {
            *place = slot;
        }
        Some(name)
    }

    /// When instances where a task of the service just failed to start are tried again.
    pub(super) fn retries(&self) -> impl Iterator<Item = Timestamp> {
        let here = |name: &&String| self.slots.iter().any(|slot| slot.instance.name == **name);
        let failed = self.failed.iter().filter(here);
        failed.filter_map(|name| backoff::instance_until(&self.world, self.service, None, name))
    }

    fn judge(&mut self, row: usize, instance: Arc<Instance>) -> Slot {
        let verdict = self.room(&instance);
        self.board.set(row, verdict.as_ref().ok());
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
        let refused = || {
            let failed = self.failed.contains(&instance.name);
            let until = failed.then(|| backoff::instance_until(world, service, None, &instance.name));
            until.flatten().map(|_| check_refused(instance))
        };
        if let Some(rejection) = check_status(instance)
            .or_else(|| awaited::check_service(world, instance, service, &self.claims))
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
