//! The placement strategies at work on many instances, for many tasks one after the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::fleet::Row;
use super::ranking::{Criterion, Ranking, drawn};
use crate::domain::resources::Resources;

/// The candidates to start on: thousands of choices are made among thousands of instances, each after the one before it.
///
/// What a choice looks at is either the same for all instances of some group, as the tasks in a zone, or the instance's own,
/// as the memory left. So instances with all groups in common make a *cell*, in which they are kept sorted by their own, and
/// a choice compares the best of each cell.
pub(super) struct Board<'a> {
    columns: Vec<Column>,
    /// What of an instance's own is looked at, in the order in which it is.
    own: Vec<Own>,
    /// Tasks in each group, for each spread over an attribute.
    groups: Vec<Vec<i64>>,
    cells: Vec<Cell<'a>>,
    places: Vec<Place>,
}

/// Where a criterion finds what it looks at.
enum Column {
    /// In this list of groups.
    Groups(usize),
    /// In this member of an instance's own.
    Own(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// Tasks of the service there.
    Tasks,
    /// CPU units left.
    Cpu,
    /// MiB left.
    Memory,
}

/// An instance's own, in the order of [`Board::own`]: as many members as [`Own`] has.
type Owned = [i64; 3];

/// Instances with all groups in common.
struct Cell<'a> {
    zone: Option<&'a str>,
    /// Its group in each list.
    groups: Vec<usize>,
    /// Candidates by their own; rows in ascending order.
    candidates: BTreeMap<Owned, Vec<usize>>,
}

/// A row.
struct Place {
    cell: usize,
    /// Tasks of the service there.
    tasks: i64,
    /// Under what it is a candidate, if it is one.
    owned: Option<Owned>,
}

