//! Changes that would let an instance take a task, and what they do to a snapshot.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::expr::{Expression, ParseError};
use crate::domain::records::{DesiredStatus, HealthStatus, InstanceStatus, LastStatus, Reservation};
use crate::domain::resources::Resources;
use crate::plan::Asker;
use crate::plan::world::{Definition, Instance, Key, Task, World};

/// Whose task, and where.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Who asks for the place.
    pub of: Asker,
    /// The TaskDefinition of the task.
    pub definition: Key,
    /// The instance.
    pub instance: String,
}

impl Subject {
    /// What the task runs.
    #[must_use]
    pub fn definition<'w>(&self, world: &'w World) -> Option<&'w Definition> {
        let overriding = match &self.of {
            Asker::Task(key) => world.overridden.get(key).and_then(Option::as_ref),
            Asker::Service(_) => None,
        };
        overriding
            .or_else(|| world.definitions.get(&self.definition))
            .map(AsRef::as_ref)
    }

    /// The expressions that must hold on its instance: those of its definition, then its own.
    #[must_use]
    pub fn expressions<'w>(&self, world: &'w World) -> Vec<&'w Expression> {
        let own = match &self.of {
            Asker::Service(key) => world.services.get(key).and_then(|s| s.constraints.as_ref().ok()),
            Asker::Task(key) => {
                let wish = world.task(key).and_then(|t| t.run_once.as_deref());
                wish.and_then(|wish| wish.constraints.as_ref().ok())
            }
        };
        let definition = self.definition(world).and_then(|d| d.constraints.as_ref().ok());
        definition.into_iter().chain(own).flatten().collect()
    }

    /// Uid of its service.
    #[must_use]
    pub fn service_uid<'w>(&self, world: &'w World) -> Option<&'w str> {
        match &self.of {
            Asker::Service(key) => world.services.get(key).map(|s| s.uid.as_str()),
            Asker::Task(_) => None,
        }
    }
}

/// One change that somebody can make, or wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// An operator that knows the ledger's format.
    UpgradeOperator,
    /// The instance is ACTIVE.
    Activate {
        /// What it is now.
        from: InstanceStatus,
    },
    /// The node is ready.
    Connect,
    /// The node is neither cordoned nor tainted, and is selected by its cluster.
    Unblock,
    /// The ledger has an entry for every task that runs there.
    CompleteLedger,
    /// The refusal of an earlier task is that much older.
    Wait {
        /// Seconds.
        seconds: i64,
    },
    /// An attribute of the instance.
    SetAttribute {
        /// Its name.
        name: String,
        /// Its value.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// An attribute less.
    RemoveAttribute {
        /// Its name.
        name: String,
    },
    /// A task of the group runs on the instance.
    StartGroup {
        /// `service:NAME`, or with the namespace before it.
        group: String,
    },
    /// No task of the group runs on the instance.
    EndGroup {
        /// `NAMESPACE/service:NAME`.
        group: String,
    },
    /// A placement constraint less.
    LiftConstraint {
        /// The expression.
        expression: String,
    },
    /// The service, or the task group, may have two tasks on an instance.
    LiftDistinctInstance,
    /// Tasks or other Pods on the instance end that take at least so much.
    Free {
        /// How much.
        amounts: Resources,
    },
    /// The task definition asks for so much less.
    AskLess {
        /// How much less.
        amounts: Resources,
    },
    /// The node offers so much more.
    Enlarge {
        /// How much more.
        amounts: Resources,
    },
    /// Host ports that the EcsCluster does not reserve.
    Unreserve {
        /// The ports.
        amounts: Resources,
    },
}

/// Whether the operator sets an attribute from what the node is. (ATTR-5)
#[must_use]
pub fn built_in(attribute: &str) -> bool {
    attribute.starts_with("ecs.") || attribute.starts_with("com.amazonaws.ecs.")
}

impl Change {
    /// Makes the change in a snapshot.
    pub fn apply(&self, world: &mut World, subject: &Subject) {
        match self {
            Self::Wait { seconds } => {
                let later = world.now.checked_add(SignedDuration::from_secs(*seconds));
                world.now = later.unwrap_or(Timestamp::MAX);
            }
            Self::LiftConstraint { expression } => {
                let other = |e: &Expression| e.to_string() != *expression;
                edit_asker(world, subject, |rules, _| {
                    if let Ok(rules) = rules {
                        rules.retain(other);
                    }
                });
                edit_definition(world, subject, |d| {
                    if let Ok(rules) = &mut d.constraints {
                        rules.retain(other);
                    }
                });
            }
            Self::LiftDistinctInstance => edit_asker(world, subject, |_, distinct| *distinct = false),
            Self::AskLess { amounts } => edit_definition(world, subject, |definition| {
                if let Ok(demand) = &mut definition.demand {
                    *demand = demand.excess_over(amounts);
                }
            }),
            Self::StartGroup { group } => world.put_task(companion(world, subject, group)),
            Self::EndGroup { group } => end_group(world, subject, group),
            Self::Free { amounts } => {
                let own = subject.service_uid(world).map(str::to_owned);
                edit_instance(world, subject, |instance| {
                    let left = drop_shares(instance, own.as_deref(), amounts);
                    instance.foreign = instance.foreign.excess_over(&left);
                });
            }
            _ => edit_instance(world, subject, |instance| self.apply_to(instance)),
        }
    }

