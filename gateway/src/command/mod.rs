//! The command line of `passage-gateway`.

mod check;
mod decode;
mod doctor;
mod enroll;
mod example;
mod fence;
pub mod log;
mod memory;
mod outbox;
mod record;
mod replay;
mod run;
mod scan;
mod simulate;

use std::{path::PathBuf, process::ExitCode};

use crate::site::last_good;
use clap::{Parser, Subcommand};
use passage_config::{BleRadio, GatewayConfig, Radio};

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
        /// A capture: btsnoop as btmon writes it, pcap or pcapng with HCI or link-layer packets, or JSON lines.
        capture: PathBuf,
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// So many times as fast as it was recorded; as fast as it goes when left out. The decisions are the same.
        #[arg(long, value_name = "N", value_parser = replay::speed)]
        speed: Option<f64>,
    },
    /// Prints the beacon in an advert as one JSON object a line: the first one of ours, else the first one on the air; `null` when there is
    /// none, or the line was no hex, which gives the exit code 1 in the end.
    Decode {
        /// AD bytes as hex, one advert each, blanks, colons and `0x` allowed; `-` or none reads one a line from standard input.
        #[arg(value_name = "HEX")]
        adverts: Vec<String>,
        /// The gateway's file; its site says which beacons are `ours`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Records our own beacons into a capture that `replay` plays. Addresses are replaced, strangers are only counted.
    Record {
        /// The capture to make; its ending chooses the format: .jsonl or .btsnoop.
        out: PathBuf,
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How long to record; until Ctrl-C when left out.
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    },
    /// Shows live which of our own beacons the radio hears, how well, and in which zone; strangers are only counted. Keys: q, p, s.
    Scan {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How long to listen; until q or Ctrl-C when left out.
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
        /// One JSON object each second instead of the table; so it is too when the output is no terminal.
        #[arg(long)]
        json: bool,
    },
    /// Looks at everything that the gateway needs, and tells of each thing whether it is well, what is wrong, and how to mend it. Exits with
    /// 1 if something is wrong.
    Doctor {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object a line instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Looks into the outbox, or prints the events in it. Works beside the running gateway and changes nothing.
    #[command(subcommand)]
    Outbox(outbox::Ask),
    /// Asks geofences of a file: which hold which points, or what the fixes of a file decide. Nothing is stored or sent.
    Fence(fence::Fence),
    /// Plays many gateways at once against a broker and a hub, with made-up events, and prints how many were stored and how long it took. Nothing
    /// else may use the ids; the hub keeps what it is told.
    Simulate(simulate::Simulate),
    /// Makes this machine a gateway of the fleet: makes its key, has it certified by the hub of the invitation, writes gateway.toml.
    Enroll(enroll::Enroll),
    /// Prints a commented example of gateway.toml.
    Config {
        /// The example of a position gateway: no radio, takes positions and app events.
        #[arg(long)]
        position: bool,
    },
}

impl Cli {
    /// What is logged when `RUST_LOG` says nothing. A live table would be torn by it; it shows the warnings itself.
    pub fn log_level(&self) -> &'static str {
        match &self.command {
            Command::Scan { json, .. } if scan::is_table(*json) => "off",
            Command::Doctor { .. } | Command::Outbox(_) => "off",
            _ => "info",
        }
    }

    /// What must be done before there are threads: a gateway that runs for months is frugal with memory.
    pub fn prepare(&self) {
        if matches!(self.command, Command::Run { .. }) {
            memory::use_one_arena();
        }
    }

    /// Does what was asked for. The exit code is 0, or 1 when the configuration or the start failed.
    pub async fn execute(self) -> ExitCode {
        let result = match self.command {
            Command::Run { config } => run::run(&config).await,
            Command::Check { config } => check::check(&config),
            Command::Decode { adverts, config } => decode::decode(&adverts, config.as_deref()),
            Command::Replay { capture, config, speed } => replay::replay(&capture, &config, speed).await,
            Command::Record { out, config, seconds } => record::record(&out, &config, seconds).await,
            Command::Scan { config, seconds, json } => scan::scan(&config, seconds, json).await,
            Command::Doctor { config, json } => return doctor::doctor(&config, json).await,
            Command::Outbox(ask) => outbox::outbox(ask).await,
            Command::Fence(asked) => fence::fence(&asked),
            Command::Simulate(asked) => simulate::simulate(&asked).await,
            Command::Enroll(asked) => enroll::enroll(asked).await,
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

/// Reads the configuration, or tells all of its mistakes. A site that comes from the hub is the last good one on the disk.
fn load(file: &std::path::Path) -> anyhow::Result<GatewayConfig> {
    let in_force = last_good::looked_up(passage_config::load_gateway(file)?);
    let in_force = in_force.map_err(|e| anyhow::anyhow!("the site on the disk cannot be read: {e}"))?;
    if in_force.config.site_from_hub && in_force.is_empty() {
        tracing::warn!(
            "no site has come from the hub yet, so nothing is recognised. Mend: start the gateway, and look at `passage-gateway doctor`"
        );
    }
    Ok(in_force.config.clone())
}

/// With this machine's own radio, when the file names none.
fn radio_or_ble(config: GatewayConfig) -> GatewayConfig {
    let radio = if config.radio == Radio::None { Radio::Ble(BleRadio::default()) } else { config.radio.clone() };
    GatewayConfig { radio, ..config }
}
