//! The chain of checks an instance must pass for a task, and what of its room daemons hold back.
//!
//! Stages, in the order they are reported (PLACE-3, PLACE-4): the instance takes tasks at all, it has the required
//! attributes, the constraints hold, the resources are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::deployment;
use super::optimistic::promised;
use super::permission::may_place;
use super::rejection::stage;
use super::world::{Definition, Instance, Key, Rejection, Service, World};
use crate::domain::expr::{Expression, InstanceView};
use crate::domain::records::{Attribute, Deployment, InstanceStatus, LEDGER_VERSION, PlacementFailure};
use crate::domain::resources::{HOST_PORTS_MAX, Lack, Resources};

/// What an expression sees of an instance. (CQL-1)
pub struct View<'a> {
    instance: &'a Instance,
    groups: BTreeSet<String>,
    running: u32,
}

impl<'a> View<'a> {
    /// The view of an asker in `namespace`; a running task of `own` service is left out, so that a daemon's own task
    /// does not decide on itself. (CQL-15, CQL-16)
    #[must_use]
    pub fn new(world: &World, instance: &'a Instance, namespace: &str, own: Option<&str>) -> Self {
        let mut groups = BTreeSet::new();
        let mut running = 0u32;
        for task in world.tasks_on(&instance.name).filter(|t| t.wanted()) {
            if own.is_some() && task.service.as_ref().map(|s| s.uid.as_str()) == own {
                continue;
            }
            if task.started_at.is_some() {
                running = running.saturating_add(1);
            }
            if task.key.namespace == namespace {
                groups.insert(task.group.clone());
            }
            groups.insert(format!("{}/{}", task.key.namespace, task.group));
        }
        let held = instance.reservations.iter();
        let held = held.map(|r| (&r.namespace, &r.task, &r.service));
        let queued = instance.queue.iter().map(|q| (&q.namespace, &q.task, &q.service));
        for (namespace_of, name, service) in held.chain(queued) {
            let Some(service) = service else {
                // a run-once task that has its share and is not bound yet
                let on_its_way = world
                    .task(&Key::new(namespace_of, name))
                    .filter(|task| task.instance.is_none() && task.wanted());
                if let Some(task) = on_its_way {
                    if task.key.namespace == namespace {
                        groups.insert(task.group.clone());
                    }
                    groups.insert(format!("{}/{}", task.key.namespace, task.group));
                }
                continue;
            };
            if unbound(world, namespace_of, name) && own != Some(service.uid.as_str()) {
                let key = Key::new(namespace_of, &service.name);
                let group = world
                    .services
                    .get(&key)
                    .map_or_else(|| format!("service:{}", service.name), |s| s.group());
                if *namespace_of == namespace {
                    groups.insert(group.clone());
                }
                groups.insert(format!("{}/{group}", *namespace_of));
            }
        }
        Self {
            instance,
            groups,
            running,
        }
    }
}

impl InstanceView for View<'_> {
    fn agent_connected(&self) -> bool {
        self.instance.connected
    }
    fn agent_version(&self) -> Option<&str> {
        self.instance.agent_version.as_deref()
    }
    fn ec2_instance_id(&self) -> &str {
        &self.instance.ec2_instance_id
    }
    fn registered_at(&self) -> Option<Timestamp> {
        self.instance.registered_at
    }
    fn running_tasks_count(&self) -> u32 {
        self.running
    }
    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        self.instance.attributes.get(name).map(Option::as_deref)
    }
    fn any_task_group(&self, predicate: &mut dyn FnMut(&str) -> bool) -> bool {
        self.groups.iter().any(|group| predicate(group))
    }
}

pub(super) fn rejection(
    instance: &Instance,
    stage: u8,
    reason: &str,
    evt: String,
    detail: String,
) -> Rejection {
    let failure = PlacementFailure {
        container_instance: instance.name.clone(),
        reason: reason.to_owned(),
        detail,
    };
    Rejection {
        failure,
        detail: evt,
        stage,
        left: 0,
    }
}

