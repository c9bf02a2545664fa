//! The work table: what is due for which member, by shard. A worker locks a shard, takes rows, does them and deletes them in one transaction.

use std::str::FromStr;

use passage_protocol::Millis;

use crate::{
    args,
    identity::{MemberId, member::words},
    store::{Db, Row, StoreError, Tx, people},
};

/// How many shards the work is spread over.
pub const SHARDS: i64 = 64;

words! {
    /// What a piece of work is about.
    TodoKind {
        /// An event to be looked at; the reference is its id.
        Event = "event",
        /// A visit for which time alone decides something; the reference is its id.
        Visit = "visit",
        /// A moment at the counter; the reference is its id.
        Counter = "counter",
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// Whose.
    pub member: MemberId,
    /// Business time from which it can be done.
    pub due: Millis,
    /// About what.
    pub kind: TodoKind,
    /// Id of the event or visit.
    pub reference: String,
    /// How often it failed.
    pub failures: i64,
}

impl Todo {
    /// Work that has not failed yet.
    pub fn new(member: MemberId, due: Millis, kind: TodoKind, reference: impl Into<String>) -> Self {
        Self { member, due, kind, reference: reference.into(), failures: 0 }
    }

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let kind = row.text(2)?.parse().map_err(|()| StoreError::Corrupt("kind of work"))?;
        Ok(Self { member: MemberId(row.int(0)?), due: row.millis(1)?, kind, reference: row.text(3)?, failures: row.int(4)? })
    }
}

/// The shards that have work due at `now`, ascending. Reads only.
pub async fn due_shards(db: &Db, now: Millis) -> Result<Vec<i64>, StoreError> {
    let rows = db.fetch("SELECT DISTINCT shard FROM todo WHERE due <= $1 ORDER BY shard", args![now]).await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// How many pieces of work are due at `now`.
pub async fn due_count(db: &Db, now: Millis) -> Result<i64, StoreError> {
    count(db, "SELECT COUNT(*) FROM todo WHERE due <= $1", args![now]).await
}

/// The business time at which the next piece of work is due, if there is one.
pub async fn next_due(db: &Db) -> Result<Option<Millis>, StoreError> {
    let rows = db.fetch("SELECT MIN(due) FROM todo", args![]).await?;
    Ok(rows.first().map(|row| row.opt_int(0)).transpose()?.flatten().map(Millis))
}

/// How many pieces of work were parked because they failed.
pub async fn parked_count(db: &Db) -> Result<i64, StoreError> {
    count(db, "SELECT COUNT(*) FROM parked_work", args![]).await
}

async fn count(db: &Db, sql: &'static str, args: Vec<crate::store::Value>) -> Result<i64, StoreError> {
    let rows = db.fetch(sql, args).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Locks a shard until the end of the transaction. False: another hub has it, go on with the next one. Never waits.
///
/// On SQLite the one writer is the lock.
pub async fn lock_shard(tx: &mut Tx, shard: i64) -> Result<bool, StoreError> {
    if tx.is_sqlite() {
        return Ok(true);
    }
    Ok(tx.fetch_optional("SELECT id FROM shard WHERE id = $1 FOR UPDATE SKIP LOCKED", args![shard]).await?.is_some())
}

/// Locks a shard and waits for it; for the rare work that needs two shards, which are locked in ascending order.
pub async fn lock_shard_waiting(tx: &mut Tx, shard: i64) -> Result<(), StoreError> {
    if !tx.is_sqlite() {
        tx.fetch_optional("SELECT id FROM shard WHERE id = $1 FOR UPDATE", args![shard]).await?;
    }
    Ok(())
}

/// Up to `limit` pieces of work of the shard that are due at `now`, the oldest first. They stay in the table.
pub async fn take(tx: &mut Tx, shard: i64, now: Millis, limit: u32) -> Result<Vec<Todo>, StoreError> {
    let rows = tx
        .fetch(
            "SELECT member, due, kind, ref, failures FROM todo WHERE shard = $1 AND due <= $2 ORDER BY due, kind, ref LIMIT $3",
            args![shard, now, limit],
        )
        .await?;
    rows.iter().map(Todo::from_row).collect()
}

/// Adds work; work on the same thing that is already there moves to the new due time.
pub async fn put(tx: &mut Tx, todo: &Todo) -> Result<(), StoreError> {
    put_many(tx, std::slice::from_ref(todo)).await
}

/// Adds much work with few statements. No two pieces may be on the same thing.
pub async fn put_many(tx: &mut Tx, todos: &[Todo]) -> Result<(), StoreError> {
    let rows = todos.iter().map(|t| args![t.member.shard(), t.member.0, t.due, t.kind.word(), &t.reference, t.failures]).collect();
    let tail = "ON CONFLICT (kind, ref) DO UPDATE SET shard = excluded.shard, member = excluded.member, due = excluded.due, \
                failures = excluded.failures";
    tx.insert_many("INSERT INTO todo (shard, member, due, kind, ref, failures)", rows, tail).await?;
    Ok(())
}

/// Deletes work that is done.
pub async fn done(tx: &mut Tx, todo: &Todo) -> Result<(), StoreError> {
    tx.execute("DELETE FROM todo WHERE kind = $1 AND ref = $2", args![todo.kind.word(), &todo.reference]).await?;
    Ok(())
}

/// Deletes work about events that is done.
pub async fn events_done<'a>(tx: &mut Tx, events: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
    tx.about("DELETE FROM todo WHERE kind = 'event' AND ref IN (", events, ")").await?;
    Ok(())
}

/// Notes that the work failed and is to be tried again at `due`.
pub async fn fail(tx: &mut Tx, todo: &Todo, due: Millis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE todo SET failures = failures + 1, due = $3 WHERE kind = $1 AND ref = $2",
        args![todo.kind.word(), &todo.reference, due],
    )
    .await?;
    Ok(())
}

