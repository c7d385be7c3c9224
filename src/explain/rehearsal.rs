//! What would happen: the planners' own plans, carried out on a snapshot until nothing more is to be done. Starts succeed at
//! once, stops take as long as they may, and time goes on to whatever is due next.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Picture;
use super::change::made_up;
use super::unqueued::unqueued;
use crate::domain::records::{
    DesiredStatus, HealthStatus, LastStatus, Reservation, SchedulingStrategy, ServiceRef, StopCode,
};
use crate::plan::queued;
use crate::plan::run_task::{self, Decision};
use crate::plan::world::{Instance, Key, Service, Task, World};
use crate::plan::{self, ServicePlan, Start, Stop};

/// Most passes over all services.
pub const PASSES_MAX: u32 = 2000;
/// Furthest that time goes.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Something that happens to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Its service.
    pub service: Option<Key>,
    /// The task.
    pub task: Key,
    /// Instance it is bound to.
    pub instance: Option<String>,
    /// What.
    pub what: What,
}

/// What happens to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is placed, and runs.
    Starts,
    /// It is told to stop.
    ToldToStop {
        /// Why.
        reason: String,
        /// When it has ended at the latest; `None`: its instance is disconnected.
        by: Option<Timestamp>,
    },
    /// It has ended at the latest.
    Ended,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing more is to be done.
    Reached,
    /// Something is due only then, which is too far away.
    Until(Timestamp),
    /// There was no end of it.
    NotReached,
}

/// What became of the snapshot.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The world at the end.
    pub world: World,
    /// Everything that happened, in order.
    pub steps: Vec<Step>,
    /// Passes over all services.
    pub passes: u32,
    /// How it ended.
    pub rest: Rest,
}

/// Rehearses what would happen from now on.
#[must_use]
pub fn rehearse(picture: &Picture) -> Outcome {
    rehearse_within(picture, PASSES_MAX)
}

/// As [`rehearse`], with so many passes at most.
#[must_use]
pub fn rehearse_within(picture: &Picture, passes_max: u32) -> Outcome {
    let mut stage = Stage {
        picture,
        world: unqueued(&picture.world),
        ends: BTreeMap::new(),
        steps: Vec::new(),
        drawn: 0,
    };
    stage.begin();
    let horizon = stage.world.now.saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
    let mut passes = 0u32;
    let rest = loop {
        if passes >= passes_max {
            break Rest::NotReached;
        }
        passes = passes.saturating_add(1);
        let (changed, wake_at) = stage.pass();
        if changed {
            continue;
        }
        match stage.ends.values().copied().chain(wake_at).min() {
            None => break Rest::Reached,
            Some(next) if next > horizon => break Rest::Until(next),
            Some(next) => stage.advance(next),
        }
    };
    Outcome {
        world: stage.world,
        steps: stage.steps,
        passes,
        rest,
    }
}

struct Stage<'a> {
    picture: &'a Picture,
    world: World,
    /// When tasks that are told to stop have ended.
    ends: BTreeMap<Key, Timestamp>,
    steps: Vec<Step>,
    drawn: u32,
}

