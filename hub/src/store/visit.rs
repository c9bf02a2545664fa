//! Visits: the row that reports read, and the evidence from which the machine goes on.

use std::str::FromStr;

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::{
    args,
    identity::MemberId,
    store::{Db, Row, StoreError, Tx},
    visit::{Label, Proof, Stay, Visit, span::Span},
};

/// A visit with the evidence behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVisit {
    /// What reports read.
    pub visit: Visit,
    /// From what the machine goes on.
    pub stay: Stay,
}

macro_rules! columns {
    () => {
        "id, member, store, start_at, end_at, dwell_ms, label, is_open, state, evidence, accuracy_m, confidence, reasons, rules, revision, revised"
    };
}

fn visit(row: &Row) -> Result<Visit, StoreError> {
    Ok(Visit {
        id: row.text(0)?.parse().map_err(|_| StoreError::Corrupt("visit id"))?,
        member: MemberId(row.int(1)?),
        store: row.text(2)?.parse().map_err(|_| StoreError::Corrupt("store id"))?,
        start: row.millis(3)?,
        end: row.millis(4)?,
        dwell_ms: row.int(5)?,
        label: row.text(6)?.parse().map_err(|()| StoreError::Corrupt("visit label"))?,
        open: row.flag(7)?,
        proof: proof(row)?,
    })
}

fn proof(row: &Row) -> Result<Proof, StoreError> {
    Ok(Proof {
        kinds: words(&row.text(9)?, "kinds of evidence")?,
        accuracy_m: row.opt_real(10)?,
        confidence: row.text(11)?.parse().map_err(|()| StoreError::Corrupt("confidence"))?,
        reasons: words(&row.text(12)?, "reasons of a visit")?,
        rules: row.text(13)?,
        revision: u32::try_from(row.int(14)?).map_err(|_| StoreError::Corrupt("revision of a visit"))?,
        revised: row.opt_text(15)?.map(|word| word.parse().map_err(|()| StoreError::Corrupt("reason of a revision"))).transpose()?,
    })
}

/// Words with blanks between them.
fn words<T: FromStr<Err = ()>>(text: &str, what: &'static str) -> Result<Vec<T>, StoreError> {
    text.split_whitespace().map(|word| word.parse().map_err(|()| StoreError::Corrupt(what))).collect()
}

fn joined(words: impl IntoIterator<Item = &'static str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

fn stored(row: &Row) -> Result<StoredVisit, StoreError> {
    let stay = serde_json::from_str(&row.text(8)?).map_err(|_| StoreError::Corrupt("visit state"))?;
    Ok(StoredVisit { visit: visit(row)?, stay })
}

/// The visit with this id.
pub async fn get(tx: &mut Tx, id: Uuid) -> Result<Option<StoredVisit>, StoreError> {
    let row = tx.fetch_optional(concat!("SELECT ", columns!(), " FROM visit WHERE id = $1"), args![id.to_string()]).await?;
    row.as_ref().map(stored).transpose()
}

/// What the machine needs to judge evidence of a member in a store: every visit with evidence inside `reach`, which is the span of the new evidence
/// widened on both sides by the longest gap of a visit.
pub async fn within(tx: &mut Tx, member: MemberId, store: &StoreId, reach: Span) -> Result<Vec<Stay>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM visit WHERE member = $1 AND store = $2 AND seen_to >= $3 AND seen_from <= $4 ORDER BY seen_from"
    );
    let rows = tx.fetch(sql, args![member.0, store.as_str(), reach.0, reach.1]).await?;
    rows.iter().map(|row| stored(row).map(|s| s.stay)).collect()
}

/// The open visits of a member, in all stores.
pub async fn open_of_member(tx: &mut Tx, member: MemberId) -> Result<Vec<Visit>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM visit WHERE member = $1 AND is_open = 1 ORDER BY start_at");
    tx.fetch(sql, args![member.0]).await?.iter().map(visit).collect()
}

