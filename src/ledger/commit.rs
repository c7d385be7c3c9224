//! A whole plan of one service, in the order that leaves at worst an unused id or share: allocate, reserve, create, run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use kube::ResourceExt;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Ledger;
use super::carried_over::carried_over;
use super::events::Moves;
use super::fence::{AUTHORISATION, FRESH};
use super::instance::{Ask, Denied};
use super::mirror::counts_only;
use super::outcome::Outcome;
use super::pod::PodCreated;
use super::rules::{Rule, off};
use super::service::{Placed, arrived, draw_ids, next_status};
use super::task::Created;
use crate::api::{DesiredStatus, EcsService, Task, TaskSpec};
use crate::build;
use crate::cache::convert::revision_of;
use crate::domain::records::{Deployment, InstanceStatus, SchedulingStrategy, ServiceRef, StopCode};
use crate::plan::world::{Key, Service, World};
use crate::plan::{ServicePlan, Stop, Tell, only_daemons_left};
use crate::runtime::source;

/// Requests of one pass that are under way at a time.
const PARALLEL: usize = 16;

/// What became of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Somebody else moved something: plan again at once.
    pub again: bool,
    /// The API server refused something: plan again after a while.
    pub later: bool,
    /// Tasks started.
    pub started: Vec<String>,
    /// Instances that hold a share for a task that exists elsewhere: it is to be released at once.
    pub release: Vec<String>,
    /// Event messages that are new.
    pub said: Vec<String>,
    /// Counts changed, and are to be written after that long.
    pub put_off: Option<Duration>,
}

impl Ledger {
    /// Carries out a service's plan.
    pub async fn commit(
        &self,
        world: &World,
        object: &Arc<EcsService>,
        service: &Service,
        plan: &ServicePlan,
    ) -> Report {
        let placed = draw_ids(world, service, plan);
        let mut report = Report::default();
        let daemon = service.strategy == SchedulingStrategy::Daemon;
        // a daemon's start needs no allocation: its share names the service; so it is not kept waiting for this write
        let decided = !daemon || !plan.stop.is_empty() || plan.deployments != service.deployments;
        if decided {
            // of what it decides on nothing is said yet, nor of what finds no place beside it: that when it is so
            let (next, said) = next_status(world, object, service, plan, &placed, &arrived(world, service));
            let before = object.status.clone().unwrap_or_default();
            let can_wait = placed.is_empty() && plan.stop.is_empty() && counts_only(&before, &next);
            report.put_off = self.put_off_counts(service, can_wait && next != before);
            if next != before && report.put_off.is_none() {
                match self.write_service(object, &next).await {
                    Outcome::Applied(()) => report.said = said,
                    other => {
                        debug!(service = %service.key, outcome = other.label(), "planning write did not take; planning again");
                        report.again = true;
                        return report;
                    }
                }
            }
        }
        // what was decided on before and not carried out, by a process that ended or a write that failed, is due too
        let stops = [carried_over(world, service), plan.stop.clone()].concat();
        let (started, stopping, told) = tokio::join!(
            self.start_all(service, plan, &placed),
            self.stop_all(service, &stops),
            self.tell_all(&plan.tell)
        );
        report.started = started.ids;
        report.release = started.release;
        report.again = started.again;
        if daemon {
            report.started.extend(self.lane.take(&service.key));
        }
        report.again |= stopping == Stopping::Moved;
        report.later |= stopping == Stopping::Refused || !told;
        if daemon && (!decided || !report.started.is_empty()) {
            self.report_daemon(service, plan, &placed, &mut report).await;
        }
        report
    }

    /// A daemon's status after its starts.
    async fn report_daemon(
        &self,
        service: &Service,
        plan: &ServicePlan,
        placed: &[Placed],
        report: &mut Report,
    ) {
        let world = self.cache.snapshot(source::now(), 0);
        let (Some(object), Some(current)) = (
            self.cache.services.get(&service.key),
            world.services.get(&service.key).cloned(),
        ) else {
            return;
        };
        let started = Moves::new(report.started.iter().map(|id| (None, id.clone())));
        let (next, said) = next_status(&world, &object, &current, plan, placed, &started);
        let before = object.status.clone().unwrap_or_default();
        report.put_off = self.put_off_counts(&current, next != before && counts_only(&before, &next));
        if next == before || report.put_off.is_some() {
            return;
        }
        match self.write_service(&object, &next).await {
            Outcome::Applied(()) => report.said = said,
            _ => report.again = true,
        }
    }

