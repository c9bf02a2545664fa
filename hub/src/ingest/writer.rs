//! Batches of messages, each batch in one transaction; the broker gets its ack after the commit.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use passage_config::HubConfig;
use passage_protocol::{Clock, EventId, GatewayId, Millis};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Resolve, Who,
    accept::{Accepted, Checked, CheckedEvent, accept},
    link::{Message, Outlet},
    progress::Touch,
};
use crate::store::{
    Db, StoreError, Tx,
    ingest::{self as table, EventKey, NewEvent},
    progress as standing,
    work::{self, Todo, TodoKind},
};

/// Most events in one transaction.
const BATCH: usize = 500;
/// Pause between two tries from which on the hub counts as unable to commit.
const ABSENT: Duration = Duration::from_millis(400);

/// Writes what the link heard.
pub(crate) struct Writer {
    pub(crate) db: Db,
    pub(crate) config: watch::Receiver<Arc<HubConfig>>,
    pub(crate) clock: Clock,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) outlet: Outlet,
    /// Told which gateways wait for an ack.
    pub(crate) touched: mpsc::Sender<Touch>,
    /// Set to false while nothing can be committed.
    pub(crate) able: watch::Sender<bool>,
    pub(crate) wake: Arc<Notify>,
}

/// A message with what it turned out to be.
struct Parcel {
    message: Message,
    content: Content,
}

enum Content {
    Envelope(Checked),
    Hello(Touch),
    Bad { gateway: Option<GatewayId>, reason: String },
}

impl Parcel {
    fn events(&self) -> &[CheckedEvent] {
        if let Content::Envelope(envelope) = &self.content { &envelope.events } else { &[] }
    }
}

/// What a transaction came to.
enum Written {
    /// Everything is in; `work` if a worker has something to do now.
    All { work: bool },
    /// These parcels must be put aside before the rest can go in.
    Spoiled(BTreeMap<usize, Spoil>),
}

/// Why a parcel cannot be stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoil {
    /// One of its keys is stored with another event.
    Fork,
    /// One of its event ids is stored under another key.
    IdTwice,
}