    /// How much it is about, if it has an amount.
    pub(super) fn amounts_mut(&mut self) -> Option<&mut Resources> {
        match self {
            Self::Free { amounts }
            | Self::AskLess { amounts }
            | Self::Enlarge { amounts }
            | Self::Unreserve { amounts } => Some(amounts),
            _ => None,
        }
    }

    fn apply_to(&self, instance: &mut Instance) {
        match self {
            Self::UpgradeOperator => instance.newer_ledger = None,
            Self::Activate { .. } => instance.status = InstanceStatus::Active,
            Self::Connect => (instance.connected, instance.disconnected_since) = (true, None),
            Self::Unblock => instance.schedulable = true,
            Self::CompleteLedger => instance.overcommitted = false,
            Self::SetAttribute { name, value } => {
                instance.attributes.insert(name.clone(), value.clone());
            }
            Self::RemoveAttribute { name } => drop(instance.attributes.remove(name)),
            Self::Enlarge { amounts } => instance.registered.add(amounts),
            Self::Unreserve { amounts } => {
                instance
                    .registered
                    .ports
                    .retain(|port| !amounts.ports.contains(port));
            }
            _ => {}
        }
    }
}

/// Takes `amounts` from the shares of tasks that can end, as far as they go; what is left to take.
fn drop_shares(instance: &mut Instance, own: Option<&str>, amounts: &Resources) -> Resources {
    let mut left = amounts.clone();
    for entry in instance.reservations.iter_mut().filter(|r| may_end(r, own)) {
        let held = entry.amounts.clone();
        entry.amounts = held.excess_over(&left);
        left = left.excess_over(&held);
    }
    left
}

/// What ends and frees room: what tasks hold, but for daemons, which would come back, and those of the service itself,
/// which are worth no less than its next; and other Pods.
#[must_use]
pub fn can_be_freed(instance: &Instance, own: Option<&str>) -> Resources {
    let shares = instance.reservations.iter().filter(|r| may_end(r, own));
    Resources::sum(shares.map(|r| &r.amounts).chain([&instance.foreign]))
}

fn may_end(entry: &Reservation, own: Option<&str>) -> bool {
    let of = entry.service.as_ref();
    !of.is_some_and(|s| s.daemon || Some(s.uid.as_str()) == own)
}

fn edit_instance(world: &mut World, subject: &Subject, edit: impl FnOnce(&mut Instance)) {
    world.edit_instance(&subject.instance, edit);
}

/// Expressions, or the first that can't be read.
type Rules = Result<Vec<Expression>, ParseError>;

/// Changes what the service or the run-once task asks of instances: its expressions, and `distinctInstance`.
fn edit_asker(world: &mut World, subject: &Subject, edit: impl FnOnce(&mut Rules, &mut bool)) {
    match &subject.of {
        Asker::Service(key) => {
            world.edit_service(key, |service| {
                edit(&mut service.constraints, &mut service.distinct_instance);
            });
        }
        Asker::Task(key) => {
            let Some(mut task) = world.task(key).map(|task| Task::clone(task)) else {
                return;
            };
            if let Some(wish) = task.run_once.as_mut().map(Arc::make_mut) {
                edit(&mut wish.constraints, &mut wish.distinct_instance);
            }
            world.put_task(task);
        }
    }
}

fn edit_definition(world: &mut World, subject: &Subject, edit: impl FnOnce(&mut Definition)) {
    let overriding = match &subject.of {
        Asker::Task(key) => world.overridden.get_mut(key).and_then(Option::as_mut),
        Asker::Service(_) => None,
    };
    match overriding {
        Some(definition) => edit(Arc::make_mut(definition)),
        None => world.edit_definition(&subject.definition, edit),
    }
}

/// A task of a group, RUNNING on the subject's instance.
fn companion(world: &World, subject: &Subject, group: &str) -> Task {
    let (namespace, group) = group.split_once('/').unwrap_or((subject.of.namespace(), group));
    let key = Key::new(namespace, format!("#{group}"));
    made_up(key, &subject.instance, group, world.now)
}

