//! Events as they are stored.

use std::collections::{BTreeMap, HashMap, HashSet};

use passage_protocol::{Event, EventId, GatewayId, Gone, MAX_PAYLOAD, Millis, Phase, Seq, Signal, StoreId, Strength, Subject, Zone};

use crate::{
    args,
    identity::MemberId,
    store::{Row, StoreError, Tx, Value, prune, replay},
};

/// An event as ingest stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// The gateway that reported it.
    pub gateway: GatewayId,
    /// The epoch of that gateway's outbox.
    pub epoch: String,
    /// Number inside the epoch.
    pub seq: Seq,
    /// The store that the zone belongs to.
    pub store: StoreId,
    /// Where.
    pub zone: Zone,
    /// `rid`, `beacon` or `installation`.
    pub subject_kind: String,
    /// How it was noticed.
    pub signal: Signal,
    /// What happened.
    pub phase: Phase,
    /// Business time as the gateway had it.
    pub at: Millis,
    /// The same, corrected when the gateway did not trust its clock.
    pub at_corrected: Millis,
    /// First evidence of the stay, corrected likewise.
    pub first: Millis,
    /// Last evidence of the stay so far, corrected likewise.
    pub last: Millis,
    /// How good the evidence was.
    pub strength: Strength,
    /// Already inside when first seen: never triggers.
    pub initial: bool,
    /// Too late to be a reason for anything but the record.
    pub late: bool,
    /// When the hub stored it.
    pub received_at: Millis,
    /// Whose; `None` while nobody is known for the subject.
    pub member: Option<MemberId>,
    /// Of a member's rotating id: its keyed hash.
    pub mark: Option<i64>,
}

macro_rules! columns {
    () => {
        "id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, strength, initial, late, \
         received_at, member, mark"
    };
}

impl StoredEvent {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?,
            gateway: row.text(1)?.try_into().map_err(|_| StoreError::Corrupt("gateway id"))?,
            epoch: row.text(2)?,
            seq: u64::try_from(row.int(3)?).map_err(|_| StoreError::Corrupt("seq"))?,
            store: row.text(4)?.try_into().map_err(|_| StoreError::Corrupt("store id"))?,
            zone: row.text(5)?.try_into().map_err(|_| StoreError::Corrupt("zone"))?,
            subject_kind: row.text(6)?,
            signal: word(row.text(7)?, "signal")?,
            phase: word(row.text(8)?, "phase")?,
            at: row.millis(9)?,
            at_corrected: row.millis(10)?,
            first: row.millis(11)?,
            last: row.millis(12)?,
            strength: serde_json::from_str(&row.text(13)?).map_err(|_| StoreError::Corrupt("strength"))?,
            initial: row.flag(14)?,
            late: row.flag(15)?,
            received_at: row.millis(16)?,
            member: row.opt_int(17)?.map(MemberId),
            mark: row.opt_int(18)?,
        })
    }
}

/// Reads an enum in its wire word.
fn word<T: serde::de::DeserializeOwned>(text: String, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|_| StoreError::Corrupt(what))
}

/// The event with this id.
pub async fn event(tx: &mut Tx, id: &str) -> Result<Option<StoredEvent>, StoreError> {
    let row = tx.fetch_optional(concat!("SELECT ", columns!(), " FROM event WHERE id = $1"), args![id]).await?;
    row.as_ref().map(StoredEvent::from_row).transpose()
}

/// The events with these ids, as far as they are there. One that cannot be read is an error of its own.
pub(crate) async fn events<'a>(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<String, Result<StoredEvent, StoreError>>, StoreError> {
    let rows = tx.about(concat!("SELECT ", columns!(), " FROM event WHERE id IN ("), ids, ")").await?;
    rows.iter().map(|row| Ok((row.text(0)?, StoredEvent::from_row(row)))).collect()
}

/// What makes an event count once: gateway, epoch, seq.
pub(crate) type EventKey = (GatewayId, String, Seq);

/// An event to be stored.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) gateway: &'a GatewayId,
    pub(crate) epoch: &'a str,
    pub(crate) event: &'a Event,
    /// Milliseconds to add to its times.
    pub(crate) shift: i64,
    /// `None`: nobody is known yet, so the subject is kept.
    pub(crate) member: Option<MemberId>,
    /// Of a member's rotating id: its keyed hash.
    pub(crate) mark: Option<i64>,
}

