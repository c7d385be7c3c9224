//! Placement strategies as criteria that narrow a choice one after the other. (STRAT-7, STRAT-10)

use std::collections::BTreeMap;

use super::members::Member;
use super::world::{Instance, Service, Strategy, World};
use crate::domain::resources::Resources;

/// Zone attribute of the default strategy. (STRAT-8)
pub(super) const ZONE: &str = "ecs.availability-zone";

/// One strategy with what it counts.
pub(super) enum Criterion {
    /// Number of the service's tasks in the instance's group. (STRAT-3)
    Spread(Tally),
    /// CPU units left. (STRAT-6)
    Cpu,
    /// MiB left. (STRAT-6)
    Memory,
    /// Anything. (STRAT-2)
    Random,
}

/// The service's tasks per group of instances. (STRAT-4, STRAT-12)
pub(super) struct Tally {
    /// Attribute that makes the groups; `None`: each instance is one.
    pub(super) attribute: Option<String>,
    /// Tasks in each group, by its name.
    pub(super) named: BTreeMap<String, i64>,
    /// Tasks on instances without the attribute, which are one group. (STRAT-5)
    unnamed: i64,
}

impl Tally {
    fn group<'i>(&self, instance: &'i Instance) -> Option<&'i str> {
        match &self.attribute {
            None => Some(&instance.name),
            Some(name) => instance
                .attributes
                .get(name)
                .map(|value| value.as_deref().unwrap_or_default()),
        }
    }

    /// Tasks in a group; `None`: in that of the instances without the attribute.
    pub(super) fn count(&self, group: Option<&str>) -> i64 {
        group.map_or(self.unnamed, |group| {
            self.named.get(group).copied().unwrap_or_default()
        })
    }

    fn add(&mut self, instance: &Instance, tasks: i64) {
        match self.group(instance) {
            None => self.unnamed = self.unnamed.saturating_add(tasks),
            Some(group) => {
                let count = self.named.entry(group.to_owned()).or_default();
                *count = count.saturating_add(tasks);
            }
        }
    }
}

/// The criteria of a service, in order, with its tasks counted.
pub(super) struct Ranking {
    pub(super) criteria: Vec<Criterion>,
}

fn spread(attribute: Option<String>) -> Criterion {
    Criterion::Spread(Tally {
        attribute,
        named: BTreeMap::new(),
        unnamed: 0,
    })
}

impl Ranking {
    /// Criteria of a run-once task with nothing counted yet; without strategies it is random. (STRAT-9)
    pub(super) fn by(strategies: &[Strategy]) -> Self {
        let criterion = |strategy: &Strategy| match strategy {
            Strategy::Random => Criterion::Random,
            Strategy::SpreadInstance => spread(None),
            Strategy::SpreadAttribute(name) => spread(Some(name.clone())),
            Strategy::BinpackCpu => Criterion::Cpu,
            Strategy::BinpackMemory => Criterion::Memory,
        };
        Self {
            criteria: strategies.iter().map(criterion).collect(),
        }
    }

    /// Criteria of the service; `members` are counted where they are live. (STRAT-8, STRAT-12)
    pub(super) fn new<'m>(
        world: &World,
        service: &Service,
        members: impl IntoIterator<Item = &'m Member<'m>>,
    ) -> Self {
        let mut ranking = if service.strategies.is_empty() {
            let criteria = vec![spread(Some(ZONE.to_owned())), spread(None)];
            Self { criteria }
        } else {
            Self::by(&service.strategies)
        };
        for member in members.into_iter().filter(|m| m.live()) {
            if let Some(instance) = member.instance.and_then(|name| world.instances.get(name)) {
                ranking.add(instance, 1);
            }
        }
        ranking
    }

    /// Counts `tasks` more (or fewer) on the instance.
    pub(super) fn add(&mut self, instance: &Instance, tasks: i64) {
        for criterion in &mut self.criteria {
            if let Criterion::Spread(tally) = criterion {
                tally.add(instance, tasks);
            }
        }
    }

    /// The best of the candidates to start on: least counted, then least left, then by lot. [`Board::best`](super::board::Board::best) is the same
    /// for many choices one after the other. (STRAT-10, PLACE-8)
    pub(super) fn best<T>(
        &self,
        candidates: Vec<T>,
        place: impl Fn(&T) -> (&Instance, &Resources),
        lot: u64,
    ) -> Option<T> {
        let mut equals = self.narrow(candidates, |criterion, candidate| {
            let (instance, room) = place(candidate);
            criterion.value(instance, room)
        });
        let chosen = drawn(lot, equals.len());
        (chosen < equals.len()).then(|| equals.swap_remove(chosen))
    }

    /// The best of the candidates to stop: most counted, then most left after the stop, then drawn. (SCALEIN-1, SCALEIN-2)
    pub(super) fn worst<T>(
        &self,
        candidates: Vec<T>,
        place: impl Fn(&T) -> Option<(&Instance, &Resources)>,
        draw: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let equals = self.narrow(candidates, |criterion, candidate| {
            place(candidate).map_or(0, |(instance, room)| {
                criterion.value(instance, room).saturating_neg()
            })
        });
        equals.into_iter().min_by_key(draw)
    }

    /// The candidates of which no criterion prefers one to another.
    fn narrow<T>(&self, mut candidates: Vec<T>, value: impl Fn(&Criterion, &T) -> i64) -> Vec<T> {
        for criterion in &self.criteria {
            if candidates.len() < 2 || matches!(criterion, Criterion::Random) {
                break;
            }
            let values: Vec<i64> = candidates.iter().map(|c| value(criterion, c)).collect();
            let least = values.iter().min().copied();
            let mut values = values.into_iter();
            candidates.retain(|_| values.next() == least);
        }
        candidates
    }
}

impl Criterion {
    /// Smaller is better to start on.
    fn value(&self, instance: &Instance, room: &Resources) -> i64 {
        match self {
            Self::Spread(tally) => tally.count(tally.group(instance)),
            Self::Cpu => room.cpu,
            Self::Memory => room.memory,
            // The draw that ends every choice; it leaves no tie for what comes after it.
            Self::Random => 0,
        }
    }
}

/// Which of so many equals a lot means, in the order of their names.
pub(super) fn drawn(lot: u64, equals: usize) -> usize {
    let equals = u64::try_from(equals).unwrap_or(u64::MAX);
    let drawn = lot.checked_rem(equals).unwrap_or_default();
    usize::try_from(drawn).unwrap_or_default()
}
