//! Where a task may wait behind stopping ones. (OPT-1, OPT-5)

use std::collections::BTreeMap;
use std::iter;

use jiff::Timestamp;

use super::Placer;
use crate::domain::records::{QUEUE_MAX, QueueEntry, Reservation};
use crate::domain::resources::Resources;
use crate::plan::choice::draw;
use crate::plan::eligibility::{is_distinct, meets_rules, withheld};
use crate::plan::optimistic::Optimistic;
use crate::plan::timeline::{Timeline, stopping_on};
use crate::plan::world::{Instance, Rejection};

/// An instance where a task may wait behind stopping ones.
pub(super) struct Wait {
    /// With all that this plan placed and queued there.
    instance: Instance,
    /// What is not promised to others there.
    room: Resources,
    /// When the task is expected to start.
    at: Timestamp,
}

impl Placer<'_> {
    /// As [`Placer::place`]; where no instance has room, one where the task may wait behind stopping ones, and until when.
    /// Room that is free comes first. (OPT-1, OPT-5)
    pub(in crate::plan) fn place_or_queue(&mut self, id: &str) -> Option<(String, Option<Timestamp>)> {
        if let Some(instance) = self.place(id) {
            return Some((instance, None));
        }
        let (instance, at) = self.queue(id)?;
        Some((instance, Some(at)))
    }

    /// Chooses an instance where the task `id` may wait behind stopping ones, and takes its turn there: with `on` as the
    /// strategies say, with `smart` the one where it starts first, if that is soon enough. Nothing is placed after that.
    /// (OPT-1, OPT-5)
    pub(in crate::plan) fn queue(&mut self, id: &str) -> Option<(String, Timestamp)> {
        let draw = |names: &[&str]| draw(self.world.seed, names);
        let waits = self.waits().iter();
        let best = if let Optimistic::Smart(bound) = self.optimistic() {
            let latest = self.world.now.checked_add(bound).unwrap_or(Timestamp::MAX);
            let soon = waits.filter(|(_, wait)| wait.at <= latest);
            soon.min_by_key(|(_, wait)| (wait.at, draw(&[&self.service.uid, id, &wait.instance.name])))
        } else {
            let lot = draw(&[&self.service.uid, id]);
            let waits = waits.collect();
            self.ranking
                .best(waits, |(_, wait)| (&wait.instance, &wait.room), lot)
        };
        let row = *best?.0;
        let Wait { mut instance, at, .. } = self.waits.get_mut()?.remove(&row)?;
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
        self.ranking.add(&instance, 1);
        let name = instance.name.clone();
        if let Some(wait) = self.wait(instance)
            && let Some(waits) = self.waits.get_mut()
        {
            waits.insert(row, wait);
        }
        Some((name, at))
    }

    /// When the next task may wait behind stopping ones, if time alone makes it so. (OPT-5)
    pub(in crate::plan) fn queueable_at(&self) -> Option<Timestamp> {
        let Optimistic::Smart(bound) = self.optimistic() else {
            return None;
        };
        let times = self
            .waits()
            .values()
            .filter_map(|wait| wait.at.checked_sub(bound).ok());
        times.min()
    }

    fn optimistic(&self) -> Optimistic {
        let cluster = self.world.clusters.get(&self.service.cluster);
        cluster.map_or(Optimistic::Off, |cluster| cluster.optimistic)
    }

    fn waits(&self) -> &BTreeMap<usize, Wait> {
        self.waits.get_or_init(|| {
            let rows = (0..self.rows.len()).filter(|_| self.optimistic() != Optimistic::Off);
            let wait = |row: usize| Some((row, self.wait(self.short_of_room(row)?)?));
            rows.filter_map(wait).collect()
        })
    }

    /// The instance of a row with what was placed there, if room is all it lacks and stopping tasks will give some back.
    fn short_of_room(&self, row: usize) -> Option<Instance> {
        let instance = self.rows.get(row)?.instance();
        stopping_on(self.world, instance).next()?;
        let placed = self.taken.get(&row).map_or(0, |taken| taken.tasks);
        self.rejection(row).filter(Rejection::lacks_resources)?;
        let mut instance = Instance::clone(instance);
        instance.reservations.extend(iter::repeat_n(self.entry(), placed));
        Some(instance)
    }

    /// What waiting on the instance is to the next task, if it may: all that waits there fits when what is stopping has
    /// ended. (OPT-1)
    fn wait(&self, instance: Instance) -> Option<Wait> {
        let (world, service, recipe) = (self.world, self.service, self.recipe);
        let rules = || {
            let (namespace, rules) = (&service.key.namespace, recipe.constraints);
            meets_rules(world, &instance, namespace, None, recipe.definition, rules)
        };
        let distinct = || !service.distinct_instance || is_distinct(world, &instance, service);
        if instance.queue.len() >= QUEUE_MAX || !rules() || !distinct() {
            return None;
        }
        let timeline = Timeline::of(world, &instance, withheld(world, &instance));
        let room = timeline.unpromised();
        if room.lack_for(recipe.demand).is_some() {
            return None;
        }
        let (at, _) = timeline.earliest(instance.queue.len(), recipe.demand)?;
        Some(Wait { instance, room, at })
    }
}
