//! The placement pipeline: one task at a time, each seeing the ones before it. (PLACE-1)
//!
//! Filters first (status, attributes, constraints, resources), then the strategies; what remains equal is drawn. Why an
//! instance is out is worked out only for who asks.

mod queueing;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use jiff::Timestamp;

use super::board::Board;
use super::choice::draw;
use super::deployment::Recipe;
use super::eligibility::{
    asks_about_tasks, check_refused, check_resources, check_rules, check_status, is_distinct, left,
    meets_rules, not_distinct,
};
use super::fleet::{Fleet, Row};
use super::members::Member;
use super::prospect::Verdict;
use super::ranking::Ranking;
use super::world::{Instance, Rejection, Service, World};
use super::{awaited, backoff};
use crate::domain::expr::Expression;
use crate::domain::records::{InstanceStatus, Reservation, ServiceRef};
use crate::domain::resources::Resources;
use queueing::Wait;

/// Places tasks of one service, each with the shares of those before it counted.
pub(super) struct Placer<'a> {
    world: &'a World,
    service: &'a Service,
    recipe: Recipe<'a>,
    board: Board<'a>,
    /// Instances of the cluster, sorted by name; the rows of the board.
    rows: Vec<&'a Row>,
    /// Rows that got tasks.
    taken: BTreeMap<usize, Taken>,
    /// Whether a rule asks about the tasks on an instance: the service's, or one of a daemon that holds room back.
    asks: bool,
    /// Whether its tasks wait for daemons on an instance.
    awaits: bool,
    /// Instances where a task of the service failed.
    failed: BTreeSet<&'a str>,
    /// The criteria of the board, for instances that have room only later.
    ranking: Ranking,
    /// Where the next task could wait, by row; worked out when somebody asks.
    waits: OnceCell<BTreeMap<usize, Wait>>,
}

/// What tasks were placed in a row.
#[derive(Clone, Default)]
struct Taken {
    tasks: usize,
    /// What they leave, less what daemons hold back.
    left: Resources,
}

