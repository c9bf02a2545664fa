//! `passage-gateway simulate`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::fleet::{self, Plan};

/// What a made-up fleet does.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// The pattern of each gateway: its broker, clock, outbox, store and hub keys count; its id gets a number behind it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How many gateways.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    fleet: u32,
    /// Events that each has on disk before it connects.
    #[arg(long, value_name = "N", default_value_t = 0)]
    backlog: u64,
    /// How many minutes of business time ago these happened.
    #[arg(long, value_name = "N", default_value_t = 0)]
    age: u64,
    /// Live events a second of each gateway.
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = rate)]
    rate: f64,
    /// How many seconds live events happen.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
    /// Seconds after that in which everything must have been stored by a hub.
    #[arg(long, value_name = "N", default_value_t = 600)]
    within: u64,
    /// Installations of members, one a line; strangers with rotating ids when left out.
    #[arg(long, value_name = "FILE")]
    subjects: Option<PathBuf>,
    /// Invitations of all gateways (FILE's id with -1, -2 .. behind it), one a line: each enrols and connects with a certificate of its own.
    #[arg(long, value_name = "FILE")]
    invitations: Option<PathBuf>,
}

/// Runs the fleet and prints what came of it as one JSON object. An error if a hub did not take everything in time.
pub(super) async fn simulate(asked: &Simulate) -> anyhow::Result<()> {
    let config = super::load(&asked.config)?;
    let plan = Plan {
        gateways: asked.fleet,
        backlog: asked.backlog,
        age: Duration::from_secs(asked.age * 60),
        rate: asked.rate,
        live: Duration::from_secs(asked.seconds),
        within: Duration::from_secs(asked.within),
        subjects: asked.subjects.as_deref().map_or(Ok(Vec::new()), fleet::subjects)?,
        invitations: asked.invitations.as_deref().map_or(Ok(Vec::new()), fleet::invitations)?,
    };
    let outcome = fleet::run(&config, &plan).await?;
    println!("{}", serde_json::to_string(&outcome)?);
    let left = outcome.events - outcome.deleted;
    anyhow::ensure!(
        left == 0,
        "{left} events were not stored by a hub in time; they are still in the outboxes below {}",
        config.data.display()
    );
    Ok(())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "no number".to_owned())?;
    if (0.0..=100_000.0).contains(&rate) { Ok(rate) } else { Err("between 0 and 100000".to_owned()) }
}
