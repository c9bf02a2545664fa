//! Batches of messages, each batch in one transaction; the broker gets its ack after the commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use passage_config::HubConfig;
use passage_protocol::{Clock, GatewayId, Millis, PositionCounters, RadioCounters};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Resolve,
    accept::{Accepted, Checked, accept},
    batch::{self, Content, Parcel, Spoil, Written},
    link::{Message, Outlet},
    progress::Touch,
    pulse::Able,
};
use crate::{
    health,
    store::{Db, StoreError},
};

/// Most events in one transaction.
const BATCH: usize = 500;
/// Business time after which the writer has the resolver look again; a clock that runs fast or in steps outruns the regular refresh.
const REFRESH: Duration = Duration::from_secs(60);
/// A gateway that says hello with more events than one envelope carries has a backlog.
const BACKLOG: u64 = passage_protocol::MAX_EVENTS as u64;
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
    /// Told whether batches can be committed.
    pub(crate) able: watch::Sender<Able>,
    pub(crate) wake: Arc<Notify>,
}

impl Writer {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut refreshed = Millis(i64::MIN);
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                message = self.messages.recv() => message,
            };
            let Some(first) = first else { return };
            let batch = self.fill(first).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.refresh(&mut refreshed) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.store(batch) => {}
            }
        }
    }

    async fn refresh(&self, refreshed: &mut Millis) {
        let now = self.clock.now();
        if now < *refreshed + REFRESH {
            return;
        }
        match self.resolver.refresh(&self.db, now).await {
            Ok(_) => *refreshed = now,
            // The events are stored as unresolved and looked at again.
            Err(e) => warn!(error = %e, "the tables of members could not be refreshed"),
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
            Ok(Accepted::Hello(hello)) => Content::Hello(Touch {
                backlog: hello.next - hello.first > BACKLOG,
                gateway: hello.gateway,
                epoch: hello.epoch,
                hello: true,
            }),
            Ok(Accepted::State(state)) => {
                // Counters that cannot be read are no reason to doubt the state.
                let radio = message.radio.as_ref().and_then(|text| RadioCounters::from_slice(text.as_bytes()).ok());
                let positions = message.positions.as_ref().and_then(|text| PositionCounters::from_slice(text.as_bytes()).ok());
                if let (Some(state), Some(positions)) = (&state, positions) {
                    health::tell_positions(&state.gateway, &positions);
                }
                Content::State(state, radio)
            }
            Err(refused) => {
                let gateway = refused.gateway.as_ref().map_or("unknown", GatewayId::as_str);
                warn!(gateway, reason = refused.reason, "a payload was put into quarantine");
                metrics::counter!(health::ASIDE).increment(1);
                Content::Bad { gateway: refused.gateway, reason: refused.reason }
            }
        };
        Parcel { message, content }
    }

    /// Stores a batch, however long the database is away, then acks it.
    async fn store(&self, batch: Vec<Parcel>) {
        let (mut pause, begun) = (Duration::from_millis(50), Instant::now());
        loop {
            match self.commit(&batch).await {
                Ok(spoiled) => {
                    metrics::histogram!(health::COMMIT).record(begun.elapsed().as_secs_f64());
                    Able::note(&self.able, |able| able.commits = true);
                    return self.acknowledge(batch, &spoiled).await;
                }
                Err(e) if !e.is_transient() => break error!(error = %e, "the database refuses a batch; storing its messages one by one"),
                Err(e) => {
                    warn!(error = %e, "cannot commit; nothing is acked and nothing is lost, trying again");
                    // A conflict with another hub passes at once; an absent database does not.
                    if pause >= ABSENT {
                        Able::note(&self.able, |able| able.commits = false);
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
                Ok(spoiled) => return self.acknowledge(one.into(), &spoiled).await,
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
            match batch::write(&mut tx, batch, &spoiled, self.resolver.as_ref(), now).await? {
                Written::All { work, stored, repeated } => {
                    tx.commit().await?;
                    metrics::counter!(health::STORED).increment(count(stored));
                    metrics::counter!(health::AGAIN).increment(count(repeated));
                    metrics::counter!(health::ASIDE).increment(count(spoiled.len()));
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

    /// Acks to the broker in the order of receipt, and asks for the hub's own acks.
    async fn acknowledge(&self, batch: Vec<Parcel>, spoiled: &BTreeMap<usize, Spoil>) {
        let mut touches = BTreeSet::new();
        for (i, parcel) in batch.into_iter().enumerate() {
            self.outlet.ack(parcel.message.receipt);
            match (&parcel.content, spoiled.get(&i)) {
                (Content::Envelope(envelope), None) => {
                    touches.insert(Touch {
                        gateway: envelope.gateway.clone(),
                        epoch: envelope.epoch.clone(),
                        hello: false,
                        backlog: envelope.backlog,
                    });
                }
                (_, Some(Spoil::Barred)) => warn!("a message of a gateway that was revoked was dropped"),
                (Content::Hello(touch), _) => {
                    touches.insert(touch.clone());
                }
                (Content::Envelope(envelope), Some(spoil)) => alarm(envelope, *spoil),
                (Content::Bad { .. } | Content::State(..), _) => {}
            }
        }
        for touch in touches {
            // Fails only while the hub stops.
            let _ = self.touched.send(touch).await;
        }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn alarm(envelope: &Checked, spoil: Spoil) {
    let (gateway, epoch) = (&envelope.gateway, &envelope.epoch);
    match spoil {
        Spoil::Fork => error!(
            %gateway, %epoch,
            "two outboxes write the same epoch: an envelope went into quarantine and the epoch gets no ack any more; \
             stop the copy and delete its outbox"
        ),
        Spoil::Barred => {}
        Spoil::IdTwice => error!(%gateway, %epoch, "an event id was used for two events; the envelope went into quarantine"),
    }
}
