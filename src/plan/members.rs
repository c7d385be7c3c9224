//! The tasks a service is known to have: seen ones that have not ended, ids given out, shares reserved for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::world::{Key, Service, Task, World};
use super::{Stop, deployment, texts};
use crate::domain::records::{DesiredStatus, HealthStatus, LastStatus, QuiesceReason, StopMark};
use crate::domain::rollout::Standing;

/// Seconds until a task without health checks is healthy, where the cluster is not known. (HEALTH-1)
pub(super) const HEALTHY_AFTER_SECONDS: i64 = 40;

/// Where a member is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// An id, or a Task that is not bound, without reservation.
    Unplaced,
    /// A Task that waits on an instance behind stopping ones. (OPT-1)
    Queued,
    /// Reserved, or a Task that does not run yet.
    Pending,
    /// Running.
    Running,
    /// Its Task is told to stop or about to end.
    Ending,
}

/// A task of a service that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// Namespace and id.
    pub(super) key: Key,
    /// The Task, if it was seen.
    pub(super) task: Option<&'a Arc<Task>>,
    /// Deployment it is for.
    pub(super) deployment: &'a str,
    /// Instance it is bound to, reserved on or queued on.
    pub(super) instance: Option<&'a str>,
    /// Where it is in its life.
    pub(super) phase: Phase,
    /// Whether its desired status is RUNNING: it counts for the upper bound. (PCT-4)
    pub(super) wanted: bool,
    /// Whether a stop of it is decided on and not yet carried out: it no longer counts for the lower bound.
    pub(super) marked: bool,
    /// What it contributes.
    pub(super) standing: Standing,
    /// A health check of it fails, and its grace period is over. (HEALTH-2, SVC-12)
    pub(super) unhealthy: bool,
    /// When time alone changes what it counts for: it gets healthy, or its failing health checks count.
    pub(super) changes_at: Option<Timestamp>,
    /// Protected until then, if it is now. (PROT-1)
    pub(super) protected_until: Option<Timestamp>,
    /// Why it was told to finish, if it was. (PROT-11)
    pub(super) told: Option<QuiesceReason>,
    /// When it was created; the beginning of time if it is unseen.
    pub(super) created_at: Timestamp,
}

impl<'a> Member<'a> {
    /// A Task that nobody has bound yet is queued on this instance, or has its share there.
    fn comes_to(&mut self, instance: &'a str, uid: &str, phase: Phase) {
        let unbound = |task: &Arc<Task>| task.instance.is_none() && task.uid == uid;
        if self.phase < phase && self.task.is_some_and(unbound) {
            (self.instance, self.phase) = (Some(instance), phase);
        }
    }

    /// The instance where it has its share, or will have it whatever happens: not where it only waits.
    pub(super) fn held_by(&self) -> Option<&'a str> {
        self.instance.filter(|_| self.phase > Phase::Queued)
    }

    /// Whether it should run and nobody has decided otherwise.
    pub(super) fn live(&self) -> bool {
        self.wanted && !self.marked && self.phase != Phase::Ending
    }

    /// Tells it to stop, if it is still as it was seen; an unseen one is cancelled.
    pub(super) fn stop(&self, reason: String) -> Stop {
        Stop {
            task: self.key.clone(),
            uid: self.task.map(|t| t.uid.clone()).unwrap_or_default(),
            version: self.task.map(|t| t.version.to_string()).unwrap_or_default(),
            reason,
            availability_zone: None,
        }
    }

    /// Tells it to stop because its service wants it no more. (TASK-13)
    pub(super) fn scale_in(&self) -> Stop {
        self.stop(texts::scaling(self.deployment))
    }
}

/// All members of the service, sorted by key.
pub(super) fn members<'a>(world: &'a World, service: &'a Service) -> Vec<Member<'a>> {
    let marks: BTreeMap<&str, &StopMark> = service.stopping.iter().map(|m| (m.id.as_str(), m)).collect();
    let mut health = Health {
        world,
        service,
        after: deployment::healthy_after(world, service),
        checked: BTreeMap::new(),
    };
    let seen = world.tasks_of(&service.uid).filter(|t| t.alive()).map(|task| {
        let mark = marks.get(task.key.name.as_str()).copied();
        health.seen(task, mark)
    });
    let mut members: Vec<Member<'_>> = seen.collect();
    let mut found = BTreeMap::new();
    let unseen = |key: &Key| world.task(key).is_none();
    for instance in world.holding(&service.uid) {
        for entry in &instance.queue {
            let own = entry.service.as_ref().is_some_and(|s| s.uid == service.uid);
            let key = Key::new(&entry.namespace, &entry.task);
            if own && let Some(member) = seen_one(&mut members, &key) {
                member.comes_to(&instance.name, &entry.uid, Phase::Queued);
            }
        }
        for entry in &instance.reservations {
            let Some(of) = entry.service.as_ref().filter(|s| s.uid == service.uid) else {
                continue;
            };
            let key = Key::new(&entry.namespace, &entry.task);
            if let (Some(uid), Some(member)) = (&entry.uid, seen_one(&mut members, &key)) {
                member.comes_to(&instance.name, uid, Phase::Pending);
            }
            if unseen(&key) {
                let deployment = of.deployment.as_deref().unwrap_or_default();
                found.entry(key).or_insert_with_key(|key| {
                    not_seen(
                        key,
                        deployment,
                        Some(&instance.name),
                        marks.contains_key(key.name.as_str()),
                    )
                });
            }
        }
    }
    for allocation in &service.allocations {
        let key = Key::new(&service.key.namespace, &allocation.id);
        if unseen(&key) {
            found.entry(key).or_insert_with_key(|key| {
                not_seen(
                    key,
                    &allocation.deployment,
                    None,
                    marks.contains_key(key.name.as_str()),
                )
            });
        }
    }
    if !found.is_empty() {
        members.extend(found.into_values());
        members.sort_by(|a, b| a.key.cmp(&b.key));
    }
    members
}

