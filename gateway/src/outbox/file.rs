//! The SQLite file: opening it, and setting a corrupt one aside.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use passage_protocol::{Gone, Millis, SeqRange, SeqSet};
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    OutboxError,
    ledger::Ledger,
    rows::{reason, seq},
    salvage::{self, Salvaged},
};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL, epoch TEXT NOT NULL,
    next INTEGER NOT NULL, reserved INTEGER NOT NULL, replay INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, json BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS gone (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS saved_state (machine TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (machine, key)) STRICT, WITHOUT ROWID;
";
/// What version 2 added: who goes first when there is no room, whether the clock could be trusted, the last time, and dead letters.
const SECOND: &str = "
ALTER TABLE row ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE row ADD COLUMN synced INTEGER NOT NULL DEFAULT 1;
ALTER TABLE row ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX row_superseded ON row (seq) WHERE superseded = 1;
CREATE TABLE dead (epoch TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL, json BLOB NOT NULL,
    PRIMARY KEY (epoch, seq)) STRICT, WITHOUT ROWID;
UPDATE meta SET schema = 2;
";
/// Version of the tables above.
const SCHEMA_VERSION: i64 = 2;
/// Name of the file in its folder.
pub(super) const FILE: &str = "outbox.db";

/// The one writer connection, and a few readers.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub write: SqlitePool,
    pub read: SqlitePool,
}

impl Store {
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Everything that a start needs from the file. Nothing of it is written back yet: what [`Ledger::open`] found out has to be.
#[derive(Debug)]
pub(super) struct Opened {
    pub store: Store,
    pub ledger: Ledger,
    pub bytes: u64,
    pub replay: u64,
    /// The last time that the gateway knew.
    pub last_at: Millis,
    pub dead: u64,
    pub set_aside: Option<PathBuf>,
    /// What could be read from the file that was set aside.
    pub salvaged: Salvaged,
}

/// A random name for a new file.
pub(super) fn new_epoch() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}

/// Opens the file in `dir`, or makes it. A corrupt file is renamed and a new one, with a new epoch, takes its place.
pub(super) async fn open(dir: &Path) -> Result<Opened, OutboxError> {
    let file = dir.join(FILE);
    match open_file(&file).await {
        Err(OutboxError::Corrupt(why)) => {
            let aside = set_aside(&file)?;
            tracing::error!(
                "the outbox {} is damaged ({why}); it was renamed to {} and a new one begins, with a new epoch. Mend: check the card or disk",
                file.display(),
                aside.display()
            );
            let mut opened = open_file(&file).await?;
            opened.salvaged = salvage::read(&aside).await;
            tracing::warn!("{} undelivered events were read from the damaged outbox and are sent", opened.salvaged.rows.len());
            opened.set_aside = Some(aside);
            Ok(opened)
        }
        other => other,
    }
}

/// How every connection that writes is set up.
fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .busy_timeout(Duration::from_secs(5))
        .pragma("wal_autocheckpoint", "1000")
        .pragma("journal_size_limit", "16777216")
        .pragma("cache_size", "-1024")
        .pragma("temp_store", "MEMORY")
}

async fn open_file(file: &Path) -> Result<Opened, OutboxError> {
    let pool = |max, options| SqlitePoolOptions::new().max_connections(max).acquire_timeout(Duration::from_secs(10)).connect_with(options);
    let write = pool(1, options(file)).await.map_err(|e| OutboxError::open(file, e))?;
    let mut opened = match read_all(file, write.clone()).await {
        Ok(opened) => opened,
        Err(e) => {
            write.close().await;
            return Err(e);
        }
    };
    let readers = options(file).create_if_missing(false).pragma("query_only", "ON");
    opened.store.read = pool(2, readers).await.map_err(|e| OutboxError::open(file, e))?;
    Ok(opened)
}