/// The stays inside of a member in any store that touch a span.
pub async fn inside_anywhere(tx: &mut Tx, member: MemberId, span: Span) -> Result<Vec<(StoreId, Stay)>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM visit WHERE member = $1 AND seen_to >= $2 AND seen_from <= $3 AND evidence <> '' ORDER BY seen_from, id"
    );
    let rows = tx.fetch(sql, args![member.0, span.0, span.1]).await?;
    rows.iter().map(|row| stored(row).map(|found| (found.visit.store, found.stay))).collect()
}

/// All visits of a member, oldest first.
pub async fn of_member(tx: &mut Tx, member: MemberId) -> Result<Vec<Visit>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM visit WHERE member = $1 ORDER BY start_at, id");
    tx.fetch(sql, args![member.0]).await?.iter().map(visit).collect()
}

/// Writes a visit, new or changed.
pub async fn save(tx: &mut Tx, visit: &Visit, stay: &Stay, now: Millis) -> Result<(), StoreError> {
    let seen = stay.hull().unwrap_or(Span(visit.start, visit.end));
    let state = serde_json::to_string(stay).map_err(|_| StoreError::Corrupt("visit state"))?;
    let sql = "INSERT INTO visit (id, member, store, start_at, end_at, dwell_ms, label, is_open, seen_from, seen_to, state, updated_at, \
               evidence, accuracy_m, confidence, reasons, rules, revision, revised) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
               ON CONFLICT (id) DO UPDATE SET start_at = excluded.start_at, end_at = excluded.end_at, dwell_ms = excluded.dwell_ms, \
               label = excluded.label, is_open = excluded.is_open, seen_from = excluded.seen_from, seen_to = excluded.seen_to, \
               state = excluded.state, updated_at = excluded.updated_at, evidence = excluded.evidence, accuracy_m = excluded.accuracy_m, \
               confidence = excluded.confidence, reasons = excluded.reasons, rules = excluded.rules, revision = excluded.revision, \
               revised = excluded.revised";
    let proof = &visit.proof;
    let values = args![
        visit.id.to_string(),
        visit.member.0,
        visit.store.as_str(),
        visit.start,
        visit.end,
        visit.dwell_ms,
        visit.label.word(),
        visit.open,
        seen.0,
        seen.1,
        state,
        now,
        joined(proof.kinds.iter().map(|kind| kind.word())),
        proof.accuracy_m,
        proof.confidence.word(),
        joined(proof.reasons.iter().map(|reason| reason.word())),
        proof.rules.as_str(),
        i64::from(proof.revision),
        proof.revised.map(|because| because.word().to_owned()),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Makes one visit part of another: its row goes, decisions and messages name the other one from now on.
pub async fn absorb(tx: &mut Tx, visit: Uuid, into: Uuid) -> Result<(), StoreError> {
    let ids = || args![into.to_string(), visit.to_string()];
    tx.execute("UPDATE decision SET visit = $1 WHERE visit = $2", ids()).await?;
    tx.execute("UPDATE message SET visit = $1 WHERE visit = $2", ids()).await?;
    tx.execute("DELETE FROM visit WHERE id = $1", args![visit.to_string()]).await?;
    Ok(())
}

/// The newest visits, at most `limit`, that began in `[from, to)`.
pub async fn list(db: &Db, from: Millis, to: Millis, limit: u32) -> Result<Vec<Visit>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM visit WHERE start_at >= $1 AND start_at < $2 ORDER BY start_at DESC, id LIMIT $3");
    db.fetch(sql, args![from, to, limit]).await?.iter().map(visit).collect()
}

/// How many visits that began in `[from, to)` have each label.
pub async fn labels_summary(tx: &mut Tx, from: Millis, to: Millis) -> Result<Vec<(Label, i64)>, StoreError> {
    let sql = "SELECT label, COUNT(*) FROM visit v WHERE start_at >= $1 AND start_at < $2 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = v.member) GROUP BY label ORDER BY label";
    let read = |row: &Row| Ok((row.text(0)?.parse().map_err(|()| StoreError::Corrupt("visit label"))?, row.int(1)?));
    tx.fetch(sql, args![from, to]).await?.iter().map(read).collect()
}

/// Deletes visits that ended before `before`, at the end of their retention; returns how many.
pub async fn purge(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM visit WHERE is_open = 0 AND seen_to < $1", args![before]).await
}
