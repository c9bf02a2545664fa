//! The two engines behind one small face: connect, begin, execute, fetch.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use passage_protocol::Millis;
use sqlx::{
    AssertSqlSafe, Row as _, SqlitePool,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio_util::sync::CancellationToken;

use super::{
    StoreError, Value,
    server::{Server, answer},
};

macro_rules! bound {
    ($args:ty, $values:expr) => {{
        let mut bound = <$args>::default();
        for value in $values {
            let added = match value {
                Value::Int(v) => sqlx::Arguments::add(&mut bound, v),
                Value::Real(v) => sqlx::Arguments::add(&mut bound, v),
                Value::Text(v) => sqlx::Arguments::add(&mut bound, v),
                Value::Blob(v) => sqlx::Arguments::add(&mut bound, v),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        bound
    }};
}

/// A database that is open and migrated.
#[derive(Debug, Clone)]
pub enum Db {
    /// One file, one writer, several readers.
    Sqlite {
        /// Pool of one connection; all writing goes through it.
        write: SqlitePool,
        /// Readers, which see the last commit.
        read: SqlitePool,
        /// How many wait for the writer.
        waiting: Arc<AtomicUsize>,
    },
    /// A server.
    Postgres(Box<Server>),
}

/// A transaction. Dropping it rolls back.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// On PostgreSQL; the token ends every wait when the connections are given up.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, CancellationToken),
}

/// A row of a result.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

impl Db {
    /// Opens `sqlite:PATH` (made if it is not there) or `postgres://...` and brings the tables up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(path).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url).await
        } else {
            Err(StoreError::Url(url.to_owned()))
        }
    }

    async fn open_sqlite(path: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("temp_store", "MEMORY")
            .pragma("secure_delete", "ON");
        // Keys of identifiers are written in no order: with SQLite's usual 2 MB of cache, pages would come and go with every row, and with its usual 4 MB of
        // WAL every batch would be copied into the file at once. With 128 MB of WAL a page that many batches touch is copied once for all of them.
        let writer = options.clone().pragma("cache_size", "-131072").pragma("wal_autocheckpoint", "32768");
        let write = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(writer).await?;
        sqlx::migrate!("migrations/sqlite").run(&write).await?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { write, read, waiting: Arc::default() })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let server = Server::open(url).await?;
        sqlx::migrate!("migrations/postgres").run(&server.connections().pool).await?;
        Ok(Self::Postgres(Box::new(server)))
    }

    /// Asks the server for a sign of life. SQLite has no server and is always there.
    pub async fn pulse(&self) -> Result<(), StoreError> {
        if self.is_sqlite() {
            return Ok(());
        }
        self.fetch("SELECT 1", vec![]).await.map(|_| ())
    }

    /// Gives up all connections to a server that does not answer. What waits on them fails as transient and is tried again on new ones.
    pub fn renew(&self) {
        if let Self::Postgres(server) = self {
            server.renew();
        }
    }

    /// True on SQLite, where one writer makes row locks unnecessary.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { write, waiting, .. } => {
                let _queued = Queued::behind(waiting);
                Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(server) => {
                let now = server.connections();
                Tx::Postgres(now.ask(now.pool.begin()).await?, now.given_up)
            }
        })
    }

    /// True while somebody waits for SQLite's one writer, so that who holds it makes an end. PostgreSQL lets nobody wait for it.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Sqlite { waiting, .. } if waiting.load(Ordering::Relaxed) > 0)
    }

    /// Begins a transaction that only reads, on one snapshot where the engine gives one.
    pub async fn begin_read(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            Self::Postgres(server) => {
                let now = server.connections();
                let begin = now.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
                Tx::Postgres(now.ask(begin).await?, now.given_up)
            }
        })
    }

    /// Reads outside of a longer transaction: one statement, one question to the server. It may not write.
    pub async fn fetch(&self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { read, .. } => {
                sqlx::query_with(sql, bound!(SqliteArguments, args)).fetch_all(read).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(server) => {
                let now = server.connections();
                let run = sqlx::query_with(sql, bound!(PgArguments, args)).fetch_all(&now.pool);
                now.ask(run).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// One statement in its own transaction; returns how many rows it changed.
    pub async fn execute(&self, sql: &'static str, args: Vec<Value>) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let rows = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// After an erasure or a change of keys: empties SQLite's WAL into the file, whose freed pages are overwritten. A reader may hold it up; then the next one does it.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        if let Self::Sqlite { write, .. } = self {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(write).await?;
        }
        Ok(())
    }

    /// Closes all connections; SQLite folds its WAL back into the file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(server) => {
                let now = server.connections();
                let close = async {
                    now.pool.close().await;
                    Ok(())
                };
                let _ = now.ask(close).await;
            }
        }
    }
}