/// Checks the file, makes what is missing, and reads the accounts.
async fn read_all(file: &Path, write: SqlitePool) -> Result<Opened, OutboxError> {
    let fail = |e| OutboxError::open(file, e);
    let check: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&write).await.map_err(fail)?;
    if check != "ok" {
        return Err(OutboxError::Corrupt(check));
    }
    make_tables(file, &write).await?;
    // Gives back what a long outage had filled; while running, free pages are used again. A full disk refuses even that.
    let _ = sqlx::raw_sql("PRAGMA incremental_vacuum").execute(&write).await;
    let meta = sqlx::query("SELECT epoch, next, reserved, replay, last_at FROM meta").fetch_one(&write).await.map_err(fail)?;
    let held = held(&write).await.map_err(fail)?;
    let bytes: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM row").fetch_one(&write).await.map_err(fail)?;
    let dead: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM dead").fetch_one(&write).await.map_err(fail)?;
    let gone = sqlx::query("SELECT first, last, reason FROM gone").fetch_all(&write).await.map_err(fail)?;
    let gone = gone.iter().map(|r| Gone { range: SeqRange { from: seq(r.get(0)), to: seq(r.get(1)) }, reason: reason(r.get(2)) }).collect();
    Ok(Opened {
        ledger: Ledger::open(meta.get(0), seq(meta.get(1)), seq(meta.get(2)), held, gone),
        bytes: seq(bytes),
        replay: seq(meta.get(3)),
        last_at: Millis(meta.get(4)),
        dead: seq(dead),
        set_aside: None,
        salvaged: Salvaged::default(),
        store: Store { read: write.clone(), write },
    })
}

/// Makes the tables or brings them to the present version. A file that has it is not written to, so that a full disk can still be read.
async fn make_tables(file: &Path, write: &SqlitePool) -> Result<(), OutboxError> {
    let fail = |e| OutboxError::open(file, e);
    let has_meta = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'meta'";
    let mut version = None;
    if sqlx::query_scalar::<_, i64>(has_meta).fetch_one(write).await.map_err(fail)? > 0 {
        version = sqlx::query_scalar::<_, i64>("SELECT schema FROM meta").fetch_optional(write).await.map_err(fail)?;
    }
    match version {
        Some(SCHEMA_VERSION) => return Ok(()),
        Some(later) if later > SCHEMA_VERSION => return Err(OutboxError::Newer(file.to_owned())),
        _ => {}
    }
    let mut tx = write.begin().await.map_err(fail)?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await.map_err(fail)?;
    sqlx::query("INSERT INTO meta (one, schema, epoch, next, reserved, replay) VALUES (1, 1, ?, 1, 0, 0) ON CONFLICT DO NOTHING")
        .bind(new_epoch())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
    sqlx::raw_sql(SECOND).execute(&mut *tx).await.map_err(fail)?;
    tx.commit().await.map_err(fail)
}

/// The seqs of the rows.
async fn held(write: &SqlitePool) -> sqlx::Result<SeqSet> {
    let sql = "SELECT MIN(seq), MAX(seq) FROM (SELECT seq, seq - ROW_NUMBER() OVER (ORDER BY seq) AS run FROM row) GROUP BY run";
    let runs = sqlx::query(sql).fetch_all(write).await?;
    Ok(runs.iter().map(|run| SeqRange { from: seq(run.get(0)), to: seq(run.get(1)) }).collect())
}

/// Makes the folder and keeps a second gateway out of it.
///
/// # Errors
/// [`OutboxError::InUse`]; or the folder cannot be used now.
pub(super) fn lock(dir: &Path) -> Result<File, OutboxError> {
    // Rotating ids and installations are in it: other users of the machine have no business there.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| OutboxError::folder(dir, &e))?;
    let path = dir.join("outbox.lock");
    // On a disk that has become read-only, a lock that is there can still be taken.
    let writable = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = writable.or_else(|_| File::open(&path)).map_err(|e| OutboxError::folder(dir, &e))?;
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

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(ending);
    text.into()
}
