//! The SQLite file: opening it, setting a corrupt one aside, and the statements. No decisions here.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use passage_protocol::{Event, Gone, GoneReason, Millis, Seq, SeqRange, SeqSet};
use sqlx::{
    Row as _, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{OutboxError, ledger::Ledger};
use crate::SavedState;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL, epoch TEXT NOT NULL,
    next INTEGER NOT NULL, reserved INTEGER NOT NULL, replay INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, json BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS gone (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS saved_state (machine TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (machine, key)) STRICT, WITHOUT ROWID;
";
/// Version of the tables above.
const SCHEMA_VERSION: i64 = 1;
/// Name of the file in its folder.
pub(super) const FILE: &str = "outbox.db";

/// The one writer connection, a few readers, and the lock that keeps a second gateway out of the folder.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub write: SqlitePool,
    pub read: SqlitePool,
    /// Given back when the writer ends.
    pub lock: std::sync::Arc<File>,
}

/// Everything that a start needs from the file.
#[derive(Debug)]
pub(super) struct Opened {
    pub store: Store,
    pub ledger: Ledger,
    pub bytes: u64,
    pub replay: u64,
    pub set_aside: Option<PathBuf>,
}

type Tx<'a> = Transaction<'a, Sqlite>;

/// A random name for a new file.
pub(super) fn new_epoch() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}

/// Opens the file in `dir`, or makes it. A corrupt file is renamed and a new one, with a new epoch, takes its place.
pub(super) async fn open(dir: &Path) -> Result<Opened, OutboxError> {
    // Rotating ids and installations are in it: other users of the machine have no business there.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| OutboxError::folder(dir, &e))?;
    let lock = std::sync::Arc::new(lock(dir)?);
    let file = dir.join(FILE);
    match open_file(&file, std::sync::Arc::clone(&lock)).await {
        Ok(opened) => Ok(opened),
        Err(OutboxError::Corrupt(why)) => {
            let aside = set_aside(&file)?;
            tracing::error!(
                "the outbox {} is damaged ({why}); it was renamed to {} and a new one begins, with a new epoch. Events that were not delivered yet are in the renamed file",
                file.display(),
                aside.display()
            );
            let mut opened = open_file(&file, lock).await?;
            opened.set_aside = Some(aside);
            Ok(opened)
        }
        Err(e) => Err(e),
    }
}

async fn open_file(file: &Path, lock: std::sync::Arc<File>) -> Result<Opened, OutboxError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .busy_timeout(Duration::from_secs(5))
        .pragma("wal_autocheckpoint", "1000")
        .pragma("journal_size_limit", "16777216")
        .pragma("temp_store", "MEMORY");
    let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(|e| OutboxError::open(file, e))?;
    let result = read_all(file, &write).await;
    let (ledger, bytes, replay) = match result {
        Ok(all) => all,
        Err(e) => {
            write.close().await;
            return Err(e);
        }
    };
    let read = SqlitePoolOptions::new()
        .max_connections(2)
        .connect_with(options.create_if_missing(false).pragma("query_only", "ON"))
        .await
        .map_err(|e| OutboxError::open(file, e))?;
    Ok(Opened { store: Store { write, read, lock }, ledger, bytes, replay, set_aside: None })
}

