//! Tasks: created once, bound; told to stop once; ended once. (TASK-4, F1 to F4)

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::time::Instant;
use tracing::{info, warn};

use super::outcome::Outcome;
use super::pod::belongs;
use super::rules::{Rule, off};
use super::{FIELD_MANAGER, Ledger, patch, post};
use crate::api::conditions;
use crate::api::{Task, TaskSpec, TaskStatus, finalizers, labels};
use crate::build::{Pod, task_conditions};
use crate::cache::convert::revision_of;
use crate::cache::store::version_of;
use crate::domain::records::{DesiredStatus, LastStatus, Quiesce, StopCode, TaskProtection};
use crate::plan::Tell;
use crate::plan::world::Key;
use crate::runtime::source;

/// Reasons are cut at this length. (TASK-14)
pub const REASON_MAX: usize = 1024;

/// What a tombstone says it would have run: a Task must name a definition.
const CANCELLED: &str = "cancelled:1";

/// Name of status writes in metrics.
const STATUS: &str = "task_status";

/// Cuts a text to at most [`REASON_MAX`] characters.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(REASON_MAX).collect()
}

/// What became of a Task's creation.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// By this process: it makes the Pod.
    Here(Box<Task>),
    /// It exists already, bound to the same instance.
    Before,
    /// The id ended elsewhere or as a tombstone: the reservation goes.
    Elsewhere,
    /// The API server refused it.
    Refused(String),
    /// Nobody knows yet.
    Unknown,
}

impl Ledger {
    /// Creates a Task, already bound. Its creator may make its Pod, if less than T has passed since it saw the share. (F2)
    pub async fn create_task(&self, key: &Key, spec: TaskSpec, share_seen: Instant) -> Created {
        let mut task = Task::new(&key.name, spec);
        task.metadata.namespace = Some(key.namespace.clone());
        task.metadata.finalizers = Some(vec![finalizers::TASK.to_owned()]);
        task.metadata.labels = Some(task_labels(&task.spec));
        task.metadata.annotations = Some(BTreeMap::from([(
            labels::AUTHORISED_BY.to_owned(),
            self.fences.author(self.process()),
        )]));
        let api = self.tasks(&key.namespace);
        match self.send("task", api.create(&post(), &task)).await {
            Outcome::Applied(created) => {
                self.fences
                    .authorised(&created.uid().unwrap_or_default(), share_seen);
                self.cache.learn_task(created.clone());
                Created::Here(Box::new(created))
            }
            Outcome::Exists => match self.read_task(key).await {
                Some(found)
                    if found.spec.container_instance == task.spec.container_instance
                        && !found.spec.tombstone =>
                {
                    Created::Before
                }
                Some(_) => Created::Elsewhere,
                None => Created::Unknown,
            },
            Outcome::Refused(text) => Created::Refused(text),
            Outcome::Stale | Outcome::Gone | Outcome::Unknown(_) => Created::Unknown,
        }
    }

    /// Creates a Task of a service that nobody has bound. One of that name that exists already is as good: it is that task,
    /// or the id has ended.
    pub(super) async fn create_unbound(&self, key: &Key, spec: TaskSpec) {
        let mut task = Task::new(&key.name, spec);
        task.metadata.namespace = Some(key.namespace.clone());
        task.metadata.finalizers = Some(vec![finalizers::TASK.to_owned()]);
        task.metadata.labels = Some(task_labels(&task.spec));
        let api = self.tasks(&key.namespace);
        match self.send("task", api.create(&post(), &task)).await {
            Outcome::Applied(created) => {
                info!(task = %key, group = created.spec.group, "waits for stopping tasks");
                self.cache.learn_task(created);
            }
            Outcome::Exists => drop(self.read_task(key).await),
            Outcome::Refused(text) => warn!(task = %key, %text, "the API server refused the Task"),
            Outcome::Stale | Outcome::Gone | Outcome::Unknown(_) => {}
        }
    }