impl Stage<'_> {
    /// Carries out what was decided before: what is on its way arrives, what is marked is told to stop.
    fn begin(&mut self) {
        let services: Vec<Arc<Service>> = self.world.services.values().cloned().collect();
        for service in &services {
            self.carry_out_marks(service);
            self.create_unseen(service);
        }
        let tasks: Vec<Arc<Task>> = self.world.tasks().filter(|t| t.alive()).cloned().collect();
        for task in tasks {
            let orphan = task
                .service
                .as_ref()
                .is_some_and(|of| !services.iter().any(|s| s.uid == of.uid));
            if task.desired == DesiredStatus::Stopped {
                self.ends_later(&task);
            } else if orphan {
                self.tell_to_stop(&task.key, "The service is gone");
            } else if task.held_up.is_none() {
                self.arrives(&task);
            }
        }
    }

    fn carry_out_marks(&mut self, service: &Service) {
        for mark in &service.stopping {
            let key = Key::new(&service.key.namespace, &mark.id);
            let current = self.world.task(&key).cloned();
            match current {
                Some(task) if task.wanted() && task.version.to_string() == mark.task_version => {
                    self.tell_to_stop(&key, &mark.reason);
                }
                Some(_) => {}
                None => self.forget(service, &key),
            }
        }
        self.edit(&service.key, |s| s.stopping.clear());
    }

    /// Makes the Tasks of shares that have none yet.
    fn create_unseen(&mut self, service: &Service) {
        let of = |r: &&Reservation| r.service.as_ref().is_some_and(|s| s.uid == service.uid);
        let mut due = Vec::new();
        for instance in self.world.instances.values() {
            let unseen = instance.reservations.iter().filter(of).filter(|r| {
                let key = Key::new(&r.namespace, &r.task);
                self.world.task(&key).is_none()
            });
            due.extend(unseen.map(|r| (instance.name.clone(), r.clone())));
        }
        for (instance, entry) in due {
            let id = entry
                .service
                .as_ref()
                .and_then(|s| s.deployment.clone())
                .unwrap_or_default();
            let key = Key::new(&entry.namespace, &entry.task);
            self.create(service, &key, &instance, &id);
        }
    }

    /// A task that is on its way runs, and its health checks pass.
    fn arrives(&mut self, task: &Task) {
        let connected = task
            .instance
            .as_ref()
            .and_then(|name| self.world.instances.get(name))
            .is_some_and(|instance| instance.connected);
        let starting = task.last < LastStatus::Running && task.instance.is_some();
        let unknown = task.last == LastStatus::Running && task.health == HealthStatus::Unknown;
        if connected && (starting || unknown && self.health_checked(task)) {
            let mut task = task.clone();
            self.runs(&mut task);
            self.world.put_task(task);
        }
    }

    fn runs(&mut self, task: &mut Task) {
        let now = self.world.now;
        task.last = LastStatus::Running;
        task.started_at.get_or_insert(now);
        if self.health_checked(task) {
            task.health = HealthStatus::Healthy;
            task.healthy_since.get_or_insert(now);
        }
    }

    fn health_checked(&self, task: &Task) -> bool {
        let found = self
            .world
            .definition_in_use(&task.key.namespace, &task.definition);
        found.is_some_and(|definition| definition.health_checked)
    }

    /// Plans every service once and carries the plans out; whether anything changed, and when time alone changes something.
    fn pass(&mut self) -> (bool, Option<Timestamp>) {
        let (mut changed, mut wake_at) = (false, None);
        for key in self.order() {
            let plan = plan::service(&self.world, &key);
            let later = plan.wake_at.filter(|at| *at > self.world.now);
            wake_at = [wake_at, later].into_iter().flatten().min();
            changed |= self.carry_out(&key, plan);
        }
        for key in waiting(&self.world) {
            changed |= self.bind(&key);
        }
        (changed, wake_at)
    }

    /// Binds a run-once task, if it has a place now; nobody's patience ends in a rehearsal. (RUN-1)
    fn bind(&mut self, key: &Key) -> bool {
        let once = match run_task::decide(&self.world, key) {
            Some(Decision::Bind(place)) => Some(place),
            _ => None,
        };
        let of_service = || match queued::decide(&self.world, key) {
            Some(queued::Decision::Bind(place)) => Some(place),
            _ => None,
        };
        let Some(place) = once.or_else(of_service) else {
            return false;
        };
        let Some(mut task) = self.world.task(key).map(|t| t.as_ref().clone()) else {
            return false;
        };
        if !place.held {
            let entry = Reservation {
                namespace: key.namespace.clone(),
                task: key.name.clone(),
                uid: Some(task.uid.clone()),
                service: task.service.clone(),
                amounts: place.demand,
                since: self.world.now.to_string(),
                restored: false,
            };
            self.edit_instance(&place.instance, |i| i.reservations.push(entry));
        }
        task.version = self.next_version();
        task.instance = Some(place.instance.clone());
        self.runs(&mut task);
        let service = task.service.as_ref().map(|of| Key::new(&key.namespace, &of.name));
        self.world.put_task(task);
        self.steps.push(Step {
            at: self.world.now,
            service,
            task: key.clone(),
            instance: Some(place.instance),
            what: What::Starts,
        });
        true
    }

    /// Daemons before replicas, older ones first. (DAEMON-20)
    fn order(&self) -> Vec<Key> {
        let mut services: Vec<&Arc<Service>> = self.world.services.values().collect();
        services.sort_by_key(|s| {
            let replica = s.strategy != SchedulingStrategy::Daemon;
            (replica, s.created_at, s.key.clone())
        });
        services.into_iter().map(|s| s.key.clone()).collect()
    }

    fn carry_out(&mut self, key: &Key, plan: ServicePlan) -> bool {
        let Some(service) = self.world.services.get(key).cloned() else {
            return false;
        };
        let ServicePlan {
            start,
            stop,
            deployments,
            history,
            ..
        } = plan;
        let moved = service.deployments != deployments || service.history != history;
        if moved {
            self.edit(key, |s| (s.deployments, s.history) = (deployments, history));
        }
        for stop in &stop {
            self.stop(&service, stop);
        }
        for start in &start {
            self.start(&service, start);
        }
        moved || !start.is_empty() || !stop.is_empty()
    }

    fn stop(&mut self, service: &Service, stop: &Stop) {
        if self.world.task(&stop.task).is_some() {
            self.tell_to_stop(&stop.task, &stop.reason);
        } else {
            self.forget(service, &stop.task);
        }
    }

    fn start(&mut self, service: &Service, start: &Start) {
        let id = start.id.clone().unwrap_or_else(|| {
            self.drawn = self.drawn.saturating_add(1);
            format!("new-{}", self.drawn)
        });
        let key = Key::new(&service.key.namespace, &id);
        let entry = Reservation {
            namespace: key.namespace.clone(),
            task: id,
            uid: None,
            service: Some(reference(service, &start.deployment)),
            amounts: start.demand.clone(),
            since: self.world.now.to_string(),
            restored: false,
        };
        self.edit_instance(&start.instance, |i| i.reservations.push(entry));
        self.create(service, &key, &start.instance, &start.deployment);
    }

    /// Makes a Task that runs.
    fn create(&mut self, service: &Service, key: &Key, instance: &str, deployment: &str) {
        let current = self.world.services.get(&service.key);
        let mut deployments = current.map_or(&service.deployments, |s| &s.deployments).iter();
        let definition = deployments
            .find(|d| d.id == deployment)
            .map(|d| d.task_definition.clone());
        let mut task = Task {
            version: self.next_version(),
            cluster: service.cluster.clone(),
            service: Some(reference(service, deployment)),
            started_by: deployment.to_owned(),
            definition: definition.unwrap_or_default(),
            ..made_up(key.clone(), instance, &service.group(), self.world.now)
        };
        self.runs(&mut task);
        self.world.put_task(task);
        self.edit(&service.key, |s| s.allocations.retain(|a| a.id != key.name));
        self.note(&service.key, key, Some(instance.to_owned()), What::Starts);
    }

    fn tell_to_stop(&mut self, key: &Key, reason: &str) {
        let Some(mut task) = self.world.task(key).map(|t| t.as_ref().clone()) else {
            return;
        };
        task.version = self.next_version();
        task.desired = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
        task.stopped_reason = Some(reason.to_owned());
        self.world.put_task(task.clone());
        let by = self.ends_later(&task);
        let owner = task.service.as_ref().map(|s| Key::new(&key.namespace, &s.name));
        self.steps.push(Step {
            at: self.world.now,
            service: owner,
            task: key.clone(),
            instance: task.instance,
            what: What::ToldToStop {
                reason: reason.to_owned(),
                by,
            },
        });
    }

    /// When a task that is told to stop has ended: never, as long as its instance is disconnected.
    fn ends_later(&mut self, task: &Task) -> Option<Timestamp> {
        let instance = task.instance.as_ref()?;
        let connected = self.world.instances.get(instance).is_some_and(|i| i.connected);
        if !connected {
            return None;
        }
        let seconds = SignedDuration::from_secs(self.picture.stop_seconds_of(task));
        let killed = self.picture.pods.get(&task.key).and_then(|pod| pod.killed_at);
        let by = killed
            .or_else(|| self.world.now.checked_add(seconds).ok())?
            .max(self.world.now);
        self.ends.insert(task.key.clone(), by);
        Some(by)
    }

    /// An id that never became a Task.
    fn forget(&mut self, service: &Service, key: &Key) {
        self.edit(&service.key, |s| s.allocations.retain(|a| a.id != key.name));
        self.release(key);
    }

    fn release(&mut self, key: &Key) {
        let holds = |i: &&Arc<Instance>| i.reservation(key).is_some();
        let holding = self.world.instances.values().find(holds).map(|i| i.name.clone());
        if let Some(name) = holding {
            self.edit_instance(&name, |i| {
                i.reservations.retain(|r| !r.is_for(&key.namespace, &key.name));
            });
        }
    }

    /// Lets time go on, and what is due then happen.
    fn advance(&mut self, to: Timestamp) {
        self.world.now = self.world.now.max(to);
        let now = self.world.now;
        let due: Vec<Key> = self
            .ends
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.ends.remove(&key);
            let Some(mut task) = self.world.task(&key).map(|t| t.as_ref().clone()) else {
                continue;
            };
            (task.last, task.stopped_at) = (LastStatus::Stopped, Some(now));
            task.version = self.next_version();
            let owner = task.service.as_ref().map(|s| Key::new(&key.namespace, &s.name));
            let instance = task.instance.clone();
            self.world.put_task(task);
            self.release(&key);
            self.steps.push(Step {
                at: now,
                service: owner,
                task: key,
                instance,
                what: What::Ended,
            });
        }
    }

    fn note(&mut self, service: &Key, task: &Key, instance: Option<String>, what: What) {
        self.steps.push(Step {
            at: self.world.now,
            service: Some(service.clone()),
            task: task.clone(),
            instance,
            what,
        });
    }

    fn next_version(&mut self) -> u64 {
        self.world.task_version = self.world.task_version.saturating_add(1);
        self.world.task_version
    }

    fn edit(&mut self, key: &Key, edit: impl FnOnce(&mut Service)) {
        self.world.edit_service(key, |service| {
            edit(service);
            service.version = service.version.saturating_add(1);
        });
    }

    fn edit_instance(&mut self, name: &str, edit: impl FnOnce(&mut Instance)) {
        self.world.edit_instance(name, edit);
    }
}

/// Run-once tasks that are bound to no instance, older ones first.
#[must_use]
pub fn waiting(world: &World) -> Vec<Key> {
    let mut found: Vec<&Arc<Task>> = world
        .tasks()
        .filter(|t| t.wanted() && t.instance.is_none())
        .collect();
    found.sort_by_key(|t| (t.created_at, t.key.clone()));
    found.into_iter().map(|t| t.key.clone()).collect()
}

fn reference(service: &Service, deployment: &str) -> ServiceRef {
    ServiceRef {
        name: service.key.name.clone(),
        uid: service.uid.clone(),
        daemon: service.strategy == SchedulingStrategy::Daemon,
        deployment: Some(deployment.to_owned()),
    }
}
