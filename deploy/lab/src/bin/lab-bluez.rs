//! A stand-in for BlueZ on a private message bus: see [`passage_lab::bluez`].

use clap::Parser;
use passage_lab::bluez::{Options, run};

/// Plays bluetoothd with the phones of a scenario. `org.passage.Lab1` at /org/passage/lab has Advertisements() and Stats(), which give JSON, and
/// Fault(name) with the names of a scenario's actions.
#[derive(Debug, Parser)]
#[command(name = "lab-bluez", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> anyhow::Result<()> {
    run(&Cli::parse().options)
}
