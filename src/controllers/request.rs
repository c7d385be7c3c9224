//! Requests for tasks: their Tasks are created, placed one by one or all together, and what became of them is told.
//! (RUN-1, RUN-2)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use tracing::{debug, info};

use super::Context;
use super::errors::Error;
use super::queue::Action;
use super::run_once::wait;
use super::task::{SOON, checked, stop};
use crate::api::{Commit, RequestedTask, RunTask, RunTaskStatus, StopCode, Task};
use crate::cache::store::{key_of, version_of};
use crate::ledger::answer::{ANSWERED, Member, PLACED, answer};
use crate::ledger::fence::AUTHORISATION;
use crate::ledger::outcome::Outcome;
use crate::ledger::request::task_keys;
use crate::ledger::task::cut;
use crate::plan::request::{Next, next};
use crate::plan::run_task::{Unplaced, YOUNG};
use crate::plan::world::Key;
use crate::report::say::say;
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// Requests whose tasks have ended are kept as long as STOPPED tasks are.
const KEEP: Duration = Duration::from_secs(3600);
/// A request is looked at again at least this often; that costs no request.
const RESYNC: Duration = Duration::from_secs(300);
/// First wait after an attempt that had to give shares back, and the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// Moves a request one step on.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(request) = context.cache.requests.get(&key) else {
        return Ok(Action::await_change());
    };
    if request.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let status = request.status.clone().unwrap_or_default();
    if let Some(at) = &status.finished_at {
        return after_end(&context, &request, at).await;
    }
    let decided = status.committed || status.reason.is_some();
    if !status.created && !decided {
        return create(&context, &request, status).await;
    }
    if request.spec.commit == Commit::AllOrNothing && !decided {
        return gather(&context, &request).await;
    }
    report(&context, &request, None).await
}

/// Creates the Tasks of an attempt, within a short time after a write that showed that they are to be created.
async fn create(context: &Context, request: &RunTask, status: RunTaskStatus) -> Result<Action, Error> {
    let key = key_of(request);
    let revision = match revision(context, request) {
        Ok(revision) => revision,
        Err(left) => return Ok(Action::requeue(left)),
    };
    let begun = Instant::now();
    let authorised = RunTaskStatus {
        attempt: status.attempt.max(1),
        task_definition: status.task_definition.clone().or(Some(revision)),
        authorised_by: Some(context.ledger.author()),
        ..status
    };
    context
        .ledger
        .write_request(request, &authorised)
        .await
        .certain()?;
    let Some(request) = newest(context, request) else {
        return Ok(Action::await_change());
    };
    for task in task_keys(&request) {
        if begun.elapsed() >= AUTHORISATION {
            return Ok(Action::requeue(SOON));
        }
        let outcome = context.ledger.create_requested(&request, &task).await;
        if !matches!(outcome, Outcome::Applied(())) {
            return checked(outcome);
        }
        context.queues.tasks.push(task);
    }
    info!(request = %key, count = request.spec.count, attempt = authorised.attempt, "its tasks are there");
    let created = RunTaskStatus {
        created: true,
        ..request.status.clone().unwrap_or_default()
    };
    context.ledger.write_request(&request, &created).await.certain()?;
    Ok(Action::requeue(Duration::ZERO))
}

/// The revision that all its tasks run, or what it names if there is none of it; for a while it may not have been seen
/// yet.
fn revision(context: &Context, request: &RunTask) -> Result<String, Duration> {
    let world = context.cache.snapshot(source::now(), 0);
    let named = &request.spec.task_definition;
    if let Some(definition) = world.definition(&key_of(request).namespace, named) {
        return Ok(definition.id());
    }
    let made = request.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let age = world.now.duration_since(made.unwrap_or(Timestamp::UNIX_EPOCH));
    let left = Duration::try_from(YOUNG.saturating_sub(age)).unwrap_or_default();
    if left.is_zero() {
        return Ok(named.clone());
    }
    Err(left)
}

/// The request as it is known now, if it is the same.
fn newest(context: &Context, request: &RunTask) -> Option<Arc<RunTask>> {
    let found = context.cache.requests.get(&key_of(request));
    found.filter(|found| found.uid() == request.uid())
}

