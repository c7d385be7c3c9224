//! What the scenarios stand on: the cluster that `KUBECONFIG` names or, with `ECS_LOCAL`, a local mode within this very
//! process, whose time goes faster, and which writes that kubeconfig.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Parser;
use ecs_operator::api::EcsCluster;
use ecs_operator::cli::{Cli, Command};
use ecs_operator::local;
use ecs_operator::runtime::source;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, advance};

use super::eventually;

/// How many times faster time goes in local mode: as long as its one thread keeps up.
const FACTOR: u32 = 20;
/// Between two steps of its clock.
const TICK: Duration = Duration::from_millis(2);
/// Domain of the Docker labels that say how simulated containers behave.
const BEHAVIOUR: &str = "simulated.ecs-operator.dev";

static LOCAL: OnceCell<()> = OnceCell::const_new();
static ADDED: AtomicU32 = AtomicU32::new(1);

/// Whether the scenarios run on local mode.
pub(crate) fn is_local() -> bool {
    std::env::var_os("ECS_LOCAL").is_some()
}

/// Whether containers run for real here; says on standard error what is left out if not.
pub(crate) fn runs_containers(scenario: &str) -> bool {
    if is_local() {
        eprintln!("left out: {scenario} needs real containers");
    }
    !is_local()
}

/// Whether the operator here can rest while the scenario runs others; says on standard error what is left out if not.
pub(crate) fn rests(scenario: &str) -> bool {
    if is_local() {
        eprintln!("left out: {scenario} runs operators of its own");
    }
    !is_local()
}

/// Whether somebody places Pods that are not ours; says on standard error what is left out if not.
pub(crate) fn schedules(scenario: &str) -> bool {
    if is_local() {
        eprintln!("left out: {scenario} needs a scheduler");
    }
    !is_local()
}

/// A name for an instance that a scenario adds.
pub(super) fn new_name() -> String {
    format!("added-{}", ADDED.fetch_add(1, Ordering::Relaxed))
}

/// What the program is told to do to an instance of local mode.
pub(super) fn machine_command(arguments: &[&str]) -> std::process::Command {
    let mut command = super::operator::program();
    command.arg("local").args(arguments);
    command
}

/// A client of the API server; local mode is begun with the first.
pub(crate) async fn client() -> Client {
    if is_local() {
        LOCAL.get_or_init(begin).await;
    }
    Client::try_default()
        .await
        .expect("KUBECONFIG must name a cluster; run hack/test.sh")
}

/// Begins local mode in a thread of its own and waits until its cluster is there.
async fn begin() {
    let path = std::env::var_os("KUBECONFIG").expect("KUBECONFIG names the file that local mode writes");
    let path = PathBuf::from(path);
    std::thread::spawn(move || run(&path));
    eventually("local mode is there", 60, || async {
        let client = Client::try_default().await.map_err(|error| error.to_string())?;
        let found = Api::<EcsCluster>::all(client).get("default").await;
        found.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

fn run(kubeconfig: &std::path::Path) {
    let path = kubeconfig.display().to_string();
    let command = Cli::parse_from(["ecs-operator", "local", "--write-kubeconfig", &path]).command;
    let Command::Local(options) = command else {
        unreachable!("it is that command");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        tokio::spawn(keep_time());
        local::run(*options).await
    });
    panic!("local mode ended: {ended:?}");
}

/// Advances the clock of this thread's runtime, and the process's with it, step by step: when the thread has more to do than
/// it can, time waits for it.
async fn keep_time() {
    let (tick, mut ticks) = mpsc::channel(1);
    // as long as this runs, tokio does not jump to the next timer whenever everybody waits
    tokio::task::spawn_blocking(move || {
        while tick.blocking_send(()).is_ok() {
            std::thread::sleep(TICK);
        }
    });
    let (begin, begun) = (Timestamp::now(), Instant::now());
    while ticks.recv().await.is_some() {
        advance(TICK * FACTOR).await;
        let passed = SignedDuration::try_from(begun.elapsed()).unwrap();
        source::set(begin + passed);
    }
}

/// Lets simulated containers do what the test workload's arguments ask for.
pub(super) fn teach(definition: &mut Value) {
    let containers = definition.pointer_mut("/spec/containerDefinitions");
    for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
        let words: Vec<String> = serde_json::from_value(container["command"].clone()).unwrap_or_default();
        let after = |flag: &str| {
            let at = words.iter().position(|word| word == flag)?;
            words.get(at + 1).cloned()
        };
        let mut labels = json!({});
        if let Some(time) = after("--exit-after") {
            let code = after("--exit-code").unwrap_or_else(|| "0".to_owned());
            labels[format!("{BEHAVIOUR}/exit")] = json!(format!("{code} after {time}"));
        }
        if let Some(word) = after("--on-term") {
            let stop = match word.as_str() {
                "ignore" => word,
                "exit" => "0".to_owned(),
                time => format!("0 after {time}"),
            };
            labels[format!("{BEHAVIOUR}/stop")] = json!(stop);
        }
        if labels != json!({}) {
            container["dockerLabels"] = labels;
        }
    }
}

/// Annotations of a Pod by which a simulated container's health checks fail from now on.
pub(super) fn sick(container: &str) -> Value {
    let probes = ["startup", "readiness", "liveness"].map(|probe| format!("{container}.{probe}=fail"));
    json!({ "metadata": { "annotations": { format!("{BEHAVIOUR}/probes"): probes.join("; ") } } })
}