/// Inserts keys and returns those that are new. Ascending keys, so that two hubs never wait for each other in a ring.
pub(crate) async fn insert_keys(tx: &mut Tx, keys: &BTreeMap<EventKey, EventId>) -> Result<HashSet<EventKey>, StoreError> {
    let rows = keys.iter().map(|((gateway, epoch, seq), id)| args![gateway.as_str(), epoch, *seq, id.to_string()]).collect();
    let head = "INSERT INTO event_key (gateway, epoch, seq, event_id)";
    let new = tx.insert_many(head, rows, "ON CONFLICT DO NOTHING RETURNING gateway, epoch, seq").await?;
    let mut new = new.iter().map(|row| Ok((gateway(row, 0)?, row.text(1)?, seq(row, 2)?))).collect::<Result<HashSet<_>, StoreError>>()?;
    // Asked after the insertion: a key that was pruned while this one waited for its place is noticed too.
    for key in prune::pruned_of(tx, &new).await? {
        tx.execute("DELETE FROM event_key WHERE gateway = $1 AND epoch = $2 AND seq = $3", args![key.0.as_str(), &key.1, key.2]).await?;
        new.remove(&key);
    }
    Ok(new)
}

/// The ids of the events from `from` to `to` of an epoch.
pub(crate) async fn ids(tx: &mut Tx, gateway: &GatewayId, epoch: &str, from: Seq, to: Seq) -> Result<HashMap<Seq, String>, StoreError> {
    let sql = "SELECT seq, event_id FROM event_key WHERE gateway = $1 AND epoch = $2 AND seq BETWEEN $3 AND $4";
    let rows = tx.fetch(sql, args![gateway.as_str(), epoch, from, to]).await?;
    rows.iter().map(|row| Ok((seq(row, 0)?, row.text(1)?))).collect()
}

/// The gateway and epoch that an event is stored under.
pub(crate) async fn home(tx: &mut Tx, id: &str) -> Result<Option<(GatewayId, String)>, StoreError> {
    let row = tx.fetch_optional("SELECT gateway, epoch FROM event WHERE id = $1", args![id]).await?;
    row.map(|row| Ok((gateway(&row, 0)?, row.text(1)?))).transpose()
}

