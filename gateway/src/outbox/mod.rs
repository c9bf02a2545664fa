//! The gateway's memory: one SQLite file that holds every event until a *hub* has said that it is stored.
//!
//! What is in the file, and what always holds:
//!
//! - **Rows** `(seq, at, json)`, one per event. A seq is used once in the life of an epoch. Seqs are reserved in blocks of 1,000 by a durable
//!   write before the first of them is used; what a crash leaves unused of a block is accounted for as `never-written`.
//! - **Epoch**: a random id made with the file. A new file, or an old copy of one (a hub names a higher seq than was used here), gets a new
//!   epoch, so (gateway, epoch, seq) never names two events.
//! - **One transaction** carries the events of a batch, the states of the machines that led to them, and the position in the capture. After a
//!   crash the gateway goes on from a point at which the three agree. WAL, `synchronous = FULL`, one writer.
//! - **Group commit**: a group is written at 64 events, when somebody asks for it, or so early that it should be on the disk `commit_within` after
//!   its first event was handed over ([`pace`]). A power cut costs at most that much.
//! - **Every seq below `next` is held, gone, or acked**, see [`ledger`]. Rows are deleted only by a verified [`Ack`]; the bounds on bytes and age
//!   evict rows and leave a gone record, so a hub can tell "dropped on purpose" from "lost". First go the too old ones, then marks of dwelling, which
//!   the exit of the same stay repeats, then the oldest.
//! - **A damaged file** is renamed and kept, what can be read of it goes into a new one ([`salvage`]); the gateway never stops for it.
//! - **A disk that refuses** (full, read-only, away, also at the start): at most 4,096 events wait in memory. They get seqs that were reserved
//!   before, so they can be sent, and are written when the disk is well again. The disk is asked again after 0.2 to 30 s.
//! - **What nobody takes** becomes a dead letter: a copy stays in the file, and a gone record tells the hub.
//!
//! No MAC address and no coordinate of a person is in the file: the types that reach it have no field for one. (The site of the hub is, and in it
//! where the shops are.)

mod bounds;
mod commit;
mod disk;
mod error;
mod file;
mod group;
pub mod ledger;
pub mod look;
mod pace;
mod read;
mod ring;
mod rows;
pub mod salvage;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use passage_protocol::{Ack, Event, Millis, Seq, SeqRange};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    Change, SavedState,
    clock::{Keeper, boot},
    health::Health,
};
pub use error::OutboxError;
use error::needs_reopening;
pub use ledger::{AckEffect, Ledger, MAX_ANSWERS, Verdict};
pub use writer::Writer;

/// What one step of the deciding machines hands over. It is committed as a whole.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events to be, in their order.
    pub changes: Vec<Change>,
    /// States to remember with them.
    pub saved: Vec<SavedState>,
    /// Records of the capture that led up to here.
    pub replay_position: Option<u64>,
}

impl Batch {
    /// True if there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.saved.is_empty() && self.replay_position.is_none()
    }
}

/// What the file says of its seqs, and the time.
#[derive(Debug, Clone, Copy)]
struct Numbers<'a> {
    epoch: &'a str,
    next: Seq,
    reserved: Seq,
    now: Millis,
}

impl<'a> Numbers<'a> {
    fn of(ledger: &'a Ledger, now: Millis) -> Self {
        Self { epoch: ledger.epoch(), next: ledger.next(), reserved: ledger.reserved(), now }
    }
}

/// The open file, once it is; clones share it.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<Mutex<Option<file::Store>>>);

impl Slot {
    fn get(&self) -> Option<file::Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one there and gives the old one.
    fn set(&self, store: Option<file::Store>) -> Option<file::Store> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), store)
    }
}

/// A saved state as the file has it: machine, key, value.
pub type Saved = (String, Vec<u8>, Vec<u8>);

/// Held events that may go into one envelope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picked {
    /// In ascending order of their seqs.
    pub events: Vec<Event>,
    /// Their times were read from a clock that could be trusted.
    pub synced: bool,
}

/// True if there is an outbox in `dir`, sound or not.
pub fn is_there(dir: &Path) -> bool {
    dir.join(file::FILE).exists()
}

/// What the writer is asked to do.
#[derive(Debug)]
enum Order {
    Append { batch: Batch, flush: bool, at: Instant, done: Option<oneshot::Sender<()>> },
    Apply { ack: Box<Ack>, done: oneshot::Sender<Verdict> },
    NewEpoch { done: oneshot::Sender<()> },
    Bury { range: SeqRange, why: &'static str, done: oneshot::Sender<()> },
    Close { done: oneshot::Sender<()> },
}

/// How far the outbox is; changes wake the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The seq of the next event.
    pub next: Seq,
    /// Events held.
    pub held: u64,
}

/// Handle of the outbox; clones share one file.
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Slot,
    ledger: Arc<Mutex<Ledger>>,
    ring: ring::Ring,
    orders: mpsc::Sender<Order>,
    progress: watch::Receiver<Progress>,
    health: Arc<Health>,
    keeper: Keeper,
    boot: Arc<str>,
    replay: u64,
    set_aside: Option<PathBuf>,
    salvaged: Arc<Vec<Saved>>,
}

