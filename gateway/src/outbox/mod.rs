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
//! - **Group commit**: a group is written after `commit_within`, at 64 events, or when somebody waits for it. A power cut costs at most that much.
//! - **Every seq below `next` is held, gone, or acked**, see [`ledger`]. Rows are deleted only by a verified [`Ack`]; the bounds on bytes and age
//!   evict the oldest rows and leave a gone record, so a hub can tell "dropped on purpose" from "lost".
//! - A damaged file is renamed and kept, and a new one begins; the gateway never stops for it.
//! - If a commit fails (disk full, read-only), the group stays in memory and is tried again; meanwhile at most 4,096 events wait, then the sources do.
//!
//! No MAC address and no coordinate is in the file: the types that reach it have no field for one.

mod file;
pub mod ledger;
pub mod look;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Instant,
};

use passage_protocol::{Ack, Clock, Event, MAX_EVENTS, Millis, Seq, SeqRange};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Change, SavedState, health::Health};
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

/// Why the outbox cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder cannot be used.
    #[error("the outbox folder {0} cannot be used: {1}. Mend: create it and let this user write there, or set `data` in gateway.toml")]
    Folder(PathBuf, String),
    /// Another process has it.
    #[error("the outbox folder {0} is in use by another gateway process. Mend: stop that one, or give this one its own `data` folder")]
    InUse(PathBuf),
    /// Made by a later version of this program.
    #[error("the outbox {0} was made by a newer version of passage-gateway. Mend: install that version again; nothing was changed")]
    Newer(PathBuf),
    /// The bytes are not a sound database. [`Outbox::open`] mends this itself.
    #[error("damaged: {0}")]
    Corrupt(String),
    /// SQLite said no.
    #[error("the outbox {0} cannot be opened: {1}")]
    Open(PathBuf, sqlx::Error),
    /// A read failed.
    #[error("the outbox cannot be read: {0}")]
    Read(#[from] sqlx::Error),
    /// The writer has ended.
    #[error("the outbox is closed")]
    Closed,
}

impl OutboxError {
    fn folder(path: &Path, e: &std::io::Error) -> Self {
        Self::Folder(path.to_owned(), e.to_string())
    }

    fn open(file: &Path, e: sqlx::Error) -> Self {
        // SQLITE_CORRUPT and SQLITE_NOTADB, in their primary and extended forms.
        let code = e.as_database_error().and_then(|d| d.code()).and_then(|c| c.parse::<i64>().ok());
        match code.map(|c| c & 0xff) {
            Some(11 | 26) => Self::Corrupt(e.to_string()),
            _ => Self::Open(file.to_owned(), e),
        }
    }
}

/// What the writer is asked to do.
#[derive(Debug)]
enum Order {
    Append { batch: Batch, flush: bool, done: Option<oneshot::Sender<()>> },
    Apply { ack: Box<Ack>, done: oneshot::Sender<Verdict> },
    NewEpoch { done: oneshot::Sender<()> },
    GiveUp { range: SeqRange, done: oneshot::Sender<()> },
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
    store: file::Store,
    ledger: Arc<Mutex<Ledger>>,
    orders: mpsc::Sender<Order>,
    progress: watch::Receiver<Progress>,
    health: Arc<Health>,
    started: Instant,
    replay: u64,
    set_aside: Option<PathBuf>,
}

impl Outbox {
    /// Opens the outbox in `dir` and gives its handle and the writer, which the caller must run.
    ///
    /// A damaged file is set aside. Errors: the folder cannot be used, or another process uses it.
    pub async fn open(
        dir: &Path,
        bounds: &passage_config::Outbox,
        clock: Clock,
        health: Arc<Health>,
    ) -> Result<(Self, Writer), OutboxError> {
        let opened = file::open(dir).await?;
        let started = Instant::now();
        let (orders, inbox) = mpsc::channel(256);
        let (tell, progress) = watch::channel(Progress { next: opened.ledger.next(), held: opened.ledger.held().count() });
        let ledger = Arc::new(Mutex::new(opened.ledger));
        let outbox = Self {
            store: opened.store.clone(),
            ledger: Arc::clone(&ledger),
            orders,
            progress,
            health: Arc::clone(&health),
            started,
            replay: opened.replay,
            set_aside: opened.set_aside,
        };
        let writer = Writer::new(opened.store, ledger, inbox, tell, *bounds, opened.bytes, clock, started, health);
        Ok((outbox, writer))
    }

    /// Hands a batch over. `flush` commits without waiting for a fuller group; `done` is answered when the batch is durable. Waits when the disk
    /// cannot keep up.
    pub async fn submit(&self, batch: Batch, flush: bool, done: Option<oneshot::Sender<()>>) -> Result<(), OutboxError> {
        self.health.uncommitted.fetch_add(batch.changes.len() as u64, Ordering::SeqCst);
        self.orders.send(Order::Append { batch, flush, done }).await.map_err(|_| OutboxError::Closed)
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

    /// Gives up rows that cannot be read; a gone record stays.
    pub async fn give_up(&self, range: SeqRange) -> Result<(), OutboxError> {
        self.ask(|done| Order::GiveUp { range, done }).await
    }

    /// Commits what waits, gives the unused rest of the seq block back, and closes the file.
    pub async fn close(&self) {
        let _ = self.ask(|done| Order::Close { done }).await;
        self.store.read.close().await;
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

    /// Milliseconds since this run began, never scaled.
    pub fn mono(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
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

    /// States to restore at a start: machine, key, value.
    pub async fn saved_states(&self) -> Result<Vec<(String, Vec<u8>, Vec<u8>)>, OutboxError> {
        Ok(file::saved(&self.store.read).await?)
    }

    /// The lowest held seq whose fact is not older than `at`.
    pub async fn first_since(&self, at: Millis) -> Result<Option<Seq>, OutboxError> {
        Ok(file::first_since(&self.store.read, at).await?)
    }

    /// When the oldest held event happened.
    pub async fn oldest(&self) -> Result<Option<Millis>, OutboxError> {
        Ok(file::oldest(&self.store.read, 1).await?.first().map(|r| r.1))
    }

    /// Reads the held events of `ranges`, at most [`MAX_EVENTS`] and at most `max_bytes` of JSON. A row that cannot be read is given up.
    pub async fn read(&self, ranges: &[SeqRange], max_bytes: usize) -> Result<Vec<Event>, OutboxError> {
        let mut events = Vec::new();
        let mut bytes = 0;
        for range in ranges {
            for (seq, json) in file::rows(&self.store.read, *range).await? {
                bytes += json.len() + 1;
                if !events.is_empty() && (bytes > max_bytes || events.len() == MAX_EVENTS) {
                    return Ok(events);
                }
                match serde_json::from_slice::<Event>(&json) {
                    Ok(event) => events.push(Event { seq, ..event }),
                    Err(_) => {
                        tracing::error!("row {seq} of the outbox is not an event; it is given up and reported to the hub as evicted");
                        self.give_up(SeqRange { from: seq, to: seq }).await?;
                    }
                }
            }
        }
        Ok(events)
    }
}
