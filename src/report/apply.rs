//! Small writes, each conditional on the version it was decided on, or applied by the server as ours.

#![allow(
    clippy::disallowed_methods,
    reason = "this module writes what is not placement"
)]

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{info, warn};

use super::floor::{floor, floor_name, same_floor};
use super::hold::{HOLD_BUDGET, hold, same_hold};
use super::taint;
use crate::api::{
    ContainerInstance, EcsCluster, EcsClusterStatus, EcsService, TaskDefinition, TaskDefinitionStatus,
    finalizers, labels,
};
use crate::cache::Cache;
use crate::ledger::outcome::{Error, Outcome};
use crate::ledger::{REQUEST_TIMEOUT, patch};
use crate::plan::world::Key;

/// Field manager of what is not placement.
pub const FIELD_MANAGER: &str = "ecs-operator";

/// The writer of what is not placement. Clones share everything.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    cache: Arc<Cache>,
}

impl Applier {
    /// An applier that writes through `client`.
    #[must_use]
    pub fn new(client: Client, cache: Arc<Cache>) -> Self {
        Self { client, cache }
    }

    /// Puts our finalizer on a service before its first task.
    pub async fn hold_service(&self, object: &EcsService) -> Result<(), Error> {
        let api: Api<EcsService> = self.namespaced(object);
        let held = self.finalizers(&api, object, finalizers::SERVICE, true).await?;
        if let Some(held) = held {
            self.cache.learn_service(held);
        }
        Ok(())
    }

    /// Takes our finalizer off a service whose tasks are gone.
    pub async fn release_service(&self, object: &EcsService) -> Result<(), Error> {
        let newest = self.cache.services.get(&crate::cache::store::key_of(object));
        let api: Api<EcsService> = self.namespaced(object);
        self.finalizers(
            &api,
            newest.as_deref().unwrap_or(object),
            finalizers::SERVICE,
            false,
        )
        .await?;
        info!(
            service = object.name_any(),
            namespace = object.namespace(),
            "deleted: every task has STOPPED"
        );
        Ok(())
    }

    /// Puts our finalizer on a cluster.
    pub async fn hold_cluster(&self, object: &EcsCluster) -> Result<(), Error> {
        let api: Api<EcsCluster> = self.global();
        self.finalizers(&api, object, finalizers::CLUSTER, true)
            .await
            .map(drop)
    }

    /// Takes our finalizer off a cluster without instances.
    pub async fn release_cluster(&self, object: &EcsCluster) -> Result<(), Error> {
        let api: Api<EcsCluster> = self.global();
        self.finalizers(&api, object, finalizers::CLUSTER, false)
            .await
            .map(drop)
    }

    /// Puts our finalizer on a definition that is in use, or takes it off one that is not.
    /// The definition as it is then, if that changed it.
    pub async fn hold_definition(
        &self,
        object: &TaskDefinition,
        wanted: bool,
    ) -> Result<Option<TaskDefinition>, Error> {
        let api: Api<TaskDefinition> = self.namespaced(object);
        self.finalizers(&api, object, finalizers::IN_USE, wanted).await
    }

    /// Puts our finalizer back on an instance that stays after all.
    pub async fn hold_instance(&self, object: &ContainerInstance) -> Result<(), Error> {
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let api: Api<ContainerInstance> = self.global();
        self.finalizers(&api, object, finalizers::INSTANCE, true)
            .await
            .map(drop)
    }

