//! Takes our finalizers off everything, so that objects can be deleted with no operator running.

#![allow(
    clippy::disallowed_methods,
    reason = "no operator runs: there is no ledger to go through"
)]

use std::fmt::Debug;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{info, warn};

use crate::api::{ContainerInstance, EcsCluster, EcsService, GROUP, Task, TaskDefinition, labels};
use crate::cli::UninstallArgs;
use crate::report::apply::HOLD_BUDGET;
use crate::report::floor::floor_of;
use crate::runtime::client;

/// Releases all finalizers of ours; containers go on. An error if something could not be released.
pub async fn run(args: UninstallArgs) -> anyhow::Result<()> {
    let config = client::config(args.client.kubeconfig.as_deref()).await?;
    let client = client::reader(config)?;
    let left = [
        release::<EcsService>(&client, None).await?,
        release::<Task>(&client, None).await?,
        release::<Pod>(&client, Some(labels::TASK)).await?,
        release::<ContainerInstance>(&client, None).await?,
        release::<TaskDefinition>(&client, None).await?,
        release::<EcsCluster>(&client, None).await?,
        drop_budgets(&client).await?,
    ];
    let left: usize = left.iter().sum();
    anyhow::ensure!(
        left == 0,
        "{left} objects were not released; run the command again"
    );
    Ok(())
}

/// Deletes the PodDisruptionBudgets that we made: with no operator they would hold Pods for ever. How many are left.
async fn drop_budgets(client: &Client) -> anyhow::Result<usize> {
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=ecs-operator");
    let budgets = Api::<PodDisruptionBudget>::all(client.clone()).list(&ours).await;
    let budgets = budgets.context("cannot list PodDisruptionBudgets")?;
    let made = |name: &str| name == HOLD_BUDGET || floor_of(name).is_some();
    let (mut deleted, mut left) = (0usize, 0usize);
    for budget in budgets.items.iter().filter(|b| made(&b.name_any())) {
        let api: Api<PodDisruptionBudget> =
            Api::namespaced(client.clone(), &budget.namespace().unwrap_or_default());
        match api.delete(&budget.name_any(), &DeleteParams::default()).await {
            Ok(_) => deleted = deleted.saturating_add(1),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                warn!(name = budget.name_any(), %error, "not deleted");
                left = left.saturating_add(1);
            }
        }
    }
    info!(deleted, "PodDisruptionBudgets deleted");
    Ok(left)
}

/// Takes our finalizers off all objects of a kind; how many could not be released.
async fn release<K>(client: &Client, label: Option<&str>) -> anyhow::Result<usize>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = K::kind(&());
    let mut params = ListParams::default().limit(500);
    params.label_selector = label.map(ToOwned::to_owned);
    let (mut released, mut left) = (0usize, 0usize);
    loop {
        let page = Api::<K>::all(client.clone()).list(&params).await;
        let page = match page {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(0),
            page => page.with_context(|| format!("cannot list {kind}"))?,
        };
        for object in page.items {
            let (ours, others): (Vec<&String>, Vec<&String>) = object
                .finalizers()
                .iter()
                .partition(|f| f.starts_with(&format!("{GROUP}/")));
            if ours.is_empty() {
                continue;
            }
            let change = json!({ "metadata": { "uid": object.uid(), "finalizers": others } });
            let url = K::url_path(&(), object.namespace().as_deref());
            let request = http::Request::patch(format!("{url}/{}", object.name_any()))
                .header("content-type", "application/merge-patch+json")
                .body(serde_json::to_vec(&change)?)?;
            match client.request::<serde_json::Value>(request).await {
                Ok(_) => released = released.saturating_add(1),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    warn!(%kind, name = object.name_any(), %error, "not released");
                    left = left.saturating_add(1);
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    info!(%kind, released, "finalizers taken off");
    Ok(left)
}
