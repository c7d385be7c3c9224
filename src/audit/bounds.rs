//! Services stay within their percent bounds: judged at the planning write, on the Tasks its author had seen. (I6)

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Task, effective, shown};
use super::world::{Moved, World};
use super::{Invariant, Moment, Report, tasks};
use crate::api::{EcsService, EcsServiceStatus};
use crate::domain::records::{HealthStatus, InstanceStatus, LastStatus, SchedulingStrategy, StopMark};
use crate::plan::world::Key;

/// Health by time alone is doubtful for this long: the decision is older than the record of its write.
const DOUBT: SignedDuration = SignedDuration::from_secs(5);
/// Where the cluster is not known. (HEALTH-1)
const HEALTHY_AFTER_SECONDS: i64 = 40;
/// Begin of the reason of stops because of the daemon's constraints. (DAEMON-3)
const CONSTRAINT: &str = "The container instance ";

/// What a task counts for the lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Down,
    /// The history doesn't tell: it counts if it stays, and costs nothing if it goes.
    Perhaps,
    /// One.
    Healthy,
}

/// Judges one write of a service, if it adds stop marks or allocations.
pub(super) fn judge(world: &World, moved: &Moved<EcsService>, moment: Moment, report: &mut Report) {
    let (Some(after), before) = (&moved.after, &moved.before) else {
        return;
    };
    let Some(status) = &after.status else { return };
    let old = before.as_ref().and_then(|b| b.status.clone()).unwrap_or_default();
    let had: BTreeSet<&str> = old.allocations.iter().map(|a| a.id.as_str()).collect();
    let marked: BTreeSet<&str> = old.stopping.iter().map(|m| m.id.as_str()).collect();
    let starts = status
        .allocations
        .iter()
        .filter(|a| !had.contains(a.id.as_str()))
        .count();
    let stops: Vec<&StopMark> = status
        .stopping
        .iter()
        .filter(|m| !marked.contains(m.id.as_str()))
        .collect();
    if after.metadata.deletion_timestamp.is_some() || (starts == 0 && stops.is_empty()) {
        return;
    }
    let object = format!("EcsService {}", shown(&moved.key));
    let Some(observed) = status
        .observed_task_version
        .as_ref()
        .and_then(|v| v.parse::<u64>().ok())
    else {
        let sentence = "a decision was written without the version of the Tasks it rests on".to_owned();
        report.add(Invariant::I6, moment.version, object, sentence);
        return;
    };
    let uid = after.metadata.uid.as_deref().unwrap_or_default();
    let Some(tasks) = world.tasks_at(uid, observed) else {
        report.figures.planning_unjudged = report.figures.planning_unjudged.saturating_add(1);
        return;
    };
    report.figures.planning = report.figures.planning.saturating_add(1);
    let bounds = Bounds::of(after, status);
    let plan = Planned {
        world,
        service: after,
        status,
        tasks: tasks.into_iter().collect(),
        at: moment.at,
    };
    if starts > 0 && after.spec.scheduling_strategy == SchedulingStrategy::Replica {
        let wanted = plan.wanted();
        if wanted > bounds.upper {
            let sentence = format!(
                "{starts} starts were decided on: {wanted} tasks, and at most {} may be",
                bounds.upper
            );
            report.add(Invariant::I6, moment.version, object.clone(), sentence);
        }
    }
    let (cost, left) = plan.stops(&moved.key.namespace, &stops);
    if cost > 0 && left < bounds.lower {
        let sentence = format!(
            "{cost} healthy tasks are to stop: {left} are left, and {} must stay",
            bounds.lower
        );
        report.add(Invariant::I6, moment.version, object, sentence);
    }
}

/// PCT-1.
struct Bounds {
    lower: i64,
    upper: i64,
}

