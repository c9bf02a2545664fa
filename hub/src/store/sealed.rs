//! Every column that holds sealed values, and how they are sealed anew with another key while hubs run.

use super::{Db, Row, StoreError, Value};
use crate::{
    args, fleet,
    identity::{Keyring, MemberId, crm::AD_CONTEXT, keyring::OpenError},
    ingest,
    store::people::{given, installation},
};

/// Values that are sealed anew in one transaction: short enough that nobody waits for it.
const BATCH: i64 = 200;

/// A column of sealed values. `find` takes the id of the active key, the last row that was looked at, and how many rows; it selects the row's key and
/// the value of each row that another key sealed. `replace` takes the row's key, the old and the new value.
struct Column {
    name: &'static str,
    start: fn() -> Value,
    find: &'static str,
    replace: &'static str,
    count: &'static str,
    open: fn(&Keyring, &Row) -> Result<Forms, Failed>,
}

/// The old form of a sealed value and the new one.
type Forms = (Vec<u8>, Vec<u8>);

enum Failed {
    Store(StoreError),
    Unreadable,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<OpenError> for Failed {
    fn from(_: OpenError) -> Self {
        Self::Unreadable
    }
}

macro_rules! column {
    ($table:literal, $column:literal, by $key:literal, $start:expr, $also:literal, $open:expr) => {
        Column {
            name: concat!($table, ".", $column),
            start: || Value::from($start),
            find: concat!(
                "SELECT ",
                $key,
                ", ",
                $column,
                $also,
                " FROM ",
                $table,
                " WHERE ",
                $column,
                " IS NOT NULL AND substr(",
                $column,
                ", 1, 4) <> $1 AND ",
                $key,
                " > $2 ORDER BY ",
                $key,
                " LIMIT $3"
            ),
            replace: concat!("UPDATE ", $table, " SET ", $column, " = $3 WHERE ", $key, " = $1 AND ", $column, " = $2"),
            count: concat!("SELECT substr(", $column, ", 1, 4), COUNT(*) FROM ", $table, " WHERE ", $column, " IS NOT NULL GROUP BY 1"),
            open: $open,
        }
    };
}

/// All of them. A new sealed column belongs here, or `keys retire` would destroy its values.
const COLUMNS: &[Column] = &[
    column!("destination", "sealed", by "member", -1_i64, "", |keyring, row| {
        let (member, old) = (MemberId(row.int(0)?), row.blob(1)?);
        let plain = keyring.open_number(member, &old)?;
        // What comes out of `open_number` went in as text.
        Ok((old, keyring.seal_number(member, &String::from_utf8_lossy(&plain))))
    }),
    column!("message", "sealed", by "id", "", ", COALESCE(sealed_for, member)", |keyring, row| {
        let (old, member) = (row.blob(1)?, MemberId(row.int(2)?));
        let plain = keyring.open_number(member, &old)?;
        Ok((old, keyring.seal_number(member, &String::from_utf8_lossy(&plain))))
    }),
    column!("ad_key", "sealed", by "id", "", "", |keyring, row| anew(keyring, AD_CONTEXT, row.blob(1)?)),
    column!("ad_given", "sealed", by "id", "", "", |keyring, row| anew(keyring, given::CONTEXT, row.blob(1)?)),
    column!("installation", "chain_key", by "id", "", "", |keyring, row| anew(keyring, &installation::context(&row.text(0)?), row.blob(1)?)),
    column!("hub_key", "sealed", by "id", "", "", |keyring, row| anew(keyring, ingest::keys::CONTEXT, row.blob(1)?)),
    column!("fleet_authority", "sealed", by "id", -1_i64, "", |keyring, row| anew(keyring, fleet::AUTHORITY_CONTEXT, row.blob(1)?)),
];

/// Opens a value and seals it with the active key: the old form and the new one.
fn anew(keyring: &Keyring, context: &str, old: Vec<u8>) -> Result<Forms, Failed> {
    let plain = keyring.open(context, &old)?;
    Ok((old, keyring.seal(context, &plain)))
}

/// What became of the values of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Table and column.
    pub column: &'static str,
    /// Sealed anew.
    pub anew: u64,
    /// Left as they are because they cannot be opened: damaged, or sealed with a key that nobody has.
    pub unreadable: u64,
}

/// Seals everything anew that another than the active key sealed, in small transactions. Safe to interrupt and to repeat: what is done stays done. A
/// value that changes meanwhile is left alone and found by the next call.
pub async fn rotate(db: &Db, keyring: &Keyring) -> Result<Vec<Rotated>, StoreError> {
    let mut done = Vec::new();
    for column in COLUMNS {
        let mut rotated = Rotated { column: column.name, anew: 0, unreadable: 0 };
        let mut last = (column.start)();
        while let Some(next) = batch(db, keyring, column, last, &mut rotated).await? {
            last = next;
        }
        done.push(rotated);
    }
    Ok(done)
}

/// One batch after the row `last`; returns the last row of it, `None` when there are no more.
async fn batch(db: &Db, keyring: &Keyring, column: &Column, last: Value, rotated: &mut Rotated) -> Result<Option<Value>, StoreError> {
    let Some(active) = keyring.seal_keys().into_iter().find(|key| key.active.is_some()) else { return Ok(None) };
    let rows = db.fetch(column.find, vec![active.id.to_vec().into(), last, BATCH.into()]).await?;
    let Some(next) = rows.last() else { return Ok(None) };
    let next = next.value(0)?;
    let mut tx = db.begin().await?;
    for row in &rows {
        match (column.open)(keyring, row) {
            Ok((old, new)) => rotated.anew += tx.execute(column.replace, vec![row.value(0)?, old.into(), new.into()]).await?,
            Err(Failed::Unreadable) => rotated.unreadable += 1,
            Err(Failed::Store(error)) => return Err(error),
        }
    }
    tx.commit().await?;
    Ok(Some(next))
}

/// How many values each key seals: column, id of the key, values.
pub async fn count(db: &Db) -> Result<Vec<(&'static str, Vec<u8>, i64)>, StoreError> {
    let mut all = Vec::new();
    for column in COLUMNS {
        for row in db.fetch(column.count, args![]).await? {
            all.push((column.name, row.blob(0)?, row.int(1)?));
        }
    }
    Ok(all)
}
