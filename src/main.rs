//! The operator binary: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use ecs_operator::cli::{Cli, Command};
use ecs_operator::runtime::telemetry;
use ecs_operator::{operator, uninstall};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let common = match &cli.command {
        Command::Run(args) => args.common.clone(),
        Command::Uninstall(args) => args.common.clone(),
    };
    let result = telemetry::start(common.log_format, &common.log).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match cli.command {
                Command::Run(args) => operator::run(args).await,
                Command::Uninstall(args) => uninstall::run(args).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
