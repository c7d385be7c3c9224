//! Simulated instances by flags, and the commands that change them while local mode runs.

#![allow(
    clippy::disallowed_methods,
    reason = "what a user does to Nodes, not placement"
)]

use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::instance_type;
use crate::cli::local::{Fault, LocalOptions, MachineArgs};
use crate::simulated::{self, BROKEN, Machine, Settings};

/// Time that a container takes to start, and to stop once it is told to, at the speed of 1.
const PACE: SignedDuration = SignedDuration::from_millis(300);

/// A time at a speed.
#[must_use]
pub(super) fn faster(duration: SignedDuration, speed: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or(duration)
}

/// How simulated kubelets behave at a speed.
#[must_use]
pub(super) fn settings(speed: f64) -> Settings {
    let mut settings = Settings::default();
    settings.pace.start = faster(PACE, speed);
    settings.pace.stop = settings.pace.start;
    settings.lease_every = faster(settings.lease_every, speed);
    settings
}

/// A machine made of what the flags say.
pub(super) fn machine(name: String, zone: &str, args: &MachineArgs) -> anyhow::Result<Machine> {
    let size = instance_type::size(&args.instance_type);
    let (cpu, memory) = match (&args.cpu, &args.memory, size) {
        (Some(cpu), Some(memory), _) => (cpu.clone(), memory.clone()),
        (cpu, memory, Some(size)) => (
            cpu.clone().unwrap_or_else(|| size.cpus.to_string()),
            memory.clone().unwrap_or_else(|| format!("{}Mi", size.memory)),
        ),
        _ => bail!(
            "the size of {} is not known: say it with --cpu and --memory",
            args.instance_type
        ),
    };
    Ok(Machine {
        name,
        zone: Some(zone.to_owned()),
        instance_type: Some(args.instance_type.clone()),
        cpu,
        memory,
        pods: args.pods,
        gpus: args.gpus,
        ..Machine::default()
    })
}

/// Makes the instances that the flags ask for, unless there are Nodes already. How many there are.
pub(super) async fn begin(client: &Client, options: &LocalOptions) -> anyhow::Result<usize> {
    let nodes: Api<Node> = Api::all(client.clone());
    let found = nodes.list_metadata(&ListParams::default()).await?.items.len();
    if found > 0 {
        return Ok(found);
    }
    let mut zones = options.zones.iter().cycle();
    for number in 1..=options.instances {
        let zone = zones.next().context("--zones: name at least one")?;
        add(
            client,
            &machine(format!("node-{number}"), zone, &options.machine)?,
        )
        .await?;
    }
    Ok(usize::try_from(options.instances)?)
}

/// Adds a machine.
pub(super) async fn add(client: &Client, machine: &Machine) -> anyhow::Result<()> {
    let node = machine.node().map_err(anyhow::Error::msg)?;
    let node: Node = serde_json::from_value(node)?;
    let made = Api::all(client.clone())
        .create(&PostParams::default(), &node)
        .await;
    made.with_context(|| format!("cannot add {}", machine.name))?;
    Ok(())
}

/// Removes a machine.
pub(super) async fn remove(client: &Client, name: &str) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let deleted = nodes.delete(name, &DeleteParams::default()).await;
    deleted.with_context(|| format!("cannot remove {name}"))?;
    Ok(())
}

/// Breaks a machine, or mends it.
pub(super) async fn set_fault(client: &Client, name: &str, fault: Option<Fault>) -> anyhow::Result<()> {
    let fault = fault.map(|fault| match fault {
        Fault::KubeletDead => simulated::Fault::KubeletDead,
        Fault::PowerOff => simulated::Fault::PowerOff,
        Fault::NotReady => simulated::Fault::NotReady,
    });
    let value = fault.map_or(Value::Null, |fault| json!(fault.as_str()));
    let change = json!({ "metadata": { "annotations": { (BROKEN): value } } });
    let nodes: Api<Node> = Api::all(client.clone());
    let patched = nodes
        .patch(name, &PatchParams::default(), &Patch::Merge(change))
        .await;
    patched.with_context(|| format!("cannot change {name}"))?;
    Ok(())
}
