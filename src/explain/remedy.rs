//! The smallest change that lets an instance take a service's next task: found by making changes in a snapshot of that
//! instance and asking the planner again, so no rule stands here.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use serde::Serialize;

use super::change::{Change, Subject, built_in, can_be_freed};
use crate::domain::expr::Mention;
use crate::domain::records::{Deployment, InstanceStatus};
use crate::domain::resources::{Lack, Resources};
use crate::plan::eligibility::withheld;
use crate::plan::world::{Instance, Key, Rejection, World};
use crate::plan::{self, Prospect, Verdict};

/// Most changes of a remedy: the checks of the chain, and a few constraints and resources.
const CHANGES_MAX: usize = 12;
/// Most snapshots that are tried for the constraints of one instance.
const TRIES_MAX: usize = 1500;
/// Most values of other instances that are tried for an attribute.
const VALUES_MAX: usize = 16;
/// Longest wait after a start that was refused, in seconds.
const WAIT_MAX: i64 = 300;

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

/// The world with that one instance and its tasks: all that its verdict depends on. The service has the deployments that
/// its next pass would make.
#[must_use]
pub fn alone(world: &World, subject: &Subject, deployments: &[Deployment]) -> World {
    let mut small = World::default();
    (small.now, small.seed, small.task_version) = (world.now, world.seed, world.task_version);
    small.clusters = world.clusters.clone();
    small.leaving_namespaces = world.leaving_namespaces.clone();
    small.definitions = world.definitions.clone();
    small.services = world.services.clone();
    if let Some(instance) = world.instances.get(&subject.instance) {
        small.instances = OrdMap::unit(subject.instance.clone(), Arc::clone(instance));
    }
    for task in world.tasks_on(&subject.instance) {
        small.put_task(task.as_ref().clone());
    }
    if let Some(service) = small.services.get_mut(&subject.service) {
        deployments.clone_into(&mut Arc::make_mut(service).deployments);
    }
    small
}

/// The verdict on the subject's instance.
#[must_use]
pub fn ask(world: &World, subject: &Subject) -> Option<Verdict> {
    let prospect = plan::prospect(world, &subject.service).ok()?;
    let mut verdicts = prospect.verdicts.into_iter();
    let found = verdicts.find(|(instance, _)| *instance == subject.instance);
    found.map(|(_, verdict)| verdict)
}

