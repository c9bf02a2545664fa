//! What one transaction of the writer does: keys first, then the events that are new, then the work for those of members.

use std::collections::{BTreeMap, HashMap, HashSet};

use passage_protocol::{EventId, GatewayId, GatewayState, Millis, RadioCounters};

use super::{
    Resolve, Who,
    accept::{Checked, CheckedEvent},
    link::Message,
    progress::Touch,
};
use crate::store::{
    StoreError, Tx, fleet, gateway,
    ingest::{self as table, EventKey, NewEvent},
    progress as standing,
    work::{self, Todo, TodoKind},
};

/// A message with what it turned out to be.
pub(crate) struct Parcel {
    pub(crate) message: Message,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Envelope(Checked),
    Hello(Touch),
    State(Option<GatewayState>, Option<RadioCounters>),
    Bad { gateway: Option<GatewayId>, reason: String },
}

impl Parcel {
    fn gateway(&self) -> Option<&GatewayId> {
        match &self.content {
            Content::Envelope(envelope) => Some(&envelope.gateway),
            Content::Hello(touch) => Some(&touch.gateway),
            Content::State(state, _) => state.as_ref().map(|state| &state.gateway),
            Content::Bad { gateway, .. } => gateway.as_ref(),
        }
    }

    pub(crate) fn events(&self) -> &[CheckedEvent] {
        if let Content::Envelope(envelope) = &self.content { &envelope.events } else { &[] }
    }
}

/// What a transaction came to.
pub(crate) enum Written {
    /// Everything is in; `work` if a worker has something to do now.
    All {
        work: bool,
        /// Events that are new.
        stored: usize,
        /// Events that were stored before.
        repeated: usize,
    },
    /// These parcels must be put aside before the rest can go in.
    Spoiled(BTreeMap<usize, Spoil>),
}

/// Why a parcel cannot be stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// One of its keys is stored with another event.
    Fork,
    /// One of its event ids is stored under another key.
    IdTwice,
    /// Its gateway was revoked: it is dropped.
    Barred,
}

/// Writes a batch without the parcels that are `spoiled`; those are put aside.
pub(crate) async fn write(
    tx: &mut Tx,
    batch: &[Parcel],
    spoiled: &BTreeMap<usize, Spoil>,
    resolver: &dyn Resolve,
    now: Millis,
) -> Result<Written, StoreError> {
    let barred = barred(tx, batch, spoiled).await?;
    if !barred.is_empty() {
        return Ok(Written::Spoiled(barred));
    }
    put_aside(tx, batch, spoiled, now).await?;
    let (states, radios) = states(batch, spoiled);
    gateway::heard(tx, &states, now).await?;
    gateway::radios_heard(tx, &radios).await?;
    let good: Vec<(usize, &Checked)> = good(batch, spoiled);
    let keys = match keys(&good) {
        Ok(keys) => keys,
        Err(spoil) => return Ok(Written::Spoiled(spoil)),
    };
    let new = table::insert_keys(tx, &keys).await?;
    let forks = forks(tx, &good, &keys, &new).await?;
    if !forks.is_empty() {
        return Ok(Written::Spoiled(forks));
    }
    let mut taken = HashSet::new();
    let fresh = good.iter().flat_map(|(i, envelope)| envelope.events.iter().map(move |event| (*i, *envelope, event)));
    let fresh: Vec<_> =
        fresh.filter(|(_, envelope, checked)| new.contains(&key(envelope, checked)) && taken.insert(checked.event.id)).collect();
    let mut written = write_events(tx, &fresh, resolver, now).await?;
    if let Written::All { stored, repeated, .. } = &mut written {
        (*stored, *repeated) = (new.len(), keys.len() - new.len());
    }
    for (_, envelope) in &good {
        table::insert_gone(tx, &envelope.gateway, &envelope.epoch, &envelope.gone, now).await?;
    }
    Ok(written)
}

