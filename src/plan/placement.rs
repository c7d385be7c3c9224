//! The placement pipeline: one task at a time, each seeing the ones before it. (PLACE-1)
//!
//! Filters first (status, attributes, constraints, resources), then the strategies; what remains equal is drawn.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::backoff;
use super::choice::draws;
use super::deployment::Recipe;
use super::eligibility::{
    Claim, check_distinct, check_refused, check_resources, check_rules, check_status, claims, withheld_by,
};
use super::members::Member;
use super::optimistic::{Optimistic, promised};
use super::prospect::Verdict;
use super::ranking::{Board, Ranking};
use super::timeline::{Timeline, stopping_on};
use super::world::{Instance, Rejection, Service, World};
use crate::domain::records::{InstanceStatus, QUEUE_MAX, QueueEntry, Reservation, ServiceRef};
use crate::domain::resources::Resources;

/// An instance with the room for a task, or why it is out.
struct Slot {
    instance: Arc<Instance>,
    verdict: Result<Resources, Rejection>,
}

/// An instance where a task may wait behind stopping ones.
struct Wait {
    row: usize,
    instance: Arc<Instance>,
    /// What is not promised to others there.
    room: Resources,
    /// When the task is expected to start.
    at: Timestamp,
}

/// Places tasks of one service in a working copy of the world.
pub(super) struct Placer<'a> {
    world: World,
    service: &'a Service,
    claims: Vec<Claim>,
    recipe: Recipe<'a>,
    board: Board,
    /// The same criteria for instances that have no row with room.
    ranking: Ranking,
    /// Whether tasks wait behind stopping ones.
    optimistic: Optimistic,
    waits: OnceCell<BTreeMap<usize, Wait>>,
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
            ranking,
            optimistic: world
                .clusters
                .get(&service.cluster)
                .map_or(Optimistic::Off, |c| c.optimistic),
            waits: OnceCell::new(),
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
        Some(self.taken(row, instance))
    }

    /// The instance of a row has one task of the service more.
    fn taken(&mut self, row: usize, instance: Instance) -> String {
        self.board.add(row);
        self.ranking.add(&instance, 1);
        let (name, instance) = (instance.name.clone(), Arc::new(instance));
        self.world.instances.insert(name.clone(), Arc::clone(&instance));
        let slot = self.judge(row, instance);
        let wait = self.waits.get().and_then(|_| self.wait(row, &slot));
        if let Some(waits) = self.waits.get_mut() {
            waits.remove(&row);
            waits.extend(wait.map(|wait| (row, wait)));
        }
        if let Some(place) = self.slots.get_mut(row) {
            *place = slot;
        }
        name
    }

    /// As [`Self::place`]; where no instance has room, one where the task may wait behind stopping ones, and until when.
    /// Room that is free comes first. (OPT-1, OPT-5)
    pub(super) fn place_or_queue(&mut self, id: &str) -> Option<(String, Option<Timestamp>)> {
        if let Some(instance) = self.place(id) {
            return Some((instance, None));
        }
        let (instance, at) = self.queue(id)?;
        Some((instance, Some(at)))
    }

    /// Chooses an instance where the task `id` may wait behind stopping ones, and takes its turn there: with `on` as the
    /// strategies say, with `smart` the one where it starts first, if that is soon enough. (OPT-1, OPT-5)
    pub(super) fn queue(&mut self, id: &str) -> Option<(String, Timestamp)> {
        let draw = draws(self.world.seed, &[&self.service.uid, id]);
        let waits = self.waits().values();
        let best = if let Optimistic::Smart(bound) = self.optimistic {
            let latest = self.world.now.checked_add(bound).unwrap_or(Timestamp::MAX);
            let soon = waits.filter(|wait| wait.at <= latest);
            soon.min_by_key(|wait| (wait.at, draw(&wait.instance.name)))
        } else {
            let waits = waits.collect();
            let name = |wait: &&Wait| draw(&wait.instance.name);
            self.ranking
                .best(waits, |wait| (&wait.instance, &wait.room), name)
        };
        let (row, at, mut instance) = best.map(|w| (w.row, w.at, Instance::clone(&w.instance)))?;
        self.placed = self.placed.saturating_add(1);
        let Reservation {
            namespace,
            task,
            service,
            amounts,
            since,
            ..
        } = self.entry();
        let uid = String::new();
        instance.queue.push(QueueEntry {
            namespace,
            task,
            uid,
            service,
            amounts,
            since,
        });
        Some((self.taken(row, instance), at))
    }

    /// When the next task may wait behind stopping ones, if time alone makes it so. (OPT-5)
    pub(super) fn queueable_at(&self) -> Option<Timestamp> {
        let Optimistic::Smart(bound) = self.optimistic else {
            return None;
        };
        let times = self
            .waits()
            .values()
            .filter_map(|wait| wait.at.checked_sub(bound).ok());
        times.min()
    }

    /// Where the next task could wait, by row.
    fn waits(&self) -> &BTreeMap<usize, Wait> {
        let rows = || self.slots.iter().enumerate();
        let all = || rows().filter_map(|(row, slot)| self.wait(row, slot));
        self.waits.get_or_init(|| match self.optimistic {
            Optimistic::Off => BTreeMap::new(),
            Optimistic::On | Optimistic::Smart(_) => all().map(|wait| (wait.row, wait)).collect(),
        })
    }

    /// What waiting on the instance is to the next task, if it only lacks room there which stopping tasks give back: all
    /// that waits fits when they have ended. (OPT-1)
    fn wait(&self, row: usize, slot: &Slot) -> Option<Wait> {
        let instance = &slot.instance;
        let only_room = slot.verdict.as_ref().is_err_and(Rejection::lacks_resources);
        if !only_room
            || instance.queue.len() >= QUEUE_MAX
            || stopping_on(&self.world, instance).next().is_none()
        {
            return None;
        }
        let held_back = withheld_by(&self.world, instance, &self.claims);
        let timeline = Timeline::of(&self.world, instance, held_back);
        let room = timeline.unpromised();
        if room.lack_for(self.recipe.demand).is_some() {
            return None;
        }
        let (at, _) = timeline.earliest(instance.queue.len(), self.recipe.demand)?;
        Some(Wait {
            row,
            instance: Arc::clone(instance),
            room,
            at,
        })
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
            .or_else(rules)
            .or_else(distinct)
            .or_else(refused)
        {
            return Err(rejection);
        }
        let held_back = withheld_by(world, instance, &self.claims);
        let kept = promised(world, instance);
        let room = instance.remaining().remaining(&held_back).remaining(&kept);
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
