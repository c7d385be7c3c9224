//! How long a whole fleet takes in one process, and what it costs: the embedded API server, the operator and simulated
//! instances, as in local mode. One daemon service and replica services of at most 5,000 tasks, until every task is RUNNING.
//!
//! `cargo run --release --example scale -- [INSTANCES [TASKS]]`
//!
//! The operator's own share is the resident memory of a process that runs nothing but the operator, once it has read the
//! same fleet from this one; that process is started at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ecs_operator::api::{EcsService, all_crds};
use ecs_operator::operator::{self, Leadership, Setup};
use ecs_operator::runtime::client;
use ecs_operator::simulated::{self, Machine, Settings};
use embedded_apiserver::{Limits, Server, Sources, tls};
use http::{Method, Request};
use jiff::SignedDuration;
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use tower::util::MapRequestLayer;

/// Many small objects come and go on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most tasks of a service. (QUOTA-4)
const SERVICE_MAX: u32 = 5000;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two lines of progress.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The first argument of the process that runs the operator alone.
const ALONE: &str = "operator-alone";
/// How long that process has.
const ALONE_FOR: Duration = Duration::from_secs(120);

/// Writes by who made them, verb and resource.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<BTreeMap<String, u64>>>);

impl Writes {
    fn count(&self, who: &str, method: &Method, path: &str) {
        if *method == Method::GET {
            return;
        }
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let resources = match segments.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            other => other,
        };
        let resource = match resources {
            ["namespaces", _, resource, _, sub, ..] => format!("{resource}/{sub}"),
            ["namespaces", _, resource, ..] => (*resource).to_owned(),
            [resource, _, sub, ..] => format!("{resource}/{sub}"),
            [resource, ..] => (*resource).to_owned(),
            [] => String::new(),
        };
        let name = format!("{who} {method} {resource}");
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sum(&self) -> u64 {
        self.all().values().sum()
    }
}

/// A client of the server whose writes are counted.
fn counted(server: &Server, writes: &Writes, who: &'static str, deadline: bool) -> Client {
    let writes = writes.clone();
    let count = MapRequestLayer::new(move |request: Request<Body>| {
        writes.count(who, request.method(), request.uri().path());
        if deadline {
            client::with_deadline(request)
        } else {
            request
        }
    });
    Client::new(count.layer(server.clone()), "default")
}

async fn create(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    client
        .request::<IgnoredAny>(request)
        .await
        .with_context(|| path.to_owned())?;
    Ok(())
}

const GROUP: &str = "/apis/ecs-operator.dev/v1alpha1";

async fn fleet(client: &Client, instances: u32, tasks: u32) -> anyhow::Result<()> {
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for crd in all_crds() {
        create(client, crds, &serde_json::to_value(&crd)?).await?;
    }
    let kind = |kind: &str, name: &str, spec: Value| {
        let api_version = "ecs-operator.dev/v1alpha1";
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    };
    create(
        client,
        &format!("{GROUP}/ecsclusters"),
        &kind("EcsCluster", "default", json!({})),
    )
    .await?;
    let mut zones = ["us-east-1a", "us-east-1b", "us-east-1c"].into_iter().cycle();
    for number in 1..=instances {
        let machine = Machine {
            name: format!("node-{number}"),
            zone: zones.next().map(ToOwned::to_owned),
            instance_type: Some("m5.large".to_owned()),
            cpu: "2".to_owned(),
            memory: "8192Mi".to_owned(),
            pods: 110,
            ..Machine::default()
        };
        simulated::add(client, &machine).await?;
    }
    let in_namespace = |plural: &str| format!("{GROUP}/namespaces/default/{plural}");
    for family in ["agent", "web"] {
        let container =
            json!({"name": "main", "image": "registry.example/workload:1", "cpu": 64, "memory": 128});
        let spec = json!({"family": family, "revision": 1, "containerDefinitions": [container]});
        let definition = kind("TaskDefinition", &format!("{family}.1"), spec);
        create(client, &in_namespace("taskdefinitions"), &definition).await?;
    }
    let daemon = kind(
        "EcsService",
        "agent",
        json!({"taskDefinition": "agent", "schedulingStrategy": "DAEMON"}),
    );
    create(client, &in_namespace("ecsservices"), &daemon).await?;
    let mut left = tasks.saturating_sub(instances);
    for number in 1.. {
        let count = left.min(SERVICE_MAX);
        if count == 0 {
            break;
        }
        left = left.saturating_sub(count);
        let spec = json!({"taskDefinition": "web", "desiredCount": count});
        let service = kind("EcsService", &format!("web-{number}"), spec);
        create(client, &in_namespace("ecsservices"), &service).await?;
    }
    Ok(())
}

/// Tasks that the services say are RUNNING.
async fn running(client: &Client) -> anyhow::Result<u32> {
    let services = Api::<EcsService>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let counts = services
        .items
        .iter()
        .filter_map(|service| service.status.as_ref());
    let sum: i64 = counts.map(|status| status.running_count).sum();
    Ok(u32::try_from(sum)?)
}

/// A number of MiB of a process from what Linux says of it.
fn memory(process: &str, what: &str) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| {
        line.trim_matches([':', ' ', '\t'])
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0).div_ceil(1024)
}

/// CPU time of this process, in hundredths of a second.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn decimal(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn say(text: &str) {
    eprintln!("{text}");
}

