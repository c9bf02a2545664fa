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

    /// True if no row has a value.
    fn is_null(&self) -> bool {
        match self {
            Self::Int(cells) => cells.iter().all(Option::is_none),
            Self::Text(cells) => cells.iter().all(Option::is_none),
            Self::Blob(cells) => cells.iter().all(Option::is_none),
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

/// A column with its name.
pub type Named<'a> = (&'static str, Column<'a>);

impl Tx {
    /// Inserts the rows that `columns` hold: `head` is `INSERT INTO t`, `tail` for example `ON CONFLICT DO NOTHING`. All columns are of one length; one
    /// that is NULL in every row is left out. Returns how many rows were written.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_columns(&mut self, head: &'static str, columns: &[Named<'_>], tail: &'static str) -> Result<u64, StoreError> {
        let told = told(columns);
        let mut written = 0;
        for (from, to) in self.parts(&told) {
            let sql = AssertSqlSafe(self.insert_text(head, &told, to - from, tail));
            written += match self {
                Self::Postgres(tx, given_up) => {
                    let run = sqlx::query_with(sql, arrays_of(&told)?).execute(&mut **tx);
                    answer(given_up, run).await?.rows_affected()
                }
                Self::Sqlite(tx) => sqlx::query_with(sql, cells_of(&told, from, to)?).execute(&mut **tx).await?.rows_affected(),
            };
        }
        Ok(written)
    }

    /// The same with a `tail` that returns something, such as `ON CONFLICT DO NOTHING RETURNING a`.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_columns_returning(
        &mut self,
        head: &'static str,
        columns: &[Named<'_>],
        tail: &'static str,
    ) -> Result<Vec<Row>, StoreError> {
        let told = told(columns);
        let mut out = Vec::new();
        for (from, to) in self.parts(&told) {
            let sql = AssertSqlSafe(self.insert_text(head, &told, to - from, tail));
            match self {
                Self::Postgres(tx, given_up) => {
                    let run = sqlx::query_with(sql, arrays_of(&told)?).fetch_all(&mut **tx);
                    out.extend(answer(given_up, run).await?.into_iter().map(Row::Postgres));
                }
                Self::Sqlite(tx) => {
                    let found = sqlx::query_with(sql, cells_of(&told, from, to)?).fetch_all(&mut **tx).await?;
                    out.extend(found.into_iter().map(Row::Sqlite));
                }
            }
        }
        Ok(out)
    }

    /// The rows of each statement.
    fn parts(&self, columns: &[&Named<'_>]) -> Vec<(usize, usize)> {
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        let most = if self.is_sqlite() { CHUNK } else { rows.max(1) };
        (0..rows).step_by(most).map(|from| (from, (from + most).min(rows))).collect()
    }

    fn insert_text(&self, head: &str, columns: &[&Named<'_>], rows: usize, tail: &str) -> String {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        if self.is_sqlite() {
            let row = format!("({}),", "?,".repeat(columns.len()).trim_end_matches(','));
            return format!("{head} ({names}) VALUES {} {tail}", row.repeat(rows).trim_end_matches(','));
        }
        let arrays: Vec<String> = columns.iter().enumerate().map(|(i, (_, c))| format!("${}::{}", i + 1, c.array())).collect();
        format!("{head} ({names}) SELECT * FROM UNNEST({}) {tail}", arrays.join(", "))
    }
}

/// The columns that say anything.
fn told<'c, 'a>(columns: &'c [Named<'a>]) -> Vec<&'c Named<'a>> {
    columns.iter().filter(|(_, column)| !column.is_null()).collect()
}

fn arrays_of(columns: &[&Named<'_>]) -> Result<PgArguments, StoreError> {
    let mut bound = PgArguments::default();
    for (_, column) in columns {
        match column {
            Column::Int(cells) => bound.add(cells),
            Column::Text(cells) => bound.add(cells),
            Column::Blob(cells) => bound.add(cells),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

fn cells_of(columns: &[&Named<'_>], from: usize, to: usize) -> Result<SqliteArguments, StoreError> {
    let mut bound = SqliteArguments::default();
    bound.reserve((to - from) * columns.len(), 0);
    for row in from..to {
        for (_, column) in columns {
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
