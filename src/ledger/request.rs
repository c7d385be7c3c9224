//! Requests for tasks: their Tasks are created once, unbound; the shares of those that wait for each other are reserved
//! together; and each step is one conditional write on the RunTask's status. (RUN-1, RUN-2)
//!
//! A create carries no version, so it is made only shortly after such a write: who comes later, or meets a request that
//! moved on, creates nothing. (as F2)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Resource, ResourceExt};
use tracing::info;

use super::instance::Ask;
use super::outcome::Outcome;
use super::task::task_labels;
use super::{FIELD_MANAGER, Ledger, patch, post};
use crate::api::{RunTask, RunTaskRef, RunTaskStatus, Task, TaskSpec, finalizers, labels};
use crate::cache::store::key_of;
use crate::plan::request::task_name;
use crate::plan::run_task::Place;
use crate::plan::world::Key;

/// The Tasks of the attempt that is under way.
#[must_use]
pub fn task_keys(request: &RunTask) -> Vec<Key> {
    let Key { namespace, name } = key_of(request);
    let uid = request.uid().unwrap_or_default();
    let (count, attempt) = (request.spec.count, attempt_of(request));
    (0..count)
        .map(|index| Key::new(&namespace, task_name(&name, &uid, count, attempt, index)))
        .collect()
}

fn attempt_of(request: &RunTask) -> u32 {
    request.status.as_ref().map_or(0, |s| s.attempt).max(1)
}

/// A Task of the request, bound to nothing.
fn task_of(request: &RunTask, key: &Key) -> Task {
    let (asked, status) = (&request.spec, request.status.clone().unwrap_or_default());
    let spec = TaskSpec {
        cluster: asked.cluster.clone(),
        task_definition: status
            .task_definition
            .unwrap_or_else(|| asked.task_definition.clone()),
        group: asked.group.clone(),
        started_by: asked.started_by.clone(),
        launch_type: asked.launch_type,
        placement_constraints: asked.placement_constraints.clone(),
        placement_strategy: asked.placement_strategy.clone(),
        queue_until: asked.queue_until.clone(),
        overrides: asked.overrides.clone(),
        tags: asked.tags.clone(),
        run_task: Some(RunTaskRef {
            name: request.name_any(),
            uid: request.uid().unwrap_or_default(),
            attempt: attempt_of(request),
            commit: asked.commit,
        }),
        ..TaskSpec::default()
    };
    let mut task = Task::new(&key.name, spec);
    task.metadata.namespace = Some(key.namespace.clone());
    task.metadata.finalizers = Some(vec![finalizers::TASK.to_owned()]);
    let mut marks = task_labels(&task.spec);
    marks.insert(labels::RUN_TASK.to_owned(), request.name_any());
    task.metadata.labels = Some(marks);
    // with the request its tasks go, unless whoever deletes it says --cascade=orphan
    task.metadata.owner_references = Some(vec![OwnerReference {
        api_version: RunTask::api_version(&()).into_owned(),
        kind: RunTask::kind(&()).into_owned(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    task
}

impl Ledger {
    /// A mark of this process that no write had before.
    #[must_use]
    pub fn author(&self) -> String {
        self.fences.author(self.process())
    }

    /// Creates a Task of the request, unless there is one of that name.
    pub async fn create_requested(&self, request: &RunTask, key: &Key) -> Outcome<()> {
        let task = task_of(request, key);
        let api = self.tasks(&key.namespace);
        match self.send("task", api.create(&post(), &task)).await {
            Outcome::Exists => self.look_up_task(key).await.map(drop),
            outcome => outcome.map(|created| self.cache.learn_task(created)),
        }
    }

    /// Writes a request's status if it differs, if the request is still as it was decided on.
    pub async fn write_request(&self, request: &RunTask, status: &RunTaskStatus) -> Outcome<()> {
        let (uid, version) = (
            request.uid().unwrap_or_default(),
            request.resource_version().unwrap_or_default(),
        );
        let change = match &request.status {
            None => patch::whole("status", status, &uid, &version),
            Some(before) => patch::conditional("status", before, status, &uid, &version),
        };
        let Some(change) = change else {
            return Outcome::Applied(());
        };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let (api, key) = (self.requests(request), key_of(request));
        let change = Patch::Merge(change);
        let written = api.patch_status(&key.name, &params, &change);
        let outcome = self.send("runtask_status", written).await;
        if matches!(outcome, Outcome::Stale) {
            self.look_up_request(&key).await;
        }
        outcome.map(|answer| self.cache.learn_request(answer))
    }

    /// Reads a request from the API server itself; `Gone` proves that there is none now.
    pub async fn look_up_request(&self, key: &Key) -> Outcome<RunTask> {
        let api: Api<RunTask> = Api::namespaced(self.client.clone(), &key.namespace);
        let outcome = self.send("runtask_get", api.get(&key.name)).await;
        if let Outcome::Applied(request) = &outcome {
            self.cache.learn_request(request.clone());
        }
        outcome
    }

    /// Gives tasks their shares, each instance in one write and if it is still as it was decided on; whether all got
    /// theirs. Those that did keep it.
    pub async fn reserve_places(&self, places: &[(Key, Place)]) -> Outcome<bool> {
        let mut asked: BTreeMap<(&str, u64), Vec<Ask>> = BTreeMap::new();
        for (task, place) in places {
            let Some(uid) = self.cache.tasks.get(task).and_then(|task| task.uid()) else {
                return Outcome::Applied(false);
            };
            let ask = Ask {
                task: task.clone(),
                uid: Some(uid),
                service: None,
                amounts: place.demand.clone(),
            };
            asked
                .entry((&place.instance, place.version))
                .or_default()
                .push(ask);
        }
        for ((instance, version), asks) in asked {
            match self.reserve_as_seen(instance, version, &asks).await {
                Outcome::Applied(verdicts) if verdicts.iter().all(Option::is_none) => {}
                Outcome::Applied(_) => return Outcome::Applied(false),
                other => return other.map(|_| false),
            }
        }
        Outcome::Applied(true)
    }

    /// Deletes a request that has been over for long enough.
    pub async fn delete_request(&self, request: &RunTask) -> Outcome<()> {
        let preconditions = Preconditions {
            uid: request.uid(),
            resource_version: request.resource_version(),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let (api, name) = (self.requests(request), request.name_any());
        let outcome = self.send("runtask_delete", api.delete(&name, &params)).await;
        info!(request = %key_of(request), outcome = outcome.label(), "over for long enough");
        outcome.map(drop)
    }

    fn requests(&self, request: &RunTask) -> Api<RunTask> {
        Api::namespaced(self.client.clone(), &request.namespace().unwrap_or_default())
    }
}