impl Bounds {
    fn of(service: &EcsService, status: &EcsServiceStatus) -> Self {
        let daemon = service.spec.scheduling_strategy == SchedulingStrategy::Daemon;
        let desired = if daemon {
            status.desired_count
        } else {
            service.spec.desired_count.unwrap_or(0)
        };
        let percent = service.spec.deployment_configuration.clone().unwrap_or_default();
        let minimum = percent
            .minimum_healthy_percent
            .unwrap_or(if daemon { 0 } else { 100 });
        let maximum = percent.maximum_percent.unwrap_or(if daemon { 100 } else { 200 });
        Self {
            lower: desired.saturating_mul(minimum).saturating_add(99).div_euclid(100),
            upper: desired.saturating_mul(maximum).div_euclid(100),
        }
    }
}

/// A planning write with the Tasks its author had seen.
struct Planned<'a> {
    world: &'a World,
    service: &'a EcsService,
    status: &'a EcsServiceStatus,
    tasks: Vec<(&'a Key, &'a std::sync::Arc<Task>)>,
    at: Option<Timestamp>,
}

impl Planned<'_> {
    /// Tasks that should run, and ids given out that were not seen as Tasks. (PCT-4)
    fn wanted(&self) -> i64 {
        let seen = |id: &str| self.tasks.iter().any(|(key, _)| key.name == id);
        let coming = self.status.allocations.iter().filter(|a| !seen(&a.id)).count();
        let running = self.tasks.iter().filter(|(_, task)| task.wanted).count();
        i64::try_from(coming.saturating_add(running)).unwrap_or(i64::MAX)
    }

    /// How many healthy tasks the new marks cost, and how many are left without a mark. (PCT-6)
    fn stops(&self, namespace: &str, stops: &[&StopMark]) -> (i64, i64) {
        let (mut cost, mut left) = (0i64, 0i64);
        for (key, task) in &self.tasks {
            let names =
                |mark: &StopMark| mark.id == key.name && key.namespace == namespace && mark.uid == task.uid;
            let standing = self.standing(task);
            if let Some(mark) = stops.iter().find(|mark| names(mark)) {
                if standing == Standing::Healthy && !self.exempt(task, mark) {
                    cost = cost.saturating_add(1);
                }
            } else if standing != Standing::Down && !self.status.stopping.iter().any(names) {
                left = left.saturating_add(1);
            }
        }
        (cost, left)
    }

    /// Stops of daemons that no bound hinders: the instance is no longer one of the service's. (DAEMON-3, DAEMON-41)
    fn exempt(&self, task: &Task, mark: &StopMark) -> bool {
        task.is_daemon() && (mark.reason.starts_with(CONSTRAINT) || tasks::drains(self.world, task))
    }

    fn standing(&self, task: &Task) -> Standing {
        if !task.wanted || task.last != LastStatus::Running || task.health == HealthStatus::Unhealthy {
            return Standing::Down;
        }
        if self.lost(task) {
            return Standing::Perhaps;
        }
        if task.health == HealthStatus::Healthy {
            return Standing::Healthy;
        }
        let cluster = self.world.clusters.get(&Key::new("", &self.service.spec.cluster));
        let after = cluster.map_or(HEALTHY_AFTER_SECONDS, |c| c.spec.healthy_after_seconds);
        let age = self
            .at
            .zip(task.since)
            .map(|(at, since)| at.duration_since(since));
        let after = SignedDuration::from_secs(after);
        if age.is_some_and(|age| age < after) {
            return Standing::Down;
        }
        let sure = age.is_none_or(|age| age >= after.saturating_add(DOUBT));
        let pods = self.world.pods_of.get(&task.uid);
        let unchecked = pods.is_some_and(|pods| !pods.values().any(|probed| *probed));
        if sure && unchecked {
            Standing::Healthy
        } else {
            Standing::Perhaps
        }
    }

    /// Its node doesn't answer or is gone: it may be replaced whatever the bounds.
    fn lost(&self, task: &Task) -> bool {
        let instance = task.instance.as_ref().and_then(|name| self.world.instance(name));
        instance.is_none_or(|object| {
            let connected = object.status.as_ref().is_some_and(|s| s.agent_connected);
            !connected || effective(object) == InstanceStatus::Inactive
        })
    }
}
