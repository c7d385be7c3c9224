//! Pods: one per Task, ever (F5). Created by POST only, under the rules of F2.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::{debug, info};

use super::fence::AUTHORISATION;
use super::outcome::Outcome;
use super::rules::{Rule, off};
use super::{FIELD_MANAGER, Ledger, post};
use crate::api::{ContainerInstance, Task, finalizers, labels};
use crate::build::{self, Pod, named_for};
use crate::cache::node::pod_ended;
use crate::cache::store::key_of;
use crate::plan::world::Key;

/// What became of a Pod create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodCreated {
    /// It exists now.
    Yes,
    /// The share it needs is not in the ledger.
    NoShare,
    /// The API server refused it for good: the text.
    Refused(String),
    /// Nobody knows yet; the fence says when to look again.
    Unknown,
}

/// Whether a Pod is the Task's own: names can be met by accident, uids can't. One that was its own before somebody took its
/// owner off is so still. (F4)
#[must_use]
pub fn belongs(task: &Task, pod: &Pod) -> bool {
    let uid = task.metadata.uid.as_ref();
    let owned = uid.is_some() && pod.owner_references().iter().any(|owner| Some(&owner.uid) == uid);
    owned || build::orphaned(task, pod)
}

impl Ledger {
    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates the Pod of a Task that this process authorised less than T ago and whose share it has seen. (F2)
    pub async fn create_pod(&self, task: &Task, pod: &core::Pod) -> PodCreated {
        let uid = task.uid().unwrap_or_default();
        let key = key_of(task);
        let instance = task.spec.container_instance.clone().unwrap_or_default();
        let holds = |object: &ContainerInstance| {
            let entries = object.status.iter().flat_map(|s| &s.reservations);
            entries
                .into_iter()
                .any(|r| r.is_for(&key.namespace, &key.name) && r.admits(&uid))
        };
        let bound = !off(Rule::F2);
        match self.fences.age(&uid).filter(|_| bound) {
            None if bound => return PodCreated::Unknown,
            Some(age) if age >= AUTHORISATION => return PodCreated::Unknown,
            Some(_) | None => {}
        }
        if bound
            && !self
                .cache
                .instances
                .named(&instance)
                .is_some_and(|object| holds(&object))
        {
            return PodCreated::NoShare;
        }
        if bound && !self.fences.claim(&uid) {
            // another part of this process is at it
            return PodCreated::Unknown;
        }
        let mut pod = pod.clone();
        if off(Rule::F5) {
            pod.metadata.finalizers = None;
        }
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        match self.send("pod", api.create(&post(), &pod)).await {
            Outcome::Applied(created) => {
                self.fences.answered(&uid);
                self.cache.pods.put(created.into());
                PodCreated::Yes
            }
            Outcome::Exists => {
                self.fences.answered(&uid);
                let name = pod.name_any();
                match self.read_pod(&key.namespace, &name).await {
                    Outcome::Applied(found) if !belongs(task, &found) => {
                        PodCreated::Refused(format!("a Pod {name} that is not of this task exists"))
                    }
                    Outcome::Applied(_) => PodCreated::Yes,
                    _ => PodCreated::Unknown,
                }
            }
            Outcome::Refused(text) => {
                self.fences.answered(&uid);
                PodCreated::Refused(text)
            }
            Outcome::Gone => {
                // the namespace is gone or going
                self.fences.answered(&uid);
                PodCreated::Refused("the namespace does not exist".to_owned())
            }
            Outcome::Stale | Outcome::Unknown(_) => {
                debug!(task = %key, "uncertain whether the Pod was created");
                PodCreated::Unknown
            }
        }
    }

    /// Reads a Pod from the API server itself; `Gone` proves that there is none now.
    pub async fn read_pod(&self, namespace: &str, name: &str) -> Outcome<Pod> {
        let api = self.pods(namespace);
        let outcome = self.send("pod_get", api.get(name)).await;
        if let Outcome::Applied(pod) = &outcome {
            self.cache.pods.put(pod.clone());
        }
        outcome
    }