/// Checks the file, makes what is missing, and reads the accounts.
async fn read_all(file: &Path, write: &SqlitePool) -> Result<(Ledger, u64, u64), OutboxError> {
    let fail = |e| OutboxError::open(file, e);
    let check: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(write).await.map_err(fail)?;
    if check != "ok" {
        return Err(OutboxError::Corrupt(check));
    }
    sqlx::raw_sql(SCHEMA).execute(write).await.map_err(fail)?;
    // Gives back what a long outage had filled; while running, free pages are used again.
    sqlx::raw_sql("PRAGMA incremental_vacuum").execute(write).await.map_err(fail)?;
    sqlx::query("INSERT INTO meta (one, schema, epoch, next, reserved, replay) VALUES (1, ?, ?, 1, 0, 0) ON CONFLICT DO NOTHING")
        .bind(SCHEMA_VERSION)
        .bind(new_epoch())
        .execute(write)
        .await
        .map_err(fail)?;
    let meta = sqlx::query("SELECT schema, epoch, next, reserved, replay FROM meta").fetch_one(write).await.map_err(fail)?;
    let schema: i64 = meta.get(0);
    if schema > SCHEMA_VERSION {
        return Err(OutboxError::Newer(file.to_owned()));
    }
    let mut held = SeqSet::new();
    let runs =
        sqlx::query("SELECT MIN(seq), MAX(seq) FROM (SELECT seq, seq - ROW_NUMBER() OVER (ORDER BY seq) AS run FROM row) GROUP BY run")
            .fetch_all(write)
            .await
            .map_err(fail)?;
    for run in runs {
        held.insert(SeqRange { from: seq(run.get(0)), to: seq(run.get(1)) });
    }
    let bytes: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM row").fetch_one(write).await.map_err(fail)?;
    let gone = sqlx::query("SELECT first, last, reason FROM gone").fetch_all(write).await.map_err(fail)?;
    let gone = gone.iter().map(|r| Gone { range: SeqRange { from: seq(r.get(0)), to: seq(r.get(1)) }, reason: reason(r.get(2)) }).collect();
    let (next, reserved): (i64, i64) = (meta.get(2), meta.get(3));
    let ledger = Ledger::open(meta.get(1), seq(next), seq(reserved), held, gone);
    let mut tx = write.begin().await.map_err(fail)?;
    put_all_gone(&mut tx, &ledger).await.map_err(fail)?;
    put_numbers(&mut tx, &ledger).await.map_err(fail)?;
    tx.commit().await.map_err(fail)?;
    let replay: i64 = meta.get(4);
    Ok((ledger, seq(bytes), seq(replay)))
}

/// Keeps a second gateway out of the folder.
fn lock(dir: &Path) -> Result<File, OutboxError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("outbox.lock"))
        .map_err(|e| OutboxError::folder(dir, &e))?;
    file.try_lock().map_err(|_| OutboxError::InUse(dir.to_owned()))?;
    Ok(file)
}

/// Renames a damaged file and what SQLite keeps beside it.
fn set_aside(file: &Path) -> Result<PathBuf, OutboxError> {
    let free = (1u32..).map(|n| file.with_file_name(format!("{FILE}.damaged-{n}"))).find(|p| !p.exists());
    let aside = free.unwrap_or_else(|| file.with_file_name(format!("{FILE}.damaged")));
    for ending in ["", "-wal", "-shm"] {
        let (from, to) = (with_ending(file, ending), with_ending(&aside, ending));
        if from.exists() {
            std::fs::rename(&from, &to).map_err(|e| OutboxError::folder(file, &e))?;
        }
    }
    Ok(aside)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(ending);
    text.into()
}

/// Seqs are stored as the 63 bits that SQLite has.
pub(super) fn seq(n: i64) -> Seq {
    n.unsigned_abs()
}

pub(super) fn sql(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn reason(text: &str) -> GoneReason {
    match text {
        "never-written" => GoneReason::NeverWritten,
        "acked-before" => GoneReason::AckedBefore,
        _ => GoneReason::Evicted,
    }
}

fn reason_text(reason: GoneReason) -> &'static str {
    match reason {
        GoneReason::NeverWritten => "never-written",
        GoneReason::AckedBefore => "acked-before",
        GoneReason::Evicted => "evicted",
    }
}

