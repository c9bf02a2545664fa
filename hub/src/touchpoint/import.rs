//! Takes in a CSV file of touchpoints.

use std::io::BufRead;

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::Keyring,
    store::{self, Db, StoreError},
    touchpoint::{
        Touchpoint,
        intake::Intake,
        row::RawTouch,
        table::{ImportError, ImportReport, Line, Table},
        tally::{Counts, Tally, Told},
    },
};

const COLUMNS: [&str; 19] = [
    "at",
    "kind",
    "campaign",
    "channel",
    "source",
    "medium",
    "referrer",
    "click_id",
    "sku",
    "size",
    "category",
    "store",
    "variant",
    "outcome",
    "order",
    "cents",
    "identifier_kind",
    "identifier",
    "key",
];
const NEEDED: [&str; 4] = ["at", "kind", "identifier_kind", "identifier"];
const CHUNK: usize = 500;

/// Imports touchpoints: the columns are those of [`RawTouch`]. A row with a known key takes the place of the
/// older one if it says something else, and changes nothing if it does not. `source` is put in front of each key, so that
/// files of two systems do not collide; the tracking plan and the channel rules of `config` apply to it as to any other source.
pub async fn import_touchpoints(
    db: &Db,
    keyring: &Keyring,
    config: &HubConfig,
    source: &str,
    file: impl BufRead + Send,
    now: Millis,
) -> Result<ImportReport, ImportError> {
    let intake = Intake::new(source, keyring, &config.phone_region, &config.site, now);
    let mut table = Table::open(file, &NEEDED, &COLUMNS)?;
    let mut report = ImportReport::default();
    let mut counts = Counts::default();
    let mut chunk: Vec<Touchpoint> = Vec::with_capacity(CHUNK);
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => {
                counts.refused("form");
                report.refuse(fault.line, fault.reason);
            }
            Ok(line) => match intake.read(&raw(&line)) {
                Err(refusal) => {
                    counts.refused(refusal.code);
                    report.refuse(line.number, refusal.reason);
                }
                Ok(touch) => chunk.push(touch),
            },
        }
        if chunk.len() == CHUNK {
            flush(db, &mut chunk, now, &mut report, &mut counts).await?;
        }
    }
    flush(db, &mut chunk, now, &mut report, &mut counts).await?;
    let tally = Tally::default();
    tally.add(source, now, counts);
    tally.flush(db).await?;
    Ok(report)
}

fn raw<'a>(line: &'a Line<'_>) -> RawTouch<'a> {
    RawTouch {
        key: line.get("key"),
        at: line.get("at"),
        kind: line.get("kind"),
        campaign: line.get("campaign"),
        channel: line.get("channel"),
        source: line.get("source"),
        medium: line.get("medium"),
        referrer: line.get("referrer"),
        click_id: line.get("click_id"),
        sku: line.get("sku"),
        size: line.get("size"),
        category: line.get("category"),
        store: line.get("store"),
        variant: line.get("variant"),
        outcome: line.get("outcome"),
        order: line.get("order"),
        cents: line.get("cents"),
        identifier_kind: line.get("identifier_kind"),
        identifier: line.get("identifier"),
    }
}

async fn flush(
    db: &Db,
    chunk: &mut Vec<Touchpoint>,
    now: Millis,
    report: &mut ImportReport,
    counts: &mut Counts,
) -> Result<(), StoreError> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let new = store::touchpoint::insert(&mut tx, chunk, now).await?;
    let known: Vec<&Touchpoint> = chunk.iter().zip(&new).filter(|(_, new)| !**new).map(|(touch, _)| touch).collect();
    let changed = store::touchpoint::correct(&mut tx, &known, now).await?;
    tx.commit().await?;
    for (touch, changed) in known.iter().zip(&changed) {
        if *changed {
            counts.corrected(touch.kind);
            report.corrected += 1;
        } else {
            counts.taken(Told::of(touch), false);
            report.unchanged += 1;
        }
    }
    for (touch, _) in chunk.iter().zip(&new).filter(|(_, new)| **new) {
        counts.taken(Told::of(touch), true);
        report.stored += 1;
    }
    chunk.clear();
    Ok(())
}
