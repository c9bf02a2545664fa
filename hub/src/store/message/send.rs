//! What the sender does with a message: claim, move, record.

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use super::{state, store, uuid};
use crate::{
    args,
    identity::{Key, MemberId},
    sms::{
        MessageState,
        provider::{Fate, smsc_id},
        state::{self as machine, Step},
    },
    store::{Db, Row, StoreError, Tx},
};

/// A message that this hub holds under a lease.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Our reference.
    pub id: Uuid,
    /// To whom.
    pub member: MemberId,
    /// In whose name.
    pub brand: String,
    /// In whose legal name.
    pub entity: String,
    /// Which offer.
    pub offer: String,
    /// Where it was triggered.
    pub store: StoreId,
    /// Keyed number.
    pub destination: Key,
    /// Sealed number.
    pub sealed: Vec<u8>,
    /// Whose number it was sealed as: another than `member` after a merge.
    pub sealed_for: MemberId,
    /// What.
    pub text: String,
    /// Alphanumeric sender or short code.
    pub sender: String,
    /// Evidence that triggered it.
    pub trigger_at: Millis,
    /// No byte leaves after this.
    pub deadline: Millis,
    /// Milliseconds that the provider may try.
    pub validity_ms: i64,
    /// When it was decided.
    pub planned_at: Millis,
    /// How often it was handed to a provider before.
    pub attempts: u32,
}

/// A message that changed, for the notice.
#[derive(Debug, Clone)]
pub struct Touched {
    /// Our reference.
    pub id: Uuid,
    /// To whom.
    pub member: MemberId,
    /// Where it was triggered.
    pub store: StoreId,
    /// Where it is now.
    pub state: MessageState,
}

/// True if a message waits and may be tried at `wall` (machine time). A cheap read: an idle hub writes nothing.
pub async fn any_due(db: &Db, wall: Millis) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM message WHERE state = 'planned' AND (next_try IS NULL OR next_try <= $1) LIMIT 1";
    Ok(!db.fetch(sql, args![wall]).await?.is_empty())
}

/// Takes up to `limit` messages, oldest first, until `until` (machine time).
pub async fn claim(tx: &mut Tx, hub: &str, wall: Millis, until: Millis, limit: usize) -> Result<Vec<Claimed>, StoreError> {
    macro_rules! sql {
        ($lock:literal) => {
            concat!(
                "UPDATE message SET state = 'claimed', claimed_by = $1, claim_until = $2 WHERE id IN (",
                "SELECT id FROM message WHERE state = 'planned' AND (next_try IS NULL OR next_try <= $3) ORDER BY planned_at, id LIMIT $4",
                $lock,
                ") RETURNING id, member, brand, entity, offer, store, destination, sealed, text, sender, trigger_at, deadline, validity_ms, ",
                "planned_at, attempts, COALESCE(sealed_for, member)"
            )
        };
    }
    let sql = if tx.is_sqlite() { sql!("") } else { sql!(" FOR UPDATE SKIP LOCKED") };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut claimed: Vec<Claimed> =
        tx.fetch(sql, args![hub, until, wall, limit]).await?.iter().map(claimed_row).collect::<Result<_, _>>()?;
    claimed.sort_by_key(|c| (c.planned_at, c.id));
    Ok(claimed)
}

fn claimed_row(row: &Row) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        id: uuid(&row.text(0)?)?,
        member: MemberId(row.int(1)?),
        brand: row.text(2)?,
        entity: row.text(3)?,
        offer: row.text(4)?,
        store: store(&row.text(5)?)?,
        destination: Key(row.bytes32(6)?),
        sealed: row.opt_blob(7)?.unwrap_or_default(),
        text: row.text(8)?,
        sender: row.text(9)?,
        trigger_at: row.millis(10)?,
        deadline: row.millis(11)?,
        validity_ms: row.int(12)?,
        planned_at: row.millis(13)?,
        attempts: u32::try_from(row.int(14)?).unwrap_or(u32::MAX),
        sealed_for: MemberId(row.int(15)?),
    })
}

/// True if this hub still holds the message; locks it until the transaction ends.
pub async fn held(tx: &mut Tx, id: Uuid, hub: &str) -> Result<bool, StoreError> {
    let sql = if tx.is_sqlite() {
        "SELECT id FROM message WHERE id = $1 AND state = 'claimed' AND claimed_by = $2"
    } else {
        "SELECT id FROM message WHERE id = $1 AND state = 'claimed' AND claimed_by = $2 FOR UPDATE"
    };
    Ok(!tx.fetch(sql, args![id.to_string(), hub]).await?.is_empty())
}