    /// Lets an INACTIVE instance go on which nothing is reserved, as long as nobody changes it meanwhile: its node may
    /// be back.
    pub async fn delete_instance(&self, object: &ContainerInstance) {
        let api: Api<ContainerInstance> = self.global();
        let name = object.name_any();
        let freed = match self.finalizers(&api, object, finalizers::INSTANCE, false).await {
            Ok(freed) => freed,
            // its event, or the next look, brings it up again
            Err(Error::Moved) => return,
            Err(error) => {
                warn!(instance = name, %error, "cannot deregister yet");
                return;
            }
        };
        let preconditions = Preconditions {
            uid: object.uid(),
            resource_version: freed
                .as_ref()
                .map_or_else(|| object.resource_version(), ResourceExt::resource_version),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let outcome = self.send(api.delete(&name, &params)).await;
        info!(instance = name, outcome = outcome.label(), "deregistered");
    }

    /// Writes on a Node that its instance was deregistered by force, so that it does not register again by itself.
    /// Taking the annotation off lets it.
    pub async fn remember_deregistration(&self, node: &str) -> Result<(), Error> {
        let Some(object) = self.cache.nodes.named(node) else {
            return Ok(());
        };
        let uid = object.uid().unwrap_or_default();
        if object.annotations().get(labels::DEREGISTERED) == Some(&uid) {
            return Ok(());
        }
        let api: Api<Node> = self.global();
        let change = json!({ "metadata": { "uid": uid, "annotations": { labels::DEREGISTERED: uid } } });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match self.send(api.patch(node, &params, &Patch::Merge(change))).await {
            Outcome::Gone => Ok(()),
            other => other.certain().map(drop),
        }
    }

    /// Takes the startup taint off a Node, if it has it.
    pub async fn lift_startup_taint(&self, node: &Node, key: &str) -> Result<(), Error> {
        let Some(taints) = taint::without(node, key) else {
            return Ok(());
        };
        let api: Api<Node> = self.global();
        let change = json!({
            "metadata": { "uid": node.uid(), "resourceVersion": node.resource_version() },
            "spec": { "taints": taints },
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = node.name_any();
        match self.send(api.patch(&name, &params, &Patch::Merge(change))).await {
            Outcome::Applied(_) => {
                info!(
                    node = name,
                    taint = key,
                    "the daemons run: the startup taint is taken off"
                );
                Ok(())
            }
            Outcome::Gone => Ok(()),
            other => other.certain().map(drop),
        }
    }

    /// Writes a definition's status.
    pub async fn report_definition(
        &self,
        object: &TaskDefinition,
        next: &TaskDefinitionStatus,
    ) -> Result<(), Error> {
        let api: Api<TaskDefinition> = self.namespaced(object);
        self.status(&api, object, object.status.as_ref(), next).await
    }

    /// Writes a cluster's status.
    pub async fn report_cluster(&self, object: &EcsCluster, next: &EcsClusterStatus) -> Result<(), Error> {
        let api: Api<EcsCluster> = self.global();
        self.status(&api, object, object.status.as_ref(), next).await
    }

    /// Makes sure that held Pods of a namespace can't be evicted: the operator stops them in their turn. A budget that
    /// somebody changed is put right. If the API server refuses it, nothing waits for it. (DAEMON-43, DAEMON-44)
    ///
    /// # Errors
    /// There was no certain answer, or the budget moved meanwhile.
    pub async fn ensure_hold(&self, namespace: &str) -> Result<(), Error> {
        let living = self.cache.namespaces.named(namespace);
        if living.is_none_or(|n| n.metadata.deletion_timestamp.is_some()) {
            return Ok(());
        }
        let (known, wanted) = (
            self.cache.budgets.get(&Key::new(namespace, HOLD_BUDGET)),
            hold(namespace),
        );
        if known.as_deref().is_some_and(same_hold) {
            return Ok(());
        }
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), namespace);
        // applying does not take off what others put in, such as a maxUnavailable
        let change = known.as_ref().and_then(|known| {
            let (uid, version) = (known.uid()?, known.resource_version()?);
            patch::conditional("spec", &known.spec, &wanted.spec, &uid, &version)
        });
        let apply = async || {
            let params = PatchParams::apply(FIELD_MANAGER).force();
            self.send(api.patch(HOLD_BUDGET, &params, &Patch::Apply(&wanted)))
                .await
        };
        let mut sent = if let Some(change) = change {
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            self.send(api.patch(HOLD_BUDGET, &params, &Patch::Merge(change)))
                .await
        } else {
            apply().await
        };
        if known.is_none() && matches!(&sent, Outcome::Refused(text) if text.contains("is invalid")) {
            // one without our label, which we therefore do not see, says what ours cannot be joined with
            let deleted = self.send(api.delete(HOLD_BUDGET, &DeleteParams::default())).await;
            if matches!(deleted, Outcome::Applied(_)) {
                sent = apply().await;
            }
        }
        match sent {
            Outcome::Refused(text) => {
                warn!(
                    namespace,
                    text,
                    "cannot write the PodDisruptionBudget that holds Pods: they can be evicted out of turn"
                );
                Ok(())
            }
            other => {
                self.cache.budgets.put(other.certain()?);
                info!(namespace, "wrote the PodDisruptionBudget that holds Pods");
                Ok(())
            }
        }
    }

    /// Keeps evictions from taking a service below `lower` running tasks, by a PodDisruptionBudget of its own; with 0
    /// there is none. Nothing waits for it: a failure is mended when the service is looked at again. (PCT-1, DRAIN-4)
    pub async fn keep_floor(&self, object: &EcsService, lower: u32) {
        let service = crate::cache::store::key_of(object);
        let name = floor_name(&service.name);
        let known = self.cache.budgets.get(&Key::new(&service.namespace, &name));
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &service.namespace);
        let outcome = match (known, floor(object, lower)) {
            (None, None) => return,
            (Some(known), Some(wanted)) if same_floor(&known, &wanted) => return,
            (_, Some(wanted)) => {
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let sent = self.send(api.patch(&name, &params, &Patch::Apply(&wanted))).await;
                sent.map(|budget| drop(self.cache.budgets.put(budget)))
            }
            (Some(known), None) => {
                let preconditions = Preconditions {
                    uid: known.uid(),
                    resource_version: None,
                };
                let params = DeleteParams {
                    preconditions: Some(preconditions),
                    ..DeleteParams::default()
                };
                let sent = self.send(api.delete(&name, &params)).await.map(drop);
                if matches!(sent, Outcome::Applied(()) | Outcome::Gone) {
                    self.cache.budgets.remove(&known);
                }
                sent
            }
        };
        if !matches!(outcome, Outcome::Applied(()) | Outcome::Gone) {
            warn!(
                %service, lower, outcome = outcome.label(),
                "cannot write the PodDisruptionBudget that keeps evictions within minimumHealthyPercent"
            );
        }
    }