/// Whether the instance is in a state to get new tasks. (PLACE-4, CI-2, CI-6)
#[must_use]
pub fn check_status(instance: &Instance) -> Option<Rejection> {
    let reject = |reason: &str, detail: &str| {
        Some(rejection(
            instance,
            stage::STATUS,
            reason,
            format!("encountered error \"{reason}\""),
            detail.to_owned(),
        ))
    };
    if let Some(version) = instance.newer_ledger {
        let detail =
            format!("its status.ledgerVersion {version} is newer than this operator's {LEDGER_VERSION}");
        return reject("INACTIVE", &detail);
    }
    match instance.status {
        InstanceStatus::Active => {}
        InstanceStatus::Draining => return reject("INACTIVE", "the instance is DRAINING"),
        InstanceStatus::Registering => return reject("INACTIVE", "the instance is REGISTERING"),
        InstanceStatus::Inactive => return reject("INACTIVE", "the instance is INACTIVE"),
    }
    if !instance.connected {
        return reject("AGENT", "the node is not ready");
    }
    if !instance.schedulable {
        return reject(
            "INACTIVE",
            "the node is cordoned, has a taint that the cluster does not tolerate, or is no longer selected by it: \
             condition Schedulable of the instance says which, and what to change",
        );
    }
    if instance.overcommitted {
        return reject(
            "INACTIVE",
            "tasks run here that the ledger is still being completed for",
        );
    }
    None
}

/// What of a task's rules an instance does not meet.
enum Broken<'a> {
    Attribute(&'a Attribute),
    Constraint(&'a Expression),
}

fn broken<'a>(
    world: &World,
    instance: &Instance,
    namespace: &str,
    own: Option<&str>,
    definition: &'a Definition,
    constraints: &'a [Expression],
) -> Option<Broken<'a>> {
    let missing = definition.required_attributes.iter().find(|wanted| {
        let found = instance.attributes.get(&wanted.name);
        !found.is_some_and(|value| wanted.value.is_none() || value.as_deref() == wanted.value.as_deref())
    });
    if let Some(wanted) = missing {
        return Some(Broken::Attribute(wanted));
    }
    let own_rules = definition.constraints.as_deref().unwrap_or_default();
    unmet(world, instance, namespace, own, own_rules, constraints).map(Broken::Constraint)
}

fn unmet<'a>(
    world: &World,
    instance: &Instance,
    namespace: &str,
    own: Option<&str>,
    constraints: &'a [Expression],
    more: &'a [Expression],
) -> Option<&'a Expression> {
    if constraints.is_empty() && more.is_empty() {
        return None;
    }
    let view = View::new(world, instance, namespace, own);
    let mut all = constraints.iter().chain(more);
    all.find(|expression| !expression.matches(&view))
}

/// Whether these constraints hold. (CONS-1)
#[must_use]
pub fn meets(
    world: &World,
    instance: &Instance,
    namespace: &str,
    own: Option<&str>,
    constraints: &[Expression],
) -> bool {
    unmet(world, instance, namespace, own, constraints, &[]).is_none()
}

/// Whether attributes and constraints hold, of the service and of its task definition. (ATTR-9, CONS-1, CONS-3)
#[must_use]
pub fn meets_rules(
    world: &World,
    instance: &Instance,
    namespace: &str,
    own: Option<&str>,
    definition: &Definition,
    constraints: &[Expression],
) -> bool {
    broken(world, instance, namespace, own, definition, constraints).is_none()
}

/// [`meets_rules`], with the first that does not hold.
#[must_use]
pub fn check_rules(
    world: &World,
    instance: &Instance,
    namespace: &str,
    own: Option<&str>,
    definition: &Definition,
    constraints: &[Expression],
) -> Option<Rejection> {
    let reject = |stage, reason: &str, evt: String, detail| rejection(instance, stage, reason, evt, detail);
    Some(
        match broken(world, instance, namespace, own, definition, constraints)? {
            Broken::Attribute(wanted) => {
                let evt = "is missing an attribute required by your task".to_owned();
                reject(stage::ATTRIBUTE, "ATTRIBUTE", evt, wanted.name.clone())
            }
            Broken::Constraint(failed) => {
                let reason = "MemberOf placement constraint unsatisfied.";
                let evt = format!("encountered error \"{reason}\"");
                reject(stage::CONSTRAINT, reason, evt, failed.to_string())
            }
        },
    )
}

