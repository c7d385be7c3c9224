//! Local mode: the embedded API server, the operator and simulated instances in one process.
//!
//! The operator is the very same that runs in a cluster, and the API server knows nothing of ECS; what is particular to
//! local mode is here: its options, its kubeconfig, the objects it begins with, manifests, and the tour.

mod commands;
mod groups;
mod instance_type;
mod kubeconfig;
mod machines;
pub(crate) mod manifests;
mod steady;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod tour;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use embedded_apiserver::{Limits, Server, Sources, storage, tls};
use jiff::SignedDuration;
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use tower::util::MapRequestLayer;

use self::manifests::Manifest;
use self::terminal::{note, say};
use crate::agent::Endpoint;
use crate::api::{EcsCluster, EcsClusterSpec, all_crds};
use crate::cli::local::{LocalArgs, LocalOptions};
use crate::operator::{self, Leadership, Setup};
use crate::runtime::{client, source};
use crate::simulated;

/// Between two looks of the API server at what is due by the clock alone, such as Events that expire.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// Time for everything to end in order.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// Seconds after which tasks of the tour count as healthy, so that nobody waits for its end.
const TOUR_HEALTHY_AFTER: i64 = 2;

/// Runs local mode, or a command on one that runs.
pub async fn run(args: LocalArgs) -> anyhow::Result<()> {
    match args.command {
        Some(command) => commands::run(command).await,
        None => serve(args.options).await,
    }
}

async fn serve(options: LocalOptions) -> anyhow::Result<()> {
    // from now on a signal is an orderly end, however far the start is
    let signalled = tokio::spawn(operator::signals());
    // what can be wrong with the options is found before anything is made
    let manifests = options.manifests.as_deref().map(manifests::read).transpose()?;
    let machines = machines::wanted(&options)?;
    let path = match &options.write_kubeconfig {
        Some(path) => path.clone(),
        None => kubeconfig::default_path()?,
    };
    let server = server(options.data_dir.as_deref())?;
    let listening = tls::listen(server.clone(), options.listen, &Sources::system().uid()).await;
    let listening = listening.context("cannot listen: name another address with --listen")?;
    let kubeconfig = kubeconfig::Written::new(path, &listening.kubeconfig())?;
    let reader = Client::new(server.clone(), "default");
    let writer = MapRequestLayer::new(client::with_deadline).layer(server.clone());
    begin(&reader, &options).await?;
    let instances = machines::begin(&reader, &machines).await?;
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let address = listening.address();
    parts.spawn(until(stop.clone(), listening.serve()));
    parts.spawn(until(stop.clone(), keep_house(server)));
    let setup = Setup {
        reader: reader.clone(),
        writer: Client::new(writer, "default"),
        name: "local".to_owned(),
        leadership: Leadership::Always,
        admin_listen: None,
        agent: Some(Endpoint::bind(options.agent_listen, None).await?),
    };
    parts.spawn(operator::operate(setup, stop.clone()));
    let fleet = simulated::run(reader.clone(), machines::settings(options.speed), stop.clone());
    parts.spawn(until(stop.clone(), fleet));
    note(&format!(
        "an API server at https://{address}, the operator, and {instances} simulated instances; for kubectl:\n\n  \
         export KUBECONFIG={}\n",
        kubeconfig.path().display()
    ));
    let has_end = options.tour || manifests.is_some();
    let job = async {
        match manifests {
            Some(manifests) => {
                steady::instances(&reader, instances).await?;
                apply(&reader, &manifests, &options).await
            }
            None if options.tour => tour::play(&reader, &options.machine).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        biased;
        signalled = signalled => signalled.map_err(anyhow::Error::from).flatten().and_then(|()| {
            anyhow::ensure!(!has_end, "interrupted");
            Ok(())
        }),
        ended = parts.join_next() => Err(ended_early(ended)),
        done = job => done,
    };
    stop.cancel();
    let rest = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN, rest).await.is_err() {
        note("some parts did not end in time");
    }
    outcome
}

/// Runs what has no end of its own.
async fn until(stop: CancellationToken, endless: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        () = endless => Ok(()),
    }
}

fn ended_early(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok(Err(error))) => error,
        other => anyhow::anyhow!("a part of local mode ended before its time: {other:?}"),
    }
}

/// The API server, with what the data directory keeps.
fn server(data: Option<&Path>) -> anyhow::Result<Server> {
    let limits = Limits::default();
    // one clock for the API server, the operator and the machines
    let sources = Sources::with_clock(Arc::new(source::now));
    let Some(data) = data else {
        return Ok(Server::new(sources, limits));
    };
    let store = storage::open(data, limits.history).context("cannot use --data-dir")?;
    Ok(Server::with_store(store, sources))
}

async fn keep_house(server: Server) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        server.settle();
    }
}

/// What an installed operator finds: its definitions and, unless it was kept, the cluster `default`. Its tasks count as
/// healthy after a time that goes with the speed, and in the tour sooner than elsewhere.
async fn begin(client: &Client, options: &LocalOptions) -> anyhow::Result<()> {
    for crd in all_crds() {
        let definition = Manifest::of("definition", serde_json::to_value(&crd)?)?;
        manifests::apply(client, &definition).await?;
    }
    if Api::<EcsCluster>::all(client.clone())
        .get_opt("default")
        .await?
        .is_some()
    {
        return Ok(());
    }
    let mut spec: EcsClusterSpec = serde_json::from_value(json!({}))?;
    let usual = SignedDuration::from_secs(spec.healthy_after_seconds);
    spec.healthy_after_seconds = match options.healthy_after {
        Some(seconds) => seconds.into(),
        None if options.tour => TOUR_HEALTHY_AFTER,
        None => machines::faster(usual, options.speed).as_secs(),
    };
    let cluster = serde_json::to_value(EcsCluster::new("default", spec))?;
    manifests::apply(client, &Manifest::of("the cluster `default`", cluster)?).await?;
    Ok(())
}

/// Applies manifests and waits until their services are steady; shows them at the end in either case.
async fn apply(client: &Client, all: &[Manifest], options: &LocalOptions) -> anyhow::Result<()> {
    for manifest in all {
        note(&format!("{} applied", manifests::apply(client, manifest).await?));
    }
    let services: Vec<(String, String)> = all.iter().filter_map(Manifest::service).collect();
    let timeout = Duration::from_secs(options.timeout.into());
    let outcome = steady::wait(client, &services, timeout).await;
    let table = table::Table::get(client, "/apis/ecs-operator.dev/v1alpha1/ecsservices").await?;
    table.lines().iter().for_each(|line| say(line));
    outcome
}