/// Waits until all tasks are RUNNING.
async fn wait(client: &Client, tasks: u32, writes: &Writes, begun: Instant) -> anyhow::Result<()> {
    let mut said = begun;
    loop {
        let now_running = running(client).await?;
        if now_running >= tasks {
            return Ok(());
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            say(&format!(
                "{:6.1} s: {now_running} tasks RUNNING, {} MiB, {} writes, {:.0} s of CPU",
                begun.elapsed().as_secs_f64(),
                memory("self", "VmRSS"),
                writes.sum(),
                decimal(cpu()) / 100.0,
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Resident memory of a process that runs the operator alone on this fleet, in MiB.
async fn alone(server: Server) -> anyhow::Result<u64> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listening = tls::listen(server, address, &Sources::system().uid()).await?;
    let name = format!("ecs-operator-scale-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, listening.kubeconfig())?;
    let serving = tokio::spawn(listening.serve());
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg(ALONE)
        .arg(&path)
        .spawn()?;
    let process = child.id().to_string();
    let (mut known, mut same, begun) = (0_u64, 0_u32, Instant::now());
    // it has read everything when its memory grows no more
    while same < 10 && begun.elapsed() < ALONE_FOR {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = memory(&process, "VmRSS");
        same = if now > 0 && now <= known.saturating_add(1) {
            same.saturating_add(1)
        } else {
            0
        };
        known = known.max(now);
    }
    child.kill()?;
    child.wait()?;
    serving.abort();
    std::fs::remove_file(&path)?;
    Ok(known)
}

async fn run_alone(kubeconfig: &str) -> anyhow::Result<()> {
    let config = client::config(Some(Path::new(kubeconfig))).await?;
    let setup = Setup {
        reader: client::reader(config.clone())?,
        writer: client::writer(config)?,
        name: "alone".to_owned(),
        leadership: Leadership::Always,
        admin_listen: None,
        agent: None,
    };
    operator::operate(setup, CancellationToken::new()).await
}

async fn measure(instances: u32, tasks: u32) -> anyhow::Result<()> {
    let server = Server::new(Sources::system(), Limits::default());
    let writes = Writes::default();
    let user = Client::new(server.clone(), "default");
    let stop = CancellationToken::new();
    let begun = Instant::now();
    fleet(&user, instances, tasks).await?;
    let setup = Setup {
        reader: counted(&server, &writes, "operator", false),
        writer: counted(&server, &writes, "operator", true),
        name: "scale".to_owned(),
        leadership: Leadership::Always,
        admin_listen: None,
        agent: None,
    };
    let mut parts = tokio::task::JoinSet::new();
    parts.spawn(operator::operate(setup, stop.clone()));
    let mut settings = Settings::default();
    settings.pace.start = SignedDuration::from_millis(300);
    settings.pace.stop = settings.pace.start;
    let machines = simulated::run(
        counted(&server, &writes, "machines", false),
        settings,
        stop.clone(),
    );
    let machines_stop = stop.clone();
    parts.spawn(async move {
        machines_stop.run_until_cancelled(machines).await;
        Ok(())
    });
    tokio::select! {
        done = wait(&user, tasks, &writes, begun) => done?,
        ended = parts.join_next() => bail!("a part ended before its time: {ended:?}"),
    }
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "{instances} instances, {tasks} tasks: all RUNNING after {seconds:.1} s, {:.1} s of CPU",
        decimal(cpu()) / 100.0
    ));
    say(&format!(
        "memory: {} MiB now, {} MiB at most",
        memory("self", "VmRSS"),
        memory("self", "VmHWM")
    ));
    let sum = decimal(writes.sum());
    say(&format!(
        "writes: {:.0}/s, {sum} in all, of which",
        share(sum, seconds)
    ));
    for (name, count) in writes.all() {
        let count = decimal(count);
        say(&format!("  {:8.0}/s {count:9.0}  {name}", share(count, seconds)));
    }
    let pods = server_pods(&user).await?;
    anyhow::ensure!(pods == usize::try_from(tasks)?, "{pods} Pods are Running");
    let before = writes.sum();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let rest = decimal(writes.sum().saturating_sub(before)) / 20.0;
    say(&format!(
        "then: {rest:.0} writes/s, {} MiB",
        memory("self", "VmRSS")
    ));
    stop.cancel();
    while parts.join_next().await.is_some() {}
    say(&format!("the operator alone: {} MiB", alone(server).await?));
    Ok(())
}

/// Pods whose phase is Running, page by page.
async fn server_pods(client: &Client) -> anyhow::Result<usize> {
    let api: Api<k8s_openapi::api::core::v1::Pod> = Api::all(client.clone());
    let mut params = ListParams::default().fields("status.phase=Running").limit(500);
    let mut count = 0_usize;
    loop {
        let page = api.list_metadata(&params).await?;
        count = count.saturating_add(page.items.iter().filter(|pod| pod.uid().is_some()).count());
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(count),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let filter = std::env::var("ECS_OPERATOR_LOG").unwrap_or_else(|_| "warn".to_owned());
    ecs_operator::runtime::telemetry::start(ecs_operator::cli::LogFormat::Text, &filter)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u32| -> anyhow::Result<u32> {
        Ok(arguments
            .get(at)
            .map(|text| text.parse())
            .transpose()?
            .unwrap_or(usual))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.as_slice() {
            [first, kubeconfig] if first == ALONE => run_alone(kubeconfig).await,
            _ => {
                let instances = number(0, 5000)?;
                measure(instances, number(1, instances.saturating_mul(10))?).await
            }
        }
    })
}