/// What is recorded with a step.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Business time.
    pub now: Millis,
    /// Why.
    pub reason: Option<String>,
    /// Earliest next try, machine time.
    pub next_try: Option<Millis>,
    /// Until when the outcome of the writing is waited for, machine time.
    pub writing_until: Millis,
}

/// Moves a message by one step of the machine; `None` when the step does not apply to where it is.
///
/// The sealed number goes as soon as nothing can be sent any more.
pub async fn transition(tx: &mut Tx, id: Uuid, step: Step, details: &Details) -> Result<Option<Touched>, StoreError> {
    let sql = if tx.is_sqlite() {
        "SELECT state, member, store FROM message WHERE id = $1"
    } else {
        "SELECT state, member, store FROM message WHERE id = $1 FOR UPDATE"
    };
    let Some(row) = tx.fetch_optional(sql, args![id.to_string()]).await? else { return Ok(None) };
    let Some(to) = machine::next(state(&row.text(0)?)?, step) else { return Ok(None) };
    let touched = Touched { id, member: MemberId(row.int(1)?), store: store(&row.text(2)?)?, state: to };
    let id = id.to_string();
    match to {
        MessageState::Planned => {
            let sql =
                "UPDATE message SET state = 'planned', claimed_by = NULL, claim_until = NULL, next_try = $2, reason = $3 WHERE id = $1";
            tx.execute(sql, args![id, details.next_try, details.reason.clone()]).await?;
        }
        MessageState::Writing => {
            let sql = "UPDATE message SET state = 'writing', sent_at = $2, claim_until = $3, attempts = attempts + 1, reason = NULL WHERE id = $1";
            tx.execute(sql, args![id, details.now, details.writing_until]).await?;
        }
        MessageState::Accepted | MessageState::Unknown => {
            let sql = "UPDATE message SET state = $2, reason = $3, sealed = NULL, claimed_by = NULL, claim_until = NULL WHERE id = $1";
            tx.execute(sql, args![id, to.word(), details.reason.clone()]).await?;
        }
        _ => {
            let sql = "UPDATE message SET state = $2, reason = $3, settled_at = $4, sealed = NULL, claimed_by = NULL, claim_until = NULL \
                       WHERE id = $1";
            tx.execute(sql, args![id, to.word(), details.reason.clone(), details.now]).await?;
        }
    }
    Ok(Some(touched))
}

/// Gives back claims whose lease is over at `wall` (machine time), or, at the start of a hub, all of its own. What was in `writing` becomes unknown:
/// nobody can know how far its bytes came. Returns the messages that are unknown now.
pub async fn release_lost(tx: &mut Tx, hub: &str, wall: Millis, at_start: bool) -> Result<Vec<Touched>, StoreError> {
    let own = i64::from(at_start);
    let claims = "UPDATE message SET state = 'planned', claimed_by = NULL, claim_until = NULL \
                  WHERE state = 'claimed' AND (claim_until < $1 OR ($2 = 1 AND claimed_by = $3))";
    tx.execute(claims, args![wall, own, hub]).await?;
    let writes = "UPDATE message SET state = 'unknown', reason = 'crash while sending', sealed = NULL, claimed_by = NULL, claim_until = NULL \
                  WHERE state = 'writing' AND (claim_until < $1 OR ($2 = 1 AND claimed_by = $3)) RETURNING id, member, store";
    touched(tx.fetch(writes, args![wall, own, hub]).await?, MessageState::Unknown)
}

/// True if [`release_lost`] or [`overdue`] has something to do.
pub(crate) async fn any_stale(db: &Db, now: Millis, wall: Millis) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM message WHERE (state = 'planned' AND deadline < $1) OR (state IN ('claimed', 'writing') AND claim_until < $2) LIMIT 1";
    Ok(!db.fetch(sql, args![now, wall]).await?.is_empty())
}

/// Ends the planned messages whose deadline is over at `now`.
pub async fn overdue(tx: &mut Tx, now: Millis) -> Result<Vec<Touched>, StoreError> {
    let sql = "UPDATE message SET state = 'expired', reason = COALESCE(reason, 'too-late'), settled_at = $1, sealed = NULL \
               WHERE state = 'planned' AND deadline < $1 RETURNING id, member, store";
    touched(tx.fetch(sql, args![now]).await?, MessageState::Expired)
}

