//! Who works or lives in which store: the label and its end.

use passage_protocol::{Millis, StoreId};

use crate::{
    args,
    identity::MemberId,
    store::{StoreError, Tx},
    visit::regular::{Past, Regular},
    visit::span::Span,
};

/// What was learned of a member in a store, or of one who went into her, if it still holds at `now`.
pub async fn get(tx: &mut Tx, member: MemberId, store: &StoreId, now: Millis) -> Result<Option<Regular>, StoreError> {
    let sql = "SELECT reason, since_at, until_at FROM regular WHERE (member = $1 OR member IN (SELECT id FROM member WHERE merged_into = $1)) \
               AND store = $2 AND until_at >= $3 ORDER BY until_at DESC, member LIMIT 1";
    let Some(row) = tx.fetch_optional(sql, args![member.0, store.as_str(), now]).await? else { return Ok(None) };
    let reason = row.text(0)?.parse().map_err(|()| StoreError::Corrupt("reason of a regular"))?;
    Ok(Some(Regular { reason, since: row.millis(1)?, until: row.millis(2)? }))
}

/// Writes what was learned.
pub async fn save(tx: &mut Tx, member: MemberId, store: &StoreId, regular: &Regular) -> Result<(), StoreError> {
    let sql = "INSERT INTO regular (member, store, reason, since_at, until_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (member, store) DO UPDATE SET reason = excluded.reason, since_at = excluded.since_at, until_at = excluded.until_at";
    tx.execute(sql, args![member.0, store.as_str(), regular.reason.word(), regular.since, regular.until]).await?;
    Ok(())
}

/// Her stays in the store that ended after `since`, for learning.
pub async fn history(tx: &mut Tx, member: MemberId, store: &StoreId, since: Millis) -> Result<Vec<Past>, StoreError> {
    let sql = "SELECT start_at, end_at, dwell_ms FROM visit WHERE member = $1 AND store = $2 AND seen_to >= $3 AND evidence <> '' ORDER BY start_at";
    let rows = tx.fetch(sql, args![member.0, store.as_str(), since]).await?;
    rows.iter().map(|row| Ok(Past { span: Span(row.millis(0)?, row.millis(1)?), dwell_ms: row.int(2)? })).collect()
}

/// Deletes labels that ended before `before`; returns how many.
pub async fn purge(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM regular WHERE until_at < $1", args![before]).await
}
