//! The smallest change that lets an instance take a service's next task, or a run-once task: found by making changes in a snapshot of that
//! instance and asking the planner again, so no rule stands here.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Serialize;

use super::change::{Change, Subject};
use super::options::options;
use crate::domain::records::Deployment;
use crate::domain::resources::Resources;
use crate::plan::world::{Key, Rejection, World};
use crate::plan::{Asker, Prospect, Verdict};

/// Most changes of a remedy: the checks of the chain, and a few constraints and resources.
const CHANGES_MAX: usize = 12;
/// Most steps on the way to it: room that is made may be a daemon's, so the same amount can come several times.
const STEPS_MAX: usize = 48;

/// Times that a remedy is made smaller.
const ROUNDS_MAX: u32 = 4;

/// One of the amounts.
type Field = fn(&mut Resources) -> &mut i64;
const FIELDS: [Field; 4] = [|r| &mut r.cpu, |r| &mut r.memory, |r| &mut r.gpu, |r| &mut r.pods];

/// Changes that together let the instance take the task, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Remedy(pub Vec<Change>);

impl Remedy {
    /// Makes all changes in a snapshot.
    pub fn apply(&self, world: &mut World, subject: &Subject) {
        for change in &self.0 {
            change.apply(world, subject);
        }
    }

    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        words.join("; ")
    }
}

/// The world with that one instance and its tasks, and who asks: all that its verdict depends on. A service has the
/// deployments that its next pass would make.
#[must_use]
pub fn alone(world: &World, subject: &Subject, deployments: &[Deployment]) -> World {
    let mut small = around(world, &subject.instance);
    match &subject.of {
        Asker::Service(key) => {
            small.edit_service(key, |service| deployments.clone_into(&mut service.deployments));
        }
        Asker::Task(key) => {
            if let Some(task) = world.task(key) {
                small.put_task(task.as_ref().clone());
            }
            if let Some(overriding) = world.overridden.get(key) {
                small.overridden.insert(key.clone(), overriding.clone());
            }
        }
    }
    small
}

/// The world with that one instance and its tasks, those included that have their share there and are bound to no instance.
#[must_use]
pub fn around(world: &World, instance: &str) -> World {
    let mut small = world.without_instances();
    if let Some(found) = world.instances.get(instance) {
        small.put_instance(Arc::clone(found));
    }
    let entries = small.instances.get(instance).map(Arc::clone);
    let holding = entries.iter().flat_map(|i| &i.reservations);
    let holding = holding.filter_map(|r| world.task(&Key::new(&r.namespace, &r.task)));
    for task in world.tasks_on(instance).chain(holding) {
        small.put_task(task.as_ref().clone());
    }
    small
}

/// A snapshot with changes made in it.
fn changed(world: &World, changes: &[Change], subject: &Subject) -> World {
    let mut after = world.clone();
    for change in changes {
        change.apply(&mut after, subject);
    }
    after
}

/// The verdict on the subject's instance.
#[must_use]
pub fn ask(world: &World, subject: &Subject) -> Option<Verdict> {
    let prospect = subject.of.prospect(world).ok()?;
    let mut verdicts = prospect.verdicts.into_iter();
    let found = verdicts.find(|(instance, _)| *instance == subject.instance);
    found.map(|(_, verdict)| verdict)
}

/// The smallest change, if there is one, by the prospect of who asks in that world.
#[must_use]
pub fn remedy(world: &World, subject: &Subject, prospect: &Prospect) -> Option<Remedy> {
    let begin = alone(world, subject, &prospect.deployments);
    let mut small = begin.clone();
    let mut made: Vec<Change> = Vec::new();
    for _ in 0..STEPS_MAX {
        let rejection = match ask(&small, subject)? {
            Verdict::Fits => {
                let changes = pruned(&begin, joined(made), subject);
                return (changes.len() <= CHANGES_MAX).then_some(Remedy(changes));
            }
            Verdict::Taken => return None,
            Verdict::Rejected(rejection) => rejection,
        };
        let next = next_changes(&small, world, subject, &rejection)?;
        for change in next {
            change.apply(&mut small, subject);
            made.push(change);
        }
    }
    None
}

