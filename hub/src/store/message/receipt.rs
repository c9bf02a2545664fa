//! Receipts: which part they belong to, and those that wait for the answer to their submit.

use passage_protocol::Millis;
use uuid::Uuid;

use super::{state, uuid};
use crate::{
    args,
    identity::Key,
    sms::{
        MessageState,
        provider::{Fate, Receipt},
    },
    store::{Db, StoreError, Tx},
};

/// The message and part that a receipt speaks of: the newest of that name, because providers use ids again.
pub async fn part_owner(tx: &mut Tx, receipt: &Receipt) -> Result<Option<(Uuid, i64)>, StoreError> {
    let sql = "SELECT message, number FROM message_part WHERE smsc_id = $1 OR smsc_id = $2 ORDER BY at DESC LIMIT 1";
    let other = receipt.other_id.as_ref().unwrap_or(&receipt.smsc_id);
    let row = tx.fetch_optional(sql, args![&receipt.smsc_id, other]).await?;
    row.map(|row| Ok((uuid(&row.text(0)?)?, row.int(1)?))).transpose()
}

/// Keeps a receipt that belongs to nothing yet.
pub async fn receipt_without_message(tx: &mut Tx, receipt: &Receipt, destination: Option<Key>, at: Millis) -> Result<(), StoreError> {
    let sql = "INSERT INTO receipt (id, smsc_id, other_id, destination, outcome, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = args![
        Uuid::now_v7().to_string(),
        &receipt.smsc_id,
        receipt.other_id.clone(),
        destination.map(|d| d.0.to_vec()),
        receipt.fate.word(),
        receipt.reason.clone(),
        at,
    ];
    tx.execute(sql, args).await?;
    Ok(())
}

/// Takes out a waiting receipt that belongs to a known part: of `message`, or of any when it is `None`.
pub async fn match_waiting(tx: &mut Tx, message: Option<Uuid>) -> Result<Option<(Uuid, i64, Fate, Option<String>)>, StoreError> {
    let sql = "SELECT r.id, p.message, p.number, r.outcome, r.reason FROM receipt r \
               JOIN message_part p ON p.smsc_id = r.smsc_id OR p.smsc_id = r.other_id \
               WHERE $1 = '' OR p.message = $1 ORDER BY r.at, p.at DESC LIMIT 1";
    let wanted = message.map(|m| m.to_string()).unwrap_or_default();
    let Some(row) = tx.fetch_optional(sql, args![wanted]).await? else { return Ok(None) };
    tx.execute("DELETE FROM receipt WHERE id = $1", args![row.text(0)?]).await?;
    let fate = Fate::from_word(&row.text(3)?).ok_or(StoreError::Corrupt("fate of a receipt"))?;
    Ok(Some((uuid(&row.text(1)?)?, row.int(2)?, fate, row.opt_text(4)?)))
}

/// Forgets receipts that waited since before `before`. Returns how many.
pub async fn sweep_receipts(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM receipt WHERE at < $1", args![before]).await
}

/// The message that a receipt without a known id can only belong to: the one message to this destination that was out at `at` and has no end yet,
/// if it is unknown and has one part. With two candidates nobody can tell, and nothing is settled.
pub async fn unknown_of(tx: &mut Tx, destination: &Key, at: Millis) -> Result<Option<Uuid>, StoreError> {
    let sql = "SELECT id, state, parts FROM message WHERE destination = $1 AND state IN ('writing', 'accepted', 'unknown') \
               AND sent_at <= $2 AND sent_at + validity_ms + 3600000 >= $2 LIMIT 2";
    let rows = tx.fetch(sql, args![&destination.0, at]).await?;
    match rows.as_slice() {
        [one] if state(&one.text(1)?)? == MessageState::Unknown && one.int(2)? == 1 => uuid(&one.text(0)?).map(Some),
        _ => Ok(None),
    }
}

/// True if a receipt waits.
pub(crate) async fn any_waiting(db: &Db) -> Result<bool, StoreError> {
    Ok(!db.fetch("SELECT id FROM receipt LIMIT 1", args![]).await?.is_empty())
}
