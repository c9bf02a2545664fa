//! What was put aside because it could not be used: read, tried again, dropped.

use passage_protocol::{GatewayId, Millis};

use crate::{
    args,
    store::{Db, Row, StoreError, Tx},
};

/// A payload, or a single event, that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its id.
    pub id: String,
    /// When, business time.
    pub at: Millis,
    /// From whom, if that is known.
    pub gateway: Option<GatewayId>,
    /// Why.
    pub reason: String,
    /// Its whole size in bytes; more than `raw` holds when it was cut.
    pub size: u64,
    /// Its bytes, or the first of them.
    pub raw: Vec<u8>,
}

fn aside(row: &Row) -> Result<Aside, StoreError> {
    let gateway = row.opt_text(2)?.map(|id| id.try_into().map_err(|_| StoreError::Corrupt("gateway id"))).transpose()?;
    let size = row.int(4)?.unsigned_abs();
    Ok(Aside { id: row.text(0)?, at: row.millis(1)?, gateway, reason: row.text(3)?, size, raw: row.blob(5)? })
}

/// The newest, at most `limit`.
pub async fn list(db: &Db, limit: u32) -> Result<Vec<Aside>, StoreError> {
    let sql = "SELECT id, at, gateway, reason, size, raw FROM quarantine ORDER BY at DESC, id LIMIT $1";
    db.fetch(sql, args![limit]).await?.iter().map(aside).collect()
}

/// How many there are.
pub async fn count(db: &Db) -> Result<u64, StoreError> {
    let rows = db.fetch("SELECT COUNT(*) FROM quarantine", args![]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0).map(i64::unsigned_abs))
}

/// The one with this id.
pub async fn get(db: &Db, id: &str) -> Result<Option<Aside>, StoreError> {
    let rows = db.fetch("SELECT id, at, gateway, reason, size, raw FROM quarantine WHERE id = $1", args![id]).await?;
    rows.first().map(aside).transpose()
}

/// Deletes one; false when it is not there.
pub async fn drop_one(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM quarantine WHERE id = $1", args![id]).await? > 0)
}

/// Deletes all; returns how many.
pub async fn drop_all(tx: &mut Tx) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM quarantine", args![]).await
}

/// The epoch that the key of an event belongs to.
pub(crate) async fn epoch_of(tx: &mut Tx, gateway: &GatewayId, event: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT epoch FROM event_key WHERE gateway = $1 AND event_id = $2";
    tx.fetch_optional(sql, args![gateway.as_str(), event]).await?.map(|row| row.text(0)).transpose()
}
