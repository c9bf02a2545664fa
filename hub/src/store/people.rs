//! Members, consents, links, installations and suppressions.
//!
//! Every transaction that changes people calls [`changes`] first. On PostgreSQL that row lock puts such transactions in one order, so the link graph
//! and the consents never see half of another change, and a reader that sees a version has seen all lower ones.

use passage_protocol::Millis;

use crate::{
    args,
    identity::{Consents, Destination, Key, MemberId, Profile, Purpose},
    store::{StoreError, Tx},
};

/// Number of a change of people; it only grows.
pub type Version = i64;

/// Opens a change of people in this transaction and returns its version, to be stamped on each member that it touches.
pub async fn changes(tx: &mut Tx) -> Result<Version, StoreError> {
    let row = tx.fetch_optional("UPDATE people_version SET version = version + 1 WHERE id = 1 RETURNING version", args![]).await?;
    row.ok_or(StoreError::Corrupt("people version"))?.int(0)
}

/// What the offer and SMS stages need to know of a member for one brand and entity; `None` if there is no such member.
pub async fn profile(tx: &mut Tx, member: MemberId, brand: &str, entity: &str) -> Result<Option<Profile>, StoreError> {
    let sql = "SELECT d.key, d.sealed, s.at FROM member m LEFT JOIN destination d ON d.member = m.id \
               LEFT JOIN suppression s ON s.destination = d.key AND s.brand = $2 AND s.entity = $3 WHERE m.id = $1";
    let Some(row) = tx.fetch_optional(sql, args![member.0, brand, entity]).await? else { return Ok(None) };
    let destination = match row.opt_blob(0)? {
        None => None,
        Some(_) => Some(Destination { key: Key(row.bytes32(0)?), sealed: row.blob(1)? }),
    };
    let suppressed = row.opt_int(2)?.is_some();
    let consents = consents(tx, member, brand, entity).await?;
    Ok(Some(Profile { member, consents, destination, suppressed }))
}

/// The purposes that a member grants to one brand and entity now.
pub async fn consents(tx: &mut Tx, member: MemberId, brand: &str, entity: &str) -> Result<Consents, StoreError> {
    let sql = "SELECT purpose FROM consent_now WHERE member = $1 AND brand = $2 AND entity = $3 AND granted = 1";
    let rows = tx.fetch(sql, args![member.0, brand, entity]).await?;
    let read = |row: &crate::store::Row| row.text(0)?.parse::<Purpose>().map_err(|()| StoreError::Corrupt("purpose"));
    Ok(Consents(rows.iter().map(read).collect::<Result<_, _>>()?))
}

/// Puts a destination on the brand's and entity's STOP list; `false` if it is on it already. `reason` is a word such as `stop`.
pub async fn suppress(tx: &mut Tx, brand: &str, entity: &str, destination: &Key, at: Millis, reason: &str) -> Result<bool, StoreError> {
    let sql = "INSERT INTO suppression (brand, entity, destination, at, reason) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    Ok(tx.execute(sql, args![brand, entity, &destination.0, at, reason]).await? == 1)
}
