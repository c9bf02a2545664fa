//! `passage-gateway`: see [`passage_gateway::command`].

use std::process::ExitCode;

use clap::Parser;
use passage_gateway::command::{Cli, log};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.prepare();
    execute(cli)
}

#[tokio::main]
async fn execute(cli: Cli) -> ExitCode {
    passage_transport::install_provider();
    log::start(cli.log_level());
    cli.execute().await
}
