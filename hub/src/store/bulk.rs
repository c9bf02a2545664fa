//! Many rows with one statement, column by column. The one place where the engines get different texts: PostgreSQL takes a column as one parameter
//! (`UNNEST`), so that neither the text nor the plan grows with the rows; SQLite has no arrays and takes each cell.

use sqlx::{Arguments, AssertSqlSafe, postgres::PgArguments, sqlite::SqliteArguments};

use super::{Row, StoreError, Tx, server::answer};

/// Rows of one statement on SQLite; 32 columns then still fit its 32,766 parameters.
const CHUNK: usize = 1000;

/// The cells of one column, borrowed from the rows.
#[derive(Debug, Clone)]
pub enum Column<'a> {
    /// `BIGINT`.
    Int(Vec<Option<i64>>),
    /// `TEXT`.
    Text(Vec<Option<&'a str>>),
    /// `BYTEA` or `BLOB`.
    Blob(Vec<Option<&'a [u8]>>),
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Int(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
            Self::Blob(cells) => cells.len(),
        }
    }

    fn array(&self) -> &'static str {
        match self {
            Self::Int(_) => "BIGINT[]",
            Self::Text(_) => "TEXT[]",
            Self::Blob(_) => "BYTEA[]",
        }
    }
}

impl Tx {
    /// Inserts the rows that `columns` hold: `head` is `INSERT INTO t (a, b)`, `tail` for example `ON CONFLICT DO NOTHING RETURNING a`. All columns
    /// are of one length. Returns what `tail` returns.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_columns(&mut self, head: &'static str, columns: &[Column<'_>], tail: &'static str) -> Result<Vec<Row>, StoreError> {
        let rows = columns.first().map_or(0, Column::len);
        if rows == 0 {
            return Ok(Vec::new());
        }
        match self {
            Self::Postgres(tx, given_up) => {
                let arrays: Vec<String> = columns.iter().enumerate().map(|(i, c)| format!("${}::{}", i + 1, c.array())).collect();
                let sql = AssertSqlSafe(format!("{head} SELECT * FROM UNNEST({}) {tail}", arrays.join(", ")));
                let run = sqlx::query_with(sql, arrays_of(columns)?).fetch_all(&mut **tx);
                Ok(answer(given_up, run).await?.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(tx) => {
                let mut out = Vec::new();
                let row = format!("({}),", "?,".repeat(columns.len()).trim_end_matches(','));
                for from in (0..rows).step_by(CHUNK) {
                    let to = (from + CHUNK).min(rows);
                    let sql = AssertSqlSafe(format!("{head} VALUES {} {tail}", row.repeat(to - from).trim_end_matches(',')));
                    let found = sqlx::query_with(sql, cells_of(columns, from, to)?).fetch_all(&mut **tx).await?;
                    out.extend(found.into_iter().map(Row::Sqlite));
                }
                Ok(out)
            }
        }
    }
}

fn arrays_of(columns: &[Column<'_>]) -> Result<PgArguments, StoreError> {
    let mut bound = PgArguments::default();
    for column in columns {
        match column {
            Column::Int(cells) => bound.add(cells),
            Column::Text(cells) => bound.add(cells),
            Column::Blob(cells) => bound.add(cells),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

fn cells_of(columns: &[Column<'_>], from: usize, to: usize) -> Result<SqliteArguments, StoreError> {
    let mut bound = SqliteArguments::default();
    bound.reserve((to - from) * columns.len(), 0);
    for row in from..to {
        for column in columns {
            match column {
                Column::Int(cells) => Arguments::add(&mut bound, cells[row]),
                Column::Text(cells) => Arguments::add(&mut bound, cells[row]),
                Column::Blob(cells) => Arguments::add(&mut bound, cells[row]),
            }
            .map_err(sqlx::Error::Encode)?;
        }
    }
    Ok(bound)
}
