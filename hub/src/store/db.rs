//! The two engines behind one small face: connect, begin, execute, fetch.

use std::{fmt::Write as _, time::Duration};

use passage_protocol::Millis;
use sqlx::{
    AssertSqlSafe, Row as _, SqlitePool,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio_util::sync::CancellationToken;

use super::server::{Server, answer};

/// What can go wrong in the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not do what was asked.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("database migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value cannot be read back; the database was changed by something else.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The server did not answer, and its connections were given up.
    #[error("the database server does not answer")]
    Silent,
    /// The URL is of no known engine.
    #[error("'{0}' is not a database; write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url(String),
}

impl StoreError {
    /// True if the same call may succeed later: the server is away, busy, full, or ended the transaction in favour of another one.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(e)) => e.code().is_some_and(|code| is_transient_code(&code)),
            Self::Silent
            | Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            _ => false,
        }
    }
}

/// PostgreSQL's codes have five characters, of which two are the class; SQLite's are numbers with the primary code in the low byte.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        // connection, rollback in favour of another one, resources, operator's intervention, system error; a server that took over and is
        // still read-only, a transaction that lay idle, an object that is not ready, a lock
        let passing = ["25006", "25P03", "55000", "55P03"];
        return ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || passing.contains(&code);
    }
    // busy, locked, read-only (a disk in trouble), I/O, full, cannot open
    code.parse::<u32>().is_ok_and(|code| [5, 6, 8, 10, 13, 14].contains(&(code & 0xff)))
}

/// A parameter. `None` is a typed NULL.
#[derive(Clone)]
pub enum Value {
    /// `BIGINT`.
    Int(Option<i64>),
    /// `DOUBLE PRECISION`.
    Real(Option<f64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BYTEA` or `BLOB`.
    Blob(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($t:ty => $variant:ident($map:expr)),* $(,)?) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Self {
                #[allow(clippy::redundant_closure_call)]
                Value::$variant(Some(($map)(v)))
            }
        }
        impl From<Option<$t>> for Value {
            fn from(v: Option<$t>) -> Self {
                Value::$variant(v.map($map))
            }
        }
    )*};
}
value_from! {
    i64 => Int(|v| v), u32 => Int(i64::from), u16 => Int(i64::from), u8 => Int(i64::from), i8 => Int(i64::from), i32 => Int(i64::from),
    bool => Int(i64::from), u64 => Int(|v| i64::try_from(v).unwrap_or(i64::MAX)), Millis => Int(|m: Millis| m.0),
    f64 => Real(|v| v), f32 => Real(f64::from),
    &str => Text(str::to_owned), String => Text(|v| v), &String => Text(String::clone),
    Vec<u8> => Blob(|v| v), &[u8] => Blob(<[u8]>::to_vec), [u8; 32] => Blob(|v: [u8; 32]| v.to_vec()), &[u8; 32] => Blob(|v: &[u8; 32]| v.to_vec()),
}

/// Parameters of a statement: `args![member, at, "text"]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Value::from($value)),*] };
}

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
        // WAL every batch would be copied into the file at once.
        let writer = options.clone().pragma("cache_size", "-65536").pragma("wal_autocheckpoint", "8192");
        let write = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(writer).await?;
        sqlx::migrate!("migrations/sqlite").run(&write).await?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { write, read })
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
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(server) => {
                let now = server.connections();
                Tx::Postgres(now.ask(now.pool.begin()).await?, now.given_up)
            }
        })
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
            Self::Sqlite { write, read } => {
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
    fn errors_that_pass_are_told_from_errors_that_stay() {
        for code in ["57P01", "40001", "08006", "55P03", "5", "517", "13", "3850"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["23505", "22021", "42P01", "19", "1", "1555", "éé"] {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(StoreError::Sql(sqlx::Error::PoolTimedOut).is_transient());
        assert!(!StoreError::Corrupt("x").is_transient());
    }

    #[test]
    fn each_row_has_its_placeholders() {
        assert_eq!(placeholders(2, 2, false), "($1,$2),($3,$4)");
        assert_eq!(placeholders(2, 3, true), "(?,?,?),(?,?,?)");
        assert_eq!(placeholders(1, 1, false), "($1)");
    }
}
