//! Takes our finalizers off everything, so that objects can be deleted with no operator running.

#![allow(
    clippy::disallowed_methods,
    reason = "no operator runs: there is no ledger to go through"
)]

use std::fmt::Debug;
use std::time::Duration;

use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{info, warn};

use crate::api::{ContainerInstance, EcsCluster, EcsService, GROUP, Task, TaskDefinition};
use crate::cli::UninstallArgs;
use crate::report::floor::floor_of;
use crate::report::hold::HOLD_BUDGET;
use crate::runtime::client;

/// Longest wait for an answer, tries again included.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most objects of a kind that an error names.
const NAMED_MAX: usize = 3;

/// Releases all finalizers of ours; containers go on. An error says what is left, and why.
pub async fn run(args: UninstallArgs) -> anyhow::Result<()> {
    let config = client::config(args.client.kubeconfig.as_deref()).await?;
    release_all(&client::reader(config)?).await
}

/// Goes through all kinds, whatever becomes of one: what can be released is.
async fn release_all(client: &Client) -> anyhow::Result<()> {
    let kinds = [
        release::<EcsService>(client).await,
        release::<Task>(client).await,
        release::<Pod>(client).await,
        release::<ContainerInstance>(client).await,
        release::<TaskDefinition>(client).await,
        release::<EcsCluster>(client).await,
        drop_budgets(client).await,
    ];
    let left: Vec<String> = kinds.iter().filter_map(Left::told).collect();
    if left.is_empty() {
        return Ok(());
    }
    bail!(
        "not everything was released. Left: {}. Everything else is done; run the command again when the cause is gone. \
         It needs the rights to list and patch these kinds, and to list and delete PodDisruptionBudgets",
        left.join("; ")
    )
}

/// What of a kind could not be released.
#[derive(Debug, Default)]
struct Left {
    kind: String,
    /// Why the kind could not be listed to its end.
    unlisted: Option<String>,
    names: Vec<String>,
    /// Why the first of them is left.
    why: Option<String>,
}

impl Left {
    fn of(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    fn keeps(&mut self, object: &impl ResourceExt, why: String) {
        let name = object.name_any();
        let name = object
            .namespace()
            .map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
        warn!(kind = self.kind, name, error = why, "not released");
        self.names.push(name);
        self.why.get_or_insert(why);
    }

    /// One line, if anything is left.
    fn told(&self) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(why) = &self.unlisted {
            parts.push(format!("{} that could not be listed ({why})", self.kind));
        }
        if let Some(why) = &self.why {
            let shown: Vec<&str> = self.names.iter().take(NAMED_MAX).map(String::as_str).collect();
            let more = if self.names.len() > shown.len() {
                ", …"
            } else {
                ""
            };
            let (count, kind) = (self.names.len(), &self.kind);
            parts.push(format!("{count} {kind} ({}{more}: {why})", shown.join(", ")));
        }
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

/// The answer to a request, `None` if there is no such thing (any more); else the server's own text, or what kept us from
/// asking it.
async fn ask<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, String> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
        Ok(Err(kube::Error::Api(status))) => Err(status.message.clone()),
        Ok(Err(error)) => Err(format!("no answer from the API server: {error}")),
        Err(_) => Err(format!(
            "no answer from the API server within {} s",
            DEADLINE.as_secs()
        )),
    }
}

/// Deletes the PodDisruptionBudgets that we made: with no operator they would hold Pods for ever.
async fn drop_budgets(client: &Client) -> Left {
    let mut left = Left::of("PodDisruptionBudget");
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=ecs-operator");
    let api = Api::<PodDisruptionBudget>::all(client.clone());
    let budgets = match ask(api.list(&ours)).await {
        Ok(budgets) => budgets.map(|list| list.items).unwrap_or_default(),
        Err(why) => {
            left.unlisted = Some(why);
            return left;
        }
    };
    let made = |name: &str| name == HOLD_BUDGET || floor_of(name).is_some();
    let mut deleted = 0usize;
    for budget in budgets.iter().filter(|b| made(&b.name_any())) {
        let api: Api<PodDisruptionBudget> =
            Api::namespaced(client.clone(), &budget.namespace().unwrap_or_default());
        match ask(api.delete(&budget.name_any(), &DeleteParams::default())).await {
            Ok(Some(_)) => deleted = deleted.saturating_add(1),
            Ok(None) => {}
            Err(why) => left.keeps(budget, why),
        }
    }
    info!(deleted, "PodDisruptionBudgets deleted");
    left
}

/// Takes our finalizers off all objects of a kind.
async fn release<K>(client: &Client) -> Left
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut left = Left::of(&K::kind(&()));
    let mut params = ListParams::default().limit(500);
    let mut released = 0usize;
    loop {
        let page = match ask(Api::<K>::all(client.clone()).list(&params)).await {
            Ok(Some(page)) => page,
            // there is no such kind: its CRD is gone
            Ok(None) => break,
            Err(why) => {
                warn!(kind = left.kind, error = why, "cannot be listed");
                left.unlisted = Some(why);
                break;
            }
        };
        for object in page.items {
            match free(client, &object).await {
                Ok(true) => released = released.saturating_add(1),
                Ok(false) => {}
                Err(why) => left.keeps(&object, why),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    info!(kind = left.kind, released, "finalizers taken off");
    left
}

/// Takes our finalizers off an object; whether it had any.
async fn free<K>(client: &Client, object: &K) -> Result<bool, String>
where
    K: Resource<DynamicType = ()>,
{
    let prefix = format!("{GROUP}/");
    let finalizers = object.meta().finalizers.as_deref().unwrap_or_default();
    let (ours, others): (Vec<&String>, Vec<&String>) =
        finalizers.iter().partition(|f| f.starts_with(&prefix));
    if ours.is_empty() {
        return Ok(false);
    }
    let change = json!({ "metadata": { "uid": object.meta().uid, "finalizers": others } });
    let url = K::url_path(&(), object.meta().namespace.as_deref());
    let request = http::Request::patch(format!("{url}/{}", object.name_any()))
        .header("content-type", "application/merge-patch+json")
        .body(change.to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    let answer = ask(client.request::<serde_json::Value>(request)).await?;
    Ok(answer.is_some())
}

#[cfg(test)]
mod tests;