/// Whether `demand` fits into `remaining`. (PLACE-2, PLACE-6)
#[must_use]
pub fn check_resources(instance: &Instance, remaining: &Resources, demand: &Resources) -> Option<Rejection> {
    let lack = remaining.lack_for(demand)?;
    let (evt, detail, left) = match lack {
        Lack::Cpu => (
            "has insufficient CPU units available".to_owned(),
            asked(demand.cpu, "CPU units", remaining.cpu, instance.registered.cpu),
            remaining.cpu,
        ),
        Lack::Memory => (
            "has insufficient memory available".to_owned(),
            asked(demand.memory, "MiB", remaining.memory, instance.registered.memory),
            remaining.memory,
        ),
        Lack::Ports => (
            "is already using a port required by your task".to_owned(),
            ports_in_the_way(&remaining.taken_of(demand)),
            0,
        ),
        Lack::Gpu => (
            format!("encountered error \"{lack}\""),
            asked(demand.gpu, "GPUs", remaining.gpu, instance.registered.gpu),
            remaining.gpu,
        ),
        Lack::Pods => (
            format!("encountered error \"{lack}\""),
            "no Pod slot is left on the node".to_owned(),
            remaining.pods,
        ),
    };
    let rejected = rejection(instance, stage::RESOURCE, &lack.to_string(), evt, detail);
    Some(Rejection { left, ..rejected })
}

/// Which host ports are taken, and what helps. (RES-5 to RES-7)
fn ports_in_the_way(taken: &[String]) -> String {
    if taken.is_empty() {
        return format!(
            "more than {HOST_PORTS_MAX} host ports would be taken: ask for fewer in the task definition"
        );
    }
    format!(
        "host port {} is taken there, or among the reservedPorts of the EcsCluster: wait until it is free, or ask for \
         another in the task definition",
        taken.join(", ")
    )
}

/// What is short, in words; what an empty instance could not hold either needs a change by somebody.
fn asked(amount: i64, unit: &str, left: i64, registered: i64) -> String {
    if amount > registered {
        return format!(
            "asked {amount} {unit}, the instance has {registered} in all: ask for less in the task definition, or add a \
             bigger node"
        );
    }
    format!("asked {amount} {unit}, {left} left")
}

/// A task of the service just failed to start on the instance: it is tried elsewhere first.
#[must_use]
pub fn check_refused(instance: &Instance) -> Rejection {
    let evt = "encountered error \"TaskFailedToStart\"".to_owned();
    let detail =
        "a task of this service failed to start here a moment ago; tried again with backoff".to_owned();
    rejection(instance, stage::CONSTRAINT, "TaskFailedToStart", evt, detail)
}

/// Whether no other task of the group is wanted on the instance. (CONS-4, CONS-5, CONS-7)
#[must_use]
pub fn is_distinct(world: &World, instance: &Instance, service: &Service) -> bool {
    let of_service = |uid: Option<&str>| uid == Some(service.uid.as_str());
    let task = world
        .tasks_on(&instance.name)
        .any(|t| t.wanted() && of_service(t.service.as_ref().map(|s| s.uid.as_str())));
    let coming = instance.reservations.iter().any(|r| {
        of_service(r.service.as_ref().map(|s| s.uid.as_str())) && unbound(world, &r.namespace, &r.task)
    });
    let queued = || {
        let mut queue = instance.queue.iter();
        queue.any(|q| of_service(q.service.as_ref().map(|s| s.uid.as_str())))
    };
    !task && !coming && !queued()
}

/// Whether the task of a share is not seen yet, or seen and not bound yet.
fn unbound(world: &World, namespace: &str, task: &str) -> bool {
    let task = world.task(&Key::new(namespace, task));
    task.is_none_or(|task| task.instance.is_none() && task.wanted())
}

/// A task of the group runs on the instance already. (CONS-4)
pub(super) fn not_distinct(instance: &Instance) -> Rejection {
    let reason = "DistinctInstance placement constraint unsatisfied.";
    rejection(
        instance,
        stage::CONSTRAINT,
        reason,
        format!("encountered error \"{reason}\""),
        String::new(),
    )
}

/// The definition of a service's PRIMARY deployment, if it still exists as the same object.
#[must_use]
pub fn primary_definition<'a>(world: &'a World, service: &Service) -> Option<&'a Arc<Definition>> {
    deployment::lookup(world, service, service.primary()?)
}

/// The definition that the next task of the service is made from: what it asks for, if that can be had, counts from
/// the moment it is asked for. (DAEMON-22)
#[must_use]
pub fn wished_definition<'a>(world: &'a World, service: &Service) -> Option<&'a Arc<Definition>> {
    deployment::wished(world, service).or_else(|| primary_definition(world, service))
}