/// A member among those that are sorted by key.
fn seen_one<'m, 'a>(members: &'m mut [Member<'a>], key: &Key) -> Option<&'m mut Member<'a>> {
    let at = members.binary_search_by(|member| member.key.cmp(key)).ok()?;
    members.get_mut(at)
}

/// A member that has no Task yet. It counts as PENDING with desired status RUNNING.
fn not_seen<'a>(key: &Key, deployment: &'a str, instance: Option<&'a str>, marked: bool) -> Member<'a> {
    Member {
        key: key.clone(),
        task: None,
        deployment,
        instance,
        phase: if instance.is_some() {
            Phase::Pending
        } else {
            Phase::Unplaced
        },
        wanted: true,
        marked,
        standing: Standing::Down,
        unhealthy: false,
        changes_at: None,
        protected_until: None,
        told: None,
        created_at: Timestamp::MIN,
    }
}

struct Health<'a> {
    world: &'a World,
    service: &'a Service,
    after: SignedDuration,
    checked: BTreeMap<&'a str, bool>,
}

impl<'a> Health<'a> {
    fn seen(&mut self, task: &'a Arc<Task>, mark: Option<&StopMark>) -> Member<'a> {
        let wanted = task.desired == DesiredStatus::Running;
        let phase = match task.last {
            _ if !wanted => Phase::Ending,
            _ if task.instance.is_none() => Phase::Unplaced,
            LastStatus::Provisioning | LastStatus::Pending | LastStatus::Activating => Phase::Pending,
            LastStatus::Running => Phase::Running,
            LastStatus::Deactivating
            | LastStatus::Stopping
            | LastStatus::Deprovisioning
            | LastStatus::Stopped => Phase::Ending,
        };
        let unhealthy = task.health == HealthStatus::Unhealthy && phase == Phase::Running;
        let mut changes_at = None;
        let standing = if unhealthy {
            changes_at = self.grace_ends(task).filter(|at| *at > self.world.now);
            Standing::Down
        } else if phase != Phase::Running {
            Standing::Down
        } else if self.health_checked(task) {
            if task.health == HealthStatus::Healthy {
                Standing::Healthy
            } else {
                Standing::Down
            }
        } else {
            let since = task.started_at.unwrap_or(task.created_at);
            let at = since.checked_add(self.after).unwrap_or(Timestamp::MAX);
            if self.world.now >= at {
                Standing::Healthy
            } else {
                changes_at = Some(at);
                Standing::Warming
            }
        };
        Member {
            key: task.key.clone(),
            task: Some(task),
            deployment: &task.started_by,
            instance: task.instance.as_deref(),
            phase,
            wanted,
            // A mark whose Task has moved on is void: it was decided on something that no longer is so.
            marked: wanted
                && mark.is_some_and(|m| m.uid == task.uid && m.task_version == task.version.to_string()),
            standing,
            unhealthy: unhealthy && changes_at.is_none(),
            changes_at,
            protected_until: task.protected_until.filter(|until| *until > self.world.now),
            told: task.told,
            created_at: task.created_at,
        }
    }

    /// Until when failing health checks of the task are ignored. (SVC-12)
    fn grace_ends(&self, task: &Task) -> Option<Timestamp> {
        let seconds = i64::from(self.service.health_check_grace_period_seconds);
        let since = task.started_at.unwrap_or(task.created_at);
        since.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// Whether the definition that the task was made from has health checks. (HEALTH-1)
    fn health_checked(&mut self, task: &'a Task) -> bool {
        let (world, service) = (self.world, self.service);
        *self.checked.entry(&task.definition).or_insert_with(|| {
            let namespace = &service.key.namespace;
            let of_deployment = service
                .deployments
                .iter()
                .find(|d| d.task_definition == task.definition)
                .and_then(|d| {
                    world
                        .definitions
                        .get(&Key::new(namespace, &d.task_definition_name))
                });
            of_deployment
                .or_else(|| world.definition(namespace, &task.definition))
                .is_some_and(|d| d.health_checked)
        })
    }
}

/// Ids of the deployments that still have members.
pub(super) fn deployments_held<'a>(members: &[Member<'a>]) -> BTreeSet<&'a str> {
    members.iter().map(|m| m.deployment).collect()
}

/// Number of members that count for the upper bound. (PCT-4)
pub(super) fn wanted_count(members: &[Member<'_>]) -> u32 {
    count(members.iter().filter(|m| m.wanted))
}

/// Length of an iterator as the planners count tasks.
pub(super) fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
