//! TaskDefinitions: whether tasks can be made of them, and what of them has no effect here. (TD)

use std::sync::Arc;

use kube::ResourceExt;

use super::Context;
use super::errors::Error;
use super::queue::Action;
use crate::api::conditions::{self, State};
use crate::api::{TaskDefinitionStatus, finalizers};
use crate::build;
use crate::plan::world::{Definition, Key, Service, World};
use crate::runtime::source;

/// Most services and most tasks named in a condition.
const NAMED_MAX: usize = 3;

/// Says in conditions what of a definition cannot be done here.
pub async fn reconcile(key: Key, context: Arc<Context>) -> Result<Action, Error> {
    let Some(object) = context.cache.definitions.get(&key) else {
        return Ok(Action::await_change());
    };
    let world = context.cache.snapshot(source::now(), 0);
    let Some(known) = world.definitions.get(&key) else {
        return Ok(Action::await_change());
    };
    let held = object.finalizers().iter().any(|f| f == finalizers::IN_USE);
    let users = Users::of(&world, known);
    let used = users.any();
    let mut object = object;
    if used != held
        && (used != known.deleting || !used)
        && let Some(newest) = context.applier.hold_definition(&object, used).await?
    {
        object = Arc::new(newest);
    }
    let ready = match (&known.demand, &known.constraints) {
        _ if known.deleting => State::no("Deleting", &users.keep()),
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
        required_resources: known.demand.as_ref().ok().cloned(),
        conditions: conditions::merge(&old.conditions, &states, generation, world.now),
    };
    if next != old {
        context.applier.report_definition(&object, &next).await?;
    }
    Ok(Action::await_change())
}

/// Who refers to a definition: services by a deployment, and tasks that have not ended. (TD-6)
struct Users {
    services: Vec<String>,
    tasks: Vec<String>,
}

impl Users {
    fn of(world: &World, definition: &Definition) -> Self {
        let (namespace, id) = (&definition.key.namespace, definition.id());
        let deployed = |s: &Service| {
            let mut uids = s.deployments.iter().map(|d| &d.task_definition_uid);
            uids.any(|uid| *uid == definition.uid)
        };
        let services = world.services.values();
        let services = services.filter(|s| s.key.namespace == *namespace && deployed(s));
        let tasks = world.tasks();
        let tasks = tasks.filter(|t| t.key.namespace == *namespace && t.alive() && t.definition == id);
        Self {
            services: services.map(|s| s.key.name.clone()).collect(),
            tasks: tasks.map(|t| t.key.name.clone()).collect(),
        }
    }

    fn any(&self) -> bool {
        !self.services.is_empty() || !self.tasks.is_empty()
    }

    /// What a definition that is being deleted waits for.
    fn keep(&self) -> String {
        let groups = [("service", &self.services), ("task", &self.tasks)];
        let held: Vec<String> = groups
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| listed(kind, names))
            .collect();
        if held.is_empty() {
            return "it is being deleted; no service or task uses it any more".to_owned();
        }
        format!(
            "it is being deleted: nothing new can use it, and it goes when these no longer do: {}",
            held.join(", ")
        )
    }
}

/// How many there are of a kind, and the first few.
fn listed(kind: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = if names.len() > NAMED_MAX { ", …" } else { "" };
    format!("{} {kind}{plural} ({}{more})", names.len(), shown.join(", "))
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
        let used = |scene: &Scene| [&web, &next, &job].map(|d| Users::of(&scene.world, d).any());
        assert_eq!(used(&scene), [false, false, true]);
        scene.settle("web");
        assert_eq!(used(&scene), [true, false, true]);
        scene.edit_task("t", |t| t.last = LastStatus::Stopped);
        assert_eq!(used(&scene), [true, false, false]);
        scene.edit_service("web", |s| s.requested_definition = "web:2".to_owned());
        scene.settle("web");
        assert_eq!(used(&scene), [false, true, false], "its last task has stopped");
    }

    #[test]
    fn a_revision_that_is_being_deleted_says_how_many_hold_it_and_who_the_first_are_td_3_td_6() {
        let web = definition("web:1", 1, 1);
        let mut scene = Scene::new()
            .definition(web.clone())
            .instance(instance("i1"))
            .service(replica("web", "web:1", 4));
        scene.settle("web");
        let tasks: Vec<String> = scene.alive("web").into_iter().map(|t| t.key.name).collect();
        assert_eq!(
            Users::of(&scene.world, &web).keep(),
            format!(
                "it is being deleted: nothing new can use it, and it goes when these no longer do: 1 service (web), \
                 4 tasks ({}, …)",
                tasks[..3].join(", ")
            )
        );
        let unused = Users::of(&Scene::new().world, &web);
        assert_eq!(
            unused.keep(),
            "it is being deleted; no service or task uses it any more"
        );
    }
}