impl<'a> Board<'a> {
    /// A row for each instance, none of them a candidate.
    pub(super) fn new(ranking: &Ranking, rows: &[&'a Row]) -> Self {
        let (mut columns, mut own, mut tallies, mut here) = (vec![], vec![], vec![], None);
        for criterion in &ranking.criteria {
            let of_instance = match criterion {
                // what comes after a draw decides nothing
                Criterion::Random => break,
                Criterion::Spread(tally) => {
                    if let Some(name) = &tally.attribute {
                        columns.push(Column::Groups(tallies.len()));
                        tallies.push((name.as_str(), tally));
                        continue;
                    }
                    here = Some(tally);
                    Own::Tasks
                }
                Criterion::Cpu => Own::Cpu,
                Criterion::Memory => Own::Memory,
            };
            let known = own.iter().position(|other| *other == of_instance);
            columns.push(Column::Own(known.unwrap_or(own.len())));
            if known.is_none() {
                own.push(of_instance);
            }
        }
        let mut board = Self {
            columns,
            own,
            groups: vec![Vec::new(); tallies.len()],
            cells: Vec::new(),
            places: Vec::with_capacity(rows.len()),
        };
        let mut cells = BTreeMap::new();
        let mut numbers = vec![BTreeMap::new(); tallies.len()];
        let mut names = Vec::new();
        for row in rows {
            names.clear();
            names.push(row.zone());
            names.extend(tallies.iter().map(|(name, _)| row.attribute(name)));
            let cell = cells.get(&names).copied().unwrap_or_else(|| {
                let cell = board.cells.len();
                cells.insert(names.clone(), cell);
                let of = names.iter().skip(1).zip(&mut numbers).zip(&mut board.groups);
                let groups = of.zip(&tallies).map(|(((name, numbers), tasks), (_, tally))| {
                    *numbers.entry(*name).or_insert_with(|| {
                        tasks.push(tally.count(*name));
                        tasks.len().saturating_sub(1)
                    })
                });
                board.cells.push(Cell {
                    zone: row.zone(),
                    groups: groups.collect(),
                    candidates: BTreeMap::new(),
                });
                cell
            });
            board.places.push(Place {
                cell,
                tasks: 0,
                owned: None,
            });
        }
        for (name, tasks) in here.into_iter().flat_map(|tally| &tally.named) {
            let at = rows.binary_search_by(|row| row.instance().name.cmp(name));
            if let Some(place) = at.ok().and_then(|row| board.places.get_mut(row)) {
                place.tasks = *tasks;
            }
        }
        board
    }

    /// Notes what is left in a row; with nothing it is no candidate.
    pub(super) fn set(&mut self, row: usize, room: Option<&Resources>) {
        let Some(place) = self.places.get_mut(row) else {
            return;
        };
        let Some(cell) = self.cells.get_mut(place.cell) else {
            return;
        };
        if let Some(old) = place.owned.take()
            && let Some(equals) = cell.candidates.get_mut(&old)
        {
            if let Ok(at) = equals.binary_search(&row) {
                equals.remove(at);
            }
            if equals.is_empty() {
                cell.candidates.remove(&old);
            }
        }
        let Some(room) = room else { return };
        let mut owned = Owned::default();
        for (value, own) in owned.iter_mut().zip(&self.own) {
            *value = match own {
                Own::Tasks => place.tasks,
                Own::Cpu => room.cpu,
                Own::Memory => room.memory,
            };
        }
        place.owned = Some(owned);
        let equals = cell.candidates.entry(owned).or_default();
        if let Err(at) = equals.binary_search(&row) {
            equals.insert(at, row);
        }
    }

    /// Counts one task more in a row, and notes what is left there.
    pub(super) fn add(&mut self, row: usize, room: Option<&Resources>) {
        if let Some(place) = self.places.get_mut(row) {
            place.tasks = place.tasks.saturating_add(1);
            let groups = self
                .cells
                .get(place.cell)
                .into_iter()
                .flat_map(|cell| &cell.groups);
            for (group, tasks) in groups.zip(&mut self.groups) {
                if let Some(tasks) = tasks.get_mut(*group) {
                    *tasks = tasks.saturating_add(1);
                }
            }
        }
        self.set(row, room);
    }

    /// The best candidate, in one zone if it is named: least counted, then least left, then by lot. (STRAT-10, PLACE-8)
    pub(super) fn best(&self, zone: Option<&str>, lot: u64) -> Option<usize> {
        let mut best: Vec<(&Cell<'_>, &Owned, &[usize])> = Vec::new();
        for cell in self
            .cells
            .iter()
            .filter(|cell| zone.is_none() || cell.zone == zone)
        {
            let Some((owned, rows)) = cell.candidates.first_key_value() else {
                continue;
            };
            let values = |cell, owned| self.columns.iter().map(move |c| self.value(c, cell, owned));
            let order = best.first().map_or(Ordering::Less, |(other, theirs, _)| {
                values(cell, owned).cmp(values(other, theirs))
            });
            if order.is_lt() {
                best.clear();
            }
            if order.is_le() {
                best.push((cell, owned, rows));
            }
        }
        let equals: Vec<&[usize]> = best.into_iter().map(|(_, _, rows)| rows).collect();
        let count = equals.iter().map(|rows| rows.len()).sum();
        nth(&equals, drawn(lot, count))
    }

    /// Smaller is better to start on.
    fn value(&self, column: &Column, cell: &Cell<'_>, owned: &Owned) -> i64 {
        let value = match column {
            Column::Groups(list) => {
                let group = cell.groups.get(*list).copied().unwrap_or_default();
                self.groups.get(*list).and_then(|tasks| tasks.get(group))
            }
            Column::Own(member) => owned.get(*member),
        };
        value.copied().unwrap_or_default()
    }
}

/// The row that so many rows of these lists come before; each list is in ascending order.
fn nth(lists: &[&[usize]], before: usize) -> Option<usize> {
    let found = |list: &&[usize]| {
        let at = list.partition_point(|row| rank(lists, *row) < before);
        list.get(at).copied().filter(|row| rank(lists, *row) == before)
    };
    lists.iter().find_map(found)
}

/// How many rows of the lists come before this one.
fn rank(lists: &[&[usize]], row: usize) -> usize {
    let before = lists
        .iter()
        .map(|list| list.partition_point(|other| *other < row));
    before.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::{Just, any, prop, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::{Row as FleetRow, *};
    use crate::plan::choice::draw;
    use crate::plan::ranking::ZONE;
    use crate::plan::testing::{Scene, instance, replica};
    use crate::plan::world::{Instance, Service, Strategy};

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
            let fleet: Vec<FleetRow> = all.iter().map(|i| FleetRow::new(Arc::new(i.clone()), &[], &scene.world)).collect();
            let mut board = Board::new(&ranking, &fleet.iter().collect::<Vec<_>>());
            for (row, room) in rooms.iter().enumerate() {
                board.set(row, room.as_ref());
            }
            for round in 0..10 {
                let round = round.to_string();
                let lot = draw(seed, &[&round]);
                let rows = all.iter().zip(&rooms).enumerate();
                let candidates: Vec<(usize, &Instance, &Resources)> = rows
                    .filter_map(|(row, (instance, room))| Some((row, instance, room.as_ref()?)))
                    .collect();
                let expected = ranking.best(candidates, |(_, instance, room)| (instance, room), lot);
                let expected = expected.map(|(row, ..)| row);
                prop_assert_eq!(board.best(None, lot), expected);
                let Some(row) = expected else { break };
                ranking.add(&all[row], 1);
                let left = rooms[row].clone().filter(|room| room.cpu > 0).map(|room| Resources {
                    cpu: room.cpu.saturating_sub(1),
                    ..room
                });
                board.add(row, left.as_ref());
                rooms[row] = left;
            }
        }
    }
}
