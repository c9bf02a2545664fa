//! Deletes what is past its retention. Members, consents and suppressions stay; the keys that tell events apart go by `prune`.

use passage_protocol::Millis;

use crate::{
    args,
    store::{StoreError, Tx, counter, decision, regular, tally, visit},
};

/// Everything from before these times may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    /// Events, by arrival.
    pub events: Millis,
    /// Visits, touchpoints, purchases, messages and decisions to send.
    pub visits: Millis,
    /// Decisions not to send.
    pub refused: Millis,
    /// Moments at the counter that nobody claimed.
    pub counter: Millis,
    /// Labels that end before now.
    pub now: Millis,
}

/// Deletes it, and returns the tables with the number of rows that went.
///
/// # Errors
/// The database.
pub async fn forget(tx: &mut Tx, cuts: Cuts) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let lines = "DELETE FROM purchase_line WHERE EXISTS (SELECT 1 FROM purchase p \
                 WHERE p.store = purchase_line.store AND p.ticket = purchase_line.ticket AND p.at < $1)";
    // A message that is still under way is never that old; should one be, its end comes first.
    let messages = "DELETE FROM message WHERE planned_at < $1 AND state NOT IN ('planned', 'claimed', 'writing')";
    tx.execute(lines, args![cuts.visits]).await?;
    Ok(vec![
        ("events", tx.execute("DELETE FROM event WHERE member IS NOT NULL AND received_at < $1", args![cuts.events]).await?),
        ("visits", visit::purge(tx, cuts.visits).await?),
        ("moments at the counter", counter::purge(tx, cuts.counter).await?),
        ("regulars", regular::purge(tx, cuts.now).await?),
        ("touchpoints", tx.execute("DELETE FROM touchpoint WHERE at < $1", args![cuts.visits]).await?),
        ("counts of touchpoints", tally::purge(tx, cuts.visits).await?),
        ("purchases", tx.execute("DELETE FROM purchase WHERE at < $1", args![cuts.visits]).await?),
        ("messages", tx.execute(messages, args![cuts.visits]).await?),
        ("decisions", decision::purge(tx, cuts.refused, cuts.visits).await?),
    ])
}
