//! The command line of `passage-gateway`.

mod check;
mod decode;
mod example;
pub mod log;
mod replay;
mod run;
mod scan;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use passage_config::GatewayConfig;

/// Hears the beacons of the brand's app and watches geofences, and reports enter, dwell and exit to the hub.
#[derive(Debug, Parser)]
#[command(name = "passage-gateway", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway until it is told to stop (SIGTERM or Ctrl-C).
    Run {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Reads the gateway's file and the site files beside it, and tells every mistake at once. Exits with 1 if there is one.
    Check {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Plays a capture off-line and prints what would be decided, one JSON object a line. Nothing is stored or sent.
    Replay {
        /// A capture: btsnoop as btmon writes it, or JSON lines.
        capture: PathBuf,
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Prints the beacon in an advert as one JSON object a line: the first one of ours, else the first one on the air; `null` when there is
    /// none. Exits with 1 if a line was no hex.
    Decode {
        /// AD bytes as hex, one advert each, blanks allowed; `-` or none reads one a line from standard input.
        #[arg(value_name = "HEX")]
        adverts: Vec<String>,
        /// The gateway's file; its site says which beacons are `ours`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Listens to the radio for a while and lists our own beacons; strangers are only counted.
    Scan {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How long to listen.
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// Prints a commented example of gateway.toml.
    Config {
        /// The example of a position gateway: no radio, takes positions and app events.
        #[arg(long)]
        position: bool,
    },
}

impl Cli {
    /// Does what was asked for. The exit code is 0, or 1 when the configuration or the start failed.
    pub async fn execute(self) -> ExitCode {
        let result = match self.command {
            Command::Run { config } => run::run(&config).await,
            Command::Check { config } => check::check(&config),
            Command::Replay { capture, config } => replay::replay(&capture, &config).await,
            Command::Decode { adverts, config } => decode::decode(&adverts, config.as_deref()),
            Command::Scan { config, seconds } => scan::scan(&config, seconds).await,
            Command::Config { position } => example::print(position),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{e:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Reads the configuration, or tells all of its mistakes.
fn load(file: &std::path::Path) -> anyhow::Result<GatewayConfig> {
    Ok(passage_config::load_gateway(file)?)
}
