//! Takes in a CSV file of touchpoints.

use std::io::BufRead;

use passage_protocol::Millis;

use crate::{
    identity::Keyring,
    store::{self, Db, StoreError},
    touchpoint::{
        Touchpoint,
        row::RawTouch,
        table::{ImportError, ImportReport, Line, Table},
    },
};

const COLUMNS: [&str; 9] = ["at", "kind", "campaign", "channel", "sku", "size", "identifier_kind", "identifier", "key"];
const NEEDED: [&str; 4] = ["at", "kind", "identifier_kind", "identifier"];
const CHUNK: usize = 500;

/// Imports touchpoints: `at,kind,campaign,channel,sku,size,identifier_kind,identifier,key`. A row with a known key changes nothing. `source` is put in
/// front of each key, so that files of two systems do not collide.
pub async fn import_touchpoints(
    db: &Db,
    keyring: &Keyring,
    region: &str,
    source: &str,
    file: impl BufRead + Send,
    now: Millis,
) -> Result<ImportReport, ImportError> {
    let mut table = Table::open(file, &NEEDED, &COLUMNS)?;
    let mut report = ImportReport::default();
    let mut chunk: Vec<Touchpoint> = Vec::with_capacity(CHUNK);
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match raw(&line).read(source, keyring, region) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(touch) => chunk.push(touch),
            },
        }
        if chunk.len() == CHUNK {
            flush(db, &mut chunk, now, &mut report).await?;
        }
    }
    flush(db, &mut chunk, now, &mut report).await?;
    Ok(report)
}

fn raw<'a>(line: &'a Line<'_>) -> RawTouch<'a> {
    RawTouch {
        key: line.get("key"),
        at: line.get("at"),
        kind: line.get("kind"),
        campaign: line.get("campaign"),
        channel: line.get("channel"),
        sku: line.get("sku"),
        size: line.get("size"),
        identifier_kind: line.get("identifier_kind"),
        identifier: line.get("identifier"),
    }
}

async fn flush(db: &Db, chunk: &mut Vec<Touchpoint>, now: Millis, report: &mut ImportReport) -> Result<(), StoreError> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let new = store::touchpoint::insert(&mut tx, chunk, now).await?;
    tx.commit().await?;
    let stored = new.iter().filter(|n| **n).count();
    report.stored += stored as u64;
    report.unchanged += (chunk.len() - stored) as u64;
    chunk.clear();
    Ok(())
}