    /// How long what there is to write of a service waits: counts alone do, if it was written just now.
    fn put_off_counts(&self, service: &Service, only_counts: bool) -> Option<Duration> {
        only_counts
            .then(|| self.pace.left(&service.key.to_string()))
            .flatten()
    }

    async fn start_all(&self, service: &Service, plan: &ServicePlan, placed: &[Placed]) -> Starts {
        let mut by_instance: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
        let (now, waiting): (Vec<_>, Vec<_>) = placed.iter().partition(|p| p.start.behind.is_none());
        for one in now {
            by_instance
                .entry(one.start.instance.clone())
                .or_default()
                .push(one.clone());
        }
        let mut groups = Vec::new();
        for (instance, group) in by_instance {
            groups.push(async move { self.start_on(service, plan, &instance, group).await }.boxed());
        }
        let mut results = stream::iter(groups).buffer_unordered(PARALLEL);
        let mut all = Starts::default();
        while let Some(one) = results.next().await {
            all.ids.extend(one.ids);
            all.release.extend(one.release);
            all.again |= one.again;
        }
        for one in waiting {
            self.create_waiting(service, plan, one).await;
        }
        all
    }

    /// Reserves on one instance, then creates the Tasks and their Pods.
    async fn start_on(
        &self,
        service: &Service,
        plan: &ServicePlan,
        instance: &str,
        group: Vec<Placed>,
    ) -> Starts {
        let lane = if service.strategy == SchedulingStrategy::Daemon {
            Some(self.lane.enter())
        } else {
            self.lane.give_way().await;
            None
        };
        let asks: Vec<Ask> = group.iter().map(|p| Ask::of(service, p)).collect();
        let share_seen = Instant::now();
        let verdicts = match self.reserve(instance, &asks).await {
            Outcome::Applied(verdicts) => verdicts,
            other => {
                debug!(
                    instance,
                    outcome = other.label(),
                    "reserving did not take; planning again"
                );
                return Starts {
                    again: true,
                    ..Starts::default()
                };
            }
        };
        let (mut given, mut again) = (Vec::new(), false);
        for (one, verdict) in group.into_iter().zip(verdicts) {
            if let Some(denied) = verdict {
                info!(service = %service.key, instance, ?denied, "no share given; planning again");
                again |= denied != Denied::Duplicate;
            } else {
                given.push(one);
            }
        }
        let mut starts = self
            .create_given(service, &plan.deployments, instance, given, share_seen)
            .await;
        starts.again |= again;
        drop(lane);
        starts
    }

    /// Creates the Tasks whose shares on the instance were given, and their Pods; the shares were there at `share_seen`.
    pub(super) async fn create_given(
        &self,
        service: &Service,
        deployments: &[Deployment],
        instance: &str,
        given: Vec<Placed>,
        mut share_seen: Instant,
    ) -> Starts {
        let mut starts = Starts::default();
        for one in given {
            let Some(deployment) = deployments.iter().find(|d| d.id == one.start.deployment) else {
                continue;
            };
            let spec = service_task(service, &deployment.id, &deployment.task_definition, instance);
            let key = Key::new(&service.key.namespace, &one.id);
            if share_seen.elapsed() >= FRESH {
                share_seen = Instant::now();
                if !self.still_reserved(instance, &key).await {
                    starts.again = true;
                    continue;
                }
            }
            match self.create_and_run(&key, spec, share_seen).await {
                Started::Yes => starts.ids.push(one.id),
                Started::Elsewhere => starts.release.push(instance.to_owned()),
                Started::No => {}
            }
        }
        starts
    }