/// One who waits for the writer, until dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn behind(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tx {
    /// Runs a statement; returns how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => sqlx::query_with(sql, bound!(SqliteArguments, args)).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx, given_up) => {
                let run = sqlx::query_with(sql, bound!(PgArguments, args)).execute(&mut **tx);
                answer(given_up, run).await?.rows_affected()
            }
        })
    }

    /// Runs a query.
    pub async fn fetch(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlx::query_with(sql, bound!(SqliteArguments, args)).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx, given_up) => {
                let run = sqlx::query_with(sql, bound!(PgArguments, args)).fetch_all(&mut **tx);
                answer(given_up, run).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row of a query, if there is one.
    pub async fn fetch_optional(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Inserts many rows with one statement: `head` is `INSERT INTO t (a, b)`, `tail` for example `ON CONFLICT DO NOTHING RETURNING a`.
    /// Each row has as many values as the head names columns. Returns what `tail` returns, or the empty list.
    pub async fn insert_many(&mut self, head: &'static str, rows: Vec<Vec<Value>>, tail: &'static str) -> Result<Vec<Row>, StoreError> {
        self.with_values(head, rows, tail).await
    }

    /// One statement about many rows, which stand between `head` and `tail` as `VALUES (..), (..)`; several statements when there are too many.
    pub async fn with_values(&mut self, head: &'static str, rows: Vec<Vec<Value>>, tail: &'static str) -> Result<Vec<Row>, StoreError> {
        let mut out = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(width) = rows.peek().map(Vec::len) {
            // Both engines take 32,766 parameters.
            let chunk: Vec<Vec<Value>> = rows.by_ref().take((32_000 / width.max(1)).min(500)).collect();
            let is_sqlite = self.is_sqlite();
            let sql = AssertSqlSafe(format!("{head} VALUES {} {tail}", placeholders(chunk.len(), width, is_sqlite)));
            let values = chunk.into_iter().flatten();
            match self {
                Self::Sqlite(tx) => {
                    let found = sqlx::query_with(sql, bound!(SqliteArguments, values)).fetch_all(&mut **tx).await?;
                    out.extend(found.into_iter().map(Row::Sqlite));
                }
                Self::Postgres(tx, given_up) => {
                    let run = sqlx::query_with(sql, bound!(PgArguments, values)).fetch_all(&mut **tx);
                    out.extend(answer(given_up, run).await?.into_iter().map(Row::Postgres));
                }
            }
        }
        Ok(out)
    }

    /// One statement about many texts, which stand between `head` and `tail` as `VALUES (..), (..)`, each at least once: the last is repeated, so that
    /// the engine meets few different statements and remembers their plans.
    pub async fn about<'a>(
        &mut self,
        head: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
        tail: &'static str,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Vec<Value>> = texts.into_iter().map(|text| vec![text.into()]).collect();
        if let Some(last) = rows.last().cloned() {
            rows.resize(rows.len().next_power_of_two(), last);
        }
        self.with_values(head, rows, tail).await
    }

    /// Makes it so.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx, given_up) => answer(&given_up, tx.commit()).await?,
        }
        Ok(())
    }

    /// Takes it back, and with it its locks. Of a transaction that is only dropped, the server hears some time later.
    pub async fn roll_back(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx, given_up) => answer(&given_up, tx.rollback()).await?,
        }
        Ok(())
    }

    /// True on SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// `($1,$2),($3,$4)` for two rows of two columns; without the numbers on SQLite, which looks a named parameter up in the list of all of them, so that
/// the time would grow with the square of their number.
fn placeholders(rows: usize, columns: usize, is_sqlite: bool) -> String {
    let mut text = String::with_capacity(rows * columns * 7);
    for n in 0..rows * columns {
        text.push_str(match (n, n % columns) {
            (0, _) => "(",
            (_, 0) => "),(",
            _ => ",",
        });
        if is_sqlite {
            text.push('?');
        } else {
            // Writing to a text cannot fail.
            let _ = write!(text, "${}", n + 1);
        }
    }
    text.push(')');
    text
}

macro_rules! getters {
    ($($name:ident, $opt:ident: $t:ty),* $(,)?) => {$(
        #[doc = concat!("Column `i` (from 0) as `", stringify!($t), "`.")]
        pub fn $name(&self, i: usize) -> Result<$t, StoreError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(i)?,
                Self::Postgres(row) => row.try_get(i)?,
            })
        }
        #[doc = concat!("Column `i` (from 0) as `", stringify!($t), "`, which may be NULL.")]
        pub fn $opt(&self, i: usize) -> Result<Option<$t>, StoreError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(i)?,
                Self::Postgres(row) => row.try_get(i)?,
            })
        }
    )*};
}

impl Row {
    getters! { int, opt_int: i64, real, opt_real: f64, text, opt_text: String, blob, opt_blob: Vec<u8> }

    /// Column `i` as business time.
    pub fn millis(&self, i: usize) -> Result<Millis, StoreError> {
        self.int(i).map(Millis)
    }

    /// Column `i` as 32 bytes.
    pub fn bytes32(&self, i: usize) -> Result<[u8; 32], StoreError> {
        self.blob(i)?.try_into().map_err(|_| StoreError::Corrupt("key of 32 bytes"))
    }

    /// Column `i` as a flag.
    pub fn flag(&self, i: usize) -> Result<bool, StoreError> {
        self.int(i).map(|v| v != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_placeholders() {
        assert_eq!(placeholders(2, 2, false), "($1,$2),($3,$4)");
        assert_eq!(placeholders(2, 3, true), "(?,?,?),(?,?,?)");
        assert_eq!(placeholders(1, 1, false), "($1)");
    }
}
