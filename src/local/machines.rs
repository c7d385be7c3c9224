//! Simulated instances by flags or a file.

use anyhow::{Context as _, bail, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, ListParams};

use super::{groups, instance_type};
use crate::cli::local::{Fault, LocalOptions};
use crate::simulated::{self, Machine, Settings};

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
    settings.unknown_after = faster(settings.unknown_after, speed);
    settings
}

/// What an instance is made of.
pub(super) use crate::cli::local::MachineArgs as Made;

/// A machine made of that.
pub(super) fn machine(name: String, zone: &str, args: &Made) -> anyhow::Result<Machine> {
    ensure!(
        !zone.is_empty(),
        "an availability zone without a name: write one such as us-east-1a"
    );
    for (what, amount) in [("cpu", &args.cpu), ("memory", &args.memory)] {
        let negative = amount
            .as_ref()
            .is_some_and(|amount| amount.trim_start().starts_with('-'));
        ensure!(
            !negative,
            "{what}: an instance cannot have less than nothing: write a quantity such as 2 or 4Gi"
        );
    }
    let size = instance_type::size(&args.instance_type);
    let (cpu, memory) = match (&args.cpu, &args.memory, size) {
        (Some(cpu), Some(memory), _) => (cpu.clone(), memory.clone()),
        (cpu, memory, Some(size)) => (
            cpu.clone().unwrap_or_else(|| size.cpus.to_string()),
            memory.clone().unwrap_or_else(|| format!("{}Mi", size.memory)),
        ),
        _ => bail!(
            "the size of {} is not known: say it with --cpu and --memory, or cpu and memory in a file",
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

/// The instances that the options ask for.
pub(super) fn wanted(options: &LocalOptions) -> anyhow::Result<Vec<Machine>> {
    if let Some(path) = &options.instances_from {
        return groups::read(path, &options.machine, &options.zones);
    }
    let mut zones = options.zones.iter().cycle();
    let numbered = |number| {
        let zone = zones.next().context("--zones: name at least one")?;
        machine(format!("node-{number}"), zone, &options.machine)
    };
    (1..=options.instances).map(numbered).collect()
}

/// Makes these instances, unless there are Nodes already. How many there are.
pub(super) async fn begin(client: &Client, machines: &[Machine]) -> anyhow::Result<usize> {
    let nodes: Api<Node> = Api::all(client.clone());
    let found = nodes.list_metadata(&ListParams::default()).await?.items.len();
    if found > 0 {
        return Ok(found);
    }
    for machine in machines {
        simulated::add(client, machine).await?;
    }
    Ok(machines.len())
}

/// The same fault in the machines' own words.
pub(super) fn fault(fault: Fault) -> simulated::Fault {
    match fault {
        Fault::KubeletDead => simulated::Fault::KubeletDead,
        Fault::PowerOff => simulated::Fault::PowerOff,
        Fault::NotReady => simulated::Fault::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_shortens_containers_heartbeats_and_the_wait_for_silent_nodes_alike() {
        let (usual, fast) = (settings(1.0), settings(10.0));
        let times = |s: &Settings| [s.pace.start, s.pace.stop, s.lease_every, s.unknown_after];
        for (usual, fast) in times(&usual).into_iter().zip(times(&fast)) {
            assert_eq!(usual, fast * 10);
        }
    }
}
