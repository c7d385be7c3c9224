//! The operator as a whole: watches, lease, controllers, probes, and their orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agent::{self, Endpoint};
use crate::api::all_crds;
use crate::cache::Cache;
use crate::cli::RunArgs;
use crate::controllers::feeds;
use crate::controllers::queue::run as control;
use crate::controllers::{Context, cluster, definition, instance, node, request, service, task};
use crate::ledger::Ledger;
use crate::report::apply::Applier;
use crate::runtime::leader::{self, LeaseName};
use crate::runtime::metrics::Metrics;
use crate::runtime::{admin, client, source};

/// Time for writes under way at the end.
const SHUTDOWN: Duration = Duration::from_secs(20);
/// How often what the fences keep of Tasks that are no more is dropped.
const SWEEP: Duration = Duration::from_secs(600);

/// What an operator process works with.
pub struct Setup {
    /// For watches, lists and reports.
    pub reader: Client,
    /// For the ledger: as [`client::writer`] makes it.
    pub writer: Client,
    /// Name of this process in events.
    pub name: String,
    /// Whether it plans.
    pub leadership: Leadership,
    /// Address of /livez, /readyz and /metrics, if they are wanted.
    pub admin_listen: Option<SocketAddr>,
    /// Where containers find what ECS's agent gives them, if they are to.
    pub agent: Option<Endpoint>,
}

/// When a process plans.
pub enum Leadership {
    /// While it holds a lease.
    Lease(LeaseName),
    /// Always.
    Always,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let config = client::config(args.client.kubeconfig.as_deref()).await?;
    let leadership = if args.all_active {
        Leadership::Always
    } else {
        Leadership::Lease(LeaseName {
            namespace: args.namespace,
            name: args.lease_name,
            identity: format!("{}-{}", args.pod_name, source::id().split_at(8).0),
        })
    };
    let agent = match args.agent_uri {
        Some(base) => Some(Endpoint::bind(args.agent_listen, Some(base)).await?),
        None => None,
    };
    let setup = Setup {
        reader: client::reader(config.clone())?,
        writer: client::writer(config)?,
        name: args.pod_name,
        leadership,
        admin_listen: Some(args.admin_listen),
        agent,
    };
    let stop = CancellationToken::new();
    let operator = operate(setup, stop.clone());
    tokio::pin!(operator);
    tokio::select! {
        ended = &mut operator => return ended,
        signalled = signals() => signalled?,
    }
    stop.cancel();
    operator.await
}

/// Runs until `stop`, or until a part of it fails.
pub async fn operate(setup: Setup, stop: CancellationToken) -> anyhow::Result<()> {
    check_crds(&setup.reader).await?;
    operate_unchecked(setup, stop).await
}

/// [`operate`] without a look at the CRDs, for who starts many and has installed them.
pub async fn operate_unchecked(setup: Setup, stop: CancellationToken) -> anyhow::Result<()> {
    // what fails inside ends this operator, and nothing else that hangs on `stop`
    let stop = stop.child_token();
    let metrics = Metrics::default();
    let cache = Arc::new(Cache::default());
    let ledger = Ledger::new(setup.writer.clone(), cache.clone(), metrics.clone());
    let ledger = ledger.with_agent(setup.agent.as_ref().map(Endpoint::base));
    let all_active = matches!(setup.leadership, Leadership::Always);
    let (leads_tx, leads) = watch::channel(all_active);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        process = ledger.process(),
        all_active,
        "starting"
    );
    let reporter = Reporter {
        controller: "ecs-operator".to_owned(),
        instance: Some(setup.name),
    };
    let context = Arc::new(Context {
        cache: cache.clone(),
        ledger,
        applier: Applier::new(setup.writer.clone(), cache.clone()),
        recorder: Recorder::new(setup.writer.clone(), reporter),
        client: setup.reader.clone(),
        metrics: metrics.clone(),
        leads,
        queues: Arc::default(),
    });
    let mut parts = JoinSet::new();
    if let Some(address) = setup.admin_listen {
        let admin = admin::serve(address, cache.clone(), metrics.clone(), stop.clone());
        parts.spawn(supervise("admin server", admin));
    }
    if let Some(endpoint) = setup.agent {
        let served = agent::serve(endpoint, context.ledger.clone(), cache, stop.clone());
        parts.spawn(served);
    }
    start_controllers(&mut parts, &setup.reader, &context, &stop);
    match setup.leadership {
        Leadership::Always => metrics.leads(true),
        Leadership::Lease(lease) => {
            parts.spawn(leader::run(setup.writer, lease, leads_tx, metrics, stop.clone()));
        }
    }
    parts.spawn(sweep(context.clone(), stop.clone()));
    parts.spawn(lead(context, stop.clone()));
    let failure = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        // every part runs until the end: one that ends before took a piece of the operator with it
        ended = parts.join_next() => Some(anyhow::anyhow!("a part of the operator ended before its time: {ended:?}")),
    };
    info!("stopping: finishing writes under way");
    stop.cancel();
    let ended = tokio::time::timeout(SHUTDOWN, async { while parts.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!("some parts did not end in time");
    }
    info!("stopped");
    failure.map_or(Ok(()), Err)
}

