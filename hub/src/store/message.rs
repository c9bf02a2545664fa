//! Messages and their fate: planning, caps, and what is still open.
//!
//! All times are business time, except the end of a lease (`claim_until`) and the earliest next try (`next_try`): leases and back-off are machine
//! time and are kept in milliseconds of the machine's wall clock, so that they survive a restart and mean the same to several hubs. A hub whose wall
//! clock is wrong by more than half a lease can at worst make messages `unknown`; it can never make one leave twice.

mod receipt;
mod send;

pub(crate) use receipt::any_waiting;
pub use receipt::{match_waiting, part_owner, receipt_without_message, sweep_receipts, unknown_of};
pub(crate) use send::any_stale;
pub use send::{Claimed, Details, Touched, any_due, claim, held, overdue, parts_fate, release_lost, save_parts, set_part, transition};
pub use send::{cancel, log_inbound, member_of, withdraw};

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::{
    args,
    identity::{Key, MemberId},
    sms::{MessageState, NewMessage, PastMessage, segment},
    store::{Db, Row, StoreError, Tx},
};

/// Writes a message that a sender will pick up. False when its send key exists: the message was planned before and nothing is written.
pub async fn plan(tx: &mut Tx, m: &NewMessage) -> Result<bool, StoreError> {
    let segments = segment::segment(&m.text);
    let sql = "INSERT INTO message (id, send_key, decision, member, brand, entity, offer, campaign, visit, store, destination, sealed, text, sender, \
               parts, encoding, trigger_at, deadline, validity_ms, state, planned_at, sealed_for) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
               ON CONFLICT (send_key) DO NOTHING";
    let rows = tx
        .execute(
            sql,
            args![
                m.id.to_string(),
                &m.send_key,
                m.decision.to_string(),
                m.member.0,
                &m.brand,
                &m.entity,
                &m.offer,
                m.campaign.clone(),
                m.visit.map(|v| v.to_string()),
                m.store.to_string(),
                &m.destination.key.0,
                m.destination.sealed.clone(),
                &m.text,
                &m.sender,
                segments.count(),
                segments.encoding.word(),
                m.trigger_at,
                m.deadline,
                m.validity_ms,
                MessageState::Planned.word(),
                m.planned_at,
                (m.destination.owner != m.member).then_some(m.destination.owner.0),
            ],
        )
        .await?;
    Ok(rows > 0)
}

/// Messages planned since `since` for this member or this destination, oldest first.
pub async fn past(tx: &mut Tx, member: MemberId, destination: &Key, since: Millis) -> Result<Vec<PastMessage>, StoreError> {
    let sql = "SELECT id, brand, entity, offer, planned_at, store, visit, state FROM message \
               WHERE (member = $1 OR destination = $2) AND planned_at >= $3 ORDER BY planned_at, id";
    tx.fetch(sql, args![member.0, &destination.0, since]).await?.iter().map(past_message).collect()
}

fn past_message(row: &Row) -> Result<PastMessage, StoreError> {
    Ok(PastMessage {
        id: uuid(&row.text(0)?)?,
        brand: row.text(1)?,
        entity: row.text(2)?,
        offer: row.text(3)?,
        at: row.millis(4)?,
        store: store(&row.text(5)?)?,
        visit: row.opt_text(6)?.map(|v| uuid(&v)).transpose()?,
        state: state(&row.text(7)?)?,
    })
}

/// How many messages still wait for a sender, an answer of the SMSC, or a receipt.
pub async fn unsettled(db: &Db) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM message WHERE state IN ('planned', 'claimed', 'writing', 'accepted')";
    db.fetch(sql, args![]).await?.first().map_or(Ok(0), |row| row.int(0))
}

fn uuid(text: &str) -> Result<Uuid, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("message reference"))
}

fn state(text: &str) -> Result<MessageState, StoreError> {
    text.parse().map_err(|()| StoreError::Corrupt("message state"))
}

fn store(text: &str) -> Result<StoreId, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt("store id"))
}