    /// The whole Pod as the API server itself has it now. (PROT-20)
    pub async fn look_up_pod(&self, namespace: &str, name: &str) -> Outcome<core::Pod> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        self.send("pod_get", api.get(name)).await
    }

    /// Whether the API server itself shows no Pod of a task of that name that has not ended. No certain answer is no. Asked
    /// for by label and, since anybody can take a label off, by the nodes where the task has a share; what is its own, the
    /// Pod's name says. (F1)
    pub async fn pods_ended(&self, task: &Key) -> bool {
        let api = self.pods(&task.namespace);
        let labelled = ListParams::default().labels(&format!("{}={}", labels::TASK, task.name));
        let instances = self.cache.instances.all();
        let holds = |object: &&Arc<ContainerInstance>| {
            let mut entries = object.status.iter().flat_map(|s| &s.reservations);
            entries.any(|r| r.is_for(&task.namespace, &task.name))
        };
        let on_nodes = instances.iter().filter(holds).map(|object| {
            let here = format!("spec.nodeName={}", object.name_any());
            ListParams::default().fields(&here)
        });
        let mut ended = true;
        for params in std::iter::once(labelled).chain(on_nodes) {
            let Some(list) = self.send("pod_get", api.list(&params)).await.applied() else {
                return false;
            };
            let own = |pod: &Pod| named_for(pod) == Some(task.name.as_str());
            for pod in list.items.into_iter().filter(own) {
                ended &= pod_ended(&pod);
                self.cache.pods.put(pod);
            }
        }
        ended
    }

    /// Asks the kubelet to stop a Pod, with its own grace period.
    pub async fn delete_pod(&self, pod: &Pod) -> Outcome<()> {
        let preconditions = Preconditions {
            uid: pod.uid(),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let api = self.pods(&pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        self.send("pod_delete", api.delete(&name, &params))
            .await
            .map(|answer| {
                if let Some(object) = answer.left() {
                    self.cache.pods.put(object);
                }
            })
    }

    /// Changes a Pod's metadata, if it is still the one and the version that was seen.
    async fn patch_pod(&self, pod: &Pod, mut metadata: BTreeMap<&str, Value>) -> Outcome<Pod> {
        metadata.insert("uid", json!(pod.uid()));
        metadata.insert("resourceVersion", json!(pod.resource_version()));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.pods(&pod.namespace().unwrap_or_default());
        let change = Patch::Merge(json!({ "metadata": metadata }));
        self.send("pod", api.patch(&pod.name_any(), &params, &change))
            .await
    }

    /// Puts labels of ours and the owner back that a Pod has lost, and says on it whether its task is protected; what others wrote is
    /// theirs. Nothing is written while nothing differs. (DAEMON-43, DAEMON-44, PROT-1)
    pub async fn mark_pod(&self, task: &Task, pod: &Pod) -> Outcome<()> {
        let Some(marks) = build::marks(task, pod) else {
            return Outcome::Applied(());
        };
        let mut change = BTreeMap::new();
        for (member, changed) in [("labels", &marks.labels), ("annotations", &marks.annotations)] {
            if !changed.is_empty() {
                change.insert(member, json!(changed));
            }
        }
        if let Some(owner) = &marks.owner {
            change.insert("ownerReferences", json!([owner]));
        }
        let (name, outcome) = (pod.name_any(), self.patch_pod(pod, change).await);
        outcome.map(|answer| {
            info!(task = %key_of(task), pod = name, ?marks, "put right what the Pod says of its task");
            self.cache.pods.put(answer);
        })
    }

    /// Takes our labels, our finalizer and what says that it is protected off a Pod that is not ours. Nothing is written
    /// while there are none. (PROT-1)
    pub async fn disown_pod(&self, pod: &Pod) -> Outcome<()> {
        let ours = |label: &&String| build::POD_LABELS.contains(&label.as_str());
        let copied: Vec<&String> = pod.labels().keys().filter(ours).collect();
        let held = pod.finalizers();
        let left: Vec<&String> = held.iter().filter(|f| *f != finalizers::POD).collect();
        let marks = build::copied_marks(pod);
        if copied.is_empty() && marks.is_empty() && left.len() == held.len() {
            return Outcome::Applied(());
        }
        let labels: BTreeMap<&String, Option<()>> = copied.iter().map(|label| (*label, None)).collect();
        let change = BTreeMap::from([
            ("labels", json!(labels)),
            ("annotations", json!(marks)),
            ("finalizers", json!(left)),
        ]);
        let (name, outcome) = (pod.name_any(), self.patch_pod(pod, change).await);
        outcome.map(|answer| {
            info!(
                pod = name,
                namespace = pod.namespace(),
                ?copied,
                "took labels of ours off a Pod that is of no task"
            );
            if answer.meta().deletion_timestamp.is_none() {
                self.cache.pods.put(answer);
            }
        })
    }

    /// Lets a Pod go whose end is recorded: its finalizer is taken off. (F5)
    pub async fn free_pod(&self, pod: &Pod) -> Outcome<()> {
        let held = pod.meta().finalizers.as_deref().unwrap_or_default();
        if !held.iter().any(|f| f == finalizers::POD) {
            return Outcome::Applied(());
        }
        let left: Vec<&String> = held.iter().filter(|f| *f != finalizers::POD).collect();
        let change = BTreeMap::from([("finalizers", json!(left))]);
        let (name, outcome) = (pod.name_any(), self.patch_pod(pod, change).await);
        match outcome {
            Outcome::Applied(answer) => {
                if answer.meta().deletion_timestamp.is_none() {
                    self.cache.pods.put(answer);
                }
                Outcome::Applied(())
            }
            Outcome::Stale => {
                debug!(
                    pod = name,
                    "the Pod moved while its finalizer was taken off; again"
                );
                self.read_pod(&pod.namespace().unwrap_or_default(), &name).await;
                Outcome::Stale
            }
            other => other.map(drop),
        }
    }
}
