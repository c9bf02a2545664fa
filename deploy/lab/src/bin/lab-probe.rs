//! Listens with the gateway's own radio source and prints how it does, one JSON object every 100 ms. For tests: the bus is that of
//! DBUS_SYSTEM_BUS_ADDRESS.

use std::{collections::HashSet, io::Write as _, sync::atomic::Ordering::Relaxed, time::Duration};

use clap::Parser;
use passage_config::BleRadio;
use passage_gateway::radio::{Source as _, ble::Ble};
use passage_protocol::Clock;
use serde_json::json;
use tokio::time::{Instant, interval};

/// Listens and prints JSON lines: `ms` since the start of the scan, `adverts` so far, `senders` so far, and the vitals of the radio.
#[derive(Debug, Parser)]
#[command(name = "lab-probe", version, args_override_self = true)]
struct Cli {
    /// Address or name of the adapter.
    #[arg(long)]
    adapter: Option<String>,
    /// Silence in milliseconds after which the radio is started again.
    #[arg(long, default_value_t = 15_000)]
    restart_after_ms: u64,
    /// Milliseconds of failing calls after which the process ends with 3.
    #[arg(long, default_value_t = 600_000)]
    exit_after_ms: u64,
    /// Microseconds that each advert takes to be decided, to play a slow gateway.
    #[arg(long, default_value_t = 0)]
    slow_us: u64,
    /// Do not count senders; for measuring memory.
    #[arg(long)]
    anonymous: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    passage_gateway::command::log::start("info");
    let cli = Cli::parse();
    let options = BleRadio {
        adapter: cli.adapter.clone(),
        restart_after: Duration::from_millis(cli.restart_after_ms),
        exit_after: Duration::from_millis(cli.exit_after_ms),
        ..BleRadio::default()
    };
    let mut ble = Ble::open(options, Clock::System).await?;
    let vitals = ble.vitals().ok_or_else(|| anyhow::anyhow!("no vitals"))?;
    let (begun, mut tick) = (Instant::now(), interval(Duration::from_millis(100)));
    let (mut adverts, mut errors, mut senders) = (0u64, 0u64, HashSet::new());
    loop {
        tokio::select! {
            next = ble.next() => match next {
                Some(Ok(heard)) => {
                    adverts += 1;
                    if !cli.anonymous {
                        senders.insert(heard.advert.address);
                    }
                    if cli.slow_us > 0 {
                        std::thread::sleep(Duration::from_micros(cli.slow_us));
                    }
                }
                Some(Err(e)) => {
                    errors += 1;
                    eprintln!("{e}");
                }
                None => std::process::exit(3),
            },
            _ = tick.tick() => {
                let rungs = &vitals.rungs;
                let line = json!({
                    "ms": begun.elapsed().as_millis(), "adverts": adverts, "senders": senders.len(), "errors": errors,
                    "heard": vitals.adverts.load(Relaxed), "empty": vitals.empty.load(Relaxed),
                    "dropped": vitals.dropped.load(Relaxed), "last_10_s": vitals.last_10_s.load(Relaxed),
                    "silent": vitals.silent.load(Relaxed), "wedged": vitals.wedged.load(Relaxed),
                    "start": rungs.start.load(Relaxed), "stop": rungs.stop.load(Relaxed),
                    "session": rungs.session.load(Relaxed), "daemon": rungs.daemon.load(Relaxed),
                });
                writeln!(std::io::stdout(), "{line}")?;
            }
        }
    }
}
