//! A look into an outbox from outside, while its gateway runs or not. Nothing in the folder is changed.

use std::path::Path;

use passage_protocol::{Millis, Seq};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::file::{FILE, seq};

/// What an outbox holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its id.
    pub epoch: String,
    /// The seq of the next event.
    pub next: Seq,
    /// Lowest seq that is held, or `next`.
    pub first: Seq,
    /// Events that no hub has stored yet.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time of the oldest of them.
    pub oldest: Option<Millis>,
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
    read(&file).await.map(Some).map_err(|e| e.to_string())
}

async fn read(file: &Path) -> sqlx::Result<Look> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(std::time::Duration::from_secs(5));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let meta = sqlx::query("SELECT epoch, next FROM meta").fetch_one(&mut connection).await?;
    let rows =
        sqlx::query("SELECT COUNT(*), COALESCE(SUM(LENGTH(json)), 0), MIN(at), MIN(seq) FROM row").fetch_one(&mut connection).await?;
    connection.close().await?;
    let next = seq(meta.get(1));
    let (oldest, first): (Option<i64>, Option<i64>) = (rows.get(2), rows.get(3));
    Ok(Look {
        epoch: meta.get(0),
        next,
        first: first.map_or(next, seq),
        events: seq(rows.get(0)),
        bytes: seq(rows.get(1)),
        oldest: oldest.map(Millis),
    })
}
