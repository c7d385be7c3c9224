//! Tasks that should run: from bound to a Pod, under a share and an authorising write. (F2, RUN-6)

use std::time::Duration;

use kube::ResourceExt;
use tracing::info;

use super::Context;
use super::errors::Error;
use super::hold;
use super::instance::live_node;
use super::queue::Action;
use super::queued;
use super::run_once;
use super::task::{SOON, author, checked, mirror, pod_of, stop};
use crate::api::{StopCode, Task};
use crate::build;
use crate::cache::convert::revision_of;
use crate::cache::store::key_of;
use crate::ledger::fence::PodPermit;
use crate::ledger::instance::{Ask, Denied};
use crate::ledger::outcome::Outcome;
use crate::ledger::rules::{Rule, off};
use crate::plan::{run_task, start_task};
use crate::runtime::backoff::jittered;
use crate::runtime::source;

/// A task that should run.
pub(super) async fn run(context: &Context, task: &Task) -> Result<Action, Error> {
    let Some(instance) = task.spec.container_instance.clone() else {
        return if task.spec.service.is_some() {
            queued::place(context, task).await
        } else {
            run_once::place(context, task).await
        };
    };
    if context.cache.nodes.named(&instance).is_none() && live_node(context, &instance).await?.is_none() {
        let known = !author(task).is_empty() || context.cache.instances.named(&instance).is_some();
        if !known {
            return stop(
                context,
                task,
                StopCode::TaskFailedToStart,
                &start_task::missing(&instance),
            )
            .await;
        }
        let reason = terminated(context, &instance);
        return stop(context, task, StopCode::TerminationNotice, &reason).await;
    }
    if let Some(pod) = pod_of(context, task) {
        let kept = hold::keep(context, task, &pod).await;
        let action = mirror(context, task, &pod).await?;
        return kept.map(|()| action);
    }
    let uid = task.uid().unwrap_or_default();
    let had = task.status.as_ref().and_then(|s| s.pod.clone());
    if let Some(had) = had.filter(|_| !off(Rule::F5)) {
        // it had a Pod: one Pod per task, ever (F5)
        return match context
            .ledger
            .read_pod(&task.namespace().unwrap_or_default(), &had.name)
            .await
        {
            Outcome::Gone => {
                stop(
                    context,
                    task,
                    StopCode::UserInitiated,
                    "the Pod of the task was deleted",
                )
                .await
            }
            other => checked(other.map(drop)),
        };
    }
    let key = key_of(task);
    let permit = context
        .ledger
        .fences()
        .permit(&uid, &author(task), context.ledger.process());
    if let PodPermit::Wait(left) = permit {
        return Ok(Action::requeue(left));
    }
    if permit == PodPermit::Authorise
        && !author(task).is_empty()
        && context.ledger.refresh_instance(&instance).await.is_none()
    {
        // authorised before, by a process that was slow or has gone: what was reserved then may be gone too (F2)
        return Ok(Action::requeue(jittered(SOON)));
    }
    let share = context.cache.instances.named(&instance).is_some_and(|object| {
        let entries = object.status.iter().flat_map(|s| &s.reservations);
        entries
            .into_iter()
            .any(|r| r.is_for(&key.namespace, &key.name) && r.admits(&uid))
    });
    if !share && let Some(action) = admit(context, task, &instance).await? {
        return Ok(action);
    }
    hold::ensure(context, &key.namespace, build::held(task)).await?;
    match permit {
        PodPermit::Wait(left) => Ok(Action::requeue(left)),
        PodPermit::Create => {
            context.ledger.run(task).await;
            Ok(Action::requeue(crate::ledger::fence::AUTHORISATION))
        }
        PodPermit::Authorise => {
            let outcome = context.ledger.authorise(task).await;
            if let (Outcome::Applied(()), Some(newest)) = (&outcome, context.cache.tasks.get(&key)) {
                info!(task = %key, "took the task over");
                context.ledger.run(&newest).await;
                return Ok(Action::requeue(crate::ledger::fence::AUTHORISATION));
            }
            checked(outcome)
        }
    }
}

/// What becomes of a bound task that has no share.
enum Admission {
    /// It is to have this one.
    Ask(Box<Ask>),
    /// Not everything that it depends on was seen yet.
    Wait(Duration),
    /// It may not run there.
    Refuse(String),
}

fn admission(context: &Context, task: &Task, instance: &str) -> Admission {
    let (key, uid) = (key_of(task), task.uid().unwrap_or_default());
    let world = context.cache.snapshot(source::now(), 0);
    let Some(known) = world.task(&key).filter(|known| known.uid == uid) else {
        return Admission::Wait(jittered(SOON));
    };
    let Some(definition) = world.definition_for(known) else {
        // it may have been created just before the task, and not been seen yet
        let left = run_task::seen_all_at(known).duration_since(world.now);
        if left.is_positive() {
            return Admission::Wait(Duration::try_from(left).unwrap_or(SOON));
        }
        return Admission::Refuse(start_task::undefined(&world, &key, revision_of(task)));
    };
    let amounts = match &definition.demand {
        Ok(amounts) => amounts.clone(),
        Err(problems) => return Admission::Refuse(problems.join("; ")),
    };
    // the annotation is anybody's to write: only what this process authorised itself is known to be ours
    let made_by_us = context.ledger.fences().age(&uid).is_some();
    if !made_by_us && let Some(reason) = start_task::forbidden(&world, &key, instance, definition) {
        return Admission::Refuse(reason);
    }
    Admission::Ask(Box::new(Ask {
        task: key,
        uid: Some(uid),
        service: task.spec.service.clone(),
        amounts,
    }))
}

/// Gives a bound task that has no share one, by the same reserve step as everybody's; `Some` if it is not to be run
/// now. (StartTask, RUN-6)
async fn admit(context: &Context, task: &Task, instance: &str) -> Result<Option<Action>, Error> {
    let refuse = |reason: String| async move {
        stop(context, task, StopCode::TaskFailedToStart, &reason)
            .await
            .map(Some)
    };
    let ask = match admission(context, task, instance) {
        Admission::Ask(ask) => ask,
        Admission::Wait(left) => return Ok(Some(Action::requeue(left))),
        Admission::Refuse(reason) => return refuse(reason).await,
    };
    match context.ledger.reserve(instance, &[*ask]).await {
        Outcome::Applied(verdicts) => match verdicts.first().copied().flatten() {
            None => Ok(None),
            Some(Denied::NotActive) => refuse("INACTIVE".to_owned()).await,
            Some(Denied::Duplicate) => {
                refuse("a task of the daemon service runs here already".to_owned()).await
            }
            // its share goes as soon as the instance is described anew
            Some(Denied::Namesake) => Ok(Some(Action::requeue(jittered(SOON)))),
            Some(Denied::Lack(lack)) => refuse(lack.to_string()).await,
        },
        Outcome::Gone => refuse(start_task::missing(instance)).await,
        other => checked(other.map(drop)).map(Some),
    }
}

fn terminated(context: &Context, instance: &str) -> String {
    let object = context.cache.instances.named(instance);
    let id = object.and_then(|o| o.status.as_ref().and_then(|s| s.ec2_instance_id.clone()));
    format!(
        "Host EC2 (instance {}) terminated.",
        id.unwrap_or_else(|| instance.to_owned())
    )
}
