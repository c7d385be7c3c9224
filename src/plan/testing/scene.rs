//! A world under test, and a tiny executor: it does to the world what the ledger and the nodes would do.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{NAMESPACE, key, standalone};
use crate::domain::records::{
    Allocation, Deployment, DesiredStatus, LastStatus, Reservation, SchedulingStrategy, ServiceRef, StopCode,
    StopMark,
};
use crate::plan::optimistic::{Turn, turns};
use crate::plan::queued::{self, Decision};
use crate::plan::world::{Cluster, Definition, Instance, Key, Optimistic, Service, Task, World};
use crate::plan::{self, ServicePlan};

/// A world under test.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) world: World,
    drawn: u32,
}

impl Scene {
    /// One cluster `default`, healthy after 40 s, tasks of disconnected instances lost after 300 s.
    pub(crate) fn new() -> Self {
        let mut world = World::default();
        (world.now, world.seed) = ("2026-01-01T00:00:00Z".parse().unwrap(), 7);
        let cluster = Cluster {
            name: "default".to_owned(),
            deleting: false,
            healthy_after_seconds: 40,
            disconnected_task_timeout_seconds: 300,
            replicas_wait_for_daemons: false,
            allowed_namespaces: None,
            daemon_namespaces: None,
            optimistic: Optimistic::Off,
        };
        world.set_clusters([cluster], []);
        Self { world, drawn: 0 }
    }

    pub(crate) fn cluster(mut self, edit: impl FnOnce(&mut Cluster)) -> Self {
        let mut edit = Some(edit);
        self.world.edit_clusters(|cluster| edit.take().unwrap()(cluster));
        self
    }

    /// The namespace is being deleted.
    pub(crate) fn leave_namespace(&mut self, namespace: &str) {
        let clusters: Vec<Cluster> = self.world.clusters.values().map(|c| Cluster::clone(c)).collect();
        self.world.set_clusters(clusters, [namespace.to_owned()]);
    }

    pub(crate) fn instance(mut self, instance: Instance) -> Self {
        self.world.put_instance(instance);
        self
    }

    pub(crate) fn definition(mut self, definition: Definition) -> Self {
        self.world.put_definition(definition);
        self
    }

    pub(crate) fn service(mut self, service: Service) -> Self {
        self.world.put_service(service);
        self
    }

    pub(crate) fn task(mut self, task: Task) -> Self {
        self.world.put_task(task);
        self
    }

    pub(crate) fn edit_instance(&mut self, name: &str, edit: impl FnOnce(&mut Instance)) {
        self.world.edit_instance(name, edit);
    }

    pub(crate) fn edit_service(&mut self, name: &str, edit: impl FnOnce(&mut Service)) {
        self.world.edit_service(&key(name), |service| {
            edit(service);
            service.version += 1;
        });
    }

    pub(crate) fn edit_task(&mut self, id: &str, edit: impl FnOnce(&mut Task)) {
        let mut task = Task::clone(self.world.task(&key(id)).unwrap());
        edit(&mut task);
        self.world.task_version += 1;
        task.version = self.world.task_version;
        self.world.put_task(task);
    }