/// Suppresses what is planned for a destination in the name of a brand and entity. What is being written cannot be called back.
pub async fn cancel(tx: &mut Tx, brand: &str, entity: &str, destination: &Key, now: Millis) -> Result<Vec<Touched>, StoreError> {
    let sql = "UPDATE message SET state = 'suppressed', reason = 'stop', settled_at = $4, sealed = NULL, claimed_by = NULL, claim_until = NULL \
               WHERE destination = $3 AND brand = $1 AND entity = $2 AND state IN ('planned', 'claimed') RETURNING id, member, store";
    touched(tx.fetch(sql, args![brand, entity, &destination.0, now]).await?, MessageState::Suppressed)
}

/// Suppresses what is planned for a member in the name of a brand and entity, because she withdrew what it needs.
pub async fn withdraw(tx: &mut Tx, member: MemberId, brand: &str, entity: &str, reason: &str, now: Millis) -> Result<u64, StoreError> {
    let sql = "UPDATE message SET state = 'suppressed', reason = $4, settled_at = $5, sealed = NULL, claimed_by = NULL, claim_until = NULL \
               WHERE member = $1 AND brand = $2 AND entity = $3 AND state IN ('planned', 'claimed')";
    tx.execute(sql, args![member.0, brand, entity, reason, now]).await
}

fn touched(rows: Vec<Row>, state: MessageState) -> Result<Vec<Touched>, StoreError> {
    let one = |row: &Row| Ok(Touched { id: uuid(&row.text(0)?)?, member: MemberId(row.int(1)?), store: store(&row.text(2)?)?, state });
    rows.iter().map(one).collect()
}

/// The member who was last written to at this destination.
pub async fn member_of(tx: &mut Tx, destination: &Key) -> Result<Option<MemberId>, StoreError> {
    let sql = "SELECT member FROM message WHERE destination = $1 ORDER BY planned_at DESC LIMIT 1";
    tx.fetch_optional(sql, args![&destination.0]).await?.map(|row| row.int(0).map(MemberId)).transpose()
}

/// Notes that a destination wrote: the verb, never the text.
pub async fn log_inbound(tx: &mut Tx, destination: &Key, number: &str, verb: &str, at: Millis) -> Result<(), StoreError> {
    let sql = "INSERT INTO inbound (id, destination, number, verb, at) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, args![Uuid::now_v7().to_string(), &destination.0, number, verb, at]).await?;
    Ok(())
}

/// Notes what the provider called each part.
pub async fn save_parts(tx: &mut Tx, id: Uuid, ids: &[String], at: Millis) -> Result<(), StoreError> {
    let rows = (1_i64..).zip(ids).map(|(number, name)| args![id.to_string(), number, smsc_id(name), at]).collect();
    tx.insert_many("INSERT INTO message_part (message, number, smsc_id, at)", rows, "ON CONFLICT (message, number) DO NOTHING").await?;
    Ok(())
}

/// Notes how a part ended. A later receipt for the same part changes nothing.
pub async fn set_part(tx: &mut Tx, id: Uuid, number: i64, fate: Fate) -> Result<(), StoreError> {
    let sql = "UPDATE message_part SET outcome = $3 WHERE message = $1 AND number = $2 AND outcome IS NULL";
    tx.execute(sql, args![id.to_string(), number, fate.word()]).await?;
    Ok(())
}

/// How the message ended by its parts: the first bad end, delivered when all are, `None` while parts are out.
pub async fn parts_fate(tx: &mut Tx, id: Uuid) -> Result<Option<Fate>, StoreError> {
    let rows = tx.fetch("SELECT outcome FROM message_part WHERE message = $1 ORDER BY number", args![id.to_string()]).await?;
    let fates: Vec<Option<Fate>> =
        rows.iter().map(|row| Ok(row.opt_text(0)?.as_deref().and_then(Fate::from_word))).collect::<Result<_, StoreError>>()?;
    let bad = fates.iter().flatten().find(|f| **f != Fate::Delivered).copied();
    let all = !fates.is_empty() && fates.iter().all(Option::is_some);
    Ok(bad.or_else(|| all.then_some(Fate::Delivered)))
}
