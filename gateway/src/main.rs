//! `passage-gateway`: see [`passage_gateway::command`].

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use passage_gateway::command::Cli;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    Cli::parse().execute().await
}