    /// Takes the place of a Task that can't be found, so that a late create of it fails. While the API server shows a
    /// Pod of such a task that has not ended, nothing is given up: `Stale`. (F1)
    pub async fn tombstone(
        &self,
        key: &Key,
        cluster: &str,
        instance: Option<&str>,
        reason: &str,
    ) -> Outcome<()> {
        if !self.pods_ended(key).await {
            return Outcome::Stale;
        }
        if off(Rule::F1) {
            self.fences.unseen_for(&key.namespace, &key.name);
            self.fences.give_up(&key.namespace, &key.name);
            return Outcome::Applied(());
        }
        let spec = TaskSpec {
            cluster: cluster.to_owned(),
            container_instance: instance.map(ToOwned::to_owned),
            task_definition: CANCELLED.to_owned(),
            tombstone: true,
            desired_status: DesiredStatus::Stopped,
            stopped_reason: Some(cut(reason)),
            ..TaskSpec::default()
        };
        let mut task = Task::new(&key.name, spec);
        task.metadata.namespace = Some(key.namespace.clone());
        task.metadata.finalizers = Some(vec![finalizers::TASK.to_owned()]);
        task.metadata.labels = Some(task_labels(&task.spec));
        let api = self.tasks(&key.namespace);
        let outcome = self.send("tombstone", api.create(&post(), &task)).await;
        if matches!(outcome, Outcome::Exists) {
            self.read_task(key).await;
        }
        outcome.map(|answer| {
            info!(task = %key, %reason, "gave an uncertain task up");
            self.cache.learn_task(answer);
        })
    }

    /// Reads a Task from the API server itself.
    pub async fn read_task(&self, key: &Key) -> Option<Task> {
        self.look_up_task(key).await.applied()
    }

    /// Reads a Task from the API server itself; `Gone` proves that there is none now.
    pub async fn look_up_task(&self, key: &Key) -> Outcome<Task> {
        let api = self.tasks(&key.namespace);
        let outcome = self.send("task_get", api.get(&key.name)).await;
        if let Outcome::Applied(task) = &outcome {
            self.cache.learn_task(task.clone());
        }
        outcome
    }

    /// Whether the API server itself says that the Pod's Task is gone: there is none of that name, or it has another
    /// uid. (F4)
    pub async fn owner_is_gone(&self, key: &Key, pod: &Pod) -> bool {
        match self.look_up_task(key).await {
            Outcome::Applied(found) => !belongs(&found, pod),
            Outcome::Gone => true,
            _ => false,
        }
    }

    /// Tells a Task to stop, if it is still as it was decided on.
    pub async fn stop_task(
        &self,
        key: &Key,
        uid: &str,
        version: &str,
        code: StopCode,
        reason: &str,
    ) -> Outcome<()> {
        let change = json!({
            "metadata": { "uid": uid, "resourceVersion": version },
            "spec": { "desiredStatus": "STOPPED", "stopCode": code, "stoppedReason": cut(reason) },
        });
        let outcome = self.patch_task(key, change, "task_stop").await;
        if matches!(outcome, Outcome::Applied(())) {
            info!(task = %key, %reason, "told to stop");
        }
        outcome
    }

    /// Writes into a Task's status whether only protection keeps it, if the Task is still as it was seen. (PROT-11)
    pub async fn tell_task(&self, tell: &Tell) -> Outcome<()> {
        let seen = |task: &Arc<Task>| {
            task.uid().as_ref() == Some(&tell.uid) && version_of(task.as_ref()) == tell.version
        };
        let Some(task) = self.cache.tasks.get(&tell.task).filter(seen) else {
            return Outcome::Stale;
        };
        let mut status = task.status.clone().unwrap_or_default();
        status.quiesce = tell.reason.map(|reason| Quiesce {
            reason,
            since: source::now().to_string(),
        });
        let outcome = self.report_task(&task, &status).await;
        if matches!(outcome, Outcome::Applied(())) {
            info!(task = %tell.task, reason = ?tell.reason, "told whether it should finish");
        }
        outcome
    }

    /// Asks for protection of a Task or for its end, if the Task is still as it was seen: the Task with the request.
    /// (PROT-21)
    pub async fn ask_protection(&self, task: &Task, request: &TaskProtection) -> Outcome<()> {
        let change = json!({
            "metadata": { "uid": task.uid(), "resourceVersion": task.resource_version() },
            // what was asked before goes, member by member
            "spec": { "protection": {
                "protectionEnabled": request.protection_enabled,
                "expiresInMinutes": request.expires_in_minutes,
                "renewal": request.renewal,
            } },
        });
        self.patch_task(&crate::cache::store::key_of(task), change, "task_protection")
            .await
    }

    /// Makes a new authorising write on a Task that should run and has no Pod. (F2)
    pub async fn authorise(&self, task: &Task) -> Outcome<()> {
        let uid = task.uid().unwrap_or_default();
        let change = self.authorisation(task, self.resolve(task));
        let begun = Instant::now();
        let key = crate::cache::store::key_of(task);
        let outcome = self.patch_task(&key, change, "task").await;
        if matches!(outcome, Outcome::Applied(())) {
            self.fences.authorised(&uid, begun);
        }
        outcome
    }

