//! Run-once tasks: where a Task that nobody bound is to run, now or not at all, or later. (RUN-1, RUN-2, RUN-10)
//!
//! The filters and strategies are those of the services, but what is counted is the task group. (STRAT-4, CONS-4)

use jiff::{SignedDuration, Timestamp};

use super::choice::draw;
use super::deployment::CONSTRAINTS_MAX;
use super::eligibility::{check_resources, check_rules, check_status, not_distinct};
use super::fleet::{Fleet, Row};
use super::permission::namespace_forbidden;
use super::prospect::{Prospect, Verdict};
use super::ranking::Ranking;
use super::request::{Gate, gate};
use super::start_task::undefined;
use super::world::{Definition, Instance, Key, Rejection, RunOnce, Task, World};
use super::{FAILURES_MAX, awaited, closest};
use crate::domain::expr::Expression;
use crate::domain::records::{InstanceStatus, PlacementFailure, Reservation};
use crate::domain::resources::Resources;

/// A task may be seen before what was created just before it, such as the rest of the same manifest: that it is not
/// there is only believed of a task this old.
pub const YOUNG: SignedDuration = SignedDuration::from_secs(5);

/// Where a task is to be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Instance chosen.
    pub instance: String,
    /// resourceVersion of the instance that this was decided on.
    pub version: u64,
    /// What the task takes.
    pub demand: Resources,
    /// `family:revision` that it runs. (TD-4)
    pub revision: String,
    /// Its share stands there already: somebody reserved it and did not come to bind the task.
    pub held: bool,
}

/// Why a task has no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// In ECS's words, and what to change.
    pub reason: String,
    /// Per instance the first failing check, the closest instance first. (FAIL)
    pub failures: Vec<PlacementFailure>,
}

impl Unplaced {
    /// For a reason that is the same everywhere.
    #[must_use]
    pub const fn for_all(reason: String) -> Self {
        Self {
            reason,
            failures: Vec::new(),
        }
    }
}

/// What is to be done with a task that is not bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bind it.
    Bind(Place),
    /// Look again when something changes, until then.
    Wait(Unplaced, Timestamp),
    /// It is STOPPED: nobody tries again. (RUN-2)
    Fail(Unplaced),
    /// It waits for the other tasks of its request.
    Together,
}

/// What is to be done with the task; `None` if it is bound, or should not run.
#[must_use]
pub fn decide(world: &World, key: &Key) -> Option<Decision> {
    let task = world.task(key)?;
    if !task.wanted() || task.instance.is_some() || task.service.is_some() {
        return None;
    }
    let anything = RunOnce::default();
    let wish = task.run_once.as_deref().unwrap_or(&anything);
    match gate(world, task, wish) {
        Gate::Open => {}
        Gate::Shut => return Some(Decision::Together),
        Gate::Over(reason) => return Some(Decision::Fail(Unplaced::for_all(reason))),
    }
    Some(match place(world, task, wish) {
        Ok(place) => Decision::Bind(place),
        Err(Obstacle::Lasting(reason)) => Decision::Fail(Unplaced::for_all(reason)),
        // a share that it has is not kept from others while it waits
        Err(Obstacle::Passing(unplaced) | Obstacle::Unseen(unplaced)) if share(world, task).is_some() => {
            let reason = format!("{} Create the task again when that has changed.", unplaced.reason);
            Decision::Fail(Unplaced { reason, ..unplaced })
        }
        Err(Obstacle::Passing(unplaced)) => give_up_or_wait(world, wish, unplaced),
        Err(Obstacle::Unseen(unplaced)) => match seen_all_at(task) {
            at if at > world.now && wish.queue_until.is_none() => Decision::Wait(unplaced, at),
            _ => give_up_or_wait(world, wish, unplaced),
        },
    })
}

/// When all that was created before the task has long been seen.
#[must_use]
pub fn seen_all_at(task: &Task) -> Timestamp {
    task.created_at.checked_add(YOUNG).unwrap_or(task.created_at)
}

/// What keeps a task from being placed.
pub(super) enum Obstacle {
    /// Nothing that happens outside the task takes it away.
    Lasting(String),
    /// It may go by itself.
    Passing(Unplaced),
    /// Something is not there, or has not been seen yet.
    Unseen(Unplaced),
}

impl Obstacle {
    fn unseen(reason: String) -> Self {
        Self::Unseen(Unplaced::for_all(reason))
    }

    fn reason(self) -> String {
        match self {
            Self::Lasting(reason) => reason,
            Self::Passing(unplaced) | Self::Unseen(unplaced) => unplaced.reason,
        }
    }
}

