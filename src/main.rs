//! The operator binary: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use ecs_operator::cli::{Cli, Command};
use ecs_operator::runtime::telemetry;
use ecs_operator::{inspect, local, operator, uninstall};

/// Many small objects come and go on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // who asks at a terminal is told what is done; the operator in local mode need not say more
    let quiet = matches!(
        cli.command,
        Command::Local(_) | Command::Explain(_) | Command::Plan(_)
    );
    let filter = cli
        .log
        .log
        .unwrap_or_else(|| (if quiet { "warn" } else { "info" }).to_owned());
    let result = telemetry::start(cli.log.log_format, &filter).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let done = match cli.command {
                Command::Run(args) => operator::run(args).await,
                Command::Local(args) => local::run(*args).await,
                Command::Explain(args) => inspect::explain(args).await,
                Command::Plan(args) => return inspect::plan(args).await,
                Command::Uninstall(args) => uninstall::run(args).await,
            };
            done.map(|()| ExitCode::SUCCESS)
        })
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            if quiet {
                eprintln!("error: {error:#}");
            } else {
                tracing::error!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