impl Writer {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                message = self.messages.recv() => message,
            };
            let Some(first) = first else { return };
            let batch = self.fill(first).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.store(batch) => {}
            }
        }
    }

    /// The batch that starts with `first`: full, or as old as the configuration allows.
    async fn fill(&mut self, first: Message) -> Vec<Parcel> {
        let config = self.config.borrow().clone();
        let until = Instant::now() + config.batch_within;
        let first = self.look(first, &config);
        let mut events = first.events().len();
        let mut batch = vec![first];
        while events < BATCH && batch.len() < BATCH {
            let Ok(Some(message)) = tokio::time::timeout_at(until, self.messages.recv()).await else { break };
            let parcel = self.look(message, &config);
            events += parcel.events().len();
            batch.push(parcel);
        }
        batch
    }

    fn look(&self, message: Message, config: &HubConfig) -> Parcel {
        let content = match accept(&message.topic, &message.payload, self.clock.now(), &config.site) {
            Ok(Accepted::Envelope(envelope)) => Content::Envelope(envelope),
            Ok(Accepted::Hello(hello)) => Content::Hello(Touch { gateway: hello.gateway, epoch: hello.epoch, hello: true }),
            Err(refused) => {
                let gateway = refused.gateway.as_ref().map_or("unknown", GatewayId::as_str);
                warn!(gateway, reason = refused.reason, "a payload was put into quarantine");
                Content::Bad { gateway: refused.gateway, reason: refused.reason }
            }
        };
        Parcel { message, content }
    }

    /// Stores a batch, however long the database is away, then acks it.
    async fn store(&self, batch: Vec<Parcel>) {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.commit(&batch).await {
                Ok(spoiled) => {
                    self.able.send_if_modified(|able| !std::mem::replace(able, true));
                    return self.acknowledge(&batch, &spoiled).await;
                }
                Err(e) if !e.is_transient() => break error!(error = %e, "the database refuses a batch; storing its messages one by one"),
                Err(e) => {
                    warn!(error = %e, "cannot commit; nothing is acked and nothing is lost, trying again");
                    // A conflict with another hub passes at once; an absent database does not.
                    if pause >= ABSENT {
                        self.able.send_if_modified(|able| std::mem::replace(able, false));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
        for parcel in batch {
            self.store_alone(parcel).await;
        }
    }

    /// Stores one message; one that the database refuses for good is put aside.
    async fn store_alone(&self, mut parcel: Parcel) {
        let mut refused = false;
        loop {
            let one = [parcel];
            match self.commit(&one).await {
                Ok(spoiled) => return self.acknowledge(&one, &spoiled).await,
                Err(e) if e.is_transient() => {
                    warn!(error = %e, "cannot commit; nothing is acked and nothing is lost, trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    [parcel] = one;
                }
                Err(e) if refused => return error!(error = %e, "a message can neither be stored nor put aside; it is not acked"),
                Err(e) => {
                    error!(error = %e, "the database refuses a message; it is put into quarantine");
                    [parcel] = one;
                    let gateway = if let Content::Envelope(envelope) = &parcel.content { Some(envelope.gateway.clone()) } else { None };
                    parcel.content = Content::Bad { gateway, reason: "the database refuses it".to_owned() };
                    refused = true;
                }
            }
        }
    }

    /// Commits the batch; returns the parcels that had to be put aside.
    async fn commit(&self, batch: &[Parcel]) -> Result<BTreeMap<usize, Spoil>, StoreError> {
        let mut spoiled = BTreeMap::new();
        loop {
            let now = self.clock.now();
            let mut tx = self.db.begin().await?;
            match self.write(&mut tx, batch, &spoiled, now).await? {
                Written::All { work } => {
                    tx.commit().await?;
                    if work {
                        self.wake.notify_one();
                    }
                    return Ok(spoiled);
                }
                // The transaction is dropped, and with it what belonged to the spoiled parcels.
                Written::Spoiled(more) => spoiled.extend(more),
            }
        }
    }

    async fn write(&self, tx: &mut Tx, batch: &[Parcel], spoiled: &BTreeMap<usize, Spoil>, now: Millis) -> Result<Written, StoreError> {
        put_aside(tx, batch, spoiled, now).await?;
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
        let written = self.write_events(tx, &fresh, now).await?;
        for (_, envelope) in &good {
            table::insert_gone(tx, &envelope.gateway, &envelope.epoch, &envelope.gone, now).await?;
        }
        Ok(written)
    }

    /// Writes the events that are new, and the work for those of members.
    async fn write_events(&self, tx: &mut Tx, fresh: &[(usize, &Checked, &CheckedEvent)], now: Millis) -> Result<Written, StoreError> {
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
            let member = match self.resolver.who(&event.subject, evidence, &event.store) {
                Who::Member(member) => Some(member),
                Who::Unknown => None,
                Who::Refused => continue,
            };
            rows.push(NewEvent { gateway: &envelope.gateway, epoch: &envelope.epoch, event, shift: checked.shift, member });
            owners.push(*i);
        }
        let stored = table::insert_events(tx, &rows, now).await?;
        if stored.len() < rows.len() {
            let twice = rows.iter().zip(owners).filter(|(row, _)| !stored.contains(&row.event.id.to_string()));
            return Ok(Written::Spoiled(twice.map(|(_, i)| (i, Spoil::IdTwice)).collect()));
        }
        table::quarantine_events(tx, &refused, now).await?;
        let todo = |row: &NewEvent<'_>| Some(Todo::new(row.member?, now, TodoKind::Event, row.event.id.to_string()));
        let todos: Vec<Todo> = rows.iter().filter_map(todo).collect();
        work::put_many(tx, &todos).await?;
        Ok(Written::All { work: !todos.is_empty() })
    }

    /// Acks to the broker in the order of receipt, and asks for the hub's own acks.
    async fn acknowledge(&self, batch: &[Parcel], spoiled: &BTreeMap<usize, Spoil>) {
        let mut touches = BTreeSet::new();
        for (i, parcel) in batch.iter().enumerate() {
            self.outlet.ack(&parcel.message.receipt).await;
            match (&parcel.content, spoiled.get(&i)) {
                (Content::Envelope(envelope), None) => {
                    touches.insert(Touch { gateway: envelope.gateway.clone(), epoch: envelope.epoch.clone(), hello: false });
                }
                (Content::Hello(touch), _) => {
                    touches.insert(touch.clone());
                }
                (Content::Envelope(envelope), Some(spoil)) => alarm(envelope, *spoil),
                (Content::Bad { .. }, _) => {}
            }
        }
        for touch in touches {
            // Fails only while the hub stops.
            let _ = self.touched.send(touch).await;
        }
    }
}

fn alarm(envelope: &Checked, spoil: Spoil) {
    let (gateway, epoch) = (&envelope.gateway, &envelope.epoch);
    match spoil {
        Spoil::Fork => error!(
            %gateway, %epoch,
            "two outboxes write the same epoch: an envelope went into quarantine and the epoch gets no ack any more; \
             stop the copy and delete its outbox"
        ),
        Spoil::IdTwice => error!(%gateway, %epoch, "an event id was used for two events; the envelope went into quarantine"),
    }
}

fn key(envelope: &Checked, checked: &CheckedEvent) -> EventKey {
    (envelope.gateway.clone(), envelope.epoch.clone(), checked.event.seq)
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
    let mut spoiled = BTreeMap::new();
    for (i, envelope) in good {
        for checked in &envelope.events {
            if *keys.entry(key(envelope, checked)).or_insert(checked.event.id) != checked.event.id {
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
            (Content::Bad { gateway, reason }, _) => table::quarantine_payload(tx, gateway.as_ref(), reason, payload, now).await?,
            (Content::Envelope(envelope), Some(spoil)) => {
                let reason = match spoil {
                    Spoil::Fork => "a seq of this epoch is already stored with another event id (fork)",
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
