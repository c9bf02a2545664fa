//! `passage-hub`: turns what gateways report into visits, offers and honest numbers.

use std::process::ExitCode;

use clap::Parser;
use passage_hub::command::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    passage_transport::install_provider();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sqlx=warn".into()))
        .with_writer(std::io::stderr)
        .init();
    Cli::parse().run().await
}
