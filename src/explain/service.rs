//! Why a service's tasks are where they are, and why others have no place.

use serde::Serialize;

use super::Picture;
use super::change::Subject;
use super::remedy::{Remedy, remedy};
use super::timeline::room_for;
use crate::domain::records::{
    Deployment, DeploymentStatus, DesiredStatus, LastStatus, RolloutState, SchedulingStrategy,
};
use crate::domain::resources::Resources;
use crate::plan::world::{Key, Rejection, Service, World};
use crate::plan::{self, Asker, Prospect, ServicePlan, Verdict};

/// Most instances a remedy is looked for on, the closest ones.
pub const REMEDIES_MAX: usize = 50;

/// What there is to know of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceExplanation {
    /// `NAMESPACE/NAME`.
    pub service: String,
    /// EcsCluster.
    pub cluster: String,
    /// REPLICA or DAEMON.
    pub scheduling_strategy: SchedulingStrategy,
    /// Tasks wanted; of a daemon the number of eligible instances.
    pub desired: u32,
    /// Tasks that run and are to go on.
    pub running: usize,
    /// Tasks that have their place and don't run yet.
    pub pending: usize,
    /// Tasks that are told to stop and have not ended.
    pub stopping: usize,
    /// Tasks that the next pass starts.
    pub starts: usize,
    /// Tasks that the next pass tells to stop.
    pub stops: usize,
    /// Tasks that have no place.
    pub waiting: usize,
    /// Whether a task finds no place, be it one that is missing or one that is to replace another.
    pub finds_no_place: bool,
    /// Its deployments, PRIMARY first.
    pub deployments: Vec<DeploymentLine>,
    /// What its planner has to say.
    pub says: Vec<String>,
    /// What its next task takes, if one can be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Resources>,
    /// What its next task would meet on each instance, the closest first.
    pub instances: Vec<InstanceVerdict>,
    /// What the snapshot lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A deployment in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentLine {
    /// `ecs-svc/…`.
    pub id: String,
    /// PRIMARY or ACTIVE.
    pub status: DeploymentStatus,
    /// `family:revision`.
    pub task_definition: String,
    /// How far it is.
    pub rollout_state: RolloutState,
    /// Tasks that run.
    pub running: i64,
    /// Tasks that don't run yet.
    pub pending: i64,
}

/// What an instance is to the next task of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceVerdict {
    /// Its name.
    pub instance: String,
    /// Whether the task fits.
    pub fits: bool,
    /// The first check that fails, in ECS's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was asked and what there is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The smallest change that would let it take the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Remedy>,
}

/// Explains a service; `None`: there is none of that name.
#[must_use]
pub fn explain(picture: &Picture, key: &Key) -> Option<ServiceExplanation> {
    let world = &picture.world;
    let service = world.services.get(key)?;
    let plan = plan::service(world, key);
    let prospect = plan::prospect(world, key);
    let alive = || world.tasks_of(&service.uid).filter(|t| t.alive());
    let runs = |last: LastStatus| last == LastStatus::Running;
    let unseen = unseen(world, service);
    let wanted = |running: bool| alive().filter(|t| t.wanted() && runs(t.last) == running).count();
    let (running, pending) = (wanted(true), wanted(false).saturating_add(unseen));
    let placed = running.saturating_add(pending);
    Some(ServiceExplanation {
        service: key.to_string(),
        cluster: service.cluster.clone(),
        scheduling_strategy: service.strategy,
        desired: plan.desired_count,
        running,
        pending,
        stopping: alive().filter(|t| t.desired == DesiredStatus::Stopped).count(),
        starts: plan.start.len(),
        stops: plan.stop.len(),
        waiting: waiting(service, &plan, placed),
        finds_no_place: !plan.failures.is_empty() || plan.no_instances,
        deployments: plan.deployments.iter().map(line).collect(),
        says: says(&plan, prospect.as_ref().err()),
        task: prospect.as_ref().ok().map(|p| p.demand.clone()),
        instances: prospect.map_or_else(
            |_| Vec::new(),
            |p| verdicts(world, &Asker::Service(key.clone()), &p),
        ),
        notes: picture.notes.clone(),
    })
}