/// Refuses to start without our CRDs, or with ones that lack a version or field this program needs.
async fn check_crds(client: &Client) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for wanted in all_crds() {
        let name = wanted.name_any();
        let found = tokio::time::timeout(Duration::from_secs(10), api.get_opt(&name))
            .await
            .context("the API server does not answer")?
            .with_context(|| format!("cannot read the CRD {name}"))?;
        let Some(found) = found else {
            bail!(
                "the CRD {name} is not installed: install the chart ecs-operator-crds or `kubectl apply --server-side -f crds/`"
            );
        };
        let versions: Vec<_> = wanted.spec.versions.iter().map(|v| &v.name).collect();
        if !versions
            .iter()
            .all(|name| found.spec.versions.iter().any(|v| v.name == **name && v.served))
        {
            bail!("the CRD {name} does not serve {versions:?}: upgrade the chart ecs-operator-crds first");
        }
        for part in ["spec", "status"] {
            let missing: Vec<String> = fields(&wanted, part)
                .into_iter()
                .filter(|f| !fields(&found, part).contains(f))
                .collect();
            if !missing.is_empty() {
                bail!(
                    "the CRD {name} lacks {part} fields {missing:?}: upgrade the chart ecs-operator-crds first"
                );
            }
        }
    }
    Ok(())
}

fn fields(crd: &CustomResourceDefinition, part: &str) -> Vec<String> {
    let schema = crd
        .spec
        .versions
        .first()
        .and_then(|v| v.schema.as_ref())
        .and_then(|s| s.open_api_v3_schema.as_ref());
    let part = schema
        .and_then(|s| s.properties.as_ref())
        .and_then(|p| p.get(part));
    part.and_then(|p| p.properties.as_ref())
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

/// Says why a part failed; that it ended is seen by who started it.
async fn supervise(name: &'static str, part: impl Future<Output = anyhow::Result<()>>) {
    if let Err(error) = part.await {
        tracing::error!("{name}: {error:#}");
    }
}

fn start_controllers(
    parts: &mut JoinSet<()>,
    reader: &Client,
    context: &Arc<Context>,
    stop: &CancellationToken,
) {
    let queues = &context.queues;
    feeds::start(parts, reader, context, stop);
    macro_rules! start {
        ($name:literal, $concurrency:literal, $queue:ident, $reconcile:expr) => {{
            let controller = control(
                $name,
                $concurrency,
                queues.$queue.clone(),
                context.clone(),
                $reconcile,
                stop.clone(),
            );
            parts.spawn(after_sync(context.cache.clone(), stop.clone(), controller));
        }};
    }
    start!("node", 16, nodes, node::reconcile);
    start!("instance", 32, instances, instance::reconcile);
    start!("service", 8, services, service::reconcile);
    start!("task", 32, tasks, task::reconcile);
    start!("request", 8, requests, request::reconcile);
    start!("definition", 4, definitions, definition::reconcile);
    start!("cluster", 4, clusters, cluster::reconcile);
}

/// Runs a controller once every store has its first list: nothing is planned before.
async fn after_sync(cache: Arc<Cache>, stop: CancellationToken, controller: impl Future<Output = ()>) {
    if synced(&cache, &stop).await {
        controller.await;
    }
}

/// Waits until every store has its first list; false if the end comes first.
async fn synced(cache: &Cache, stop: &CancellationToken) -> bool {
    while !cache.synced() {
        if stop.is_cancelled() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Keeps the fences' memory in step with the Tasks that there are.
async fn sweep(context: Arc<Context>, stop: CancellationToken) {
    if !synced(&context.cache, &stop).await {
        return;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => context.ledger.sweep_fences(),
        }
    }
}

/// Looks at everything when this replica begins to plan.
async fn lead(context: Arc<Context>, stop: CancellationToken) {
    let mut leads = context.leads.clone();
    loop {
        let began = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            began = leads.wait_for(|leads| *leads) => began.is_ok(),
        };
        if !began {
            return;
        }
        if !synced(&context.cache, &stop).await {
            return;
        }
        look_at_everything(&context);
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = leads.wait_for(|leads| !*leads) => ended.is_ok(),
        };
        if !ended {
            return;
        }
    }
}

fn look_at_everything(context: &Context) {
    let cache = &context.cache;
    let queues = &context.queues;
    cache
        .clusters
        .all()
        .iter()
        .for_each(|c| queues.clusters.push_named(c.name_any()));
    cache
        .nodes
        .all()
        .iter()
        .for_each(|n| queues.nodes.push_named(n.name_any()));
    cache
        .instances
        .all()
        .iter()
        .for_each(|i| queues.instances.push_named(i.name_any()));
    cache
        .definitions
        .all()
        .iter()
        .for_each(|d| queues.definitions.push(crate::cache::store::key_of(d.as_ref())));
    cache
        .services
        .all()
        .iter()
        .for_each(|s| queues.services.push(crate::cache::store::key_of(s.as_ref())));
    cache
        .requests
        .all()
        .iter()
        .for_each(|r| queues.requests.push(crate::cache::store::key_of(r.as_ref())));
    cache
        .tasks
        .all()
        .iter()
        .for_each(|t| queues.tasks.push(crate::cache::store::key_of(t.as_ref())));
}

/// Waits for SIGTERM or SIGINT.
pub async fn signals() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