/// A task of no service that runs since then.
pub(super) fn made_up(key: Key, instance: &str, group: &str, since: Timestamp) -> Task {
    Task {
        uid: format!("#{key}"),
        key,
        version: 0,
        created_at: since,
        cluster: String::new(),
        instance: Some(instance.to_owned()),
        group: group.to_owned(),
        service: None,
        started_by: String::new(),
        definition: String::new(),
        desired: DesiredStatus::Running,
        last: LastStatus::Running,
        health: HealthStatus::Unknown,
        healthy_since: None,
        started_at: Some(since),
        stopping_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        held_up: None,
        tombstone: false,
        protected_until: None,
        told: None,
        run_once: None,
    }
}

/// Ends all tasks of a group on the subject's instance; their shares go with them.
fn end_group(world: &mut World, subject: &Subject, group: &str) {
    let Some((namespace, group)) = group.split_once('/') else {
        return;
    };
    let ending: Vec<Key> = world
        .tasks_on(&subject.instance)
        .filter(|t| t.key.namespace == namespace && t.group == group)
        .map(|t| t.key.clone())
        .collect();
    for key in &ending {
        world.remove_task(key);
    }
    let name_of = |service: &str| {
        let found = world.services.get(&Key::new(namespace, service));
        found.map_or_else(|| format!("service:{service}"), |s| s.group())
    };
    let of_group = |entry: &crate::domain::records::Reservation| {
        let ended = ending.iter().any(|key| entry.is_for(&key.namespace, &key.name));
        let service = entry.service.as_ref();
        ended || (entry.namespace == namespace && service.is_some_and(|s| name_of(&s.name) == group))
    };
    let Some(instance) = world.instances.get(&subject.instance) else {
        return;
    };
    let mut instance = Instance::clone(instance);
    instance.reservations.retain(|entry| !of_group(entry));
    world.put_instance(instance);
}

/// Amounts as people say them: `512 CPU units, 1024 MiB, host port 8080/tcp`.
#[must_use]
pub fn said(amounts: &Resources) -> String {
    let counts = [
        (amounts.cpu, "CPU unit", "s"),
        (amounts.memory, "MiB", ""),
        (amounts.gpu, "GPU", "s"),
        (amounts.pods, "Pod slot", "s"),
    ];
    let counts = counts.into_iter().filter(|(amount, ..)| *amount != 0);
    let mut parts: Vec<String> = counts
        .map(|(amount, unit, plural)| {
            let plural = if amount == 1 { "" } else { plural };
            format!("{amount} {unit}{plural}")
        })
        .collect();
    let asked = amounts.taken_of(amounts);
    match asked.len() {
        0 => {}
        1 => parts.push(format!("host port {}", asked.join(", "))),
        _ => parts.push(format!("host ports {}", asked.join(", "))),
    }
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What a task or Pod takes; that it is one Pod goes without saying.
#[must_use]
pub fn takes(amounts: &Resources) -> String {
    let mut amounts = amounts.clone();
    let pod = std::mem::take(&mut amounts.pods);
    if amounts == Resources::default() || pod > 1 {
        amounts.pods = pod;
    }
    said(&amounts)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpgradeOperator => write!(f, "upgrade the operator"),
            Self::Activate { from } => match from {
                InstanceStatus::Registering => write!(f, "wait until it is registered"),
                InstanceStatus::Inactive => write!(f, "bring its node back"),
                InstanceStatus::Draining | InstanceStatus::Active => write!(f, "make it ACTIVE"),
            },
            Self::Connect => write!(f, "make the node ready"),
            Self::Unblock => write!(f, "let the node take tasks: uncordon it, or take its taint off"),
            Self::CompleteLedger => write!(f, "wait until the ledger is complete"),
            Self::Wait { seconds } => write!(f, "wait {seconds} s"),
            Self::SetAttribute { name, value } if built_in(name) => {
                let value = value.as_deref().unwrap_or_default();
                write!(f, "take a node whose {name} is {value}")
            }
            Self::SetAttribute { name, value } => match value {
                Some(value) => write!(f, "set attribute {name} = {value}"),
                None => write!(f, "set attribute {name}"),
            },
            Self::RemoveAttribute { name } if built_in(name) => write!(f, "take a node without {name}"),
            Self::RemoveAttribute { name } => write!(f, "take attribute {name} off"),
            Self::StartGroup { group } => write!(f, "run a task of {group} there"),
            Self::EndGroup { group } => write!(f, "end the tasks of {group} there"),
            Self::LiftConstraint { expression } => write!(f, "drop the constraint `{expression}`"),
            Self::LiftDistinctInstance => write!(f, "drop distinctInstance"),
            Self::Free { amounts } => write!(f, "free {}", said(amounts)),
            Self::AskLess { amounts } => write!(f, "ask for {} less", said(amounts)),
            Self::Enlarge { amounts } => write!(f, "take a node with {} more", said(amounts)),
            Self::Unreserve { amounts } => {
                write!(
                    f,
                    "take {} off the reservedPorts of the EcsCluster",
                    said(amounts)
                )
            }
        }
    }
}
