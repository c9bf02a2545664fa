//! Moments at the counter: somebody had an identifier in hand, in a store, at a time. They wait here for their member, and go when they were taken.

use std::time::Duration;

use passage_protocol::{Millis, StoreId};

use crate::{
    args,
    identity::{IdentifierKind, Key, MemberId},
    store::{
        StoreError, Tx,
        work::{self, Todo, TodoKind},
    },
    visit::Kind,
};

/// A moment whose identifier is nobody's is kept so long: as long as late evidence amends visits.
pub const KEPT: Duration = Duration::from_secs(72 * 3600);
/// Tills whose clocks are farther ahead are not believed.
const AHEAD: Duration = Duration::from_secs(24 * 3600);
/// Moments that are given to their members at once.
const PAGE: i64 = 500;

/// A moment at the counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Unique: what kind of record it is from, and that record's own key.
    pub id: String,
    /// Where.
    pub store: StoreId,
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: Millis,
    /// Kind of the identifier.
    pub identifier_kind: IdentifierKind,
    /// The identifier, keyed.
    pub identifier: Key,
}

/// Stores moments that are new, and gives those whose member is known to her work. What is older than late evidence may be, such as a file of last
/// year's tickets, makes no visits.
pub async fn insert(tx: &mut Tx, moments: &[Moment], now: Millis) -> Result<(), StoreError> {
    let is_fresh = |m: &&Moment| m.at + KEPT >= now && m.at <= now + AHEAD;
    let fresh: Vec<&Moment> = moments.iter().filter(is_fresh).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    let row =
        |m: &&Moment| args![&m.id, m.store.as_str(), m.kind.word(), m.at, m.identifier_kind.word(), &m.identifier.0, now, None::<i64>];
    let head = "INSERT INTO counter_moment (id, store, kind, at, identifier_kind, identifier, received_at, member)";
    tx.insert_many(head, fresh.iter().map(row).collect(), "ON CONFLICT DO NOTHING").await?;
    assign(tx, now).await?;
    Ok(())
}

/// Gives each waiting moment whose identifier belongs to somebody who grants `match` to that member's work; returns how many.
pub async fn assign(tx: &mut Tx, now: Millis) -> Result<u64, StoreError> {
    let sql = "SELECT m.id, i.member FROM counter_moment m JOIN identifier i ON i.kind = m.identifier_kind AND i.key = m.identifier \
               WHERE m.member IS NULL AND i.member IS NOT NULL AND m.at >= i.since \
               AND EXISTS (SELECT 1 FROM consent_now c WHERE c.member = i.member AND c.purpose = 'match' AND c.granted = 1) \
               ORDER BY m.id LIMIT $1";
    let mut todos = Vec::new();
    for row in tx.fetch(sql, args![PAGE]).await? {
        let (id, member) = (row.text(0)?, row.int(1)?);
        tx.execute("UPDATE counter_moment SET member = $2 WHERE id = $1", args![&id, member]).await?;
        todos.push(Todo::new(MemberId(member), now, TodoKind::Counter, id));
    }
    work::put_many(tx, &todos).await?;
    Ok(u64::try_from(todos.len()).unwrap_or(0))
}

/// A member went into another: moments that wait for her work are the other's, as that work is.
pub async fn join(tx: &mut Tx, member: MemberId, into: MemberId) -> Result<(), StoreError> {
    tx.execute("UPDATE counter_moment SET member = $2 WHERE member = $1", args![member.0, into.0]).await?;
    Ok(())
}

/// Somebody left the person: moments that wait for its work are nobody's again, until [`assign`] asks who holds their identifiers now.
pub async fn part(tx: &mut Tx, person: MemberId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM todo WHERE kind = 'counter' AND ref IN (SELECT id FROM counter_moment WHERE member = $1)", args![person.0])
        .await?;
    tx.execute("UPDATE counter_moment SET member = NULL WHERE member = $1", args![person.0]).await?;
    Ok(())
}

/// Where and when it was, and what happened; `None` when it was taken before.
pub async fn get(tx: &mut Tx, id: &str) -> Result<Option<(StoreId, Kind, Millis)>, StoreError> {
    let Some(row) = tx.fetch_optional("SELECT store, kind, at FROM counter_moment WHERE id = $1", args![id]).await? else {
        return Ok(None);
    };
    let store = row.text(0)?.parse().map_err(|_| StoreError::Corrupt("store id"))?;
    let kind = row.text(1)?.parse().map_err(|()| StoreError::Corrupt("kind of evidence"))?;
    Ok(Some((store, kind, row.millis(2)?)))
}

/// Deletes a moment that is part of a visit now.
pub async fn forget(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM counter_moment WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Deletes moments that waited in vain since before `before`; returns how many.
pub async fn purge(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM counter_moment WHERE received_at < $1 AND member IS NULL", args![before]).await
}
