//! Requests for tasks (RunTask). The tasks of a `Partial` one are run-once tasks like any others. Those of
//! `AllOrNothing` wait for each other: while one has no place none is given a share, then all get theirs, then the request
//! is committed by one write, and only then is any of them bound. (RUN-1, RUN-2)
//!
//! Shares that were given and can't be joined by the rest are given back by giving the attempt up: its Tasks are told
//! to stop, and the next attempt has other Tasks. So no share is ever taken from a task that may be bound yet. (F1)

use jiff::{SignedDuration, Timestamp};

use super::run_task::{Obstacle, Place, Unplaced, place, seen_all_at, share};
use super::world::{Key, Strategy, Task, World};
use crate::domain::expr::{Expression, ParseError};
use crate::domain::records::{Commit, Reservation, RunTaskRef};

/// Shares that wait for others are given back after this time: nobody else can have that room meanwhile.
const HOLD_MAX: SignedDuration = SignedDuration::from_secs(10);
/// A request that does not wait for room tries so often against others who take it at the same moment.
const ATTEMPTS_MAX: u32 = 5;
/// One that waits. The attempt is part of the names of its Tasks, which must not become too long.
const QUEUED_ATTEMPTS_MAX: u32 = 999;

/// What whoever made a task asks of the place where it runs. (RUN-1)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOnce {
    /// Constraints of the call, or the first that cannot be read.
    pub constraints: Result<Vec<Expression>, ParseError>,
    /// distinctInstance is asked. (CONS-4)
    pub distinct_instance: bool,
    /// Strategies in order. (STRAT-7)
    pub strategies: Vec<Strategy>,
    /// Until when it waits for a place.
    pub queue_until: Option<Timestamp>,
    /// The request that it was made for.
    pub request: Option<RunTaskRef>,
}

impl Default for RunOnce {
    fn default() -> Self {
        Self {
            constraints: Ok(Vec::new()),
            distinct_instance: false,
            strategies: Vec::new(),
            queue_until: None,
            request: None,
        }
    }
}

/// How far a request for tasks has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not all of its Tasks were created yet.
    Creating,
    /// They are there. Those that wait for each other get their shares.
    Gathering,
    /// All have their share: they run.
    Committed,
    /// None of them will run: why.
    Failed(String),
}

/// A request for tasks. (RUN-1)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Namespace and name.
    pub key: Key,
    /// Uid.
    pub uid: String,
    /// Tasks asked for.
    pub count: u32,
    /// None runs before all have their share.
    pub all_or_nothing: bool,
    /// Until when it waits for places.
    pub queue_until: Option<Timestamp>,
    /// Which attempt is under way; 0 before the first.
    pub attempt: u32,
    /// How far it has come.
    pub stage: Stage,
}

/// The name of a task of a request: the same whoever creates it, and never that of another request of the same name.
/// (F4)
#[must_use]
pub fn task_name(request: &str, uid: &str, count: u32, attempt: u32, index: u32) -> String {
    let mark: String = uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let number = attempt
        .saturating_sub(1)
        .saturating_mul(count)
        .saturating_add(index);
    format!("{request}-{mark}-{number}")
}

/// The Tasks of the attempt that is under way.
#[must_use]
pub fn tasks(request: &Request) -> Vec<Key> {
    let Request {
        key,
        uid,
        count,
        attempt,
        ..
    } = request;
    let name = |index| task_name(&key.name, uid, *count, *attempt, index);
    (0..*count)
        .map(|index| Key::new(&key.namespace, name(index)))
        .collect()
}

/// Whether a task of a request may be bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not yet.
    Shut,
    /// It never will: why.
    Over(String),
}

pub(super) fn gate(world: &World, task: &Task, wish: &RunOnce) -> Gate {
    let of = wish.request.as_ref();
    let Some(of) = of.filter(|of| of.commit == Commit::AllOrNothing) else {
        return Gate::Open;
    };
    let key = Key::new(&task.key.namespace, &of.name);
    // one that is gone is not known to be so here
    let Some(request) = world.requests.get(&key).filter(|r| r.uid == of.uid) else {
        return Gate::Shut;
    };
    if request.attempt > of.attempt {
        return Gate::Over(
            "The request gave its shares back for the others' sake, and tries again with other tasks."
                .to_owned(),
        );
    }
    match &request.stage {
        Stage::Failed(reason) => Gate::Over(reason.clone()),
        Stage::Committed if request.attempt == of.attempt => Gate::Open,
        Stage::Creating | Stage::Gathering | Stage::Committed => Gate::Shut,
    }
}

/// What is to be done next for a request whose tasks wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// All have a place: give these, that have none yet, their shares.
    Reserve(Vec<(Key, Place)>),
    /// All have their share, on these instances: say so, and they run.
    Commit(Vec<(Key, String)>),
    /// Not all can have one now: give back what some have, and begin anew.
    GiveBack(Unplaced),
    /// Look again when something changes, until then.
    Wait(Unplaced, Timestamp),
    /// None of them will run. (RUN-2)
    Fail(Unplaced),
    /// This Task was created, and is not seen here.
    Unseen(Key),
}