/// The smallest change, if there is one, by the prospect of the service in that world.
#[must_use]
pub fn remedy(world: &World, subject: &Subject, prospect: &Prospect) -> Option<Remedy> {
    let begin = alone(world, subject, &prospect.deployments);
    let mut small = begin.clone();
    let mut made: Vec<Change> = Vec::new();
    while made.len() < CHANGES_MAX {
        let rejection = match ask(&small, subject)? {
            Verdict::Fits => return Some(Remedy(pruned(&begin, joined(made), subject))),
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
        let mut tried = begin.clone();
        changes
            .iter()
            .for_each(|change| change.apply(&mut tried, subject));
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
    let instance = small.instances.get(&subject.instance)?;
    let mut options = if rejection.lacks_resources() {
        for_resources(small, subject, instance, rejection)
    } else {
        let mut options = for_status(instance);
        options.extend(for_attribute(small, subject));
        options.extend(for_constraints(small, world, subject));
        options
    };
    options.truncate(TRIES_MAX);
    let rank = |rejection: &Rejection| rank(small, subject, rejection);
    let mut way = None;
    for changes in options {
        let mut tried = small.clone();
        changes
            .iter()
            .for_each(|change| change.apply(&mut tried, subject));
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
    let service = small.services.get(&subject.service)?;
    let definition = small.definitions.get(&subject.definition)?;
    let mut rules = definition
        .constraints
        .iter()
        .chain(&service.constraints)
        .flatten();
    rules.position(|rule| rule.to_string() == rejection.failure.detail)
}

fn for_status(instance: &Instance) -> Vec<Vec<Change>> {
    let from = instance.status;
    let options = [
        (instance.newer_ledger.is_some(), Change::UpgradeOperator),
        (from != InstanceStatus::Active, Change::Activate { from }),
        (!instance.connected, Change::Connect),
        (!instance.schedulable, Change::Unblock),
        (instance.overcommitted, Change::CompleteLedger),
    ];
    let due = options.into_iter().filter(|(due, _)| *due);
    due.map(|(_, change)| vec![change]).collect()
}

fn for_attribute(small: &World, subject: &Subject) -> Vec<Vec<Change>> {
    let Some(definition) = small.definitions.get(&subject.definition) else {
        return Vec::new();
    };
    let wanted = definition.required_attributes.iter();
    wanted
        .map(|attribute| {
            vec![Change::SetAttribute {
                name: attribute.name.clone(),
                value: attribute.value.clone(),
            }]
        })
        .collect()
}

/// What may make the expressions hold: what somebody sets first, one change before two, what the node is after that;
/// at last the constraint goes. Then what is about the service's own tasks.
fn for_constraints(small: &World, world: &World, subject: &Subject) -> Vec<Vec<Change>> {
    let (Some(service), Some(definition)) = (
        small.services.get(&subject.service),
        small.definitions.get(&subject.definition),
    ) else {
        return Vec::new();
    };
    let rules = definition
        .constraints
        .iter()
        .chain(&service.constraints)
        .flatten();
    let mentions: Vec<Mention<'_>> = rules.clone().flat_map(|rule| rule.mentions()).collect();
    let (nature, settable): (Vec<Change>, Vec<Change>) = candidates(small, world, subject, &mentions)
        .into_iter()
        .partition(|change| match change {
            Change::SetAttribute { name, .. } | Change::RemoveAttribute { name } => built_in(name),
            _ => false,
        });
    let mut options: Vec<Vec<Change>> = settable.iter().map(|change| vec![change.clone()]).collect();
    options.extend(pairs(&settable));
    options.extend(nature.iter().map(|change| vec![change.clone()]));
    options.extend(rules.map(|rule| {
        vec![Change::LiftConstraint {
            expression: rule.to_string(),
        }]
    }));
    options.push(vec![Change::LiftDistinctInstance]);
    options.extend(wait(small, subject));
    // the last resorts count even if there is much to try
    let last = options.len().saturating_sub(TRIES_MAX);
    options.drain(..last);
    options
}

/// Two changes of different things.
fn pairs(changes: &[Change]) -> Vec<Vec<Change>> {
    let name = |change: &Change| match change {
        Change::SetAttribute { name, .. } | Change::RemoveAttribute { name } => name.clone(),
        other => other.to_string(),
    };
    let mut found = Vec::new();
    for (at, one) in changes.iter().enumerate() {
        for other in changes.iter().skip(at.saturating_add(1)) {
            if name(one) != name(other) {
                found.push(vec![one.clone(), other.clone()]);
            }
        }
    }
    found
}

fn candidates(small: &World, world: &World, subject: &Subject, mentions: &[Mention<'_>]) -> Vec<Change> {
    let mut found = Vec::new();
    for mention in mentions {
        match mention {
            Mention::Attribute { name, values } => {
                let set = |value: &str| Change::SetAttribute {
                    name: (*name).to_owned(),
                    value: Some(value.to_owned()),
                };
                found.extend(values.iter().map(|value| set(value)));
                found.push(Change::RemoveAttribute {
                    name: (*name).to_owned(),
                });
                let others = world.instances.values();
                let others: BTreeSet<&str> = others
                    .filter_map(|i| i.attributes.get(*name)?.as_deref())
                    .collect();
                found.extend(others.into_iter().take(VALUES_MAX).map(set));
                let numbers = values.iter().filter_map(|value| value.parse::<i64>().ok());
                let around = numbers.flat_map(|n| [n.saturating_add(1), n.saturating_sub(1)]);
                found.extend(around.map(|n| set(&n.to_string())));
                if values.is_empty() {
                    found.push(Change::SetAttribute {
                        name: (*name).to_owned(),
                        value: None,
                    });
                }
            }
            Mention::TaskGroup { values } => {
                let start = |group: &&str| Change::StartGroup {
                    group: (*group).to_owned(),
                };
                found.extend(values.iter().map(start));
                let groups: BTreeSet<String> = groups_on(small, &subject.instance);
                found.extend(groups.into_iter().map(|group| Change::EndGroup { group }));
            }
            Mention::Machine => {}
        }
    }
    let mut seen = Vec::new();
    found.retain(|change| {
        let new = !seen.contains(change);
        seen.push(change.clone());
        new
    });
    found
}

/// Groups of tasks on an instance, of those too that are not seen yet.
fn groups_on(small: &World, instance: &str) -> BTreeSet<String> {
    let tasks = small.tasks_on(instance).filter(|t| t.wanted());
    let mut groups: BTreeSet<String> = tasks
        .map(|t| format!("{}/{}", t.key.namespace, t.group))
        .collect();
    let entries = small.instances.get(instance).map(|i| i.reservations.as_slice());
    for entry in entries.unwrap_or_default() {
        if let Some(service) = &entry.service {
            let key = Key::new(&entry.namespace, &service.name);
            let group = small.services.get(&key).map(|s| s.group());
            let group = group.unwrap_or_else(|| format!("service:{}", service.name));
            groups.insert(format!("{}/{group}", entry.namespace));
        }
    }
    groups
}

/// The shortest wait after which the instance is tried again, if that is what helps.
fn wait(small: &World, subject: &Subject) -> Option<Vec<Change>> {
    let before = ask(small, subject);
    let helps = |seconds: i64| {
        let mut later = small.clone();
        Change::Wait { seconds }.apply(&mut later, subject);
        ask(&later, subject) != before
    };
    if !helps(WAIT_MAX) {
        return None;
    }
    let (mut short, mut long) = (0, WAIT_MAX);
    while long.saturating_sub(short) > 1 {
        let middle = short.midpoint(long);
        if helps(middle) {
            long = middle;
        } else {
            short = middle;
        }
    }
    Some(vec![Change::Wait { seconds: long }])
}

/// What makes room: others end, the task asks for less, or the node is bigger.
fn for_resources(
    small: &World,
    subject: &Subject,
    instance: &Instance,
    rejection: &Rejection,
) -> Vec<Vec<Change>> {
    let demand = small
        .definitions
        .get(&subject.definition)
        .and_then(|definition| definition.demand.as_ref().ok());
    let Some(demand) = demand else {
        return Vec::new();
    };
    let lacks = [Lack::Cpu, Lack::Memory, Lack::Ports, Lack::Gpu, Lack::Pods];
    let lack = lacks
        .into_iter()
        .find(|lack| lack.to_string() == rejection.failure.reason);
    let own = small.services.get(&subject.service).map(|s| s.uid.as_str());
    let (free, asked) = (can_be_freed(instance, own), &rejection.left);
    let amount = |set: fn(&mut Resources) -> &mut i64, value: i64| {
        let mut amounts = Resources::default();
        *set(&mut amounts) = value;
        amounts
    };
    let of = |set: fn(&mut Resources) -> &mut i64| {
        let short = set(&mut demand.clone()).saturating_sub(*asked);
        let amounts = amount(set, short);
        let mut options = Vec::new();
        if *set(&mut free.clone()) >= short {
            options.push(vec![Change::Free {
                amounts: amounts.clone(),
            }]);
        }
        if *asked > 0 {
            options.push(vec![Change::AskLess {
                amounts: amounts.clone(),
            }]);
        }
        options.push(vec![Change::Enlarge { amounts }]);
        options
    };
    match lack {
        Some(Lack::Cpu) => of(|r| &mut r.cpu),
        Some(Lack::Memory) => of(|r| &mut r.memory),
        Some(Lack::Gpu) => of(|r| &mut r.gpu),
        Some(Lack::Pods) => of(|r| &mut r.pods),
        Some(Lack::Ports) => for_ports(small, instance, demand, &free),
        None => Vec::new(),
    }
}

/// Ports in the way are freed by who has them, or taken off the reserved ones; else the task must do without.
fn for_ports(small: &World, instance: &Instance, demand: &Resources, free: &Resources) -> Vec<Vec<Change>> {
    let asked = Resources {
        ports: demand.ports.clone(),
        ports_udp: demand.ports_udp.clone(),
        ..Resources::default()
    };
    let common = |other: &Resources| Resources {
        ports: asked.ports.intersection(&other.ports).copied().collect(),
        ports_udp: asked.ports_udp.intersection(&other.ports_udp).copied().collect(),
        ..Resources::default()
    };
    let reserved = common(&instance.registered);
    let held = common(free);
    let taken = common(&instance.remaining().remaining(&withheld(small, instance)));
    let nothing = Resources::default();
    let mut options = Vec::new();
    let mut frees = Vec::new();
    if held != nothing {
        frees.push(Change::Free { amounts: held });
    }
    if reserved != nothing {
        frees.push(Change::Unreserve { amounts: reserved });
    }
    options.extend(frees.iter().map(|change| vec![change.clone()]));
    options.push(frees);
    if taken != nothing {
        options.push(vec![Change::AskLess { amounts: taken }]);
    }
    // too many in all: without host ports there is no such limit
    options.push(vec![Change::AskLess { amounts: asked }]);
    options
}
