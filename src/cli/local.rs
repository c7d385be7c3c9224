//! Options of `local`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Options of `local`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LocalArgs {
    /// Without one: run.
    #[command(subcommand)]
    pub command: Option<LocalCommand>,
    /// What runs.
    #[command(flatten)]
    pub options: LocalOptions,
}

/// What is run in the process.
#[derive(Clone, Debug, Args)]
pub struct LocalOptions {
    /// How many simulated instances there are at the start. A kept data directory has those that it had.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub instances: u32,
    /// A YAML file with the instances there are at the start: a list of groups, each with a `name` and, if they are several,
    /// a `count`, and what else than the flags say: `zones`, `instanceType`, `cpu`, `memory`, `pods`, `gpus`, `labels`, `taints`.
    #[arg(long, value_name = "FILE", conflicts_with = "instances")]
    pub instances_from: Option<PathBuf>,
    /// Availability zones of the instances, in turn.
    #[arg(
        long,
        value_name = "ZONE,…",
        value_delimiter = ',',
        default_value = "us-east-1a,us-east-1b,us-east-1c"
    )]
    pub zones: Vec<String>,
    /// What the instances are made of.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Where everything is kept; without it nothing outlives the process.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API server. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Address of what ECS's agent gives to containers: `ECS_AGENT_URI` in each Pod. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub agent_listen: SocketAddr,
    /// Kubeconfig file to be written [default: ~/.kube/ecs-operator-local]. It goes at the end.
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
    /// How many times faster than real ones simulated containers start and stop, and kubelets time out.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Seconds after which a task without health checks counts as healthy: `healthyAfterSeconds` of the cluster `default`
    /// when it is made [default: 40, by the speed].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub healthy_after: Option<u16>,
    /// Apply all manifests of a directory, wait until every service in it is steady, and end: with an error if one is not.
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Seconds until the services of --manifests must be steady.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "manifests")]
    pub timeout: u32,
    /// Play the walk-through of the daemon strategy, showing what kubectl would show, and end.
    #[arg(
        long,
        conflicts_with_all = ["manifests", "data_dir", "instances", "instances_from", "zones", "instance_type", "cpu", "memory", "pods"]
    )]
    pub tour: bool,
}

/// What an instance is made of.
#[derive(Clone, Debug, Args)]
pub struct MachineArgs {
    /// EC2 instance type: says CPUs and memory of the t3, c, m and r families.
    #[arg(long, value_name = "TYPE", default_value = "m5.large")]
    pub instance_type: String,
    /// CPUs, as a Kubernetes quantity, instead of what the instance type has.
    #[arg(long, value_name = "QUANTITY")]
    pub cpu: Option<String>,
    /// Memory, as a Kubernetes quantity, instead of what the instance type has.
    #[arg(long, value_name = "QUANTITY")]
    pub memory: Option<String>,
    /// Pods that fit.
    #[arg(long, value_name = "N", default_value_t = 110)]
    pub pods: u32,
    /// GPUs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpus: u32,
}

/// What is done to the instances of a running local mode.
#[derive(Clone, Debug, Subcommand)]
pub enum LocalCommand {
    /// Add instances.
    Add {
        /// How to reach the local mode.
        #[command(flatten)]
        client: LocalClientArgs,
        /// Their availability zone.
        #[arg(long, default_value = "us-east-1a")]
        zone: String,
        /// What they are made of.
        #[command(flatten)]
        machine: MachineArgs,
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove instances: their Nodes are deleted.
    Remove {
        /// How to reach the local mode.
        #[command(flatten)]
        client: LocalClientArgs,
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Break instances.
    Break {
        /// How to reach the local mode.
        #[command(flatten)]
        client: LocalClientArgs,
        /// What breaks.
        #[arg(long, value_enum, default_value_t = Fault::PowerOff)]
        fault: Fault,
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Mend what was broken.
    Mend {
        /// How to reach the local mode.
        #[command(flatten)]
        client: LocalClientArgs,
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// How to reach a running local mode.
#[derive(Clone, Debug, Args)]
pub struct LocalClientArgs {
    /// The kubeconfig that it wrote [default: ~/.kube/ecs-operator-local].
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The kubelet says nothing any more; containers go on.
    KubeletDead,
    /// The machine is off, its containers are gone.
    PowerOff,
    /// The kubelet says that it is not ready.
    NotReady,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.01..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("write a number from 0.01 to 1000".to_owned()),
    }
}