/// Gets all tasks their shares, or none.
async fn gather(context: &Context, request: &RunTask) -> Result<Action, Error> {
    let key = key_of(request);
    let turn = context.ledger.turn().await;
    // the turn may have taken a while
    let Some(request) = newest(context, request) else {
        return Ok(Action::await_change());
    };
    let world = context
        .cache
        .snapshot(source::now(), version_of(request.as_ref()));
    let step = next(&world, &key);
    drop(world);
    match step {
        None => Ok(Action::requeue(jittered(SOON))),
        Some(Next::Reserve(places)) => {
            context.metrics.planned("start", places.len());
            let outcome = context.ledger.reserve_places(&places).await;
            drop(turn);
            if outcome != Outcome::Applied(true) {
                debug!(request = %key, ?outcome, "not all have their share; planning again");
                for (_, place) in &places {
                    context.queues.instances.push_named(&place.instance);
                }
            }
            match outcome {
                Outcome::Applied(true) => Ok(Action::requeue(Duration::ZERO)),
                Outcome::Applied(false) | Outcome::Gone => Ok(Action::requeue(jittered(SOON))),
                other => checked(other.map(drop)),
            }
        }
        Some(Next::Commit(placed)) => {
            drop(turn);
            commit(context, &request, &placed).await
        }
        Some(Next::GiveBack(unplaced)) => {
            drop(turn);
            give_back(context, &request, &unplaced).await
        }
        Some(Next::Wait(unplaced, until)) => {
            drop(turn);
            report(context, &request, Some(&unplaced)).await?;
            // one look answers many changes
            Ok(Action::requeue(wait(until)).resting(SOON))
        }
        Some(Next::Fail(unplaced)) => {
            drop(turn);
            fail(context, &request, &unplaced).await
        }
        Some(Next::Unseen(task)) => {
            drop(turn);
            match context.ledger.look_up_task(&task).await {
                Outcome::Gone => {
                    let reason = format!("Task {} was deleted before all had their place.", task.name);
                    fail(context, &request, &Unplaced::for_all(reason)).await
                }
                other => checked(other.map(drop)).map(|_| Action::requeue(jittered(SOON))),
            }
        }
    }
}

/// Writes that all shares stand, if the API server itself shows them: from then on the tasks run, whatever happens.
async fn commit(context: &Context, request: &RunTask, placed: &[(Key, String)]) -> Result<Action, Error> {
    let instances: BTreeSet<&String> = placed.iter().map(|(_, instance)| instance).collect();
    for instance in instances {
        let Some(shown) = context.ledger.refresh_instance(instance).await else {
            return Ok(Action::requeue(jittered(SOON)));
        };
        let shares = shown.status.as_ref().map(|s| s.reservations.as_slice());
        let stands = |task: &Key| {
            let mut shares = shares.unwrap_or_default().iter();
            shares.any(|share| share.is_for(&task.namespace, &task.name))
        };
        let mut here = placed.iter().filter(|(_, on)| on == instance);
        if !here.all(|(task, _)| stands(task)) {
            return Ok(Action::requeue(jittered(SOON)));
        }
    }
    let tasks = placed.iter().map(|(task, instance)| RequestedTask {
        name: task.name.clone(),
        container_instance: instance.clone(),
    });
    let mut all = request.clone();
    let status = all.status.get_or_insert_default();
    status.committed = true;
    status.tasks = tasks.collect();
    let status = answer(&all, &members(context, request).await?, None, source::now());
    write(context, request, &status).await
}

/// Begins anew with other Tasks, so that the shares of those that there are go.
async fn give_back(context: &Context, request: &RunTask, unplaced: &Unplaced) -> Result<Action, Error> {
    let waits = answer(
        request,
        &members(context, request).await?,
        Some(unplaced),
        source::now(),
    );
    let next = RunTaskStatus {
        attempt: waits.attempt.saturating_add(1),
        created: false,
        finished_at: None,
        ..waits
    };
    info!(request = %key_of(request), attempt = next.attempt, "gives its shares back");
    write(context, request, &next).await?;
    let longest = AGAIN.saturating_mul(next.attempt).min(AGAIN_MAX);
    let rest = jittered(longest);
    Ok(Action::requeue(rest).resting(rest))
}

/// None of its tasks will run.
async fn fail(context: &Context, request: &RunTask, unplaced: &Unplaced) -> Result<Action, Error> {
    let mut failed = request.clone();
    let status = failed.status.get_or_insert_default();
    status.reason = Some(cut(&unplaced.reason));
    status.placement_failures.clone_from(&unplaced.failures);
    let status = answer(&failed, &members(context, request).await?, None, source::now());
    write(context, request, &status).await
}

/// Writes down what became of the tasks, or what is in the way.
async fn report(context: &Context, request: &RunTask, waits: Option<&Unplaced>) -> Result<Action, Error> {
    let status = answer(request, &members(context, request).await?, waits, source::now());
    write(context, request, &status).await
}

