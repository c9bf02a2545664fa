//! `passage-gateway outbox`: a look into the outbox, and a way to get events out of it by hand. Both work beside the running gateway.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use passage_protocol::{Event, Gone, SeqRange};
use serde_json::json;

use crate::outbox::{look, salvage};

/// Ranges that are printed; the rest is a number.
const SHOWN: usize = 20;

/// What to do with the outbox.
#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Tells what the outbox holds: epoch, next number, events, what is gone, dead letters, damaged files.
    Inspect {
        /// The gateway's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Prints the undelivered events, one JSON object a line. They hold rotating ids: personal data.
    Export {
        /// The gateway's file.
        #[arg(long, value_name = "FILE", required_unless_present = "file")]
        config: Option<PathBuf>,
        /// Another outbox than the gateway's, for example a damaged one that was set aside: what can be read of it is printed.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The events that nobody took, instead.
        #[arg(long)]
        dead: bool,
    },
}

/// Does it.
pub(super) async fn outbox(ask: Ask) -> anyhow::Result<()> {
    match ask {
        Ask::Inspect { config, json } => inspect(&super::load(&config)?.data, json).await,
        Ask::Export { config, file, dead } => {
            let file = match (file, config) {
                (Some(file), _) => file,
                (None, Some(config)) => look::file(&super::load(&config)?.data),
                (None, None) => anyhow::bail!("say which outbox: --config or --file"),
            };
            export(&file, dead).await
        }
    }
}

async fn inspect(folder: &Path, as_json: bool) -> anyhow::Result<()> {
    let look = look::look(folder).await.map_err(|e| {
        anyhow!(
            "the outbox in {} cannot be read: {e}. Mend: `passage-gateway outbox export --file` prints what can be read of it",
            folder.display()
        )
    })?;
    let aside = look::set_aside(folder);
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({ "folder": folder, "outbox": look, "set_aside": aside }))?;
        return Ok(());
    }
    match look {
        None => writeln!(out, "there is no outbox in {} yet; it is made at the first start", folder.display())?,
        Some(look) => write!(out, "{}", text(folder, &look))?,
    }
    for file in aside {
        writeln!(out, "set aside   {}", file.display())?;
    }
    Ok(())
}

fn text(folder: &Path, look: &look::Look) -> String {
    let oldest = look.oldest.and_then(|at| chrono::DateTime::from_timestamp_millis(at.0)).map(|at| at.to_rfc3339());
    let mut lines = vec![
        format!("folder      {}", folder.display()),
        format!("epoch       {}", look.epoch),
        format!("next        {} (reserved up to {})", look.next, look.reserved),
        format!("held        {} events in {} KiB", look.events, look.bytes / 1024),
        format!("ranges      {}", ranges(&look.ranges)),
        format!("oldest      {}", oldest.unwrap_or_else(|| "-".to_owned())),
        format!("gone        {}", gone(&look.gone)),
        format!("dead        {}", look.dead),
    ];
    lines.push(String::new());
    lines.join("\n")
}

fn ranges(all: &[SeqRange]) -> String {
    listed(all.iter().map(|r| if r.from == r.to { r.from.to_string() } else { format!("{}-{}", r.from, r.to) }), all.len())
}

fn gone(all: &[Gone]) -> String {
    let word = |g: &Gone| serde_json::to_value(g.reason).ok().and_then(|w| w.as_str().map(str::to_owned)).unwrap_or_default();
    listed(all.iter().map(|g| format!("{} {}", ranges(&[g.range]), word(g))), all.len())
}

/// The first of them, and how many more there are.
fn listed(words: impl Iterator<Item = String>, count: usize) -> String {
    let mut shown: Vec<String> = words.take(SHOWN).collect();
    if count == 0 {
        shown.push("-".to_owned());
    }
    if count > SHOWN {
        shown.push(format!("and {} more", count - SHOWN));
    }
    shown.join(", ")
}

async fn export(file: &Path, dead: bool) -> anyhow::Result<()> {
    anyhow::ensure!(file.is_file(), "there is no outbox {}", file.display());
    let mut printed = 0u64;
    let mut print = |event: &Event| -> Result<(), String> {
        let line = serde_json::to_string(event).map_err(|e| e.to_string())?;
        printed += 1;
        writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())
    };
    if look::look_file(file).await.is_ok() && look::is_sound(file).await {
        let skipped =
            look::events(file, dead, |event| print(&event)).await.map_err(|e| anyhow!("{} cannot be read: {e}", file.display()))?;
        eprintln!("{printed} events, {skipped} rows that are none");
        return Ok(());
    }
    anyhow::ensure!(!dead, "{} is damaged; without --dead, everything that can be read of it is printed", file.display());
    let salvaged = salvage::read(file).await;
    salvaged.rows.iter().try_for_each(&mut print).map_err(|e| anyhow!(e)).context("the events could not be printed")?;
    eprintln!("{printed} events were read from a damaged file; some of them may have been delivered, a hub tells by their ids");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use passage_protocol::{GoneReason, Millis};

    #[test]
    fn the_text_tells_what_is_held_and_what_is_not() {
        let look = look::Look {
            epoch: "e1".into(),
            next: 40,
            reserved: 5_000,
            first: 3,
            events: 5,
            bytes: 2_048,
            oldest: Some(Millis(0)),
            ranges: vec![SeqRange { from: 3, to: 6 }, SeqRange { from: 9, to: 9 }],
            gone: vec![Gone { range: SeqRange { from: 10, to: 39 }, reason: GoneReason::NeverWritten }],
            dead: 0,
        };
        let text = text(Path::new("/data"), &look);
        for line in
            ["next        40 (reserved up to 5000)", "ranges      3-6, 9\n", "gone        10-39 never-written", "oldest      1970-01-01"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<SeqRange> = (1..=50).map(|n| SeqRange { from: n * 2, to: n * 2 }).collect();
        assert!(ranges(&many).ends_with("40, and 30 more"));
        assert_eq!(ranges(&[]), "-");
    }
}
