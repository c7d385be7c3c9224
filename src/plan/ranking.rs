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
    attribute: Option<String>,
    named: BTreeMap<String, i64>,
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

    fn count(&self, instance: &Instance) -> i64 {
        self.group(instance).map_or(self.unnamed, |group| {
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
    criteria: Vec<Criterion>,
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

    /// The best of the candidates to start on: least counted, then least left, then drawn. [`Board::best`] is the same
    /// for many choices one after the other. (STRAT-10, PLACE-8)
    pub(super) fn best<T>(
        &self,
        candidates: Vec<T>,
        place: impl Fn(&T) -> (&Instance, &Resources),
        draw: impl Fn(&T) -> u64,
    ) -> Option<T> {
        self.narrow(candidates, draw, |criterion, candidate| {
            let (instance, room) = place(candidate);
            criterion.value(instance, room)
        })
    }

    /// The best of the candidates to stop: most counted, then most left after the stop, then drawn. (SCALEIN-1, SCALEIN-2)
    pub(super) fn worst<T>(
        &self,
        candidates: Vec<T>,
        place: impl Fn(&T) -> Option<(&Instance, &Resources)>,
        draw: impl Fn(&T) -> u64,
    ) -> Option<T> {
        self.narrow(candidates, draw, |criterion, candidate| {
            place(candidate).map_or(0, |(instance, room)| {
                criterion.value(instance, room).saturating_neg()
            })
        })
    }

    fn narrow<T>(
        &self,
        mut candidates: Vec<T>,
        draw: impl Fn(&T) -> u64,
        value: impl Fn(&Criterion, &T) -> i64,
    ) -> Option<T> {
        for criterion in &self.criteria {
            if candidates.len() < 2 || matches!(criterion, Criterion::Random) {
                break;
            }
            let values: Vec<i64> = candidates.iter().map(|c| value(criterion, c)).collect();
            let least = values.iter().min().copied();
            let mut values = values.into_iter();
            candidates.retain(|_| values.next() == least);
        }
        candidates.into_iter().min_by_key(draw)
    }
}

impl Criterion {
    /// Smaller is better to start on.
    fn value(&self, instance: &Instance, room: &Resources) -> i64 {
        match self {
            Self::Spread(tally) => tally.count(instance),
            Self::Cpu => room.cpu,
            Self::Memory => room.memory,
            // The draw that ends every choice; it leaves no tie for what comes after it.
            Self::Random => 0,
        }
    }
}

/// The candidates to start on, row by row, with what each criterion looks at: thousands of choices are made among
/// thousands of instances, each after the one before it.
pub(super) struct Board {
    columns: Vec<Column>,
    /// Whether a row is a candidate.
    open: Vec<bool>,
}

/// What a criterion looks at.
enum Column {
    /// The group of each row, and the tasks in each group.
    Groups { of: Vec<usize>, tasks: Vec<i64> },
    /// CPU units left in each row.
    Cpu(Vec<i64>),
    /// MiB left in each row.
    Memory(Vec<i64>),
}

impl Board {
    /// A row for each instance, none of them a candidate.
    pub(super) fn new(ranking: &Ranking, rows: &[&Instance]) -> Self {
        let count = rows.len();
        // what comes after a draw decides nothing
        let criteria = ranking.criteria.iter();
        let criteria = criteria.take_while(|criterion| !matches!(criterion, Criterion::Random));
        let column = |criterion: &Criterion| match criterion {
            Criterion::Spread(tally) => {
                let (mut numbers, mut tasks) = (BTreeMap::new(), Vec::new());
                let of = rows.iter().map(|instance| {
                    *numbers.entry(tally.group(instance)).or_insert_with(|| {
                        tasks.push(tally.count(instance));
                        tasks.len().saturating_sub(1)
                    })
                });
                let of = of.collect();
                Column::Groups { of, tasks }
            }
            Criterion::Memory => Column::Memory(vec![0; count]),
            Criterion::Cpu | Criterion::Random => Column::Cpu(vec![0; count]),
        };
        Self {
            columns: criteria.map(column).collect(),
            open: vec![false; count],
        }
    }

    /// What is left in a row; with nothing it is no candidate.
    pub(super) fn set(&mut self, row: usize, room: Option<&Resources>) {
        if let Some(open) = self.open.get_mut(row) {
            *open = room.is_some();
        }
        let Some(room) = room else { return };
        for column in &mut self.columns {
            let (cells, amount) = match column {
                Column::Groups { .. } => continue,
                Column::Cpu(cells) => (cells, room.cpu),
                Column::Memory(cells) => (cells, room.memory),
            };
            if let Some(cell) = cells.get_mut(row) {
                *cell = amount;
            }
        }
    }

    /// Counts one task more in a row.
    pub(super) fn add(&mut self, row: usize) {
        for column in &mut self.columns {
            if let Column::Groups { of, tasks } = column
                && let Some(tasks) = of.get(row).and_then(|group| tasks.get_mut(*group))
            {
                *tasks = tasks.saturating_add(1);
            }
        }
    }

    /// The best candidate of the rows admitted: least counted, then least left, then drawn. (STRAT-10, PLACE-8)
    pub(super) fn best(&self, admits: impl Fn(usize) -> bool, draw: impl Fn(usize) -> u64) -> Option<usize> {
        let open = self.open.iter().enumerate().filter(|(_, open)| **open);
        let mut rows: Vec<usize> = open.map(|(row, _)| row).filter(|row| admits(*row)).collect();
        for column in &self.columns {
            if rows.len() < 2 {
                break;
            }
            let least = rows.iter().map(|row| column.value(*row)).min();
            rows.retain(|row| Some(column.value(*row)) == least);
        }
        rows.into_iter().min_by_key(|row| draw(*row))
    }
}

impl Column {
    /// Smaller is better to start on.
    fn value(&self, row: usize) -> i64 {
        let cell = match self {
            Self::Groups { of, tasks } => of.get(row).and_then(|group| tasks.get(*group)),
            Self::Cpu(cells) | Self::Memory(cells) => cells.get(row),
        };
        cell.copied().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::*;
    use crate::plan::choice::draw;
    use crate::plan::testing::{Scene, instance, replica};

    fn strategy() -> impl Generator<Value = Strategy> {
        prop_oneof![
            Just(Strategy::Random),
            Just(Strategy::SpreadInstance),
            Just(Strategy::SpreadAttribute("rack".to_owned())),
            Just(Strategy::SpreadAttribute(ZONE.to_owned())),
            Just(Strategy::BinpackCpu),
            Just(Strategy::BinpackMemory),
        ]
    }

    /// Zone, rack, CPU and memory left, and whether it is a candidate.
    type Row = (Option<u8>, Option<u8>, i64, i64, bool);

    fn row() -> impl Generator<Value = Row> {
        (
            prop::option::of(0..3_u8),
            prop::option::of(0..2_u8),
            0..4_i64,
            0..4_i64,
            prop::bool::weighted(0.8),
        )
    }

    fn made(number: usize, (zone, rack, ..): &Row) -> Instance {
        let mut made = instance(&format!("i{number:02}"));
        for (name, value) in [(ZONE, zone), ("rack", rack)] {
            made.attributes.remove(name);
            if let Some(value) = value {
                made.attributes.insert(name.to_owned(), Some(value.to_string()));
            }
        }
        made
    }

    proptest! {
        /// Choice after choice, the board chooses what the criteria say one by one.
        #[test]
        fn the_board_chooses_as_the_criteria_say_strat_7_strat_10(
            rows in prop::collection::vec(row(), 1..12),
            strategies in prop::collection::vec(strategy(), 0..4),
            seed in any::<u64>(),
        ) {
            let scene = Scene::new().service(replica("web", "web:1", 9));
            let mut service = Service::clone(scene.get("web"));
            service.strategies = strategies;
            let mut ranking = Ranking::new(&scene.world, &service, []);
            let all: Vec<Instance> = rows.iter().enumerate().map(|(n, row)| made(n, row)).collect();
            let mut rooms: Vec<Option<Resources>> = rows
                .iter()
                .map(|(_, _, cpu, memory, open)| {
                    open.then(|| Resources { cpu: *cpu, memory: *memory, ..Resources::default() })
                })
                .collect();
            let mut board = Board::new(&ranking, &all.iter().collect::<Vec<_>>());
            for (row, room) in rooms.iter().enumerate() {
                board.set(row, room.as_ref());
            }
            for round in 0..10 {
                let round = round.to_string();
                let lot = |row: usize| draw(seed, &[&round, &all[row].name]);
                let rows = all.iter().zip(&rooms).enumerate();
                let candidates: Vec<(usize, &Instance, &Resources)> = rows
                    .filter_map(|(row, (instance, room))| Some((row, instance, room.as_ref()?)))
                    .collect();
                let expected = ranking.best(candidates, |(_, instance, room)| (instance, room), |(row, ..)| lot(*row));
                let expected = expected.map(|(row, ..)| row);
                prop_assert_eq!(board.best(|_| true, lot), expected);
                let Some(row) = expected else { break };
                ranking.add(&all[row], 1);
                board.add(row);
                let left = rooms[row].clone().filter(|room| room.cpu > 0).map(|room| Resources {
                    cpu: room.cpu.saturating_sub(1),
                    ..room
                });
                board.set(row, left.as_ref());
                rooms[row] = left;
            }
        }
    }
}
