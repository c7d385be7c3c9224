//! `local add`, `remove`, `break` and `mend`: what is done to the instances of a local mode that runs elsewhere. What cannot be
//! done to one of them does not keep the others from it.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use embedded_apiserver::is_embedded;
use kube::Client;

use super::terminal::{note, say};
use super::{kubeconfig, machines};
use crate::cli::local::LocalCommand;
use crate::runtime::client;
use crate::simulated;

/// Runs one command.
pub(super) async fn run(command: LocalCommand) -> anyhow::Result<()> {
    let (LocalCommand::Add { client, names, .. }
    | LocalCommand::Remove { client, names }
    | LocalCommand::Break { client, names, .. }
    | LocalCommand::Mend { client, names }) = &command;
    let api = reach(client.kubeconfig.clone()).await?;
    let mut failed: usize = 0;
    for name in names {
        let (done, outcome) = match &command {
            LocalCommand::Add { zone, machine, .. } => {
                let machine = machines::machine(name.clone(), zone, machine)?;
                ("added", simulated::add(&api, &machine).await)
            }
            LocalCommand::Remove { .. } => ("removed", simulated::remove(&api, name).await),
            LocalCommand::Break { fault, .. } => (
                "broken",
                simulated::break_(&api, name, machines::fault(*fault)).await,
            ),
            LocalCommand::Mend { .. } => ("mended", simulated::mend(&api, name).await),
        };
        match outcome {
            Ok(()) => say(&format!("node/{name} {done}")),
            Err(error) => {
                note(&format!("node/{name} was not {done}: {}", words(&error)));
                failed = failed.saturating_add(1);
            }
        }
    }
    ensure!(failed == 0, "{failed} of {} could not be done", names.len());
    Ok(())
}

/// The API server's own words where it has refused something.
fn words(error: &anyhow::Error) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => format!("{error:#}"),
    }
}

async fn reach(named: Option<PathBuf>) -> anyhow::Result<Client> {
    let path = match named {
        Some(path) => path,
        None => kubeconfig::default_path()?,
    };
    let config = client::config(Some(&path)).await;
    let config = config.context("is a local mode running? It writes this file, and removes it at its end")?;
    let client = client::reader(config)?;
    let server = client
        .apiserver_version()
        .await
        .context("no local mode answers")?;
    ensure!(
        is_embedded(&server.git_version),
        "{} leads to a Kubernetes API server of version {}, which is no local mode: nothing was changed. Name the kubeconfig \
         that `ecs-operator local` wrote with --kubeconfig",
        path.display(),
        server.git_version
    );
    Ok(client)
}
