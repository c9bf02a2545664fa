//! What gateways get of the site, and commands to them.

use std::collections::HashMap;

use passage_protocol::{GatewayId, Millis, site::Command};

use crate::{
    args,
    store::{Db, Row, StoreError, Tx},
};

/// Revisions of a gateway that are kept, so that the parts of old ones can be taken from the broker.
const KEPT: i64 = 8;

/// A revision of what a gateway gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundled {
    /// Ascending.
    pub revision: u64,
    /// SHA-256 before compression, as hex.
    pub content: String,
    /// SHA-256 of the parts, as hex.
    pub sha256: String,
    /// How many parts.
    pub parts: u32,
}

/// The newest revision of each gateway.
pub async fn newest(tx: &mut Tx) -> Result<HashMap<GatewayId, Bundled>, StoreError> {
    let sql = "SELECT gateway, revision, content, sha256, parts FROM site_bundle AS s \
               WHERE revision = (SELECT MAX(revision) FROM site_bundle AS m WHERE m.gateway = s.gateway)";
    let rows = tx.fetch(sql, args![]).await?;
    rows.iter().map(|row| Ok((gateway(row, 0)?, bundled(row)?))).collect()
}

fn bundled(row: &Row) -> Result<Bundled, StoreError> {
    let revision = u64::try_from(row.int(1)?).map_err(|_| StoreError::Corrupt("site revision"))?;
    let parts = u32::try_from(row.int(4)?).map_err(|_| StoreError::Corrupt("number of parts"))?;
    Ok(Bundled { revision, content: row.text(2)?, sha256: row.text(3)?, parts })
}

fn gateway(row: &Row, i: usize) -> Result<GatewayId, StoreError> {
    GatewayId::checked(&row.text(i)?).map_err(|_| StoreError::Corrupt("gateway id"))
}

/// The packed form of a revision.
pub async fn packed(tx: &mut Tx, gateway: &GatewayId, revision: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT packed FROM site_bundle WHERE gateway = $1 AND revision = $2";
    tx.fetch_optional(sql, args![gateway.as_str(), revision]).await?.map(|row| row.blob(0)).transpose()
}

/// The other revisions of a gateway that are still known, with the number of their parts.
pub async fn others(tx: &mut Tx, gateway: &GatewayId, revision: u64) -> Result<Vec<(u64, u32)>, StoreError> {
    let sql = "SELECT gateway, revision, content, sha256, parts FROM site_bundle WHERE gateway = $1 AND revision <> $2";
    let rows = tx.fetch(sql, args![gateway.as_str(), revision]).await?;
    rows.iter().map(|row| bundled(row).map(|b| (b.revision, b.parts))).collect()
}

/// Stores a revision and forgets the oldest. The first hub to do so decides its bytes; the others publish the same.
pub async fn insert(tx: &mut Tx, gateway: &GatewayId, bundled: &Bundled, packed: Vec<u8>) -> Result<(), StoreError> {
    let sql = "INSERT INTO site_bundle (gateway, revision, content, sha256, parts, packed) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT DO NOTHING";
    let Bundled { revision, content, sha256, parts } = bundled;
    tx.execute(sql, args![gateway.as_str(), *revision, content, sha256, i64::from(*parts), packed]).await?;
    let forget = "DELETE FROM site_bundle WHERE gateway = $1 AND revision NOT IN \
                  (SELECT revision FROM site_bundle WHERE gateway = $1 ORDER BY revision DESC LIMIT $2)";
    tx.execute(forget, args![gateway.as_str(), KEPT]).await?;
    Ok(())
}

/// The revisions that gateways may leave for lower ones.
pub async fn rollbacks(tx: &mut Tx) -> Result<HashMap<GatewayId, u64>, StoreError> {
    let rows = tx.fetch("SELECT gateway, held FROM site_rollback", args![]).await?;
    let held = |row: &Row| u64::try_from(row.int(1)?).map_err(|_| StoreError::Corrupt("site revision"));
    rows.iter().map(|row| Ok((gateway(row, 0)?, held(row)?))).collect()
}

/// Allows a gateway to leave the revision `held` for a lower one.
pub async fn allow_rollback(db: &Db, gateway: &GatewayId, held: u64, now: Millis) -> Result<(), StoreError> {
    let sql = "INSERT INTO site_rollback (gateway, held, made_at) VALUES ($1, $2, $3) \
               ON CONFLICT (gateway) DO UPDATE SET held = excluded.held, made_at = excluded.made_at";
    db.execute(sql, args![gateway.as_str(), held, now]).await.map(drop)
}

/// Puts a signed command where a running hub finds it, and forgets those that have expired.
pub async fn order(db: &Db, command: &Command, now: Millis) -> Result<(), StoreError> {
    db.execute("DELETE FROM gateway_command WHERE expires <= $1", args![now]).await?;
    let sql = "INSERT INTO gateway_command (id, gateway, expires, payload, published_at) VALUES ($1, $2, $3, $4, NULL)";
    db.execute(sql, args![command.id.to_string(), command.gateway.as_str(), command.expires, command.to_vec()]).await.map(drop)
}

/// Commands that their gateways have not answered, and that nobody has published since `since`: id, gateway, payload. None for a gateway that was
/// revoked.
pub async fn pending(db: &Db, now: Millis, since: Millis) -> Result<Vec<(String, GatewayId, Vec<u8>)>, StoreError> {
    let sql = "SELECT id, gateway, payload FROM gateway_command \
               WHERE answered_at IS NULL AND expires > $1 AND (published_at IS NULL OR published_at <= $2) \
               AND gateway NOT IN (SELECT gateway FROM fleet_gateway WHERE barred = 1) ORDER BY id";
    let rows = db.fetch(sql, args![now, since]).await?;
    rows.iter().map(|row| Ok((row.text(0)?, gateway(row, 1)?, row.blob(2)?))).collect()
}

/// Takes a command to publish it; false when another hub was first.
pub async fn claim(db: &Db, id: &str, now: Millis, since: Millis) -> Result<bool, StoreError> {
    let sql = "UPDATE gateway_command SET published_at = $2 \
               WHERE id = $1 AND answered_at IS NULL AND (published_at IS NULL OR published_at <= $3)";
    Ok(db.execute(sql, args![id, now, since]).await? == 1)
}

/// Notes that a command has reached its gateway, which says so itself.
pub(crate) async fn answered(tx: &mut Tx, gateway: &GatewayId, id: uuid::Uuid, now: Millis) -> Result<(), StoreError> {
    let sql = "UPDATE gateway_command SET answered_at = $3 WHERE id = $1 AND gateway = $2 AND answered_at IS NULL";
    tx.execute(sql, args![id.to_string(), gateway.as_str(), now]).await.map(drop)
}

/// Gives a command back that could not be published.
pub async fn unclaim(db: &Db, id: &str) -> Result<(), StoreError> {
    db.execute("UPDATE gateway_command SET published_at = NULL WHERE id = $1", args![id]).await.map(drop)
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// No hub has published it.
    Waiting,
    /// A hub has, and the gateway has not answered.
    Published,
    /// The gateway has it.
    Answered,
}

/// How far the command has come.
pub async fn reach(db: &Db, id: &str) -> Result<Reach, StoreError> {
    let rows = db.fetch("SELECT published_at, answered_at FROM gateway_command WHERE id = $1", args![id]).await?;
    let Some(row) = rows.first() else { return Ok(Reach::Waiting) };
    Ok(match (row.opt_int(0)?, row.opt_int(1)?) {
        (_, Some(_)) => Reach::Answered,
        (Some(_), None) => Reach::Published,
        (None, None) => Reach::Waiting,
    })
}
