//! Rows whose columns are not known beforehand, as an access file shows them.

use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use super::{Row, StoreError, Value};

impl Row {
    /// The names of the columns.
    pub fn columns(&self) -> Vec<String> {
        match self {
            Self::Sqlite(row) => row.columns().iter().map(|c| c.name().to_owned()).collect(),
            Self::Postgres(row) => row.columns().iter().map(|c| c.name().to_owned()).collect(),
        }
    }

    /// Column `i` (from 0), whatever of the four kinds it is.
    pub fn value(&self, i: usize) -> Result<Value, StoreError> {
        let kind = match self {
            // SQLite has a kind for each value, not only for the column.
            Self::Sqlite(row) => row.try_get_raw(i)?.type_info().name().to_owned(),
            Self::Postgres(row) => row.column(i).type_info().name().to_owned(),
        };
        Ok(match kind.as_str() {
            "INTEGER" | "BIGINT" | "INT8" => Value::Int(self.opt_int(i)?),
            "REAL" | "FLOAT8" => Value::Real(self.opt_real(i)?),
            "BLOB" | "BYTEA" => Value::Blob(self.opt_blob(i)?),
            _ => Value::Text(self.opt_text(i)?),
        })
    }
}