/// What is to be done next; `None` unless the request is one of all or nothing whose Tasks are there.
#[must_use]
pub fn next(world: &World, key: &Key) -> Option<Next> {
    let request = world.requests.get(key)?;
    if !request.all_or_nothing || request.stage != Stage::Gathering {
        return None;
    }
    let mut members = Vec::new();
    for key in tasks(request) {
        let Some(task) = world.task(&key) else {
            return Some(Next::Unseen(key));
        };
        if let Some(reason) = unfit(request, task) {
            return Some(Next::Fail(Unplaced::for_all(reason)));
        }
        members.push(task);
    }
    let held_since = members.iter().filter_map(|task| share(world, task));
    let held_since = held_since.map(|(_, entry)| since(entry)).min();
    // each is placed beside those before it
    let mut scratch = world.clone();
    let (mut held, mut wanted) = (Vec::new(), Vec::new());
    for task in &members {
        let anything = RunOnce::default();
        let wish = task.run_once.as_deref().unwrap_or(&anything);
        match place(&scratch, task, wish) {
            Ok(place) if place.held => held.push((task.key.clone(), place.instance)),
            Ok(place) => {
                reserve(&mut scratch, task, &place);
                wanted.push((task.key.clone(), place));
            }
            Err(obstacle) => {
                let placed = held.len().saturating_add(wanted.len());
                return Some(refuse(
                    world,
                    request,
                    task,
                    obstacle,
                    placed,
                    held_since.is_some(),
                ));
            }
        }
    }
    let late = held_since.is_some_and(|since| world.now.duration_since(since) > HOLD_MAX);
    Some(if wanted.is_empty() {
        Next::Commit(held)
    } else if late {
        let reason = "Others took the room while the tasks were being placed.";
        give_back(request, Unplaced::for_all(reason.to_owned()))
    } else {
        Next::Reserve(wanted)
    })
}

/// Why a task can't be one of all that begin together.
fn unfit(request: &Request, task: &Task) -> Option<String> {
    let of = task.run_once.as_ref().and_then(|wish| wish.request.as_ref());
    let name = &task.key.name;
    if of.is_none_or(|of| of.uid != request.uid || of.attempt != request.attempt) {
        return Some(format!(
            "Task {name} is there already and was not made for this request. Delete it, and make the request again under \
             another name."
        ));
    }
    if !task.wanted() {
        return Some(format!("Task {name} was stopped before all had their place."));
    }
    let instance = task.instance.as_ref()?;
    Some(format!(
        "Task {name} was bound to {instance} by somebody else before all had their place."
    ))
}

fn since(entry: &Reservation) -> Timestamp {
    entry.since.parse().unwrap_or(Timestamp::MAX)
}

/// Notes a share in a world that is thrown away.
fn reserve(world: &mut World, task: &Task, place: &Place) {
    let entry = Reservation {
        namespace: task.key.namespace.clone(),
        task: task.key.name.clone(),
        uid: Some(task.uid.clone()),
        service: None,
        amounts: place.demand.clone(),
        since: world.now.to_string(),
        restored: false,
    };
    world.edit_instance(&place.instance, |instance| instance.reservations.push(entry));
}

fn refuse(
    world: &World,
    request: &Request,
    task: &Task,
    obstacle: Obstacle,
    placed: usize,
    holds: bool,
) -> Next {
    let (unplaced, unseen) = match obstacle {
        Obstacle::Lasting(reason) => return Next::Fail(Unplaced::for_all(reason)),
        Obstacle::Passing(unplaced) => (unplaced, false),
        Obstacle::Unseen(unplaced) => (unplaced, true),
    };
    let count = request.count;
    let told = Unplaced {
        reason: format!(
            "All {count} tasks or none, and {placed} of them have a place now. {}",
            unplaced.reason
        ),
        ..unplaced
    };
    if holds {
        return give_back(request, told);
    }
    match request.queue_until {
        Some(until) if until > world.now => Next::Wait(told, until),
        Some(until) => {
            let reason = format!(
                "{} It waited until {until}: make another request with a later spec.queueUntil, or make room first.",
                told.reason
            );
            Next::Fail(Unplaced { reason, ..told })
        }
        None if unseen && seen_all_at(task) > world.now => Next::Wait(told, seen_all_at(task)),
        None => {
            let reason = format!(
                "{} Make another request when that has changed, or with spec.queueUntil, a time until which it waits, or \
                 with commit: Partial.",
                told.reason
            );
            Next::Fail(Unplaced { reason, ..told })
        }
    }
}

fn give_back(request: &Request, unplaced: Unplaced) -> Next {
    let (attempt, most) = match request.queue_until {
        Some(_) => (request.attempt, QUEUED_ATTEMPTS_MAX),
        None => (request.attempt, ATTEMPTS_MAX),
    };
    if attempt < most {
        return Next::GiveBack(unplaced);
    }
    let reason = format!(
        "{} Others took the room in each of {attempt} attempts: make another request.",
        unplaced.reason
    );
    Next::Fail(Unplaced { reason, ..unplaced })
}