/// What comes from gateways that were revoked. Asked in the transaction that would store it, so a revocation that is committed holds in every hub.
async fn barred(tx: &mut Tx, batch: &[Parcel], spoiled: &BTreeMap<usize, Spoil>) -> Result<BTreeMap<usize, Spoil>, StoreError> {
    let barred = fleet::barred(tx).await?;
    let of_barred = |(i, parcel): (usize, &Parcel)| {
        let is_new = !spoiled.contains_key(&i) && parcel.gateway().is_some_and(|gateway| barred.contains(gateway));
        is_new.then_some((i, Spoil::Barred))
    };
    Ok(batch.iter().enumerate().filter_map(of_barred).collect())
}

/// Writes the events that are new, and the work for those of members.
pub(crate) async fn write_events(
    tx: &mut Tx,
    fresh: &[(usize, &Checked, &CheckedEvent)],
    resolver: &dyn Resolve,
    now: Millis,
) -> Result<Written, StoreError> {
    let mut rows = Vec::new();
    let mut owners = Vec::new();
    let mut refused = Vec::new();
    for (i, envelope, checked) in fresh {
        let event = &checked.event;
        if let Some(reason) = checked.refused {
            refused.push((&envelope.gateway, reason, event));
            continue;
        }
        let evidence = Millis(event.last.0.saturating_add(checked.shift));
        let member = match resolver.who(&event.subject, evidence, &event.store) {
            Who::Member(member) => Some(member),
            Who::Unknown => None,
            Who::Refused => continue,
        };
        let mark = member.and_then(|_| resolver.mark(&event.subject));
        rows.push(NewEvent { gateway: &envelope.gateway, epoch: &envelope.epoch, event, shift: checked.shift, member, mark });
        owners.push(*i);
    }
    let stored = table::insert_events(tx, &rows, now).await?;
    let left_out: Vec<_> = rows.iter().zip(owners).filter(|(row, _)| !stored.contains(&row.event.id.to_string())).collect();
    let twice = used_otherwise(tx, &left_out).await?;
    if !twice.is_empty() {
        return Ok(Written::Spoiled(twice));
    }
    table::quarantine_events(tx, &refused, now).await?;
    let todo = |row: &NewEvent<'_>| Some(Todo::new(row.member?, now, TodoKind::Event, row.event.id.to_string()));
    let todos: Vec<Todo> = rows.iter().filter(|row| stored.contains(&row.event.id.to_string())).filter_map(todo).collect();
    work::put_many(tx, &todos).await?;
    Ok(Written::All { work: !todos.is_empty(), stored: rows.len(), repeated: 0 })
}

