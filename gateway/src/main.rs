//! `passage-gateway`: see [`passage_gateway::command`].

use std::process::ExitCode;

use clap::Parser;
use passage_gateway::command::{Cli, log};

#[tokio::main]
async fn main() -> ExitCode {
    passage_transport::install_provider();
    let cli = Cli::parse();
    log::start(cli.log_level());
    cli.execute().await
}
