//! `local add`, `remove`, `break` and `mend`: what is done to the instances of a local mode that runs elsewhere.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use super::terminal::say;
use super::{kubeconfig, machines};
use crate::cli::local::LocalCommand;
use crate::runtime::client;

/// Runs one command.
pub(super) async fn run(command: LocalCommand) -> anyhow::Result<()> {
    match command {
        LocalCommand::Add {
            client,
            zone,
            machine,
            names,
        } => {
            let api = reach(client.kubeconfig).await?;
            for name in names {
                machines::add(&api, &machines::machine(name.clone(), &zone, &machine)?).await?;
                say(&format!("node/{name} added"));
            }
        }
        LocalCommand::Remove { client, names } => {
            let api = reach(client.kubeconfig).await?;
            for name in names {
                machines::remove(&api, &name).await?;
                say(&format!("node/{name} removed"));
            }
        }
        LocalCommand::Break { client, fault, names } => {
            let api = reach(client.kubeconfig).await?;
            for name in names {
                machines::set_fault(&api, &name, Some(fault)).await?;
                say(&format!("node/{name} broken"));
            }
        }
        LocalCommand::Mend { client, names } => {
            let api = reach(client.kubeconfig).await?;
            for name in names {
                machines::set_fault(&api, &name, None).await?;
                say(&format!("node/{name} mended"));
            }
        }
    }
    Ok(())
}

async fn reach(named: Option<PathBuf>) -> anyhow::Result<Client> {
    let path = match named {
        Some(path) => path,
        None => kubeconfig::default_path()?,
    };
    let config = client::config(Some(&path)).await;
    let config = config.context("is a local mode running? It writes this file, and removes it at its end")?;
    client::reader(config)
}