/// Inserts events and returns the ids of those that were inserted; an id that was used before is not.
pub(crate) async fn insert_events(tx: &mut Tx, events: &[NewEvent<'_>], now: Millis) -> Result<HashSet<String>, StoreError> {
    let rows = events.iter().map(|new| event_row(new, now)).collect();
    let head = concat!("INSERT INTO event (", columns!(), ", subject)");
    let inserted = tx.insert_many(head, rows, "ON CONFLICT DO NOTHING RETURNING id").await?;
    inserted.iter().map(|row| row.text(0)).collect()
}

fn event_row(new: &NewEvent<'_>, now: Millis) -> Vec<Value> {
    let e = new.event;
    let shifted = |at: Millis| Millis(at.0.saturating_add(new.shift));
    let subject = if new.member.is_none() { Some(json(&e.subject)) } else { None };
    let kind = match e.subject {
        Subject::Rid { .. } => "rid",
        Subject::Beacon(_) => "beacon",
        Subject::Installation(_) => "installation",
    };
    args![
        e.id.to_string(),
        new.gateway.as_str(),
        new.epoch,
        e.seq,
        e.store.as_str(),
        e.zone.to_string(),
        kind,
        wire_word(&e.signal),
        wire_word(&e.phase),
        e.at,
        shifted(e.at),
        shifted(e.first),
        shifted(e.last),
        json(&e.strength),
        e.initial,
        e.late,
        now,
        new.member.map(|m| m.0),
        new.mark,
        subject,
    ]
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The wire word of an enum without fields.
fn wire_word<T: serde::Serialize>(value: &T) -> String {
    json(value).trim_matches('"').to_owned()
}

pub(super) fn gateway(row: &Row, i: usize) -> Result<GatewayId, StoreError> {
    row.text(i)?.try_into().map_err(|_| StoreError::Corrupt("gateway id"))
}

pub(super) fn seq(row: &Row, i: usize) -> Result<Seq, StoreError> {
    u64::try_from(row.int(i)?).map_err(|_| StoreError::Corrupt("seq"))
}

/// Notes ranges that a gateway accounts for but cannot deliver.
pub(crate) async fn insert_gone(tx: &mut Tx, gateway: &GatewayId, epoch: &str, gone: &[Gone], now: Millis) -> Result<(), StoreError> {
    let row = |g: &Gone| args![gateway.as_str(), epoch, g.range.from, g.range.to, wire_word(&g.reason), now];
    let head = "INSERT INTO gone (gateway, epoch, from_seq, to_seq, reason, at)";
    tx.insert_many(head, gone.iter().map(row).collect(), "ON CONFLICT DO NOTHING").await?;
    Ok(())
}

/// An event whose subject nobody is known for.
#[derive(Debug)]
pub(crate) struct Unresolved {
    pub(crate) id: String,
    pub(crate) store: StoreId,
    pub(crate) subject: Subject,
    /// Last evidence, corrected.
    pub(crate) evidence: Millis,
}

/// Unresolved events received after `since`, by id from after `after`.
pub(crate) async fn unresolved(tx: &mut Tx, since: Millis, after: &str, limit: u32) -> Result<Vec<Unresolved>, StoreError> {
    let sql = "SELECT id, store, subject, last_at FROM event \
               WHERE member IS NULL AND received_at > $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = tx.fetch(sql, args![since, after, limit]).await?;
    let read = |row: &Row| {
        Ok(Unresolved {
            id: row.text(0)?,
            store: row.text(1)?.try_into().map_err(|_| StoreError::Corrupt("store id"))?,
            subject: serde_json::from_str(&row.text(2)?).map_err(|_| StoreError::Corrupt("subject"))?,
            evidence: row.millis(3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Gives an unresolved event to a member and forgets the subject. False: somebody else did, or it is gone.
pub(crate) async fn assign(tx: &mut Tx, id: &str, member: MemberId, mark: Option<i64>) -> Result<bool, StoreError> {
    let sql = "UPDATE event SET member = $2, mark = $3, subject = NULL WHERE id = $1 AND member IS NULL";
    Ok(tx.execute(sql, args![id, member.0, mark]).await? == 1)
}

/// Deletes an unresolved event.
pub(crate) async fn forget(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM event WHERE id = $1 AND member IS NULL", args![id]).await?;
    Ok(())
}

/// Deletes an event of a member who does not consent to presence any more.
pub(crate) async fn forget_resolved(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM event WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Deletes unresolved events and quarantined payloads received at `until` or before; returns how many of each.
pub(crate) async fn purge(tx: &mut Tx, until: Millis) -> Result<(u64, u64), StoreError> {
    let events = tx.execute("DELETE FROM event WHERE member IS NULL AND received_at <= $1", args![until]).await?;
    replay::purge_heard(tx, until).await?;
    Ok((events, tx.execute("DELETE FROM quarantine WHERE at <= $1", args![until]).await?))
}

/// Most payloads of one sender in quarantine; a gateway that repeats what cannot be read must not fill the disk.
const QUARANTINED_PAYLOADS: i64 = 1000;

/// Puts a payload aside. Only its first 64 KiB are kept, and of one sender only so many at a time.
pub(crate) async fn quarantine_payload(
    tx: &mut Tx,
    gateway: Option<&GatewayId>,
    reason: &str,
    payload: &[u8],
    now: Millis,
) -> Result<(), StoreError> {
    let raw = payload[..payload.len().min(MAX_PAYLOAD)].to_vec();
    let size = u64::try_from(payload.len()).unwrap_or(u64::MAX);
    tx.execute(
        "INSERT INTO quarantine (id, at, gateway, reason, size, raw) SELECT $1, $2, $3, $4, $5, $6 \
         WHERE (SELECT COUNT(*) FROM quarantine WHERE gateway IS NOT DISTINCT FROM $3) < $7",
        args![row_id(now), now, gateway.map(GatewayId::as_str), reason, size, raw, QUARANTINED_PAYLOADS],
    )
    .await?;
    Ok(())
}

/// Puts single events aside. They are always kept, because they count as stored.
pub(crate) async fn quarantine_events(tx: &mut Tx, events: &[(&GatewayId, &'static str, &Event)], now: Millis) -> Result<(), StoreError> {
    let row = |(gateway, reason, event): &(&GatewayId, &'static str, &Event)| {
        let raw = json(event).into_bytes();
        let size = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        args![row_id(now), now, gateway.as_str(), *reason, size, raw]
    };
    tx.insert_many("INSERT INTO quarantine (id, at, gateway, reason, size, raw)", events.iter().map(row).collect(), "").await?;
    Ok(())
}

/// A UUIDv7 of business time.
fn row_id(now: Millis) -> String {
    let mut random = [0; 10];
    rand::fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &random).into_uuid().to_string()
}
