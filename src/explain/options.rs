//! The changes that come into question for a check that fails. Whether they help is for the planner to say.

use std::collections::BTreeSet;

use super::change::{Change, Subject, built_in, can_be_freed};
use super::remedy::ask;
use crate::domain::expr::Mention;
use crate::domain::records::InstanceStatus;
use crate::domain::resources::{Lack, Resources};
use crate::plan::eligibility::withheld;
use crate::plan::world::{Instance, Key, Rejection, World};

/// Most snapshots that are tried for the constraints of one instance.
const TRIES_MAX: usize = 1500;
/// Most values of other instances that are tried for an attribute.
const VALUES_MAX: usize = 16;
/// Longest wait after a start that was refused, in seconds.
const WAIT_MAX: i64 = 300;

/// What may help against a rejection, what is preferred first.
pub(super) fn options(
    small: &World,
    world: &World,
    subject: &Subject,
    rejection: &Rejection,
) -> Option<Vec<Vec<Change>>> {
    let instance = small.instances.get(&subject.instance)?;
    if rejection.lacks_resources() {
        return Some(for_resources(small, subject, instance, rejection));
    }
    let mut options = for_status(instance);
    options.extend(for_attribute(small, subject));
    options.extend(for_constraints(small, world, subject));
    Some(options)
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
    let Some(definition) = subject.definition(small) else {
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
/// at last the constraint goes. Then what is about the service's or the group's own tasks.
fn for_constraints(small: &World, world: &World, subject: &Subject) -> Vec<Vec<Change>> {
    let rules = subject.expressions(small);
    let mentions: Vec<Mention<'_>> = rules.iter().flat_map(|rule| rule.mentions()).collect();
    let (nature, settable): (Vec<Change>, Vec<Change>) = candidates(small, world, subject, &mentions)
        .into_iter()
        .partition(|change| match change {
            Change::SetAttribute { name, .. } | Change::RemoveAttribute { name } => built_in(name),
            _ => false,
        });
    let mut options: Vec<Vec<Change>> = settable.iter().map(|change| vec![change.clone()]).collect();
    options.extend(pairs(&settable));
    options.extend(nature.iter().map(|change| vec![change.clone()]));
    options.extend(rules.iter().map(|rule| {
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
    let definition = subject.definition(small);
    let Some(demand) = definition.and_then(|definition| definition.demand.as_ref().ok()) else {
        return Vec::new();
    };
    let lacks = [Lack::Cpu, Lack::Memory, Lack::Ports, Lack::Gpu, Lack::Pods];
    let lack = lacks
        .into_iter()
        .find(|lack| lack.to_string() == rejection.failure.reason);
    let free = can_be_freed(instance, subject.service_uid(small));
    let asked = &rejection.left;
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