    /// Creates a Task whose share was there when the process looked at `share_seen`, and its Pod.
    pub async fn create_and_run(&self, key: &Key, spec: TaskSpec, share_seen: Instant) -> Started {
        match self.create_task(key, spec, share_seen).await {
            Created::Here(task) => {
                info!(task = %key, instance = task.spec.container_instance, group = task.spec.group, "started");
                self.run(&task).await;
                Started::Yes
            }
            Created::Before => Started::Yes,
            Created::Refused(text) => {
                warn!(task = %key, %text, "the API server refused the Task");
                Started::No
            }
            Created::Elsewhere => Started::Elsewhere,
            Created::Unknown => Started::No,
        }
    }

    /// Creates the Pod of a Task that this process just authorised. A process that was slow looks at the instance
    /// itself first. (F2)
    pub async fn run(&self, task: &Task) {
        let uid = task.uid().unwrap_or_default();
        let key = crate::cache::store::key_of(task);
        if !off(Rule::F2) && self.fences.age(&uid).is_none_or(|age| age >= AUTHORISATION) {
            return;
        }
        let pod = match self.build_pod(task) {
            Ok(pod) => pod,
            Err(problems) => {
                self.fail_to_start(task, &problems.join("; ")).await;
                return;
            }
        };
        match self.create_pod(task, &pod).await {
            PodCreated::Yes => {}
            PodCreated::NoShare => warn!(task = %key, "no share in the ledger; no Pod"),
            PodCreated::Refused(text) => self.fail_to_start(task, &text).await,
            PodCreated::Unknown => debug!(task = %key, "Pod uncertain; looking again later"),
        }
    }

    async fn fail_to_start(&self, task: &Task, text: &str) {
        let key = crate::cache::store::key_of(task);
        let (uid, version) = (
            task.uid().unwrap_or_default(),
            task.resource_version().unwrap_or_default(),
        );
        let reason = format!("Task failed to start: {text}");
        let outcome = self
            .stop_task(&key, &uid, &version, StopCode::TaskFailedToStart, &reason)
            .await;
        debug!(task = %key, outcome = outcome.label(), "failed to start");
    }

    fn build_pod(&self, task: &Task) -> Result<k8s_openapi::api::core::v1::Pod, Vec<String>> {
        let namespace = task.namespace().unwrap_or_default();
        let missing = |what: &str| vec![format!("{what} does not exist")];
        let world = self.cache.snapshot(jiff::Timestamp::UNIX_EPOCH, 0);
        let definition = world
            .definition_in_use(&namespace, revision_of(task))
            .and_then(|d| self.cache.definitions.get(&d.key))
            .ok_or_else(|| missing(&format!("task definition {}", task.spec.task_definition)))?;
        let cluster = self
            .cache
            .clusters
            .named(&task.spec.cluster)
            .ok_or_else(|| missing(&format!("cluster {}", task.spec.cluster)))?;
        let node_name = task.spec.container_instance.clone().unwrap_or_default();
        // whose create comes first has given the Pod its secret: one that is tried again changes nothing
        let secret = self.agent.is_some().then(source::id).unwrap_or_default();
        let agent = self.agent.as_deref().map(|base| build::AgentEndpoint {
            base,
            secret: &secret,
        });
        build::pod(&build::PodInput {
            task,
            definition: &definition,
            cluster: &cluster,
            daemon: task.spec.service.as_ref().is_some_and(|s| s.daemon),
            node_name: &node_name,
            agent,
        })
    }

    /// Tells tasks of a service to stop.
    async fn stop_all(&self, service: &Service, stops: &[Stop]) -> Stopping {
        let requests: Vec<_> = stops
            .iter()
            .map(|stop| self.stop_one(service, stop).boxed())
            .collect();
        let mut results = stream::iter(requests).buffer_unordered(PARALLEL);
        let mut worst = Stopping::Done;
        while let Some(one) = results.next().await {
            worst = worst.max(one);
        }
        worst
    }

