//! Where rotating ids were heard, and those that were in two places at once.

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::{
    args,
    identity::MemberId,
    store::{Db, Row, StoreError, Tx},
    visit::{
        doubt::replay::{Heard, Replay},
        span::Span,
    },
};

/// Notes where ids of a member were heard: one row an id and store, however many events. No id and store may be there twice.
pub async fn note(tx: &mut Tx, member: MemberId, heard: &[Heard]) -> Result<(), StoreError> {
    let row = |h: &Heard| args![member.0, h.mark, h.store.as_str(), h.span.0, h.span.1, h.is_sure];
    let tail = "ON CONFLICT (member, mark, store) DO UPDATE SET \
                first_at = CASE WHEN excluded.first_at < rid_heard.first_at THEN excluded.first_at ELSE rid_heard.first_at END, \
                last_at = CASE WHEN excluded.last_at > rid_heard.last_at THEN excluded.last_at ELSE rid_heard.last_at END, \
                sure = CASE WHEN excluded.sure < rid_heard.sure THEN excluded.sure ELSE rid_heard.sure END";
    tx.insert_many("INSERT INTO rid_heard (member, mark, store, first_at, last_at, sure)", heard.iter().map(row).collect(), tail).await?;
    Ok(())
}

/// Where ids of a member were heard in the last 48 h.
pub async fn heard(tx: &mut Tx, member: MemberId) -> Result<Vec<Heard>, StoreError> {
    let sql = "SELECT mark, store, first_at, last_at, sure FROM rid_heard WHERE member = $1 ORDER BY mark, store";
    let read = |row: &Row| {
        let span = Span(row.millis(2)?, row.millis(3)?);
        Ok(Heard { mark: row.int(0)?, store: store(row, 1)?, span, is_sure: row.flag(4)? })
    };
    tx.fetch(sql, args![member.0]).await?.iter().map(read).collect()
}

/// Forgets what was heard of a member in a store, because she does not allow it any more.
pub async fn forget(tx: &mut Tx, member: MemberId, store: &StoreId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM rid_heard WHERE member = $1 AND store = $2", args![member.0, store.as_str()]).await?;
    Ok(())
}

/// Forgets where ids were heard for the last time at `until` or before.
pub async fn purge_heard(tx: &mut Tx, until: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM rid_heard WHERE last_at <= $1", args![until]).await
}

/// Records a replay of a member's id. False: it is known, and lasts on.
pub async fn record(tx: &mut Tx, member: MemberId, replay: &Replay, id: Uuid, now: Millis) -> Result<bool, StoreError> {
    let Span(from, to) = replay.span();
    let of = (replay.one.mark, replay.one.store.as_str(), replay.other.store.as_str());
    let longer = "UPDATE replay SET from_at = $5, to_at = $6 WHERE member = $1 AND mark = $2 AND store = $3 AND other = $4";
    if tx.execute(longer, args![member.0, of.0, of.1, of.2, from, to]).await? > 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO replay (id, member, mark, store, other, from_at, to_at, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    tx.execute(sql, args![id.to_string(), member.0, of.0, of.1, of.2, from, to, now]).await?;
    Ok(true)
}

/// A replay on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whose id.
    pub member: MemberId,
    /// The two stores.
    pub stores: (StoreId, StoreId),
    /// First and last evidence in either.
    pub span: Span,
    /// When it was noticed.
    pub at: Millis,
}

/// The replays that were noticed in `[from, to)`, the newest first, at most `limit`.
pub async fn list(db: &Db, from: Millis, to: Millis, limit: u32) -> Result<Vec<Recorded>, StoreError> {
    let sql = "SELECT member, store, other, from_at, to_at, at FROM replay WHERE at >= $1 AND at < $2 ORDER BY at DESC, id LIMIT $3";
    let read = |row: &Row| {
        let (stores, span) = ((store(row, 1)?, store(row, 2)?), Span(row.millis(3)?, row.millis(4)?));
        Ok(Recorded { member: MemberId(row.int(0)?), stores, span, at: row.millis(5)? })
    };
    db.fetch(sql, args![from, to, limit]).await?.iter().map(read).collect()
}

/// How many replays were noticed since `from`.
pub async fn count(db: &Db, from: Millis) -> Result<i64, StoreError> {
    let rows = db.fetch("SELECT COUNT(*) FROM replay WHERE at >= $1", args![from]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Deletes replays that were noticed before `before`; returns how many.
pub async fn purge(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM replay WHERE at < $1", args![before]).await
}

/// A member goes into another: what was heard goes with her, and her replays by the note of the merge.
pub async fn join(tx: &mut Tx, member: MemberId, into: MemberId) -> Result<(), StoreError> {
    let sql = "INSERT INTO rid_heard (member, mark, store, first_at, last_at, sure) \
               SELECT $2, mark, store, first_at, last_at, sure FROM rid_heard WHERE member = $1 ON CONFLICT DO NOTHING";
    tx.execute(sql, args![member.0, into.0]).await?;
    tx.execute("DELETE FROM rid_heard WHERE member = $1", args![member.0]).await?;
    Ok(())
}

fn store(row: &Row, i: usize) -> Result<StoreId, StoreError> {
    row.text(i)?.try_into().map_err(|_| StoreError::Corrupt("store id"))
}