fn give_up_or_wait(world: &World, wish: &RunOnce, unplaced: Unplaced) -> Decision {
    match wish.queue_until {
        Some(until) if until > world.now => Decision::Wait(unplaced, until),
        Some(until) => {
            let reason = format!(
                "{} It waited until {until}: create the task again with a later spec.queueUntil, or make room first.",
                unplaced.reason
            );
            Decision::Fail(Unplaced { reason, ..unplaced })
        }
        None => {
            let reason = format!(
                "{} Create the task again when that has changed, or with spec.queueUntil, a time until which it waits.",
                unplaced.reason
            );
            Decision::Fail(Unplaced { reason, ..unplaced })
        }
    }
}

/// What a run-once task that is bound to no instance would meet on each.
///
/// # Errors
/// Why it can have no place anywhere.
pub(super) fn prospect(world: &World, key: &Key) -> Result<Prospect, String> {
    let Some(task) = world.task(key) else {
        return Err(format!("There is no Task {key}."));
    };
    let anything = RunOnce::default();
    let wish = task.run_once.as_deref().unwrap_or(&anything);
    let run = begin(world, task, wish).map_err(Obstacle::reason)?;
    let verdict = |row: &Row| match run.room(row) {
        Ok(_) => Verdict::Fits,
        Err(rejection) => Verdict::Rejected(rejection),
    };
    let verdicts = run.rows().map(|row| (row.instance().name.clone(), verdict(row)));
    Ok(Prospect {
        definition: run.definition.key.name.clone(),
        demand: run.demand.clone(),
        deployments: Vec::new(),
        verdicts: verdicts.collect(),
    })
}

/// Where the task is to be bound, or is to get its share.
pub(super) fn place(world: &World, task: &Task, wish: &RunOnce) -> Result<Place, Obstacle> {
    let run = begin(world, task, wish)?;
    match run.held() {
        Some(held) => held,
        None => run.choose(wish),
    }
}

/// All that a task's place depends on, if it may have one.
fn begin<'w>(world: &'w World, task: &'w Task, wish: &'w RunOnce) -> Result<Run<'w>, Obstacle> {
    if task.service.is_some() {
        let text = "spec.service is set by the operator; leave it out";
        return Err(Obstacle::Lasting(text.to_owned()));
    }
    let constraints = readable(&wish.constraints)?;
    let namespace = &task.key.namespace;
    if let Some(why) = namespace_forbidden(world, &task.cluster, namespace) {
        return Err(Obstacle::unseen(why));
    }
    let Some(definition) = world.definition_for(task) else {
        return Err(Obstacle::unseen(undefined(world, &task.key, &task.definition)));
    };
    if !definition.active {
        return Err(Obstacle::Passing(Unplaced::for_all(format!(
            "TaskDefinition is inactive. Name another revision than {0} in spec.taskDefinition, or set spec.status of \
             TaskDefinition {0} to ACTIVE.",
            definition.id()
        ))));
    }
    let own = readable(&definition.constraints)?;
    let total = constraints
        .len()
        .saturating_add(own.len())
        .saturating_add(usize::from(wish.distinct_instance));
    if total > CONSTRAINTS_MAX {
        return Err(Obstacle::Lasting(format!(
            "The task and its task definition have {total} placement constraints together, at most {CONSTRAINTS_MAX} are \
             allowed: take some out."
        )));
    }
    let demand = definition
        .demand
        .as_ref()
        .map_err(|problems| Obstacle::Lasting(problems.join("; ")))?;
    Ok(Run {
        world,
        task,
        definition,
        constraints,
        demand,
        distinct: wish.distinct_instance,
    })
}

fn readable<E: ToString>(constraints: &Result<Vec<Expression>, E>) -> Result<&[Expression], Obstacle> {
    match constraints {
        Ok(constraints) => Ok(constraints),
        Err(error) => Err(Obstacle::Lasting(error.to_string())),
    }
}

/// The share that a task has though it is not bound, and where.
pub(super) fn share<'w>(world: &'w World, task: &Task) -> Option<(&'w Instance, &'w Reservation)> {
    let uid = Some(task.uid.as_str());
    world.instances.values().find_map(|instance| {
        let entry = instance.reservation(&task.key)?;
        (entry.uid.as_deref() == uid).then_some((instance.as_ref(), entry))
    })
}

/// A task with all that its place depends on.
struct Run<'a> {
    world: &'a World,
    task: &'a Task,
    definition: &'a Definition,
    constraints: &'a [Expression],
    demand: &'a Resources,
    distinct: bool,
}

