//! Reads what `deploy/lab/vm/run` brought out of the guest, holds it against the scenario, and prints the figures. Exits with 1 when an enter or
//! exit is missing or too much, or when a fault was not overcome.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use passage_lab::{
    Scenario,
    judge::{self, Patience, Recovery, Verdict, usage},
};
use passage_protocol::{Event, Millis};
use serde::{Deserialize, de::DeserializeOwned};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

#[derive(Parser)]
#[command(name = "lab-judge", about = "Holds the decisions of a lab run against its scenario")]
struct Cli {
    /// The scenario that was played.
    scenario: PathBuf,
    /// The folder of `deploy/lab/vm/run --out`.
    results: PathBuf,
    /// The gateway's silence time-out in seconds, as its file says.
    #[arg(long, default_value_t = 180)]
    silence: u64,
    /// Seconds by which an exit may be off the last advert; 11 for a chip that reports each sender once in a scan round.
    #[arg(long, default_value_t = 5)]
    slack: u64,
    /// Judge the faults instead of the stays: a fault tears stays apart.
    #[arg(long)]
    faults: bool,
}

/// A line of `air.jsonl`.
#[derive(Deserialize)]
struct Line {
    t: Millis,
    what: String,
    more: serde_json::Value,
}

/// What came out of the guest.
struct Run {
    start: Millis,
    end: Millis,
    reported: u64,
    events: Vec<Event>,
    samples: Vec<usage::Sample>,
    /// How often the gateway had to be started again.
    restarts: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let scenario = Scenario::load(&cli.scenario)?;
    let run = Run::read(&cli.results).await?;
    println!("{}: {} adverts reported, {} events", scenario.name, run.reported, run.events.len());
    run.tell_usage();
    let is_right = if cli.faults {
        let recoveries = judge::recoveries(&scenario.actions, &run.events, run.start, run.end);
        tell_recoveries(&recoveries, run.restarts);
        !recoveries.is_empty() && recoveries.iter().all(|recovery| recovery.deaf.is_some())
    } else {
        let time = Duration::from_millis(run.end.since(run.start).unsigned_abs());
        let truth = judge::on_air(&scenario, run.start, time);
        let patience = Patience { silence: Duration::from_secs(cli.silence), slack: Duration::from_secs(cli.slack) };
        let verdict = judge::judge(&truth, &run.events, run.end, patience);
        tell_verdict(&verdict);
        verdict.is_right()
    };
    println!("{}", if is_right { "right" } else { "WRONG" });
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Run {
    async fn read(folder: &Path) -> anyhow::Result<Self> {
        let air: Vec<Line> = lines(&folder.join("air.jsonl"))?;
        let start = air.iter().find(|line| line.what == "start").and_then(|line| line.more.get("at")?.as_i64());
        let last = air.iter().rev().find(|line| line.what == "count").context("air.jsonl has no count")?;
        let ended: Vec<serde_json::Value> = lines(&folder.join("ended.jsonl"))?;
        let end = ended.last().and_then(|line| line.get("t")?.as_i64()).map_or(last.t, Millis);
        Ok(Self {
            start: Millis(start.context("nobody has started a scan: air.jsonl has no start")?),
            end,
            reported: last.more.get("reported").and_then(serde_json::Value::as_u64).unwrap_or(0),
            events: events(&folder.join("data/outbox.db")).await?,
            samples: lines(&folder.join("usage.jsonl"))?,
            restarts: ended.len().saturating_sub(1),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn tell_usage(&self) {
        println!("  {:<16} {:>9} {:>15} {:>28}", "program", "CPU", "CPU per advert", "memory first / most / last");
        for (name, used) in usage::by_program(&self.samples) {
            let each = used.cpu.as_secs_f64() * 1000.0 / self.reported.max(1) as f64;
            let mib = |kib: u64| kib as f64 / 1024.0;
            println!(
                "  {name:<16} {:>7.1} s {each:>12.2} ms {:>9.1} / {:.1} / {:.1} MiB",
                used.cpu.as_secs_f64(),
                mib(used.first_kib),
                mib(used.most_kib),
                mib(used.last_kib)
            );
        }
    }
}

/// The events in the gateway's outbox, in their order. No hub has said that they are stored, so all are still there.
async fn events(file: &Path) -> anyhow::Result<Vec<Event>> {
    ensure!(file.exists(), "{} is missing: the gateway has not run", file.display());
    let mut database = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await?;
    let rows = sqlx::query("SELECT json FROM row ORDER BY seq").fetch_all(&mut database).await?;
    rows.iter().map(|row| Ok(serde_json::from_slice(&row.try_get::<Vec<u8>, _>("json")?)?)).collect()
}

fn lines<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Vec<T>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))).collect()
}

fn tell_verdict(verdict: &Verdict) {
    println!("  enters {} of {}, exits {} of {}", verdict.enters, verdict.stays, verdict.exits, verdict.ended);
    println!("  first advert to enter: {}", spread(&verdict.to_enter));
    println!("  exit off the last advert: {}", spread(&verdict.exit_off));
    for mistake in &verdict.mistakes {
        println!("  wrong: {mistake}");
    }
}

fn tell_recoveries(recoveries: &[Recovery], restarts: usize) {
    for Recovery { fault, mended, deaf } in recoveries {
        let mended =
            mended.map_or("cause mended by nobody else".to_owned(), |time| format!("cause gone after {:.1} s", time.as_secs_f64()));
        let deaf = deaf.map_or("NOBODY heard any more".to_owned(), |time| format!("deaf for {:.1} s", time.as_secs_f64()));
        println!("  {fault:?}: {mended}, {deaf}");
    }
    println!("  the gateway itself was started again {restarts} times");
}

/// Median, ninth decile and most of sorted times.
fn spread(times: &[Duration]) -> String {
    let at = |tenths: usize| times.get(times.len() * tenths / 10).or(times.last()).map_or(0.0, Duration::as_secs_f64);
    format!("median {:.2} s, 90 % {:.2} s, most {:.2} s", at(5), at(9), at(10))
}