impl Outbox {
    /// Opens the outbox in `dir` and gives its handle and the writer, which the caller must run.
    ///
    /// A damaged file is set aside. A folder or a disk that refuses is no error: the writer goes on trying, and a flag is raised meanwhile.
    ///
    /// # Errors
    /// Another process uses the folder, or a newer version made the file.
    pub async fn open(
        dir: &Path,
        bounds: &passage_config::Outbox,
        keeper: Keeper,
        health: Arc<Health>,
    ) -> Result<(Self, Writer), OutboxError> {
        let (orders, inbox) = mpsc::channel(256);
        let (tell, progress) = watch::channel(Progress::default());
        let (store, ring, boot): (_, _, Arc<str>) = (Slot::default(), ring::Ring::default(), boot::id().into());
        let ledger = Arc::new(Mutex::new(Ledger::unknown()));
        let mut writer = Writer {
            dir: dir.to_owned(),
            lock: None,
            store: store.clone(),
            ledger: Arc::clone(&ledger),
            ring: ring.clone(),
            inbox,
            tell,
            bounds: *bounds,
            keeper: keeper.clone(),
            health: Arc::clone(&health),
            boot: Arc::clone(&boot),
            bytes: 0,
            group: group::Group::default(),
            trouble: None,
            owed: Vec::new(),
            pace: pace::Pace::default(),
            is_settled: false,
        };
        let mut outbox =
            Self { store, ledger, ring, orders, progress, health, keeper, boot, replay: 0, set_aside: None, salvaged: Arc::default() };
        match file::lock(dir).map(|lock| writer.lock = Some(lock)) {
            Ok(()) => match file::open(dir).await {
                Ok(opened) => outbox.take(opened, &mut writer),
                Err(e) if e.is_final() => return Err(e),
                Err(e) => tracing::warn!("{e}"),
            },
            Err(e) if e.is_final() => return Err(e),
            Err(e) => tracing::warn!("{e}"),
        }
        Ok((outbox, writer))
    }

    /// Notes what the start found in the file.
    fn take(&mut self, opened: file::Opened, writer: &mut Writer) {
        self.replay = opened.salvaged.replay.unwrap_or(opened.replay);
        self.set_aside.clone_from(&opened.set_aside);
        self.salvaged = Arc::new(opened.salvaged.saved.clone());
        writer.take(opened);
        writer.publish_progress();
    }

    /// True once the file is open. Before, nothing is known of what it holds.
    pub fn is_open(&self) -> bool {
        self.store.get().is_some()
    }

    /// Hands a batch over. `flush` commits without waiting for a fuller group; `done` is answered when the batch is durable. Waits when the disk
    /// cannot keep up.
    pub async fn submit(&self, batch: Batch, flush: bool, done: Option<oneshot::Sender<()>>) -> Result<(), OutboxError> {
        self.health.uncommitted.fetch_add(batch.changes.len() as u64, Ordering::SeqCst);
        self.orders.send(Order::Append { batch, flush, at: Instant::now(), done }).await.map_err(|_| OutboxError::Closed)
    }

    /// Appends a batch; when this returns, it is durable.
    pub async fn append(&self, batch: Batch) -> Result<(), OutboxError> {
        let (done, answer) = oneshot::channel();
        self.submit(batch, false, Some(done)).await?;
        answer.await.map_err(|_| OutboxError::Closed)
    }

    /// Applies an ack whose signature was verified: deletes what is stored, and tells what to send again and what to answer.
    pub async fn apply(&self, ack: Ack) -> Result<Verdict, OutboxError> {
        self.ask(|done| Order::Apply { ack: Box::new(ack), done }).await
    }

    /// Leaves the epoch: a hub knows seqs of it that were never used here. Held rows are numbered anew and keep their event ids.
    pub async fn new_epoch(&self) -> Result<(), OutboxError> {
        self.ask(|done| Order::NewEpoch { done }).await
    }

    /// Makes dead letters of rows that cannot be delivered; a gone record stays.
    pub async fn bury(&self, range: SeqRange, why: &'static str) -> Result<(), OutboxError> {
        self.ask(|done| Order::Bury { range, why, done }).await
    }

    /// Commits what waits, gives the unused rest of the seq block back, and closes the file.
    pub async fn close(&self) {
        let _ = self.ask(|done| Order::Close { done }).await;
        if let Some(store) = self.store.get() {
            store.read.close().await;
        }
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, OutboxError> {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| OutboxError::Closed)?;
        answer.await.map_err(|_| OutboxError::Closed)
    }

    /// A look at the accounts. Do not hold it across an await.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for new rows or deletions.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Milliseconds since the machine was booted, never scaled.
    pub fn mono(&self) -> i64 {
        boot::millis()
    }

    /// Where the capture stood when the file was opened.
    pub fn replay_position(&self) -> u64 {
        self.replay
    }

    /// Where the damaged file went, if there was one at the start.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// True when nothing waits: every event was acked by a hub.
    pub fn is_empty(&self) -> bool {
        self.ledger().held().is_empty() && self.health.uncommitted.load(Ordering::SeqCst) == 0
    }
}
