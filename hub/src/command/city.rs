//! `passage-hub city`: a made-up city and its report.

use std::{path::PathBuf, process::ExitCode};

use passage_config::{Diagnostics, World, load_world, read_world};

use crate::city;

/// The bars of the report.
const PRECISION: f64 = 0.98;
const RECALL: f64 = 0.97;
const DWELL_ERROR_S: f64 = 60.0;

/// What to live.
#[derive(Debug, clap::Args)]
pub(super) struct CityArgs {
    /// Same seed, same city.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File with the parameters of the world; see hub/worlds. Every key has a default.
    #[arg(long)]
    world: Option<PathBuf>,
    /// Print all tables instead of one line; exit 1 when a bar is missed.
    #[arg(long)]
    report: bool,
    /// Print what was missed or wrong, by cause, with examples.
    #[arg(long)]
    explain: bool,
}

/// Lives it and prints what was found.
pub(super) fn city(args: &CityArgs) -> ExitCode {
    let world = match world(args) {
        Ok(world) => world,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    let report = city::live(&world, args.seed);
    if args.report {
        println!("{report}");
    }
    if args.explain {
        println!("{}", report.explained);
    }
    let all = &report.all;
    let good = all.precision() >= PRECISION && all.recall() >= RECALL && all.dwell_error_s() <= DWELL_ERROR_S;
    println!(
        "seed {}: {} visits, capture {:.3}, precision {:.4}, recall {:.4}, median error of dwell {:.1} s: {}",
        args.seed,
        all.took_place,
        all.capture(),
        all.precision(),
        all.recall(),
        all.dwell_error_s(),
        if good { "within the bars" } else { "a bar is missed" }
    );
    if good || !args.report { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn world(args: &CityArgs) -> Result<World, Diagnostics> {
    args.world.as_deref().map_or_else(|| read_world(""), load_world)
}
