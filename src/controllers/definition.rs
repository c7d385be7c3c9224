//! TaskDefinitions: whether tasks can be made of them, and what of them has no effect here. (TD)

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::Context;
use super::errors::Error;
use crate::api::conditions::{self, State};
use crate::api::{TaskDefinitionStatus, finalizers};
use crate::build;
use crate::plan::world::{Definition, Key, World};
use crate::runtime::source;

/// Says in conditions what of a definition cannot be done here.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(object) = context.cache.definitions.get(&key) else {
        return Ok(Action::await_change());
    };
    let world = context.cache.snapshot(source::now(), 0);
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
    let held = object.finalizers().iter().any(|f| f == finalizers::IN_USE);
    let used = in_use(&world, known);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if used != held && (used != deleting || !used) {
        context.applier.hold_definition(&object, used).await?;
    }
    Ok(Action::await_change())
}

/// Whether a deployment or a task that has not ended refers to the definition. (TD-6)
fn in_use(world: &World, definition: &Definition) -> bool {
    let namespace = &definition.key.namespace;
    let id = definition.id();
    let deployed = world
        .services
        .values()
        .filter(|s| s.key.namespace == *namespace)
        .any(|s| {
            s.deployments
                .iter()
                .any(|d| d.task_definition_uid == definition.uid)
        });
    deployed
        || world
            .tasks()
            .any(|t| t.key.namespace == *namespace && t.alive() && t.definition == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LastStatus;
    use crate::plan::testing::{Scene, definition, instance, replica, standalone};

    #[test]
    fn a_revision_is_in_use_while_a_deployment_or_a_task_that_has_not_ended_refers_to_it_td_6() {
        let [web, next, job] = ["web:1", "web:2", "job:1"].map(|id| definition(id, 1, 1));
        let mut scene = Scene::new()
            .definition(web.clone())
            .definition(next.clone())
            .definition(job.clone())
            .instance(instance("i1"))
            .service(replica("web", "web:1", 1))
            .task(standalone("t", "i1"));
        let used = |scene: &Scene| [&web, &next, &job].map(|d| in_use(&scene.world, d));
        assert_eq!(used(&scene), [false, false, true]);
        scene.settle("web");
        assert_eq!(used(&scene), [true, false, true]);
        scene.edit_task("t", |t| t.last = LastStatus::Stopped);
        assert_eq!(used(&scene), [true, false, false]);
        scene.edit_service("web", |s| s.requested_definition = "web:2".to_owned());
        scene.settle("web");
        assert_eq!(used(&scene), [false, true, false], "its last task has stopped");
    }
}
