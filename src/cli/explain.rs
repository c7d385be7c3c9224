//! Options of `explain` and `plan`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Options of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// What is explained.
    #[command(subcommand)]
    pub what: What,
}

/// What is explained.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// Why a service's tasks are where they are, and what would give the others a place.
    Service(Named),
    /// What holds an instance's room, what could still come, and what its drain waits for.
    Instance(Named),
    /// Where a task is in its life, what it waits for, and when its stop is over.
    Task(Named),
}

/// One object, and where it is looked for.
#[derive(Clone, Debug, Args)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Where it is looked for.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Options of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// A file or directory of manifests, as for `kubectl apply -f`; `-` is the standard input. May be said several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Instances to be added: `N,cpu=UNITS,memory=MIB`, or `N,like=INSTANCE`, and if need be `pods=N`, `gpu=N`,
    /// `cluster=NAME`, `attribute:NAME=VALUE`. May be said several times.
    #[arg(long, value_name = "N,…")]
    pub add_instances: Vec<String>,
    /// An instance that is set DRAINING. May be said several times.
    #[arg(long, value_name = "INSTANCE")]
    pub drain: Vec<String>,
    /// Where everything else is read.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Where objects are read, and how the result is written.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Namespace of the object, and of manifests that name none [default: that of the kubeconfig's context, else `default`].
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Kubeconfig file [default: ~/.kube/config, else the cluster that the process runs in].
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    pub context: Option<String>,
    /// A file or directory with what `kubectl get ecsclusters,containerinstances,ecsservices,tasks,taskdefinitions,nodes,pods,namespaces
    /// -A -o json` (or yaml) printed, `-` for the standard input, instead of a cluster.
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub snapshot: Option<PathBuf>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}
