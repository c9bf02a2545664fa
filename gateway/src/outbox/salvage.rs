//! What can still be read from a damaged outbox.
//!
//! First the database is asked row by row, around whatever it cannot read; then its bytes, and those of its log, are searched for events. The search
//! also finds rows that were deleted because a hub has them; a hub tells those apart by their ids.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use passage_protocol::{Event, EventId};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{file::with_ending, rows::seq};

/// How every event begins.
const BEGIN: &[u8] = br#"{"id":""#;
/// Longest event that is looked for.
const LONGEST: usize = 64 * 1024;
/// So much is read at a time.
const CHUNK: usize = 1 << 20;
/// Most events that are taken; more than an outbox of the usual bounds holds.
const MOST: usize = 2_000_000;
/// Rows asked for at a time.
const ROWS: i64 = 200;

/// What was read.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// Events in the order of their old seqs.
    pub rows: Vec<Event>,
    /// States of the machines.
    pub saved: Vec<(String, Vec<u8>, Vec<u8>)>,
    /// Position in the capture.
    pub replay: Option<u64>,
}

/// Reads what the database in `file` still gives, and only if that is not all, what its bytes give.
pub async fn read(file: &Path) -> Salvaged {
    let mut salvaged = Salvaged::default();
    let is_whole = by_rows(file, &mut salvaged).await.unwrap_or(false);
    if !is_whole {
        let mut known: BTreeMap<EventId, Event> = salvaged.rows.drain(..).map(|e| (e.id, e)).collect();
        for path in [file.to_owned(), with_ending(file, "-wal")] {
            if let Err(e) = by_bytes(&path, &mut known) {
                tracing::debug!("{} could not be searched: {e}", path.display());
            }
        }
        salvaged.rows = known.into_values().collect();
        salvaged.rows.sort_by_key(|e| e.seq);
    }
    salvaged
}

/// True if no row was skipped.
async fn by_rows(file: &Path, salvaged: &mut Salvaged) -> sqlx::Result<bool> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    salvaged.replay = sqlx::query_scalar("SELECT replay FROM meta").fetch_one(&mut connection).await.ok().map(seq);
    salvaged.saved = sqlx::query_as("SELECT machine, key, value FROM saved_state").fetch_all(&mut connection).await.unwrap_or_default();
    let next: Option<i64> = sqlx::query_scalar("SELECT next FROM meta").fetch_one(&mut connection).await.ok();
    let (mut from, mut step, mut limit, mut is_whole) = (1, 1, ROWS, next.is_some());
    let end = next.unwrap_or(i64::MAX);
    while from < end && salvaged.rows.len() < MOST {
        let asked = sqlx::query_as::<_, (i64, Vec<u8>)>("SELECT seq, json FROM row WHERE seq >= ? ORDER BY seq LIMIT ?")
            .bind(from)
            .bind(limit)
            .fetch_all(&mut connection)
            .await;
        match asked {
            Ok(rows) => {
                let Some(last) = rows.last().map(|r| r.0) else { break };
                for (n, json) in rows {
                    match event(&json) {
                        Some(event) => salvaged.rows.push(Event { seq: seq(n), ..event }),
                        None => is_whole = false,
                    }
                }
                (from, step, limit) = (last + 1, 1, ROWS);
            }
            Err(_) if limit > 1 => limit = 1,
            Err(_) => {
                is_whole = false;
                from = i64::checked_add(from, step).unwrap_or(end);
                step = step.saturating_mul(2);
            }
        }
    }
    let _ = connection.close().await;
    Ok(is_whole)
}

/// Adds the events that the bytes of a file hold.
fn by_bytes(path: &PathBuf, known: &mut BTreeMap<EventId, Event>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut window = Vec::new();
    loop {
        let before = window.len();
        file.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        let is_end = window.len() == before;
        let mut done = window.len().saturating_sub(BEGIN.len());
        let mut at = 0;
        while let Some(found) = window[at..].windows(BEGIN.len()).position(|w| w == BEGIN) {
            at += found;
            if !is_end && window.len() - at < LONGEST {
                // Its end may not be read yet.
                done = at;
                break;
            }
            if let Some(event) = event(&window[at..]).filter(|_| known.len() < MOST) {
                known.entry(event.id).or_insert(event);
            }
            at += BEGIN.len();
        }
        if is_end {
            return Ok(());
        }
        window.drain(..done);
    }
}

/// The event that these bytes begin with, if it keeps the contract.
fn event(bytes: &[u8]) -> Option<Event> {
    let event = serde_json::Deserializer::from_slice(bytes).into_iter::<Event>().next()?.ok()?;
    event.check().ok().map(|()| event)
}