    /// Tells protected tasks that they should finish; whether all answers are certain. One that moved comes with an event
    /// that has its service planned anew.
    async fn tell_all(&self, tells: &[Tell]) -> bool {
        let requests = tells.iter().map(|tell| self.tell_task(tell).boxed());
        let requests: Vec<_> = requests.collect();
        let outcomes: Vec<_> = stream::iter(requests).buffer_unordered(PARALLEL).collect().await;
        let lost = |outcome: &Outcome<()>| matches!(outcome, Outcome::Refused(_) | Outcome::Unknown(_));
        !outcomes.iter().any(lost)
    }

    async fn stop_one(&self, service: &Service, stop: &Stop) -> Stopping {
        if service.strategy == SchedulingStrategy::Daemon && self.stays(&stop.task).await {
            debug!(task = %stop.task, "its instance drains and others are there; the daemon stays");
            return Stopping::Moved;
        }
        let outcome = if stop.uid.is_empty() {
            self.tombstone(&stop.task, &service.cluster, None, &stop.reason)
                .await
        } else {
            let code = StopCode::ServiceSchedulerInitiated;
            self.stop_task(&stop.task, &stop.uid, &stop.version, code, &stop.reason)
                .await
        };
        match outcome {
            // exists: the id ended otherwise
            Outcome::Applied(()) | Outcome::Exists => Stopping::Done,
            Outcome::Gone if !stop.uid.is_empty() => Stopping::Done,
            Outcome::Refused(text) => {
                warn!(task = %stop.task, %text, "the API server refused a stop");
                Stopping::Refused
            }
            // no namespace, no tombstone
            Outcome::Gone => Stopping::Refused,
            // a Pod of that name has not ended, or no certain answer says that all have: a plan would be the same
            Outcome::Stale | Outcome::Unknown(_) if stop.uid.is_empty() => Stopping::Refused,
            Outcome::Stale | Outcome::Unknown(_) => Stopping::Moved,
        }
    }
}

impl Ledger {
    /// Whether a daemon's task may not be told to stop: its instance drains and others are still there. The API server
    /// itself is asked, after the decision was written: a drain that had begun by then, unseen by whoever decided, is
    /// seen now. (I4)
    async fn stays(&self, task: &Key) -> bool {
        let bound = self.cache.tasks.get(task);
        let Some(instance) = bound.and_then(|t| t.spec.container_instance.clone()) else {
            return false;
        };
        self.refresh_instance(&instance).await;
        let world = self.cache.snapshot(jiff::Timestamp::UNIX_EPOCH, 0);
        holds_daemons(&world, &instance)
    }
}

/// Whether an instance drains and its daemons wait for others.
fn holds_daemons(world: &World, instance: &str) -> bool {
    let instance = world.instances.get(instance);
    instance.is_some_and(|i| i.status == InstanceStatus::Draining && !only_daemons_left(world, i))
}

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// The Task exists, bound here.
    Yes,
    /// The id ended elsewhere or as a tombstone: the share goes.
    Elsewhere,
    /// There is no Task, or nobody knows.
    No,
}

/// What became of the starts of a pass.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// Tasks that exist now.
    pub(super) ids: Vec<String>,
    /// Instances that hold a share for a task that exists elsewhere.
    pub(super) release: Vec<String>,
    /// Something moved: plan again.
    pub(super) again: bool,
}

/// What became of stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stopping {
    /// All were told.
    Done,
    /// Something was refused.
    Refused,
    /// Something moved: plan again.
    Moved,
}

/// The spec of a service's task.
#[must_use]
pub fn service_task(service: &Service, deployment: &str, definition: &str, instance: &str) -> TaskSpec {
    TaskSpec {
        cluster: service.cluster.clone(),
        container_instance: Some(instance.to_owned()),
        task_definition: definition.to_owned(),
        desired_status: DesiredStatus::Running,
        group: Some(service.group()),
        started_by: Some(deployment.to_owned()),
        service: Some(ServiceRef {
            name: service.key.name.clone(),
            uid: service.uid.clone(),
            daemon: service.strategy == SchedulingStrategy::Daemon,
            deployment: Some(deployment.to_owned()),
        }),
        ..TaskSpec::default()
    }
}