impl<'a> Placer<'a> {
    /// A placer that has placed nothing; `staying` are the tasks that count for spreading.
    pub(super) fn new<'m>(
        world: &'a World,
        service: &'a Service,
        recipe: Recipe<'a>,
        staying: impl IntoIterator<Item = &'m Member<'m>>,
    ) -> Self {
        let fleet = world.fleet(&service.cluster).into_iter();
        let rows: Vec<&Row> = fleet.flat_map(Fleet::rows).collect();
        let of_definition = recipe.definition.constraints.as_deref().unwrap_or_default();
        let mut rules = of_definition.iter().chain(recipe.constraints);
        let ranking = Ranking::new(world, service, staying);
        let mut placer = Self {
            world,
            service,
            recipe,
            board: Board::new(&ranking, &rows),
            ranking,
            waits: OnceCell::new(),
            rows: Vec::new(),
            taken: BTreeMap::new(),
            asks: rules.any(Expression::asks_about_tasks)
                || asks_about_tasks(&world.claims(&service.cluster)),
            awaits: awaited::waits(world, service),
            failed: backoff::failed_on(world, service),
        };
        for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.open()) {
            let left = row.left(world);
            let fits = placer.fits(row.instance(), &left);
            placer.board.set(number, fits.then_some(&*left));
        }
        placer.rows = rows;
        placer
    }

    /// Chooses an instance for the task `id` and takes the room there. `None`: no instance fits, and none will for
    /// the next task of this pass.
    pub(super) fn place(&mut self, id: &str) -> Option<String> {
        self.place_in(id, None)
    }

    /// As [`Self::place`], in one zone, if it is named.
    pub(super) fn place_in(&mut self, id: &str, zone: Option<&str>) -> Option<String> {
        let lot = draw(self.world.seed, &[&self.service.uid, id]);
        let number = self.board.best(zone, lot)?;
        let mut taken = self.taken(number)?.into_owned();
        taken.tasks = taken.tasks.saturating_add(1);
        taken.left = taken.left.remaining(self.recipe.demand);
        let instance = self.instance(number, taken.tasks)?;
        if self.asks {
            taken.left = left(self.world, &instance, &self.world.claims(&instance.cluster));
        }
        let fits = !self.service.distinct_instance && self.fits(&instance, &taken.left);
        self.board.add(number, fits.then_some(&taken.left));
        self.taken.insert(number, taken);
        self.ranking.add(&instance, 1);
        Some(instance.name.clone())
    }

    /// Why each instance is out, sorted by name.
    pub(super) fn rejections(&self) -> impl Iterator<Item = Rejection> {
        let verdicts = self.verdicts().map(|(_, verdict)| verdict);
        verdicts.filter_map(|verdict| match verdict {
            Verdict::Rejected(rejection) => Some(rejection),
            Verdict::Fits | Verdict::Taken => None,
        })
    }

    /// What each instance that is not INACTIVE is to the next task, sorted by name.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (String, Verdict)> {
        let rows = self.rows.iter().enumerate();
        let rows = rows.filter(|(_, row)| row.instance().status != InstanceStatus::Inactive);
        rows.map(|(number, row)| {
            let rejection = self.rejection(number);
            let verdict = rejection.map_or(Verdict::Fits, Verdict::Rejected);
            (row.instance().name.clone(), verdict)
        })
    }

    /// When instances where a task of the service just failed to start are tried again.
    pub(super) fn retries(&self) -> impl Iterator<Item = Timestamp> {
        let fleet = self.world.fleet(&self.service.cluster);
        let active = |row: &Row| row.instance().status != InstanceStatus::Inactive;
        let here = move |name: &&&str| fleet.and_then(|fleet| fleet.row(name)).is_some_and(active);
        let failed = self.failed.iter().filter(here);
        failed.filter_map(|name| self.retried_at(name))
    }

    fn retried_at(&self, instance: &str) -> Option<Timestamp> {
        let failed = self.failed.contains(instance);
        failed
            .then(|| backoff::instance_until(self.world, self.service, None, instance))
            .flatten()
    }

    fn taken(&self, row: usize) -> Option<Cow<'_, Taken>> {
        if let Some(taken) = self.taken.get(&row) {
            return Some(Cow::Borrowed(taken));
        }
        let left = self.rows.get(row)?.left(self.world).into_owned();
        Some(Cow::Owned(Taken { tasks: 0, left }))
    }

    /// The instance of a row; with that many tasks more, if a rule asks about them.
    fn instance(&self, row: usize, tasks: usize) -> Option<Cow<'a, Instance>> {
        let instance = self.rows.get(row)?.instance();
        if tasks == 0 || !self.asks {
            return Some(Cow::Borrowed(instance));
        }
        let mut instance = Instance::clone(instance);
        instance.reservations.extend(iter::repeat_n(self.entry(), tasks));
        Some(Cow::Owned(instance))
    }

    /// Whether an instance that takes tasks can take this one, where that much is left. [`Self::rejection`] says why not.
    /// (PLACE-2 to PLACE-6, DAEMON-26)
    fn fits(&self, instance: &Instance, left: &Resources) -> bool {
        let (world, service, recipe) = (self.world, self.service, self.recipe);
        let namespace = &service.key.namespace;
        left.lack_for(recipe.demand).is_none()
            && meets_rules(
                world,
                instance,
                namespace,
                None,
                recipe.definition,
                recipe.constraints,
            )
            && (!service.distinct_instance || is_distinct(world, instance, service))
            && (!self.awaits || awaited::check_service(world, instance, service).is_none())
            && self.retried_at(&instance.name).is_none()
    }

    /// The first check that the instance of a row fails. (PLACE-3)
    fn rejection(&self, row: usize) -> Option<Rejection> {
        let (world, service, recipe) = (self.world, self.service, self.recipe);
        let taken = self.taken(row)?;
        let instance = &*self.instance(row, taken.tasks)?;
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
            let full =
                service.distinct_instance && (taken.tasks > 0 || !is_distinct(world, instance, service));
            full.then(|| not_distinct(instance))
        };
        let refused = || self.retried_at(&instance.name).map(|_| check_refused(instance));
        check_status(instance)
            .or_else(|| awaited::check_service(world, instance, service))
            .or_else(rules)
            .or_else(distinct)
            .or_else(refused)
            .or_else(|| check_resources(instance, &taken.left, recipe.demand))
    }

    /// An entry as the ledger will make it, under a name no task has.
    fn entry(&self) -> Reservation {
        Reservation {
            namespace: self.service.key.namespace.clone(),
            task: "#".to_owned(),
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
