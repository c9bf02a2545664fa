//! Deletes what is past its retention, and counts it. Suppressions stay; the keys that tell events apart go by `prune`, members by `privacy::erase`, and
//! what nobody could use after 48 h by `ingest::parked`.

use passage_protocol::Millis;

use crate::{
    args,
    store::{Db, StoreError, Tx, audit, counter, decision, people::given, regular, replay, tally, visit},
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
    /// Links to members' pages, by their expiry.
    pub pages: Millis,
    /// Erased members that hubs had to drop from memory.
    pub erased: Millis,
    /// Installations of erased members that gateways had to refuse.
    pub ended: Millis,
    /// Who looked at what is known of members.
    pub audit: Millis,
}

/// Adds what was forgotten to the counts of a UTC day, also where it was nothing: a day without rows is a day without a run.
pub async fn count(tx: &mut Tx, now: Millis, forgotten: &[(&'static str, u64)]) -> Result<(), StoreError> {
    let day = chrono::DateTime::from_timestamp_millis(now.0).unwrap_or_default().date_naive().to_string();
    let rows = forgotten.iter().map(|(what, rows)| args![&day, *what, *rows]).collect();
    let tail = "ON CONFLICT (day, what) DO UPDATE SET forgotten = forgotten.forgotten + excluded.forgotten";
    tx.insert_many("INSERT INTO forgotten (day, what, forgotten)", rows, tail).await?;
    Ok(())
}

/// What was forgotten on each of the last days, newest first: day, what, rows.
pub async fn counts(db: &Db, days: u32) -> Result<Vec<(String, String, i64)>, StoreError> {
    let sql = "SELECT day, what, forgotten FROM forgotten WHERE day IN (SELECT DISTINCT day FROM forgotten ORDER BY day DESC LIMIT $1) \
               ORDER BY day DESC, what";
    db.fetch(sql, args![days]).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.int(2)?))).collect()
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
    let pages = "DELETE FROM member_page WHERE expires_at < $1";
    let erased = "DELETE FROM erased_member WHERE at < $1";
    let ended = "DELETE FROM ended_installation WHERE at < $1";
    Ok(vec![
        ("events", tx.execute("DELETE FROM event WHERE member IS NOT NULL AND received_at < $1", args![cuts.events]).await?),
        ("visits", visit::purge(tx, cuts.visits).await?),
        ("moments at the counter", counter::purge(tx, cuts.counter).await?),
        ("replays", replay::purge(tx, cuts.visits).await?),
        ("regulars", regular::purge(tx, cuts.now).await?),
        ("touchpoints", tx.execute("DELETE FROM touchpoint WHERE at < $1", args![cuts.visits]).await?),
        ("counts of touchpoints", tally::purge(tx, cuts.visits).await?),
        ("purchases", tx.execute("DELETE FROM purchase WHERE at < $1", args![cuts.visits]).await?),
        ("messages", tx.execute(messages, args![cuts.visits]).await?),
        ("replies", tx.execute("DELETE FROM inbound WHERE at < $1", args![cuts.visits]).await?),
        ("hashes that partners took out", given::purge(tx, cuts.visits).await?),
        ("pages", tx.execute(pages, args![cuts.pages]).await?),
        ("erased members", tx.execute(erased, args![cuts.erased]).await?),
        ("erased installations", tx.execute(ended, args![cuts.ended]).await?),
        ("looks at members", audit::purge(tx, cuts.audit).await?),
        ("decisions", decision::purge(tx, cuts.refused, cuts.visits).await?),
    ])
}
