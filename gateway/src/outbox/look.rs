//! A look into an outbox from outside, while its gateway runs or not. Nothing in the folder is changed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use passage_protocol::{Event, Gone, Millis, Seq, SeqRange};
use serde::Serialize;
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    file::FILE,
    rows::{reason, seq, sql},
};

/// What an outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Its id.
    pub epoch: String,
    /// The seq of the next event.
    pub next: Seq,
    /// The last seq that is reserved.
    pub reserved: Seq,
    /// Lowest seq that is held, or `next`.
    pub first: Seq,
    /// Events that no hub has stored yet.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time of the oldest of them.
    pub oldest: Option<Millis>,
    /// Their seqs.
    pub ranges: Vec<SeqRange>,
    /// Seqs that will never come and that no hub has been told of yet.
    pub gone: Vec<Gone>,
    /// Events that nobody took.
    pub dead: u64,
}

/// Looks into the outbox in `dir`; `None` when there is none yet.
///
/// # Errors
/// The file cannot be read, in SQLite's words.
pub async fn look(dir: &Path) -> Result<Option<Look>, String> {
    let file = dir.join(FILE);
    if !file.exists() {
        return Ok(None);
    }
    look_file(&file).await.map(Some)
}

/// Looks into a file; it may be one that was set aside.
///
/// # Errors
/// The file cannot be read, in SQLite's words.
pub async fn look_file(file: &Path) -> Result<Look, String> {
    read(file).await.map_err(|e| e.to_string())
}

/// The file of the outbox in `dir`.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// True if SQLite finds no damage in a file.
pub async fn is_sound(file: &Path) -> bool {
    let check = async {
        let mut connection = connect(file).await?;
        let said: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(said)
    };
    check.await.is_ok_and(|said| said == "ok")
}

/// The damaged files that were set aside in `dir`.
pub fn set_aside(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_aside = |name: &str| name.starts_with(FILE) && name.contains(".damaged") && !name.ends_with("-wal") && !name.ends_with("-shm");
    let mut files: Vec<PathBuf> = entries.filter(|e| e.file_name().to_str().is_some_and(is_aside)).map(|e| e.path()).collect();
    files.sort();
    files
}

async fn connect(file: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(Duration::from_secs(5))).await
}

/// What one machine has saved in the outbox in `dir`: machine, key, value. Nothing when there is no outbox yet.
///
/// # Errors
/// The file cannot be read, in SQLite's words.
pub async fn saved(dir: &Path, machine: &str) -> Result<Vec<(String, Vec<u8>, Vec<u8>)>, String> {
    let file = dir.join(FILE);
    if !file.exists() {
        return Ok(Vec::new());
    }
    let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(std::time::Duration::from_secs(5));
    let read = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let sql = "SELECT machine, key, value FROM saved_state WHERE machine = ?";
        let rows = sqlx::query_as(sql).bind(machine).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    };
    read.await.map_err(|e: sqlx::Error| e.to_string())
}

async fn read(file: &Path) -> sqlx::Result<Look> {
    let mut connection = connect(file).await?;
    // One snapshot, whatever the gateway writes meanwhile.
    let mut tx = connection.begin().await?;
    let meta = sqlx::query("SELECT epoch, next, reserved FROM meta").fetch_one(&mut *tx).await?;
    let rows = sqlx::query("SELECT COUNT(*), COALESCE(SUM(LENGTH(json)), 0), MIN(at), MIN(seq) FROM row").fetch_one(&mut *tx).await?;
    let runs =
        "SELECT MIN(seq), MAX(seq) FROM (SELECT seq, seq - ROW_NUMBER() OVER (ORDER BY seq) AS run FROM row) GROUP BY run ORDER BY 1";
    let runs = sqlx::query(runs).fetch_all(&mut *tx).await?;
    let gone = sqlx::query("SELECT first, last, reason FROM gone ORDER BY first").fetch_all(&mut *tx).await?;
    // A file of the first version has none.
    let dead: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM dead").fetch_one(&mut *tx).await.unwrap_or(0);
    tx.rollback().await?;
    connection.close().await?;
    let next = seq(meta.get(1));
    let range = |r: &sqlx::sqlite::SqliteRow| SeqRange { from: seq(r.get(0)), to: seq(r.get(1)) };
    let (oldest, first): (Option<i64>, Option<i64>) = (rows.get(2), rows.get(3));
    Ok(Look {
        epoch: meta.get(0),
        next,
        reserved: seq(meta.get(2)),
        first: first.map_or(next, seq),
        events: seq(rows.get(0)),
        bytes: seq(rows.get(1)),
        oldest: oldest.map(Millis),
        ranges: runs.iter().map(range).collect(),
        gone: gone.iter().map(|r| Gone { range: range(r), reason: reason(r.get(2)) }).collect(),
        dead: seq(dead),
    })
}

/// Hands each undelivered event of a file to `take`, in the order of the seqs; with `dead` those that nobody took. A row that is no event is skipped and
/// counted. Gives how many were skipped.
///
/// # Errors
/// The file cannot be read, in SQLite's words.
pub async fn events(file: &Path, dead: bool, mut take: impl FnMut(Event) -> Result<(), String>) -> Result<u64, String> {
    let words = |e: sqlx::Error| e.to_string();
    let mut connection = connect(file).await.map_err(words)?;
    let table = if dead {
        "SELECT seq, json FROM dead WHERE seq > ? ORDER BY seq LIMIT 500"
    } else {
        "SELECT seq, json FROM row WHERE seq > ? ORDER BY seq LIMIT 500"
    };
    let (mut after, mut skipped) = (0, 0);
    loop {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(table).bind(sql(after)).fetch_all(&mut connection).await.map_err(words)?;
        let Some(last) = rows.last() else { break };
        after = seq(last.0);
        for (n, json) in &rows {
            match serde_json::from_slice::<Event>(json) {
                Ok(event) => take(Event { seq: seq(*n), ..event })?,
                Err(_) => skipped += 1,
            }
        }
    }
    connection.close().await.map_err(words)?;
    Ok(skipped)
}
