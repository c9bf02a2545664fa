//! Forgets the keys of events that were stored long ago. An old event that comes again still counts once: below a watermark of its epoch every seq is
//! known as stored or gone, without its key.
//!
//! Keys have no time of their own. `progress` notes how far an epoch was complete at some moment; when that moment is long enough ago, so is everything
//! up to there.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use passage_protocol::{Millis, Seq};

use super::{
    Db, Row, StoreError, Tx,
    ingest::{EventKey, gateway, seq},
};
use crate::args;

/// Most seqs of one transaction, so that ingest never waits for long.
const STEP: Seq = 5_000;

/// How an epoch stands.
struct Epoch {
    gateway: String,
    epoch: String,
    upto: Seq,
    pruned: Seq,
    marked: Seq,
    marked_at: Millis,
}

/// Forgets the keys of what was stored more than `keep` ago; returns how many. Several hubs may do so at once.
///
/// # Errors
/// The database.
pub async fn prune(db: &Db, now: Millis, keep: Duration) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for epoch in epochs(db).await? {
        let mut pruned = epoch.pruned;
        while pruned < epoch.marked && epoch.marked_at <= now - keep {
            let to = epoch.marked.min(pruned + STEP);
            let Some(keys) = step(db, &epoch, pruned, to).await? else { break };
            (pruned, forgotten) = (to, forgotten + keys);
        }
        if pruned >= epoch.marked {
            let sql = "UPDATE progress SET marked = $4, marked_at = $5 WHERE gateway = $1 AND epoch = $2 AND marked = $3";
            db.execute(sql, args![&epoch.gateway, &epoch.epoch, epoch.marked, epoch.upto, now]).await?;
        }
    }
    Ok(forgotten)
}

/// Those with keys that may go. A forked epoch keeps its own: they are what tells the two outboxes apart.
async fn epochs(db: &Db) -> Result<Vec<Epoch>, StoreError> {
    let sql =
        "SELECT gateway, epoch, upto, pruned, marked, marked_at FROM progress WHERE upto > pruned AND forked = 0 ORDER BY gateway, epoch";
    let read = |row: &Row| {
        let (upto, pruned, marked) = (seq(row, 2)?, seq(row, 3)?, seq(row, 4)?);
        Ok(Epoch { gateway: row.text(0)?, epoch: row.text(1)?, upto, pruned, marked, marked_at: row.millis(5)? })
    };
    db.fetch(sql, args![]).await?.iter().map(read).collect()
}

/// Moves the watermark and deletes the keys below it. `None`: another hub was first.
async fn step(db: &Db, epoch: &Epoch, from: Seq, to: Seq) -> Result<Option<u64>, StoreError> {
    let mut tx = db.begin().await?;
    let name = |more: &[Seq]| {
        let mut args = args![&epoch.gateway, &epoch.epoch];
        args.extend(more.iter().map(|seq| (*seq).into()));
        args
    };
    let mark = "UPDATE progress SET pruned = $4 WHERE gateway = $1 AND epoch = $2 AND pruned = $3 AND upto >= $4 AND forked = 0";
    if tx.execute(mark, name(&[from, to])).await? == 0 {
        return Ok(None);
    }
    let delete = "DELETE FROM event_key WHERE gateway = $1 AND epoch = $2 AND seq > $3 AND seq <= $4";
    let keys = tx.execute(delete, name(&[from, to])).await?;
    let count = "UPDATE progress SET pruned_events = pruned_events + $3 WHERE gateway = $1 AND epoch = $2";
    tx.execute(count, name(&[keys])).await?;
    tx.commit().await?;
    Ok(Some(keys))
}

/// Those of `keys` that lie below the watermark of their epoch: they were stored before.
pub(super) async fn pruned_of(tx: &mut Tx, keys: &HashSet<EventKey>) -> Result<Vec<EventKey>, StoreError> {
    let epochs: BTreeSet<(&str, &str)> = keys.iter().map(|(gateway, epoch, _)| (gateway.as_str(), epoch.as_str())).collect();
    let rows = epochs.into_iter().map(|(gateway, epoch)| args![gateway, epoch]).collect();
    let head = "SELECT gateway, epoch, pruned FROM progress WHERE pruned > 0 AND (gateway, epoch) IN (";
    let mut watermarks = HashMap::new();
    for row in tx.with_values(head, rows, ")").await? {
        watermarks.insert((gateway(&row, 0)?, row.text(1)?), seq(&row, 2)?);
    }
    if watermarks.is_empty() {
        return Ok(Vec::new());
    }
    let is_below = |key: &&EventKey| watermarks.get(&(key.0.clone(), key.1.clone())).is_some_and(|pruned| key.2 <= *pruned);
    Ok(keys.iter().filter(is_below).cloned().collect())
}