/// Those of the events that were left out whose id names another event. A gateway that begins a new epoch, after an old copy of its outbox was put
/// back or a damaged one was mended, sends what it holds again under new seqs: that is stored already, and counts once.
async fn used_otherwise(tx: &mut Tx, left_out: &[(&NewEvent<'_>, usize)]) -> Result<BTreeMap<usize, Spoil>, StoreError> {
    let mut twice = BTreeMap::new();
    for (row, parcel) in left_out {
        let home = table::home(tx, &row.event.id.to_string()).await?;
        if !home.is_some_and(|(gateway, epoch)| is_moved((&gateway, &epoch), (row.gateway, row.epoch))) {
            twice.insert(*parcel, Spoil::IdTwice);
        }
    }
    Ok(twice)
}

/// True if one gateway names the same event in two epochs.
fn is_moved((gateway, epoch): (&GatewayId, &str), (other_gateway, other_epoch): (&GatewayId, &str)) -> bool {
    gateway == other_gateway && epoch != other_epoch
}

fn key(envelope: &Checked, checked: &CheckedEvent) -> EventKey {
    (envelope.gateway.clone(), envelope.epoch.clone(), checked.event.seq)
}

/// The last word of each gateway about itself, and the last about its radio, by id, so that two hubs never wait for each other in a ring.
fn states(batch: &[Parcel], spoiled: &BTreeMap<usize, Spoil>) -> (Vec<GatewayState>, Vec<(GatewayState, RadioCounters)>) {
    let (mut last, mut radios) = (BTreeMap::new(), BTreeMap::new());
    for (i, parcel) in batch.iter().enumerate() {
        if let Content::State(Some(state), radio) = &parcel.content
            && !spoiled.contains_key(&i)
        {
            last.insert(&state.gateway, state.clone());
            if let Some(radio) = radio {
                radios.insert(&state.gateway, (state.clone(), *radio));
            }
        }
    }
    (last.into_values().collect(), radios.into_values().collect())
}

/// The envelopes that are to be stored, with their place in the batch.
fn good<'a>(batch: &'a [Parcel], spoiled: &BTreeMap<usize, Spoil>) -> Vec<(usize, &'a Checked)> {
    let envelope = |(i, parcel): (usize, &'a Parcel)| match &parcel.content {
        Content::Envelope(envelope) if !spoiled.contains_key(&i) => Some((i, envelope)),
        _ => None,
    };
    batch.iter().enumerate().filter_map(envelope).collect()
}

/// The keys of all events with their ids; the parcels that contradict an earlier one of the batch.
fn keys(good: &[(usize, &Checked)]) -> Result<BTreeMap<EventKey, EventId>, BTreeMap<usize, Spoil>> {
    let mut keys = BTreeMap::new();
    let mut ids = HashMap::new();
    let mut spoiled = BTreeMap::new();
    for (i, envelope) in good {
        for checked in &envelope.events {
            let (key, id) = (key(envelope, checked), checked.event.id);
            let first = ids.entry(id).or_insert_with(|| key.clone());
            if *first != key && !is_moved((&first.0, &first.1), (&key.0, &key.1)) {
                spoiled.entry(*i).or_insert(Spoil::IdTwice);
            }
            if *keys.entry(key).or_insert(id) != id {
                spoiled.insert(*i, Spoil::Fork);
            }
        }
    }
    if spoiled.is_empty() { Ok(keys) } else { Err(spoiled) }
}

/// The parcels with a key that was stored before with another event.
async fn forks(
    tx: &mut Tx,
    good: &[(usize, &Checked)],
    keys: &BTreeMap<EventKey, EventId>,
    new: &HashSet<EventKey>,
) -> Result<BTreeMap<usize, Spoil>, StoreError> {
    let mut forks = BTreeMap::new();
    if new.len() == keys.len() {
        return Ok(forks);
    }
    for (i, envelope) in good {
        let old: Vec<_> = envelope.events.iter().filter(|checked| !new.contains(&key(envelope, checked))).collect();
        let seqs = || old.iter().map(|checked| checked.event.seq);
        let (Some(from), Some(to)) = (seqs().min(), seqs().max()) else { continue };
        let known = table::ids(tx, &envelope.gateway, &envelope.epoch, from, to).await?;
        if old.iter().any(|checked| known.get(&checked.event.seq).is_some_and(|id| *id != checked.event.id.to_string())) {
            forks.insert(*i, Spoil::Fork);
        }
    }
    Ok(forks)
}

/// Puts unusable payloads aside and marks forked epochs.
async fn put_aside(tx: &mut Tx, batch: &[Parcel], spoiled: &BTreeMap<usize, Spoil>, now: Millis) -> Result<(), StoreError> {
    for (i, parcel) in batch.iter().enumerate() {
        let payload = &parcel.message.payload;
        match (&parcel.content, spoiled.get(&i)) {
            (_, Some(Spoil::Barred)) => {}
            (Content::Bad { gateway, reason }, _) => table::quarantine_payload(tx, gateway.as_ref(), reason, payload, now).await?,
            (Content::Envelope(envelope), Some(spoil)) => {
                let reason = match spoil {
                    Spoil::Fork => "a seq of this epoch is already stored with another event id (fork)",
                    Spoil::Barred => continue,
                    Spoil::IdTwice => "an event id is already stored under another seq",
                };
                table::quarantine_payload(tx, Some(&envelope.gateway), reason, payload, now).await?;
                if *spoil == Spoil::Fork {
                    standing::mark_forked(tx, &envelope.gateway, &envelope.epoch, now).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
