//! The command line.

pub mod explain;
pub mod local;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use self::explain::{ExplainArgs, PlanArgs};
use self::local::LocalArgs;

/// Amazon ECS scheduling semantics on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "ecs-operator", version, about)]
pub struct Cli {
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(RunArgs),
    /// Run everything in one process: an API server, the operator, and simulated instances.
    Local(Box<LocalArgs>),
    /// Explain a service, an instance or a task: why it is as it is, and the smallest change that would help. Writes nothing.
    Explain(ExplainArgs),
    /// Show what would be placed and stopped where before anything is applied. Writes nothing.
    Plan(PlanArgs),
    /// Help to take the operator out of a cluster.
    Uninstall(UninstallArgs),
}

/// How to log.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Form of the logs.
    #[arg(long, global = true, env = "ECS_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: a level, or a filter such as `info,ecs_operator::ledger=debug` [default: info; warn for `local`, `explain` and `plan`].
    #[arg(long = "log", global = true, env = "ECS_OPERATOR_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// How to reach the API server.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// Kubeconfig file; without it the cluster that the process runs in.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// How to reach the API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Namespace of the lease: the operator's own.
    #[arg(long, env = "ECS_OPERATOR_NAMESPACE", default_value = "ecs-operator")]
    pub namespace: String,
    /// Name of this process for the lease.
    #[arg(long, env = "POD_NAME", default_value = "ecs-operator")]
    pub pod_name: String,
    /// Name of the lease.
    #[arg(long, env = "ECS_OPERATOR_LEASE_NAME", default_value = "ecs-operator")]
    pub lease_name: String,
    /// Every replica plans, not only the holder of the lease.
    #[arg(long, env = "ECS_OPERATOR_ALL_ACTIVE", action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub all_active: bool,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "ECS_OPERATOR_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,
    /// Where Pods reach what ECS's agent gives to containers, as http://HOST:PORT: each new Pod is told, in ECS_AGENT_URI.
    /// Left out, there is no such endpoint.
    #[arg(long, env = "ECS_OPERATOR_AGENT_URI", value_name = "URI", value_parser = agent_uri)]
    pub agent_uri: Option<String>,
    /// Address where it listens, with --agent-uri.
    #[arg(long, env = "ECS_OPERATOR_AGENT_LISTEN", default_value = "0.0.0.0:8082")]
    pub agent_listen: SocketAddr,
}

/// Scheme and authority alone, without a slash at the end.
fn agent_uri(text: &str) -> Result<String, String> {
    let authority = text
        .strip_prefix("http://")
        .unwrap_or_default()
        .trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if authority.is_empty() || !authority.chars().all(allowed) {
        return Err("write http://HOST:PORT, as Pods reach it".to_owned());
    }
    Ok(format!("http://{authority}"))
}

/// Options of `uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// How to reach the API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Take our finalizers off all objects, so that they can be deleted with no operator running. Containers go on.
    #[arg(long, required = true)]
    pub release_finalizers: bool,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_pods_reach_the_endpoint_is_a_scheme_and_an_authority_prot_20() {
        for (text, expected) in [
            ("http://agent.ns.svc:8082", "http://agent.ns.svc:8082"),
            ("http://10.0.0.1/", "http://10.0.0.1"),
            ("http://[fd00::1]:80", "http://[fd00::1]:80"),
        ] {
            assert_eq!(agent_uri(text).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "agent:80",
            "https://agent",
            "http://",
            "http://a/b",
            "http://a b",
            "http://$(A)",
        ] {
            assert!(agent_uri(text).is_err(), "{text}");
        }
    }
}