/// Writes a status; the answer, once there is one, is told as an event too.
async fn write(context: &Context, request: &RunTask, status: &RunTaskStatus) -> Result<Action, Error> {
    let answered = |status: Option<&RunTaskStatus>| {
        let mut conditions = status.iter().flat_map(|s| &s.conditions);
        conditions.any(|c| c.type_ == ANSWERED && c.status == "True")
    };
    context.ledger.write_request(request, status).await.certain()?;
    if answered(Some(status)) && !answered(request.status.as_ref()) {
        tell(context, request, status).await;
    }
    Ok(Action::requeue(RESYNC))
}

async fn tell(context: &Context, request: &RunTask, status: &RunTaskStatus) {
    let Some(placed) = status.conditions.iter().find(|c| c.type_ == PLACED) else {
        return;
    };
    let event = Event {
        type_: if placed.status == "True" {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: placed.reason.clone(),
        note: Some(placed.message.clone()),
        action: "Place".to_owned(),
        secondary: None,
    };
    say(&context.recorder, &event, &request.object_ref(&())).await;
}

/// The Tasks of the request; what is not seen is read from the API server itself.
async fn members(context: &Context, request: &RunTask) -> Result<Vec<Member>, Error> {
    let uid = request.uid();
    let ours = |task: &Task| task.spec.run_task.as_ref().map(|of| &of.uid) == uid.as_ref();
    let mut found = Vec::new();
    for key in task_keys(request) {
        let known = context.cache.tasks.get(&key);
        let task = match known {
            Some(task) => Some(task),
            None => match context.ledger.look_up_task(&key).await {
                Outcome::Applied(task) => Some(Arc::new(task)),
                Outcome::Gone => None,
                other => return Err(other.map(drop).certain().err().unwrap_or(Error::Moved)),
            },
        };
        found.push((key.name, task.filter(|task| ours(task))));
    }
    Ok(found)
}

/// A request that is over goes after a while.
async fn after_end(context: &Context, request: &RunTask, at: &str) -> Result<Action, Error> {
    let age = at.parse::<Timestamp>().map(|at| source::now().duration_since(at));
    // what nobody can read makes no request old
    let age = age.map_or(Duration::ZERO, |age| Duration::try_from(age).unwrap_or_default());
    match KEEP.saturating_sub(age) {
        left if left.is_zero() => checked(context.ledger.delete_request(request).await),
        left => Ok(Action::requeue(left)),
    }
}

/// A task whose request is gone is told to stop if it belongs to it yet, or can't run without it. Who deletes the request
/// with `--cascade=orphan` lets its tasks go on.
pub(super) async fn left_behind(context: &Context, task: &Task) -> Result<Option<Action>, Error> {
    let Some(of) = &task.spec.run_task else {
        return Ok(None);
    };
    let owned = task.owner_references().iter().any(|owner| owner.uid == of.uid);
    let waits = of.commit == Commit::AllOrNothing && task.spec.container_instance.is_none();
    let key = Key::new(task.namespace().unwrap_or_default(), &of.name);
    let is_it = |request: &RunTask| request.uid().as_ref() == Some(&of.uid);
    let known = context
        .cache
        .requests
        .get(&key)
        .is_some_and(|known| is_it(&known));
    if known || !(owned || waits) {
        return Ok(None);
    }
    match context.ledger.look_up_request(&key).await {
        Outcome::Applied(found) if is_it(&found) => Ok(None),
        Outcome::Applied(_) | Outcome::Gone => {
            let reason = format!("RunTask {}, which it was made for, is gone.", of.name);
            stop(context, task, StopCode::UserInitiated, &reason)
                .await
                .map(Some)
        }
        other => checked(other.map(drop)).map(Some),
    }
}

/// Sees to it that the share of a task whose request is committed is seen here, so that it is bound there.
pub(super) async fn see_share(context: &Context, task: &Task) {
    let Some(of) = &task.spec.run_task else {
        return;
    };
    let key = key_of(task);
    let request = context.cache.requests.get(&Key::new(&key.namespace, &of.name));
    let Some(status) = request.as_ref().and_then(|request| request.status.as_ref()) else {
        return;
    };
    let mut placed = status.tasks.iter();
    let Some(placed) = placed.find(|placed| status.committed && placed.name == key.name) else {
        return;
    };
    let seen = context.cache.instances.named(&placed.container_instance);
    let shares = seen.iter().flat_map(|i| &i.status).flat_map(|s| &s.reservations);
    if !shares
        .into_iter()
        .any(|share| share.is_for(&key.namespace, &key.name))
    {
        context.ledger.refresh_instance(&placed.container_instance).await;
    }
}