pub(super) async fn put_numbers(tx: &mut Tx<'_>, ledger: &Ledger) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET epoch = ?, next = ?, reserved = ?")
        .bind(ledger.epoch())
        .bind(sql(ledger.next()))
        .bind(sql(ledger.reserved()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn put_replay(tx: &mut Tx<'_>, position: u64) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET replay = ?").bind(sql(position)).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn put_row(tx: &mut Tx<'_>, event: &Event, json: &[u8]) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO row (seq, at, json) VALUES (?, ?, ?)")
        .bind(sql(event.seq))
        .bind(event.at.0)
        .bind(json)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn put_saved(tx: &mut Tx<'_>, saved: &SavedState) -> sqlx::Result<()> {
    match &saved.value {
        Some(value) => {
            sqlx::query("INSERT INTO saved_state (machine, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
                .bind(saved.machine)
                .bind(&saved.key)
                .bind(value)
                .execute(&mut **tx)
                .await?
        }
        None => {
            sqlx::query("DELETE FROM saved_state WHERE machine = ? AND key = ?")
                .bind(saved.machine)
                .bind(&saved.key)
                .execute(&mut **tx)
                .await?
        }
    };
    Ok(())
}

pub(super) async fn put_gone(tx: &mut Tx<'_>, gone: &Gone) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO gone (first, last, reason) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last")
        .bind(sql(gone.range.from))
        .bind(sql(gone.range.to))
        .bind(reason_text(gone.reason))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes every gone record of the ledger again.
pub(super) async fn put_all_gone(tx: &mut Tx<'_>, ledger: &Ledger) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM gone").execute(&mut **tx).await?;
    for gone in ledger.gone() {
        put_gone(tx, gone).await?;
    }
    Ok(())
}

/// Deletes rows and tells how many bytes that freed.
pub(super) async fn delete(tx: &mut Tx<'_>, range: SeqRange) -> sqlx::Result<u64> {
    let bytes: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM row WHERE seq BETWEEN ? AND ?")
        .bind(sql(range.from))
        .bind(sql(range.to))
        .fetch_one(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM row WHERE seq BETWEEN ? AND ?").bind(sql(range.from)).bind(sql(range.to)).execute(&mut **tx).await?;
    Ok(seq(bytes))
}

/// Numbers the rows from 1 in their order. The k-th row never gets a higher number than it has, so going upwards no two ever collide.
pub(super) async fn renumber(tx: &mut Tx<'_>) -> sqlx::Result<()> {
    let seqs: Vec<i64> = sqlx::query_scalar("SELECT seq FROM row ORDER BY seq").fetch_all(&mut **tx).await?;
    for (old, new) in seqs.into_iter().zip(1i64..) {
        if old != new {
            sqlx::query("UPDATE row SET seq = ? WHERE seq = ?").bind(new).bind(old).execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// The seqs of the oldest rows, with age and size, to choose what is evicted.
pub(super) async fn oldest(read: &SqlitePool, limit: u32) -> sqlx::Result<Vec<(Seq, Millis, u64)>> {
    let rows = sqlx::query("SELECT seq, at, LENGTH(json) FROM row ORDER BY seq LIMIT ?").bind(limit).fetch_all(read).await?;
    Ok(rows.iter().map(|r| (seq(r.get(0)), Millis(r.get(1)), seq(r.get(2)))).collect())
}

/// The rows of one range, with their bytes.
pub(super) async fn rows(read: &SqlitePool, range: SeqRange) -> sqlx::Result<Vec<(Seq, Vec<u8>)>> {
    let rows = sqlx::query("SELECT seq, json FROM row WHERE seq BETWEEN ? AND ? ORDER BY seq")
        .bind(sql(range.from))
        .bind(sql(range.to))
        .fetch_all(read)
        .await?;
    Ok(rows.iter().map(|r| (seq(r.get(0)), r.get(1))).collect())
}

/// The lowest seq whose fact is not older than `at`.
pub(super) async fn first_since(read: &SqlitePool, at: Millis) -> sqlx::Result<Option<Seq>> {
    let first: Option<i64> = sqlx::query_scalar("SELECT MIN(seq) FROM row WHERE at >= ?").bind(at.0).fetch_one(read).await?;
    Ok(first.map(seq))
}

/// All saved states.
pub(super) async fn saved(read: &SqlitePool) -> sqlx::Result<Vec<(String, Vec<u8>, Vec<u8>)>> {
    sqlx::query_as("SELECT machine, key, value FROM saved_state ORDER BY machine, key").fetch_all(read).await
}