/// Without those that a later one made needless, and with no amount larger than it must be.
fn pruned(begin: &World, mut changes: Vec<Change>, subject: &Subject) -> Vec<Change> {
    let enough = |changes: &[Change]| {
        let tried = changed(begin, changes, subject);
        ask(&tried, subject) == Some(Verdict::Fits)
    };
    for _ in 0..ROUNDS_MAX {
        let before = changes.clone();
        let mut at = 0;
        while at < changes.len() {
            let mut fewer = changes.clone();
            fewer.remove(at);
            if enough(&fewer) {
                changes = fewer;
                continue;
            }
            for field in FIELDS {
                lower(&mut changes, at, field, &enough);
            }
            at = at.saturating_add(1);
        }
        if changes == before {
            break;
        }
    }
    changes
}

/// Makes one amount of a change as small as it can be.
fn lower(changes: &mut [Change], at: usize, field: Field, enough: &impl Fn(&[Change]) -> bool) {
    let Some(most) = changes
        .get_mut(at)
        .and_then(Change::amounts_mut)
        .map(|r| *field(r))
    else {
        return;
    };
    let mut with = |amount: i64| {
        let mut tried = changes.to_vec();
        if let Some(amounts) = tried.get_mut(at).and_then(Change::amounts_mut) {
            *field(amounts) = amount;
        }
        let fits = enough(&tried);
        if fits {
            changes.clone_from_slice(&tried);
        }
        fits
    };
    let (mut short, mut long) = (-1, most);
    // mostly it is as small as it can be
    if most == 0 || !with(most.saturating_sub(1)) {
        return;
    }
    while long.saturating_sub(short) > 1 {
        let middle = short.midpoint(long);
        if with(middle) {
            long = middle;
        } else {
            short = middle;
        }
    }
}

/// Amounts of one kind become one change.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    for change in changes {
        let merged = match (&change, found.last_mut()) {
            (Change::Free { amounts: more }, Some(Change::Free { amounts }))
            | (Change::AskLess { amounts: more }, Some(Change::AskLess { amounts }))
            | (Change::Unreserve { amounts: more }, Some(Change::Unreserve { amounts }))
            | (Change::Enlarge { amounts: more }, Some(Change::Enlarge { amounts })) => {
                amounts.add(more);
                true
            }
            _ => false,
        };
        if !merged {
            found.push(change);
        }
    }
    found
}

/// The first changes, of those that come into question, after which the instance comes further.
fn next_changes(
    small: &World,
    world: &World,
    subject: &Subject,
    rejection: &Rejection,
) -> Option<Vec<Change>> {
    let rank = |rejection: &Rejection| rank(small, subject, rejection);
    let mut way = None;
    for changes in options(small, world, subject, rejection)? {
        let tried = changed(small, &changes, subject);
        match ask(&tried, subject) {
            Some(Verdict::Fits) => return Some(changes),
            Some(Verdict::Rejected(after)) => {
                let further = comes_further(rejection, &after, rank);
                let past = further && after.failure.reason != rejection.failure.reason;
                // of several expressions all are to hold, if one change or two can do it
                let clear = past || rank(rejection).is_none();
                if further && clear && !rejection.lacks_resources() {
                    return Some(changes);
                }
                // room that is freed may be a daemon's: one step back, then on
                let worth = u8::from(past).saturating_add(u8::from(further || grows(rejection, &changes)));
                if worth > way.as_ref().map_or(0, |(best, _)| *best) {
                    way = Some((worth, changes));
                }
            }
            Some(Verdict::Taken) | None => {}
        }
    }
    way.map(|(_, changes)| changes)
}

/// Whether it is a bigger node that still lacks room: it is to be bigger yet.
fn grows(rejection: &Rejection, changes: &[Change]) -> bool {
    rejection.lacks_resources() && matches!(changes, [Change::Enlarge { .. }])
}

/// Whether it is a later check that fails now. Expressions are made to hold in their order, so that none that holds is
/// given up for another.
fn comes_further(before: &Rejection, after: &Rejection, rank: impl Fn(&Rejection) -> Option<usize>) -> bool {
    match after.stage.cmp(&before.stage) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => match (rank(before), rank(after)) {
            (Some(before), Some(after)) => after > before,
            (None, Some(_)) => false,
            (_, None) => after.failure != before.failure,
        },
    }
}

/// Which of the expressions it is that does not hold.
fn rank(small: &World, subject: &Subject, rejection: &Rejection) -> Option<usize> {
    let mut rules = subject.expressions(small).into_iter();
    rules.position(|rule| rule.to_string() == rejection.failure.detail)
}