/// Takes work that fails even alone out of the way, with the reason for a person to read. `now` is business time.
pub async fn park(tx: &mut Tx, todo: &Todo, reason: &str, now: Millis) -> Result<(), StoreError> {
    done(tx, todo).await?;
    tx.execute(
        "INSERT INTO parked_work (kind, ref, member, reason, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (kind, ref) DO UPDATE SET reason = excluded.reason, at = excluded.at",
        args![todo.kind.word(), &todo.reference, todo.member.0, reason, now],
    )
    .await?;
    Ok(())
}

/// Work that was parked, for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// About what.
    pub kind: TodoKind,
    /// Id of the event or visit.
    pub reference: String,
    /// Why it failed.
    pub reason: String,
    /// When, business time.
    pub at: Millis,
}

/// What is parked, the newest first, at most `limit`.
pub async fn parked(db: &Db, limit: u32) -> Result<Vec<Parked>, StoreError> {
    let rows = db.fetch("SELECT kind, ref, reason, at FROM parked_work ORDER BY at DESC, ref LIMIT $1", args![limit]).await?;
    let read = |row: &Row| {
        let kind = row.text(0)?.parse().map_err(|()| StoreError::Corrupt("kind of work"))?;
        Ok(Parked { kind, reference: row.text(1)?, reason: row.text(2)?, at: row.millis(3)? })
    };
    rows.iter().map(read).collect()
}

/// What became of parked work that was to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It is due now.
    Due,
    /// What it was about has been forgotten meanwhile, and the work with it.
    Forgotten,
}

/// Makes parked work due at `now`, for whoever owns it now; `None` when no such work is parked.
pub async fn retry(tx: &mut Tx, kind: TodoKind, reference: &str, now: Millis) -> Result<Option<Retried>, StoreError> {
    let taken = tx.execute("DELETE FROM parked_work WHERE kind = $1 AND ref = $2", args![kind.word(), reference]).await?;
    if taken == 0 {
        return Ok(None);
    }
    let owner = match kind {
        TodoKind::Event => "SELECT member FROM event WHERE id = $1 AND member IS NOT NULL",
        TodoKind::Visit => "SELECT member FROM visit WHERE id = $1",
        TodoKind::Counter => "SELECT member FROM counter_moment WHERE id = $1 AND member IS NOT NULL",
    };
    let Some(row) = tx.fetch_optional(owner, args![reference]).await? else { return Ok(Some(Retried::Forgotten)) };
    put(tx, &Todo::new(MemberId(row.int(0)?), now, kind, reference)).await?;
    Ok(Some(Retried::Due))
}

/// Moves all work of a member to another one, for a merge. Both shards must be locked.
pub async fn reassign(tx: &mut Tx, from: MemberId, to: MemberId) -> Result<u64, StoreError> {
    tx.execute("UPDATE todo SET member = $2, shard = $3 WHERE member = $1", args![from.0, to.0, to.shard()]).await
}

/// Gives work of a member who went into another to that one, whose shard does it; `false` if she stands for herself. The shard of `member` must be
/// locked, so that no merge goes on meanwhile.
pub async fn hand_over(tx: &mut Tx, member: MemberId, todos: &[Todo]) -> Result<bool, StoreError> {
    let person = people::graph::standing_for(tx, member).await?;
    if person == member {
        return Ok(false);
    }
    let hers: Vec<Todo> = todos.iter().map(|todo| Todo { member: person, ..todo.clone() }).collect();
    put_many(tx, &hers).await?;
    Ok(true)
}
