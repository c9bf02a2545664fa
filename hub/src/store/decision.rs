//! Decisions with their reasons. Nothing is ever changed here but the visit that a decision belongs to, when two visits turn out to be one.

use passage_protocol::Millis;

use crate::{
    args,
    identity::MemberId,
    offer::{Decision, Outcome},
    store::{Db, Row, StoreError, Tx},
};

macro_rules! columns {
    () => {
        "id, member, brand, entity, offer, store, trigger_kind, visit, at, result, reasons, config_revision"
    };
}

fn decision(row: &Row) -> Result<Decision, StoreError> {
    let visit = row.opt_text(7)?.map(|v| v.parse().map_err(|_| StoreError::Corrupt("visit id"))).transpose()?;
    Ok(Decision {
        id: row.text(0)?.parse().map_err(|_| StoreError::Corrupt("decision id"))?,
        member: MemberId(row.int(1)?),
        brand: row.text(2)?,
        entity: row.text(3)?,
        offer: row.text(4)?,
        store: row.text(5)?.parse().map_err(|_| StoreError::Corrupt("store id"))?,
        trigger: row.text(6)?,
        visit,
        at: row.millis(8)?,
        result: Outcome::from_word(&row.text(9)?).ok_or(StoreError::Corrupt("decision result"))?,
        checks: serde_json::from_str(&row.text(10)?).map_err(|_| StoreError::Corrupt("decision reasons"))?,
        revision: row.text(11)?,
    })
}

/// Records decisions.
pub async fn insert(tx: &mut Tx, decisions: &[Decision]) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(decisions.len());
    for d in decisions {
        let reasons = serde_json::to_string(&d.checks).map_err(|_| StoreError::Corrupt("decision reasons"))?;
        rows.push(args![
            d.id.to_string(),
            d.member.0,
            &d.brand,
            &d.entity,
            &d.offer,
            d.store.as_str(),
            &d.trigger,
            d.visit.map(|v| v.to_string()),
            d.at,
            d.result.word(),
            reasons,
            &d.revision,
        ]);
    }
    tx.insert_many(concat!("INSERT INTO decision (", columns!(), ")"), rows, "").await?;
    Ok(())
}

/// The decisions about a member, oldest first.
pub async fn of_member(tx: &mut Tx, member: MemberId) -> Result<Vec<Decision>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM decision WHERE member = $1 ORDER BY at, offer, id");
    tx.fetch(sql, args![member.0]).await?.iter().map(decision).collect()
}

/// The newest decisions in `[from, to)`, at most `limit`.
pub async fn list(db: &Db, from: Millis, to: Millis, limit: u32) -> Result<Vec<Decision>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM decision WHERE at >= $1 AND at < $2 ORDER BY at DESC, offer, id LIMIT $3");
    db.fetch(sql, args![from, to, limit]).await?.iter().map(decision).collect()
}

/// How many decisions in `[from, to)` had each result, by offer.
pub async fn summary(tx: &mut Tx, from: Millis, to: Millis) -> Result<Vec<(String, Outcome, i64)>, StoreError> {
    let sql = "SELECT offer, result, COUNT(*) FROM decision d WHERE at >= $1 AND at < $2 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = d.member) GROUP BY offer, result ORDER BY offer, result";
    let read = |row: &Row| {
        let result = Outcome::from_word(&row.text(1)?).ok_or(StoreError::Corrupt("decision result"))?;
        Ok((row.text(0)?, result, row.int(2)?))
    };
    tx.fetch(sql, args![from, to]).await?.iter().map(read).collect()
}

/// Deletes refused decisions from before `refused` and all from before `all`, at the end of their retention; returns how many.
pub async fn purge(tx: &mut Tx, refused: Millis, all: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM decision WHERE (result <> 'send' AND at < $1) OR at < $2", args![refused, all]).await
}
