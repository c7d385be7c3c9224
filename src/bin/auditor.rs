//! `auditor`: records the watch history of a cluster and checks invariants I1 to I8 on it.
#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::fs;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use ecs_operator::audit::{self, History, Options, Recorder};
use ecs_operator::runtime::client;

/// Checks that the scheduler kept its promises, from what the API server committed.
#[derive(Debug, Parser)]
#[command(name = "auditor", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record the history of a cluster as JSON lines.
    Record {
        /// File to write.
        out: PathBuf,
        #[command(flatten)]
        source: Source,
    },
    /// Check recorded histories.
    Check {
        /// Files to read.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        expected: Expected,
    },
    /// Record the history of a cluster and check it.
    Live {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        expected: Expected,
    },
}

#[derive(Debug, Args)]
struct Source {
    /// How long to record, such as `60s` or `5m`; without it until interrupted.
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    length: Option<Duration>,
    /// Kubeconfig file; without it the cluster that the process runs in.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Args)]
struct Expected {
    /// The cluster is at rest at the end: nothing may be left behind (I8).
    #[arg(long)]
    quiet: bool,
    /// Somebody wiped the ledger by hand meanwhile: shares of running tasks may vanish.
    #[arg(long)]
    expect_wipe: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let factor = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a number followed by s, m or h is expected".to_owned()),
    };
    let number = text
        .strip_suffix(unit)
        .unwrap_or(text)
        .parse::<u64>()
        .map_err(|e| e.to_string())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Record { out, source } => {
            let history = record(&source).await?;
            let file = fs::File::create(&out).with_context(|| format!("cannot write {}", out.display()))?;
            history
                .write(&mut BufWriter::new(file))
                .with_context(|| format!("cannot write {}", out.display()))?;
            for (kind, span) in history.spans() {
                println!("{kind}: complete over versions {} to {}", span.from, span.to);
            }
            for gap in history.gaps() {
                println!("gap: {} at version {}: {}", gap.kind, gap.version, gap.why);
            }
            Ok(if history.gaps().is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Check { files, expected } => {
            let mut clean = true;
            for file in files {
                let text =
                    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let history =
                    History::read(&text).with_context(|| format!("{} is no history", file.display()))?;
                clean &= report(&file.display().to_string(), &history, expected)?;
            }
            Ok(if clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Live { source, expected } => {
            let history = record(&source).await?;
            Ok(if report("live", &history, expected)? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

async fn record(source: &Source) -> anyhow::Result<History> {
    let config = client::config(source.kubeconfig.as_deref()).await?;
    let recorder = Recorder::start(client::reader(config)?).await?;
    match source.length {
        Some(length) => tokio::time::sleep(length).await,
        None => tokio::signal::ctrl_c().await?,
    }
    Ok(recorder.stop(Duration::from_secs(30)).await)
}

/// Prints what was found; whether nothing was.
fn report(name: &str, history: &History, expected: Expected) -> anyhow::Result<bool> {
    let options = Options {
        quiet: expected.quiet,
        expect_wipe: expected.expect_wipe,
    };
    let found = audit::audit(history, &options);
    for violation in &found.violations {
        println!("{name}: {violation}");
    }
    println!(
        "{name}: {} violations; {}",
        found.violations.len(),
        serde_json::to_string(&found.figures)?
    );
    Ok(found.violations.is_empty())
}