    /// What an authorising write changes: this process's mark, our finalizer, and the revision if the Task names a bare
    /// family.
    pub(super) fn authorisation(&self, task: &Task, revision: Option<String>) -> serde_json::Value {
        let mut finalizers = task.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|f| f == finalizers::TASK) {
            // a task made by somebody else is held from here on (F1)
            finalizers.push(finalizers::TASK.to_owned());
        }
        let author = (labels::AUTHORISED_BY, self.fences.author(self.process()));
        let revision = revision
            .filter(|_| !revision_of(task).contains(':'))
            .map(|revision| (labels::TASK_DEFINITION, revision));
        let annotations: BTreeMap<_, _> = std::iter::once(author).chain(revision).collect();
        json!({
            "metadata": {
                "uid": task.uid(),
                "resourceVersion": task.resource_version(),
                "finalizers": finalizers,
                "annotations": annotations,
            },
        })
    }

    /// The revision of a Task that names a bare family, unless it was resolved before. (TD-4)
    fn resolve(&self, task: &Task) -> Option<String> {
        let named = revision_of(task);
        if named.contains(':') {
            return None;
        }
        let world = self.cache.snapshot(Timestamp::UNIX_EPOCH, 0);
        let namespace = task.namespace().unwrap_or_default();
        world.definition(&namespace, named).map(|d| d.id())
    }

    /// Writes a Task's status, if it differs. A STOPPED status is final.
    pub async fn report_task(&self, task: &Task, status: &TaskStatus) -> Outcome<()> {
        let before = task.status.clone().unwrap_or_default();
        if before.last_status == LastStatus::Stopped && status.last_status != LastStatus::Stopped {
            warn!(task = task.name_any(), "a STOPPED task does not return");
            return Outcome::Applied(());
        }
        let said = task_conditions::states(task, status);
        let conditions =
            conditions::merge(&before.conditions, &said, task.metadata.generation, source::now());
        let status = &TaskStatus {
            conditions,
            ..status.clone()
        };
        let (uid, version) = (
            task.uid().unwrap_or_default(),
            task.resource_version().unwrap_or_default(),
        );
        let change = match &task.status {
            None => patch::whole("status", status, &uid, &version),
            Some(_) => patch::conditional("status", &before, status, &uid, &version),
        };
        let Some(change) = change else {
            return Outcome::Applied(());
        };
        self.patch_task(&crate::cache::store::key_of(task), change, STATUS)
            .await
    }

    /// Lets a Task go: its finalizer is taken off.
    pub async fn free_task(&self, task: &Task) -> Outcome<()> {
        let left: Vec<&String> = task
            .finalizers()
            .iter()
            .filter(|f| *f != finalizers::TASK)
            .collect();
        let change = json!({
            "metadata": { "uid": task.uid(), "resourceVersion": task.resource_version(), "finalizers": left },
        });
        self.patch_task(&crate::cache::store::key_of(task), change, "task")
            .await
    }

    /// Deletes a Task that has been STOPPED for long enough.
    pub async fn delete_task(&self, task: &Task) -> Outcome<()> {
        let preconditions = Preconditions {
            uid: task.uid(),
            resource_version: task.resource_version(),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let api = self.tasks(&task.namespace().unwrap_or_default());
        let name = task.name_any();
        self.send("task_delete", api.delete(&name, &params))
            .await
            .map(drop)
    }

    pub(super) async fn patch_task(
        &self,
        key: &Key,
        change: serde_json::Value,
        object: &'static str,
    ) -> Outcome<()> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api: Api<Task> = self.tasks(&key.namespace);
        let change = Patch::Merge(change);
        let outcome = if object == STATUS {
            self.send(object, api.patch_status(&key.name, &params, &change))
                .await
        } else {
            self.send(object, api.patch(&key.name, &params, &change)).await
        };
        if matches!(outcome, Outcome::Stale) {
            self.read_task(key).await;
        }
        outcome.map(|answer| self.cache.learn_task(answer))
    }
}

pub(super) fn task_labels(spec: &TaskSpec) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([(labels::CLUSTER.to_owned(), spec.cluster.clone())]);
    if let Some(service) = &spec.service {
        found.insert(labels::SERVICE.to_owned(), service.name.clone());
    }
    found
}

/// A status for a Task that ended, with what was known before.
#[must_use]
pub fn stopped_status(task: &Task, now: Timestamp) -> TaskStatus {
    let mut status = task.status.clone().unwrap_or_default();
    status.last_status = LastStatus::Stopped;
    status.observed_generation = task.metadata.generation;
    // protection ends with the task (PROT-6), and it waits no more
    status.protected_until = None;
    status.queued = None;
    status.stopped_at.get_or_insert_with(|| now.to_string());
    if status.stop_code.is_none() {
        status.stop_code = task.spec.stop_code;
    }
    if status.stopped_reason.is_none() {
        status.stopped_reason.clone_from(&task.spec.stopped_reason);
    }
    status
}