/// What a daemon service that may place tasks asks for: all that decides what it holds back on an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Uid of the service.
    pub(super) uid: String,
    /// Namespace of the service.
    namespace: String,
    /// Constraints of the service.
    constraints: Vec<Expression>,
    /// What its next tasks are made from.
    definition: Arc<Definition>,
    /// What one takes.
    demand: Resources,
}

impl Claim {
    fn new(world: &World, service: &Service) -> Option<Self> {
        let definition = wished_definition(world, service)?;
        Some(Self {
            uid: service.uid.clone(),
            namespace: service.key.namespace.clone(),
            constraints: service.constraints.clone().ok()?,
            demand: definition.demand.clone().ok()?,
            definition: Arc::clone(definition),
        })
    }

    /// Whether the daemon belongs on an instance of its cluster: ACTIVE and all rules hold; connected or not.
    /// (DAEMON-1, DAEMON-12)
    fn covers(&self, world: &World, instance: &Instance) -> bool {
        let (namespace, own) = (&self.namespace, Some(self.uid.as_str()));
        instance.status == InstanceStatus::Active
            && meets_rules(
                world,
                instance,
                namespace,
                own,
                &self.definition,
                &self.constraints,
            )
    }
}

/// Claims of a cluster's daemon services, the oldest first, worked out from the services themselves. The world knows them:
/// [`World::claims`].
#[must_use]
pub(super) fn claims_now(world: &World, cluster: &str) -> Vec<Claim> {
    let mut daemons: Vec<&Arc<Service>> = world
        .daemons()
        .filter(|s| !s.deleting && s.cluster == cluster)
        .filter(|s| may_place(world, s).is_none())
        // nothing of what failed is started, so nothing is held back for it (CB-9)
        .filter(|s| deployment::wish_is_new(s) || !s.primary().is_some_and(Deployment::failed))
        .collect();
    daemons.sort_by(|a, b| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
    let claims = daemons.into_iter().map(|s| Claim::new(world, s));
    claims.flatten().collect()
}

/// Whether what these daemons hold back on an instance depends on the tasks there.
pub(super) fn asks_about_tasks(claims: &[Claim]) -> bool {
    claims.iter().any(|claim| {
        let of_definition = claim.definition.constraints.as_deref().unwrap_or_default();
        let mut rules = of_definition.iter().chain(&claim.constraints);
        rules.any(Expression::asks_about_tasks)
    })
}

/// Room on the instance that daemons which belong there and are not yet there hold back from all other tasks: for an
/// absent daemon its whole demand, for one under update what the new revision needs on top. A daemon that can never
/// fit there holds back nothing. (DAEMON-21, DAEMON-22, DAEMON-26)
#[must_use]
pub fn withheld(world: &World, instance: &Instance) -> Resources {
    withheld_by(world, instance, &world.claims(&instance.cluster))
}

fn withheld_by(world: &World, instance: &Instance, claims: &[Claim]) -> Resources {
    let mut total = Resources::default();
    for claim in expected(world, instance, claims) {
        let held = instance
            .reservations
            .iter()
            .find(|r| r.service.as_ref().is_some_and(|s| s.uid == claim.uid))
            .map(|r| &r.amounts);
        match held {
            Some(old) => total.add(&claim.demand.excess_over(old)),
            None => total.add(&claim.demand),
        }
    }
    total
}

/// What is left on the instance, less what daemons hold back and what is promised to tasks that wait there. (PLACE-2,
/// DAEMON-26, OPT-1)
pub(super) fn left(world: &World, instance: &Instance, claims: &[Claim]) -> Resources {
    instance
        .remaining()
        .remaining(&withheld_by(world, instance, claims))
        .remaining(&promised(world, instance))
}

/// The claims of daemons that belong on the instance and can fit there at all, next to those older than them.
pub(super) fn expected<'c>(world: &World, instance: &Instance, claims: &'c [Claim]) -> Vec<&'c Claim> {
    let mut room = instance.registered.remaining(&instance.foreign);
    let mut found = Vec::new();
    for claim in claims {
        if room.lack_for(&claim.demand).is_none() && claim.covers(world, instance) {
            room = room.remaining(&claim.demand);
            found.push(claim);
        }
    }
    found
}
