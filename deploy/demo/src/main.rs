//! A whole shop day in one process: real gateways, a real hub, a real broker; only radio waves, phones and the SMS centre are played.

mod broker;
mod day;
mod keep;
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
    /// How many times as fast as life; 120, or 10 with --listen.
    #[arg(long)]
    speed: Option<f64>,
    /// Run on an edited copy of config/demo; changes of its files are taken over while the day is played.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/demo"))]
    config: PathBuf,
    /// Which MQTT broker to start.
    #[arg(long, value_enum, default_value = "auto")]
    broker: broker::Choice,
    /// Also hear this machine's Bluetooth radio, and take positions of a real phone in OwnTracks JSON on this port of all addresses.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "8083")]
    listen: Option<u16>,
    /// When the day is over, keep its database, its key and its configuration in this folder, which must be new or empty, for the commands of `passage-hub`.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Cli {
    /// How many times as fast as life; `None` for as fast as possible. A real phone cannot keep up with a fast day.
    fn pace(&self) -> Option<f64> {
        let usual = if self.listen.is_some() { 10.0 } else { 120.0 };
        (!self.once).then(|| self.speed.unwrap_or(usual).max(0.01))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    passage_transport::install_provider();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,rumqttd=off".into());
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
    if let Some(target) = &cli.keep {
        keep::check(target)?;
    }
    let clock = Clock::stepped(play::Day::begin()?);
    let mut system = system::System::start(&cli.config, clock.clone(), cli.broker, cli.listen).await?;
    let mut phones = phones::Phones::new(system.api(), system.app_token()?, system.positions());
    println!("broker    {}", system.broker_name());
    println!("console   http://{}", system.console());
    println!("API       http://{}", system.api());
    system.import_people().await?;
    let day = play::Day::prepare(&cli.config.join("data"), &system, &mut phones).await?;
    if let Some(port) = cli.listen {
        invite(&system, &phones, port);
    }
    let mut lines = lines::Lines::new(system.listen(), system.cast());
    let played = tokio::select! {
        played = day.play(&clock, cli.pace(), &mut system, &mut phones, &mut lines) => played.map(|()| true),
        _ = tokio::signal::ctrl_c() => Ok(false),
    }?;
    if !played {
        system.settle(play::PATIENCE).await?;
    }
    let complete = summary::print(&system).await?;
    if played && !cli.once {
        println!("\nThe day is over; the console stays at http://{} until Ctrl-C.", system.console());
        tokio::signal::ctrl_c().await?;
    }
    let left = system.stop().await;
    if let Some(target) = &cli.keep {
        keep::keep(&cli.config, left.path(), &system::SECRET, target)?;
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells how a real phone takes part.
fn invite(system: &system::System, phones: &phones::Phones, wanted: u16) {
    let port = system.positions().port();
    if port != wanted {
        println!("OwnTracks port {wanted} is in use on this machine, so another one was taken");
    }
    println!("OwnTracks mode HTTP, URL http://THIS-MACHINE:{port}/pub");
    if let Some(settings) = phones.owntracks_settings(GUEST) {
        println!("          {settings}");
    }
    println!("          the phone is noticed within 2 km of a shop: set `at` in stores/*.toml and draw geofences/*.geojson where you are");
    match system.radio() {
        Some(Ok(store)) => {
            println!("Bluetooth this machine's radio is the gateway of {store}: an iBeacon app with the card of brands/*.toml is heard")
        }
        Some(Err(why)) => println!("Bluetooth {why}\n          the day goes on without this machine's radio"),
        None => {}
    }
}
