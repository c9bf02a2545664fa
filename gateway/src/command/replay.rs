//! `passage-gateway replay`.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
    path::Path,
};

use passage_config::{GatewayConfig, Radio};
use passage_protocol::{Clock, Millis, Subject};

use crate::{
    Change,
    outbox::Batch,
    pipeline::{Machines, Played, open_source},
};

/// Plays a capture through the machines and prints their decisions.
pub(super) async fn replay(capture: &Path, file: &Path) -> anyhow::Result<()> {
    let config = super::load(file)?;
    anyhow::ensure!(
        config.store.is_some(),
        "{}: a replay needs a gateway with a `store`, because radio zones belong to one",
        file.display()
    );
    let out = BufWriter::new(std::io::stdout().lock());
    let summary = decide(config, capture, out).await?;
    eprintln!("{} adverts, {} decisions, {} broken records", summary.adverts, summary.decisions, summary.broken);
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    adverts: u64,
    decisions: u64,
    broken: u64,
}

async fn decide(config: GatewayConfig, capture: &Path, mut out: impl Write) -> anyhow::Result<Summary> {
    // Nothing waits on a stepped clock: the capture's own times drive the machines.
    let config = GatewayConfig { radio: Radio::Replay(capture.to_owned()), clock: Clock::stepped(Millis(0)), ..config };
    let mut machines = Machines::new(&config);
    let mut names = HashMap::new();
    let mut summary = Summary::default();
    let mut last = Millis(0);
    let mut opened = open_source(&config, &Played::default()).await?.ok_or_else(|| anyhow::anyhow!("the capture is no source"))?;
    while let Some(next) = opened.source.next().await {
        let mut batch = Batch::default();
        match next {
            Ok(heard) => {
                summary.adverts += 1;
                last = last.max(heard.advert.at);
                machines.heard(&heard, &mut batch);
            }
            Err(e) => {
                summary.broken += 1;
                eprintln!("{e}");
            }
        }
        print(&batch, &mut names, &mut summary, &mut out)?;
    }
    let mut batch = Batch::default();
    machines.quiet(last + config.presence.silence * 2, &mut batch);
    print(&batch, &mut names, &mut summary, &mut out)?;
    out.flush()?;
    Ok(summary)
}

fn print(batch: &Batch, names: &mut HashMap<Subject, usize>, summary: &mut Summary, out: &mut impl Write) -> anyhow::Result<()> {
    for change in &batch.changes {
        summary.decisions += 1;
        let fresh = names.len() + 1;
        let name = *names.entry(change.subject.clone()).or_insert(fresh);
        writeln!(out, "{}", line(change, name))?;
    }
    Ok(())
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