/// Shares of the service whose Task is not seen yet.
fn unseen(world: &World, service: &Service) -> usize {
    let entries = world.instances.values().flat_map(|i| &i.reservations);
    entries
        .filter(|r| r.service.as_ref().is_some_and(|s| s.uid == service.uid))
        .filter(|r| world.task(&Key::new(&r.namespace, &r.task)).is_none())
        .count()
}

/// Tasks that are missing and that the next pass does not start.
fn waiting(service: &Service, plan: &ServicePlan, placed: usize) -> usize {
    match service.strategy {
        SchedulingStrategy::Daemon => plan.failures.len(),
        SchedulingStrategy::Replica => usize::try_from(plan.desired_count)
            .unwrap_or(usize::MAX)
            .saturating_sub(placed)
            .saturating_sub(plan.start.len()),
    }
}

fn line(deployment: &Deployment) -> DeploymentLine {
    DeploymentLine {
        id: deployment.id.clone(),
        status: deployment.status,
        task_definition: deployment.task_definition.clone(),
        rollout_state: deployment.rollout_state,
        running: deployment.running_count,
        pending: deployment.pending_count,
    }
}

/// Everything the planner says beside starts and stops, nothing twice.
pub(super) fn says(plan: &ServicePlan, hindrance: Option<&String>) -> Vec<String> {
    let texts = [
        plan.stalled.as_ref(),
        hindrance,
        plan.failing.as_ref(),
        plan.held_up.as_ref(),
        plan.rolled_back.as_ref(),
        plan.warming.as_ref(),
    ];
    let mut said: Vec<String> = Vec::new();
    for text in texts.into_iter().flatten().chain(&plan.events) {
        if !text.is_empty() && !said.contains(text) {
            said.push(text.clone());
        }
    }
    said
}

/// What a task would meet, the closest instances first.
#[must_use]
pub fn verdicts(world: &World, of: &Asker, prospect: &Prospect) -> Vec<InstanceVerdict> {
    let mut all: Vec<&(String, Verdict)> = prospect.verdicts.iter().collect();
    all.sort_by_key(|(name, verdict)| (std::cmp::Reverse(closeness(verdict)), name));
    let numbered = all.into_iter().enumerate();
    numbered
        .map(|(at, (name, verdict))| {
            let wanted = at < REMEDIES_MAX;
            describe(world, of, prospect, name, verdict, wanted)
        })
        .collect()
}

fn closeness(verdict: &Verdict) -> (u8, i64) {
    match verdict {
        Verdict::Fits => (u8::MAX, 0),
        Verdict::Taken => (0, 0),
        Verdict::Rejected(Rejection { stage, left, .. }) => (stage.saturating_add(1), *left),
    }
}

/// One verdict in words, with a remedy if one is wanted.
#[must_use]
pub fn describe(
    world: &World,
    of: &Asker,
    prospect: &Prospect,
    instance: &str,
    verdict: &Verdict,
    wanted: bool,
) -> InstanceVerdict {
    let plain = InstanceVerdict {
        instance: instance.to_owned(),
        fits: *verdict == Verdict::Fits,
        reason: None,
        detail: String::new(),
        change: None,
    };
    match verdict {
        Verdict::Fits => plain,
        Verdict::Taken => InstanceVerdict {
            detail: "it has its task of this daemon".to_owned(),
            ..plain
        },
        Verdict::Rejected(rejection) => InstanceVerdict {
            reason: Some(rejection.failure.reason.clone()),
            detail: match room_for(world, instance, &prospect.demand).filter(|_| rejection.lacks_resources())
            {
                Some(at) => format!("{}; there is room about {at:.0}", rejection.failure.detail),
                None => rejection.failure.detail.clone(),
            },
            change: wanted
                .then(|| remedy(world, &subject(of, prospect, instance), prospect))
                .flatten(),
            ..plain
        },
    }
}

/// Whose task it is about, and where.
#[must_use]
pub fn subject(of: &Asker, prospect: &Prospect, instance: &str) -> Subject {
    Subject {
        of: of.clone(),
        definition: Key::new(of.namespace(), &prospect.definition),
        instance: instance.to_owned(),
    }
}
