//! TaskDefinitions: whether tasks can be made of them, and what of them has no effect here. (TD)

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use super::Context;
use super::errors::Error;
use crate::api::TaskDefinitionStatus;
use crate::api::conditions::{self, State};
use crate::build;
use crate::plan::world::Key;

/// Says in conditions what of a definition cannot be done here.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(object) = context.cache.definitions.get(&key) else {
        return Ok(Action::await_change());
    };
    let world = context.cache.snapshot(Timestamp::now(), 0);
    let Some(known) = world.definitions.get(&key) else {
        return Ok(Action::await_change());
    };
    let ready = match (&known.demand, &known.constraints) {
        (Err(problems), _) => State::no("NotSupported", &problems.join("; ")),
        (_, Err(error)) => State::no("InvalidParameterException", &error.to_string()),
        (Ok(_), Ok(_)) => State::yes("Valid", "tasks can be made of this revision"),
    };
    let reported = build::unsupported(&object.spec).reported;
    let complete = if reported.is_empty() {
        State::yes("AllMembers", "every member has its effect")
    } else {
        State::no("WithoutEffect", &reported.join("; "))
    };
    let old = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let states = [("Complete", complete), ("Ready", ready)];
    let next = TaskDefinitionStatus {
        observed_generation: generation,
        conditions: conditions::merge(&old.conditions, &states, generation, world.now),
    };
    if next != old {
        context.applier.report_definition(&object, &next).await?;
    }
    Ok(Action::await_change())
}