    pub(crate) fn advance(&mut self, seconds: i64) {
        self.world.now += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn plan(&self, name: &str) -> ServicePlan {
        plan::service(&self.world, &key(name))
    }

    pub(crate) fn get(&self, name: &str) -> &Service {
        &self.world.services[&key(name)]
    }

    /// Ids of the service's tasks that have not ended, with their instances.
    pub(crate) fn alive(&self, name: &str) -> Vec<Task> {
        let uid = format!("uid-{name}");
        self.world
            .tasks_of(&uid)
            .filter(|t| t.alive())
            .map(|t| Task::clone(t))
            .collect()
    }

    /// Instances with a task of the service that should run, one entry a task, sorted.
    pub(crate) fn where_wanted(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .alive(name)
            .into_iter()
            .filter(Task::wanted)
            .filter_map(|t| t.instance)
            .collect();
        found.sort();
        found
    }

    /// Writes a plan's decisions into the service: step 1 of the ledger. Starts get ids and reservations too.
    pub(crate) fn commit(&mut self, name: &str, plan: &ServicePlan) {
        self.commit_until(name, plan, usize::MAX);
    }

    /// As [`Self::commit`], but only the first `reserved` starts get their reservation.
    pub(crate) fn commit_until(&mut self, name: &str, plan: &ServicePlan, reserved: usize) {
        let service = self.get(name).clone();
        let mut stopping: Vec<StopMark> = service
            .stopping
            .iter()
            .filter(|m| match self.world.task(&key(&m.id)) {
                Some(task) => task.wanted() && task.version.to_string() == m.task_version,
                None => true,
            })
            .cloned()
            .collect();
        stopping.extend(plan.stop.iter().map(|s| StopMark {
            id: s.task.name.clone(),
            uid: s.uid.clone(),
            task_version: s.version.clone(),
            reason: s.reason.clone(),
            availability_zone: s.availability_zone.clone(),
        }));
        let mut allocations: Vec<Allocation> = service
            .allocations
            .iter()
            .filter(|a| self.world.task(&key(&a.id)).is_none())
            .cloned()
            .collect();
        let mut waiting = Vec::new();
        for (n, start) in plan.start.iter().enumerate() {
            let id = start.id.clone().unwrap_or_else(|| {
                self.drawn += 1;
                format!("{name}-{:04}", self.drawn)
            });
            let service_ref = ServiceRef {
                name: name.to_owned(),
                uid: service.uid.clone(),
                daemon: service.strategy == SchedulingStrategy::Daemon,
                deployment: Some(start.deployment.clone()),
            };
            if !service_ref.daemon && start.id.is_none() {
                allocations.push(Allocation {
                    id: id.clone(),
                    deployment: start.deployment.clone(),
                    created_at: self.world.now.to_string(),
                    availability_zone: start.availability_zone.clone(),
                });
            }
            if n >= reserved {
                continue;
            }
            if start.behind.is_some() {
                waiting.push((id, service_ref));
                continue;
            }
            let entry = Reservation {
                namespace: NAMESPACE.to_owned(),
                task: id,
                uid: None,
                service: Some(service_ref),
                amounts: start.demand.clone(),
                since: self.world.now.to_string(),
                restored: false,
            };
            self.edit_instance(&start.instance, |i| i.reservations.push(entry));
        }
        let deployments: Vec<Deployment> = plan.deployments.clone();
        let history = plan.history.clone();
        self.edit_service(name, |s| {
            (s.deployments, s.allocations, s.stopping) = (deployments, allocations, stopping);
            s.history = history;
        });
        for (id, of) in waiting {
            self.put_pending(&id, None, &of);
        }
    }

    fn put_pending(&mut self, id: &str, instance: Option<String>, of: &ServiceRef) {
        let service = self.get(&of.name).clone();
        let deployment = of.deployment.clone().unwrap_or_default();
        let found = service.deployments.iter().find(|d| d.id == deployment);
        let definition = found.map(|d| d.task_definition.clone()).unwrap_or_default();
        self.world.task_version += 1;
        let task = Task {
            version: self.world.task_version,
            created_at: self.world.now,
            group: service.group(),
            service: Some(of.clone()),
            started_by: deployment,
            definition,
            last: LastStatus::Pending,
            started_at: None,
            instance,
            ..standalone(id, "")
        };
        self.world.put_task(task);
    }

    /// Does with every unbound task of a service what is decided, until nothing is left to do; the decisions that stand.
    pub(crate) fn look_at_queued(&mut self) -> Vec<(String, Decision)> {
        for _ in 0..20 {
            let mut standing = Vec::new();
            let mut moved = false;
            let mut unbound: Vec<(jiff::Timestamp, Key)> = Vec::new();
            for task in self.world.tasks().filter(|t| t.instance.is_none() && t.wanted()) {
                unbound.push((task.created_at, task.key.clone()));
            }
            unbound.sort();
            for (_, of) in unbound {
                let Some(decision) = queued::decide(&self.world, &of) else {
                    continue;
                };
                match decision.clone() {
                    Decision::Bind(place) => {
                        let task = Task::clone(self.world.task(&of).unwrap());
                        let entry = Reservation {
                            namespace: of.namespace.clone(),
                            task: of.name.clone(),
                            uid: Some(task.uid.clone()),
                            service: task.service.clone(),
                            amounts: place.demand,
                            since: self.world.now.to_string(),
                            restored: false,
                        };
                        self.edit_instance(&place.instance, |i| {
                            if !place.held {
                                i.reservations.push(entry);
                            }
                        });
                        self.edit_task(&of.name, |t| t.instance = Some(place.instance));
                        moved = true;
                    }
                    Decision::Queue(entry, _, wait) => {
                        self.edit_instance(&wait.instance, |i| i.queue.push(*entry));
                        moved = true;
                    }
                    Decision::Leave(instance) => {
                        self.edit_instance(&instance, |i| i.queue.retain(|q| q.task != of.name));
                        moved = true;
                    }
                    Decision::Stay(_) | Decision::Unplaced(..) | Decision::Stop(_) => {
                        standing.push((of.name, decision));
                    }
                }
            }
            self.release();
            if !moved {
                return standing;
            }
        }
        panic!("queued tasks are moved for ever");
    }

    /// Makes a Task, PENDING, of every reservation that has none and is not cancelled; cancelled ones are released.
    pub(crate) fn create_tasks(&mut self) {
        let entries: Vec<(String, Reservation)> = self
            .world
            .instances
            .values()
            .flat_map(|i| i.reservations.iter().map(|r| (i.name.clone(), r.clone())))
            .filter(|(_, r)| self.world.task(&key(&r.task)).is_none())
            .collect();
        for (instance, entry) in entries {
            let Some(of) = entry.service.clone() else { continue };
            let service = self.get(&of.name).clone();
            let cancelled = service.stopping.iter().any(|m| m.id == entry.task);
            let deployment = of.deployment.clone().unwrap_or_default();
            let definition = service
                .deployments
                .iter()
                .find(|d| d.id == deployment)
                .map(|d| d.task_definition.clone())
                .unwrap_or_default();
            let ended = if cancelled {
                LastStatus::Stopped
            } else {
                LastStatus::Pending
            };
            self.world.task_version += 1;
            let task = Task {
                version: self.world.task_version,
                created_at: self.world.now,
                group: service.group(),
                service: Some(of),
                started_by: deployment,
                definition,
                desired: if cancelled {
                    DesiredStatus::Stopped
                } else {
                    DesiredStatus::Running
                },
                last: ended,
                started_at: None,
                tombstone: cancelled,
                ..standalone(&entry.task, &instance)
            };
            self.world.put_task(task);
        }
        self.release();
    }

    /// Tells protected tasks what the plan says, if they are still as they were seen.
    pub(crate) fn tell(&mut self, plan: &ServicePlan) {
        for tell in &plan.tell {
            let seen = |task: &Arc<Task>| task.uid == tell.uid && task.version == tell.version;
            if self.world.task(&tell.task).is_some_and(seen) {
                self.edit_task(&tell.task.name, |t| t.told = tell.reason);
            }
        }
    }

    /// Carries out the marks: their Tasks get desired status STOPPED, if they are still as they were seen; ids that
    /// never had a reservation are forgotten.
    pub(crate) fn carry_out_marks(&mut self) {
        let now = self.world.now;
        let services: Vec<Service> = self.world.services.values().map(|s| Service::clone(s)).collect();
        for service in services {
            for mark in &service.stopping {
                match self.world.task(&key(&mark.id)) {
                    Some(task) if task.wanted() && task.version.to_string() == mark.task_version => {
                        self.edit_task(&mark.id, |t| {
                            t.desired = DesiredStatus::Stopped;
                            t.stopping_at = Some(now);
                            t.stop_code = Some(StopCode::ServiceSchedulerInitiated);
                            t.stopped_reason = Some(mark.reason.clone());
                        });
                    }
                    Some(_) => {}
                    None => {
                        let reserved = self
                            .world
                            .instances
                            .values()
                            .any(|i| i.reservations.iter().any(|r| r.task == mark.id));
                        if !reserved {
                            let name = service.key.name.clone();
                            self.edit_service(&name, |s| {
                                s.allocations.retain(|a| a.id != mark.id);
                                s.stopping.retain(|m| m.id != mark.id);
                            });
                        }
                    }
                }
            }
        }
    }

    /// PENDING tasks run.
    pub(crate) fn run_tasks(&mut self) {
        let now = self.world.now;
        for id in self.ids(|t| t.wanted() && t.last == LastStatus::Pending && t.instance.is_some()) {
            self.edit_task(&id, |t| (t.last, t.started_at) = (LastStatus::Running, Some(now)));
        }
    }

    /// Tasks told to stop are STOPPED and their shares released.
    pub(crate) fn end_tasks(&mut self) {
        let now = self.world.now;
        for id in self.ids(|t| t.alive() && t.desired == DesiredStatus::Stopped) {
            self.edit_task(&id, |t| {
                t.last = LastStatus::Stopped;
                t.stopped_at.get_or_insert(now);
            });
        }
        self.release();
    }

    /// A task ends without ever RUNNING.
    pub(crate) fn refuse_task(&mut self, id: &str) {
        let now = self.world.now;
        self.edit_task(id, |t| {
            (t.desired, t.last) = (DesiredStatus::Stopped, LastStatus::Stopped);
            (t.stop_code, t.stopped_at) = (Some(StopCode::TaskFailedToStart), Some(now));
            t.stopped_reason = Some("CannotPullContainerError: no such image".to_owned());
        });
        self.release();
    }

    fn ids(&self, filter: impl Fn(&Task) -> bool) -> Vec<String> {
        let found = self.world.tasks().filter(|t| filter(t));
        found.map(|t| t.key.name.clone()).collect()
    }

    pub(crate) fn release(&mut self) {
        let world = self.world.clone();
        let ended = |r: &Reservation| world.task(&key(&r.task)).is_some_and(|t| !t.alive());
        for (name, instance) in world.instances.iter() {
            if instance.reservations.iter().any(ended) {
                self.edit_instance(name, |i| i.reservations.retain(|r| !ended(r)));
            }
            let turns = turns(&self.world, &self.world.instances[name]);
            if turns.is_empty() {
                continue;
            }
            self.edit_instance(name, |i| {
                for (entry, turn) in std::mem::take(&mut i.queue).into_iter().zip(turns) {
                    match turn {
                        Turn::Goes => {}
                        Turn::Waits => i.queue.push(entry),
                        Turn::Starts => i.reservations.push(Reservation {
                            namespace: entry.namespace,
                            task: entry.task,
                            uid: Some(entry.uid),
                            service: entry.service,
                            amounts: entry.amounts,
                            since: String::new(),
                            restored: false,
                        }),
                    }
                }
            });
        }
    }

    /// One whole round: plan, commit, Tasks made, marks carried out, tasks run and end.
    pub(crate) fn round(&mut self, name: &str) -> ServicePlan {
        let plan = self.plan(name);
        self.carry_out(name, &plan);
        plan
    }

    /// The rest of a round: commit, Tasks made, marks carried out, tasks run and end.
    pub(crate) fn carry_out(&mut self, name: &str, plan: &ServicePlan) {
        self.commit(name, plan);
        self.create_tasks();
        self.carry_out_marks();
        self.look_at_queued();
        self.run_tasks();
        self.end_tasks();
    }

    /// Rounds of a minute each until nothing changes, at most 40.
    pub(crate) fn settle(&mut self, name: &str) -> ServicePlan {
        for _ in 0..40 {
            let before = self.get(name).deployments.clone();
            let plan = self.round(name);
            self.advance(60);
            if plan.start.is_empty() && plan.stop.is_empty() && plan.deployments == before {
                return plan;
            }
        }
        panic!("{name} did not settle: {:?}", self.plan(name));
    }
}
