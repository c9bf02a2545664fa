//! A whole shop day in one process: real gateways, a real hub, a real broker; only radio waves, phones and the SMS centre are played.

mod broker;
mod day;
mod lines;
mod phones;
mod play;
mod streets;
mod summary;
mod system;
mod track;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;
use passage_protocol::Clock;

/// The member whom a real phone plays.
const GUEST: &str = "C-00003";

/// Plays Friday 20 November 2026 in three shops of a fashion brand.
#[derive(Debug, Parser)]
#[command(name = "passage", version)]
struct Cli {
    /// Play the day to its end as fast as possible, print the summary and exit: 0, or 1 if an event is missing.
    #[arg(long)]
    once: bool,
    /// How many times as fast as life.
    #[arg(long, default_value_t = 120.0)]
    speed: f64,
    /// Run on an edited copy of config/demo; changes of its files are taken over while the day is played.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/demo"))]
    config: PathBuf,
    /// Which MQTT broker to start.
    #[arg(long, value_enum, default_value = "auto")]
    broker: broker::Choice,
    /// Also hear this machine's Bluetooth radio, and take positions of a real phone in OwnTracks JSON.
    #[arg(long)]
    listen: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(e) => {
            eprintln!("passage: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let clock = Clock::stepped(play::Day::begin()?);
    let mut system = system::System::start(&cli.config, clock.clone(), cli.broker, cli.listen).await?;
    let mut phones = phones::Phones::new(system.api(), system.app_token()?, system.positions());
    println!("broker    {}", system.broker_name());
    println!("console   http://{}", system.console());
    println!("API       http://{}", system.api());
    system.import_people().await?;
    let day = play::Day::prepare(&cli.config.join("data"), &system, &mut phones).await?;
    if cli.listen {
        invite(&system, &phones);
    }
    let mut lines = lines::Lines::new(system.listen(), system.cast());
    let speed = (!cli.once).then_some(cli.speed.max(0.01));
    let played = tokio::select! {
        played = day.play(&clock, speed, &mut system, &phones, &mut lines) => played.map(|()| true),
        _ = tokio::signal::ctrl_c() => Ok(false),
    }?;
    let complete = summary::print(&system).await?;
    if played && !cli.once {
        println!("\nThe day is over; the console stays at http://{} until Ctrl-C.", system.console());
        tokio::signal::ctrl_c().await?;
    }
    system.stop().await;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells how a real phone takes part.
fn invite(system: &system::System, phones: &phones::Phones) {
    println!("OwnTracks http://THIS-MACHINE:{}/pub in HTTP mode", system.positions().port());
    if let Some(settings) = phones.owntracks_settings(GUEST) {
        println!("          {settings}");
    }
    println!("          Bluetooth: an iBeacon app with a card of config/demo/brands is heard as its owner");
}
