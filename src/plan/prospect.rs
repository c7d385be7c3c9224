//! What the next task of a service, or a run-once task, would meet on each instance: the checks of its own planner, asked
//! without planning.

use super::daemon;
use super::deployment;
use super::members::members;
use super::placement::Placer;
use super::run_task;
use super::world::{Key, Rejection, World};
use crate::domain::records::{Deployment, SchedulingStrategy};
use crate::domain::resources::Resources;

/// What an instance is to the next task of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can take the task.
    Fits,
    /// A task of this daemon service has its share there.
    Taken,
    /// The first check it fails.
    Rejected(Rejection),
}

/// Who asks for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A service, for its next task.
    Service(Key),
    /// A run-once task that is bound to no instance.
    Task(Key),
}

impl Asker {
    /// The namespace that it asks in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let (Self::Service(key) | Self::Task(key)) = self;
        &key.namespace
    }

    /// Its prospect; an error says why it can have no place at all.
    ///
    /// # Errors
    /// What its planner says then.
    pub fn prospect(&self, world: &World) -> Result<Prospect, String> {
        match self {
            Self::Service(key) => prospect(world, key),
            Self::Task(key) => match world.task(key).and_then(|task| task.service.as_ref()) {
                Some(of) => prospect(world, &Key::new(&key.namespace, &of.name)),
                None => run_task::prospect(world, key),
            },
        }
    }
}

/// What a task is made of, and what it would meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Prospect {
    /// Object name of the TaskDefinition.
    pub definition: String,
    /// What the task takes.
    pub demand: Resources,
    /// The service's deployments as its next pass would make them; none for a run-once task.
    pub deployments: Vec<Deployment>,
    /// Per instance of the cluster that is not INACTIVE, sorted by name.
    pub verdicts: Vec<(String, Verdict)>,
}

/// The prospect of a service's next task, whatever its count; an error says why no task of it can be made at all.
///
/// # Errors
/// What the service's planner says then.
pub fn prospect(world: &World, key: &Key) -> Result<Prospect, String> {
    let Some(service) = world.services.get(key) else {
        return Err(format!("There is no EcsService {key}."));
    };
    if service.deleting {
        return Err(format!("EcsService {key} is being deleted."));
    }
    let mut plan = deployment::begin(world, service, &members(world, service));
    let recipe = deployment::recipe(world, service, &mut plan);
    let allowed = recipe.is_some() && deployment::may_place(world, service, &mut plan);
    let (Some(recipe), true) = (recipe, allowed) else {
        return Err(plan.stalled.unwrap_or_default());
    };
    let (definition, demand) = (recipe.definition.key.name.clone(), recipe.demand.clone());
    let verdicts = match service.strategy {
        SchedulingStrategy::Daemon => daemon::verdicts(world, service, recipe, &plan),
        SchedulingStrategy::Replica => Placer::new(world, service, recipe, []).verdicts().collect(),
    };
    Ok(Prospect {
        definition,
        demand,
        deployments: plan.deployments,
        verdicts,
    })
}
