//! `passage-gateway replay`.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use passage_config::GatewayConfig;
use passage_protocol::{Clock, Millis, Subject};

use crate::{
    Change,
    outbox::Batch,
    pipeline::Machines,
    radio::{Capture, Heard, RadioError},
};

/// While a paced replay waits for the next advert, time passes for the machines in such steps.
const STEP: Duration = Duration::from_millis(100);

/// Plays a capture through the machines and prints their decisions: as fast as it goes, or `speed` times as fast as it was recorded.
pub(super) async fn replay(capture: &Path, file: &Path, speed: Option<f64>) -> anyhow::Result<()> {
    let config = super::load(file)?;
    anyhow::ensure!(
        config.store.is_some(),
        "{}: a replay needs a gateway with a `store`, because radio zones belong to one",
        file.display()
    );
    let capture = Capture::open(capture)?;
    let left_out = capture.left_out();
    let summary = decide(&config, capture, speed, BufWriter::new(std::io::stdout().lock())).await?;
    eprintln!("{} adverts, {} decisions, {} broken records; left out: {left_out}", summary.adverts, summary.decisions, summary.broken);
    Ok(())
}

/// A speed on the command line.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.001..=1e6).contains(&speed) {
        Ok(speed)
    } else {
        Err("must lie between 0.001 and 1000000; leave it out for as fast as it goes".to_owned())
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Summary {
    adverts: u64,
    decisions: u64,
    broken: u64,
}

async fn decide(
    config: &GatewayConfig,
    items: impl Iterator<Item = Result<crate::radio::Advert, RadioError>>,
    speed: Option<f64>,
    out: impl Write,
) -> anyhow::Result<Summary> {
    let mut player = Player {
        machines: Machines::new(config),
        clock: None,
        names: HashMap::new(),
        summary: Summary::default(),
        out,
        flushes: speed.is_some(),
    };
    let mut last = Millis(0);
    for item in items {
        match item {
            Ok(advert) => {
                if let Some(speed) = speed {
                    player.wait_for(advert.at, speed).await?;
                }
                player.summary.adverts += 1;
                last = last.max(advert.at);
                player.tell(|machines, batch| machines.heard(&Heard { advert, position: None }, batch))?;
            }
            Err(e) => {
                player.summary.broken += 1;
                eprintln!("{e}");
            }
        }
    }
    // Longer than any rule waits: behind the end of a capture, every stay is closed.
    player.tell(|machines, batch| machines.quiet(last + config.presence.longest_wait() * 2, batch))?;
    player.out.flush()?;
    Ok(player.summary)
}

/// The machines, and where their decisions go.
struct Player<W> {
    machines: Machines,
    /// Business time of a paced replay; it begins with the first advert.
    clock: Option<Clock>,
    names: HashMap<Subject, usize>,
    summary: Summary,
    out: W,
    flushes: bool,
}

impl<W: Write> Player<W> {
    /// Waits until the time of the next advert has come. Meanwhile time passes for the machines, but never up to that time: what the advert
    /// finds must not depend on the speed.
    async fn wait_for(&mut self, at: Millis, speed: f64) -> std::io::Result<()> {
        let clock = self.clock.get_or_insert_with(|| Clock::Scaled { start: at, anchor: Clock::System.now(), speed }).clone();
        while let Some(wait) = clock.machine_time_until(at).filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait.min(STEP)).await;
            let now = clock.now().min(at - Duration::from_millis(1));
            self.tell(|machines, batch| machines.quiet(now, batch))?;
        }
        Ok(())
    }

    /// Prints what the machines decide.
    fn tell(&mut self, step: impl FnOnce(&mut Machines, &mut Batch)) -> std::io::Result<()> {
        let mut batch = Batch::default();
        step(&mut self.machines, &mut batch);
        for change in &batch.changes {
            self.summary.decisions += 1;
            let fresh = self.names.len() + 1;
            let name = *self.names.entry(change.subject.clone()).or_insert(fresh);
            writeln!(self.out, "{}", line(change, name))?;
        }
        if self.flushes && !batch.changes.is_empty() { self.out.flush() } else { Ok(()) }
    }
}

/// A decision as JSON. Subjects get a number of this run instead of their id, which is personal data.
fn line(change: &Change, name: usize) -> serde_json::Value {
    let kind = match change.subject {
        Subject::Rid { .. } => "rid",
        Subject::Beacon(_) => "beacon",
        Subject::Installation(_) => "installation",
    };
    serde_json::json!({
        "at": change.at, "phase": change.phase, "zone": change.zone, "store": change.store, "subject": format!("{kind} {name}"),
        "signal": change.signal, "first": change.first, "last": change.last, "strength": change.strength,
        "initial": change.initial, "late": change.late,
    })
}
