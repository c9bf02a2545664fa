//! Takes in a CSV file of till tickets, one line per article.

use std::{collections::HashMap, io::BufRead};

use chrono::{NaiveDateTime, TimeZone};
use passage_config::Site;
use passage_protocol::{Millis, StoreId};

use crate::{
    identity::{IdentifierKind, Key, Keyring},
    store::{self, Db, StoreError},
    touchpoint::{
        row::{instant, keyed, text},
        table::{ImportError, ImportReport, Line, Table},
    },
};

const COLUMNS: [&str; 7] = ["ticket", "store", "at", "identifier_kind", "identifier", "sku", "cents"];
const NEEDED: [&str; 5] = ["ticket", "store", "at", "sku", "cents"];
const CHUNK: usize = 500;

/// The dearest line of a ticket. Sums of many lines then stay far from the limits of numbers.
const MOST_CENTS: u64 = 1_000_000_000;

/// One article on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TillLine {
    /// Number of the ticket.
    pub ticket: String,
    /// Where.
    pub store: StoreId,
    /// When.
    pub at: Millis,
    /// Whose, if she showed her card or gave another key.
    pub identifier: Option<(IdentifierKind, Key)>,
    /// Place of the line among those of the same ticket in the file, from 1.
    pub line: u32,
    /// Article.
    pub sku: String,
    /// Price paid; negative for a return.
    pub cents: i64,
}

/// Imports till tickets: `ticket,store,at,identifier_kind,identifier,sku,cents`, one line per article. Times without an offset are the store's own. The
/// n-th line of a ticket is stored once; importing the same file again changes nothing.
pub async fn import_tills(
    db: &Db,
    keyring: &Keyring,
    region: &str,
    site: &Site,
    file: impl BufRead + Send,
    now: Millis,
) -> Result<ImportReport, ImportError> {
    let mut table = Table::open(file, &NEEDED, &COLUMNS)?;
    let mut report = ImportReport::default();
    let mut counts: HashMap<(StoreId, String), u32> = HashMap::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match read(&line, site, keyring, region, &mut counts) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(row) => chunk.push((line.number, row)),
            },
        }
        if chunk.len() == CHUNK {
            flush(db, std::mem::take(&mut chunk), now, &mut report).await?;
        }
    }
    flush(db, chunk, now, &mut report).await?;
    Ok(report)
}

fn read(
    line: &Line<'_>,
    site: &Site,
    keyring: &Keyring,
    region: &str,
    counts: &mut HashMap<(StoreId, String), u32>,
) -> Result<TillLine, String> {
    let ticket = text("ticket", line.get("ticket"))?.ok_or("ticket is missing")?;
    let store: StoreId = line.get("store").and_then(|s| s.parse().ok()).ok_or("store is not an id")?;
    let timezone = site.stores.get(&store).ok_or("store is not in the configuration")?.timezone;
    // Refused lines count too, so that a mended file gives every line the place that it had.
    let place = counts.entry((store.clone(), ticket.clone())).or_default();
    *place += 1;
    let at = line.get("at").ok_or("at is missing")?;
    let at =
        instant(at).or_else(|| local(at, timezone)).ok_or("at: write a time such as 2026-11-20T15:30:00, with or without an offset")?;
    Ok(TillLine {
        identifier: keyed(line.get("identifier_kind"), line.get("identifier"), keyring, region)?,
        sku: text("sku", line.get("sku"))?.ok_or("sku is missing")?,
        cents: line
            .get("cents")
            .and_then(|c| c.parse().ok())
            .filter(|c: &i64| c.unsigned_abs() <= MOST_CENTS)
            .ok_or("cents: write the price in whole cents, such as 4990, at most 10 million euros")?,
        line: *place,
        ticket,
        store,
        at,
    })
}

/// A local time of the store. In the hour that is there twice in autumn, the first one.
fn local(text: &str, timezone: chrono_tz::Tz) -> Option<Millis> {
    let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let naive = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    timezone.from_local_datetime(&naive).earliest().map(|at| Millis(at.timestamp_millis()))
}

async fn flush(db: &Db, chunk: Vec<(u64, TillLine)>, now: Millis, report: &mut ImportReport) -> Result<(), StoreError> {
    let mut verdicts = Vec::with_capacity(chunk.len());
    let mut tx = db.begin().await?;
    for (number, line) in &chunk {
        verdicts.push((*number, store::touchpoint::insert_till_line(&mut tx, line, now).await?));
    }
    tx.commit().await?;
    for (number, verdict) in verdicts {
        match verdict {
            TillVerdict::Stored => report.stored += 1,
            TillVerdict::Known => report.unchanged += 1,
            TillVerdict::OtherTicket => {
                report.refuse(number, "the ticket is known with another time or identifier; ticket numbers are unique per store");
            }
        }
    }
    Ok(())
}

/// What became of a till line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TillVerdict {
    /// New.
    Stored,
    /// That line of that ticket is there already.
    Known,
    /// The ticket's number was used for another ticket.
    OtherTicket,
}