impl Run<'_> {
    fn place(&self, instance: &Instance, held: bool) -> Place {
        Place {
            instance: instance.name.clone(),
            version: instance.version,
            demand: self.demand.clone(),
            revision: self.definition.id(),
            held,
        }
    }

    /// The share that somebody reserved for this very task before. What its definition asks for may have changed since,
    /// if it names a bare family; then the share is not what it takes.
    fn held(&self) -> Option<Result<Place, Obstacle>> {
        let (instance, entry) = share(self.world, self.task)?;
        Some(if entry.amounts == *self.demand {
            Ok(self.place(instance, true))
        } else {
            Err(Obstacle::Lasting(format!(
                "The task definition {} got another revision while the task was being placed. Create the task again.",
                self.task.definition
            )))
        })
    }

    /// The room for the task on the instance, if it can take it: what is left, less what daemons hold back.
    /// (PLACE-2 to PLACE-6, DAEMON-25, DAEMON-26)
    fn room(&self, row: &Row) -> Result<Resources, Rejection> {
        let instance = row.instance();
        let namespace = &self.task.key.namespace;
        let rules = || {
            check_rules(
                self.world,
                instance,
                namespace,
                None,
                self.definition,
                self.constraints,
            )
        };
        let distinct = || {
            (self.distinct && companions(self.world, instance, self.task) > 0).then(|| not_distinct(instance))
        };
        let daemons = || awaited::check_cluster(self.world, instance);
        if let Some(rejection) = check_status(instance)
            .or_else(daemons)
            .or_else(rules)
            .or_else(distinct)
        {
            return Err(rejection);
        }
        let room = row.left(self.world);
        match check_resources(instance, &room, self.demand) {
            Some(rejection) => Err(rejection),
            None => Ok(room.into_owned()),
        }
    }

    /// The instances that are looked at.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let fleet = self.world.fleet(&self.task.cluster).into_iter();
        let all = fleet.flat_map(Fleet::rows);
        all.filter(|row| row.instance().status != InstanceStatus::Inactive)
    }

    fn choose(&self, wish: &RunOnce) -> Result<Place, Obstacle> {
        let mut ranking = Ranking::by(&wish.strategies);
        let (mut candidates, mut rejections) = (Vec::new(), Vec::new());
        for row in self.rows() {
            let instance = row.instance().as_ref();
            ranking.add(instance, companions(self.world, instance, self.task));
            match self.room(row) {
                Ok(room) => candidates.push((instance, room)),
                Err(rejection) => rejections.push(rejection),
            }
        }
        let best = ranking.best(
            candidates,
            |(instance, room)| (instance, room),
            draw(self.world.seed, &[&self.task.uid]),
        );
        match best {
            Some((instance, _)) => Ok(self.place(instance, false)),
            None => Err(Obstacle::Passing(told(&self.task.cluster, &rejections))),
        }
    }
}

/// Says why nothing fits, the closest instance first. (RUN-2, RUN-11, FAIL)
fn told(cluster: &str, rejections: &[Rejection]) -> Unplaced {
    let Some(first) = closest(rejections) else {
        return Unplaced::for_all(format!(
            "No Container Instances were found in your cluster. Label nodes as nodeSelector of EcsCluster {cluster} \
             says."
        ));
    };
    let PlacementFailure {
        container_instance,
        reason,
        detail,
    } = &first.failure;
    let colon = if detail.is_empty() { "" } else { ": " };
    let others = match rejections.len().saturating_sub(1) {
        0 => String::new(),
        others => {
            format!(", and nothing fits on {others} other instances: status.placementFailures says why")
        }
    };
    let text = format!("{reason} ({container_instance}{colon}{detail}){others}.");
    let rest = rejections.iter().filter(|r| r.failure != first.failure);
    let failures = std::iter::once(first).chain(rest).take(FAILURES_MAX);
    Unplaced {
        reason: text,
        failures: failures.map(|r| r.failure.clone()).collect(),
    }
}

/// Other tasks of the same group that are wanted on the instance, or have their share there and are about to be bound.
/// (STRAT-4, STRAT-12, CONS-4, CONS-5)
#[must_use]
pub fn companions(world: &World, instance: &Instance, task: &Task) -> i64 {
    let of_group = |other: &Task| {
        other.key != task.key
            && other.key.namespace == task.key.namespace
            && other.group == task.group
            && other.wanted()
    };
    let bound = world.tasks_on(&instance.name).filter(|t| of_group(t)).count();
    let coming = instance.reservations.iter().filter(|entry| {
        let key = Key::new(&entry.namespace, &entry.task);
        match world.task(&key) {
            Some(other) => other.instance.is_none() && of_group(other),
            // not seen yet: it may be one of them
            None => entry.service.is_none() && entry.namespace == task.key.namespace && key != task.key,
        }
    });
    i64::try_from(bound.saturating_add(coming.count())).unwrap_or(i64::MAX)
}