    fn namespaced<K>(&self, object: &K) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(
            self.client.clone(),
            &object.meta().namespace.clone().unwrap_or_default(),
        )
    }

    fn global<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    {
        Api::all(self.client.clone())
    }

    async fn send<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Outcome<T> {
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Ok(result) => Outcome::from(result),
            Err(_) => Outcome::Unknown("no answer within the deadline".to_owned()),
        }
    }

    async fn finalizers<K>(
        &self,
        api: &Api<K>,
        object: &K,
        ours: &str,
        wanted: bool,
    ) -> Result<Option<K>, Error>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let held = object.meta().finalizers.clone().unwrap_or_default();
        if held.iter().any(|f| f == ours) == wanted {
            return Ok(None);
        }
        let mut next: Vec<&str> = held.iter().map(String::as_str).filter(|f| *f != ours).collect();
        if wanted {
            next.push(ours);
        }
        let change = json!({
            "metadata": {
                "uid": object.meta().uid, "resourceVersion": object.meta().resource_version, "finalizers": next,
            },
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = object.meta().name.clone().unwrap_or_default();
        match self.send(api.patch(&name, &params, &Patch::Merge(change))).await {
            Outcome::Gone => Ok(None),
            other => other.certain().map(Some),
        }
    }

    async fn status<K, S>(&self, api: &Api<K>, object: &K, old: Option<&S>, next: &S) -> Result<(), Error>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
        S: Serialize,
    {
        let uid = object.meta().uid.clone().unwrap_or_default();
        let version = object.meta().resource_version.clone().unwrap_or_default();
        let change = match old {
            Some(old) => patch::conditional("status", old, next, &uid, &version),
            None => patch::whole("status", next, &uid, &version),
        };
        let Some(change) = change else { return Ok(()) };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = object.meta().name.clone().unwrap_or_default();
        match self
            .send(api.patch_status(&name, &params, &Patch::Merge(change)))
            .await
        {
            // a conflict comes with an event that wakes us again
            Outcome::Gone | Outcome::Stale => Ok(()),
            other => other.certain().map(drop),
        }
    }
}
