//! The one task that writes: it gathers groups, commits them, applies acks, and keeps the file in its bounds.

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use passage_protocol::{SeqRange, SeqSet};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Numbers, Order, OutboxError, Progress, Slot,
    commit::Trouble,
    file::{self, Store},
    group::{Group, Noted, event},
    ledger::{AckEffect, Ledger, Verdict},
    pace::Pace,
    ring::Ring,
    rows,
};
use crate::{
    clock::{Keeper, boot},
    health::Health,
};

/// A group is committed when it has so many events.
const GROUP: usize = 64;
/// Most events that wait in memory while commits fail.
pub(super) const RING: usize = 4_096;
/// Acked rows that could not be deleted are tried again after this.
const DELETE_AGAIN: Duration = Duration::from_secs(2);
/// The time is noted on the disk at least this often.
const TICK: Duration = Duration::from_secs(60);

/// The writer of the outbox. Exactly one runs for a file.
#[derive(Debug)]
pub struct Writer {
    pub(super) dir: PathBuf,
    pub(super) lock: Option<File>,
    pub(super) store: Slot,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) ring: Ring,
    pub(super) inbox: mpsc::Receiver<Order>,
    pub(super) tell: watch::Sender<Progress>,
    pub(super) bounds: passage_config::Outbox,
    pub(super) keeper: Keeper,
    pub(super) health: Arc<Health>,
    pub(super) boot: Arc<str>,
    pub(super) bytes: u64,
    pub(super) group: Group,
    pub(super) trouble: Option<Trouble>,
    /// Acked rows that the disk has not let us delete yet; a hub does not repeat its ack for them.
    pub(super) owed: Vec<SeqRange>,
    /// How long commits take.
    pub(super) pace: Pace,
    /// False when the file does not yet say what the accounts say of gone seqs.
    pub(super) is_settled: bool,
}

impl Writer {
    /// Writes until [`super::Outbox::close`], or until `stop` and every handle is done. What was handed over before is committed.
    pub async fn run(mut self, stop: CancellationToken) {
        if !self.is_settled {
            self.commit().await;
        }
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Skip);
        loop {
            let retry_at = self.trouble.as_ref().map(|t| t.retry_at);
            let is_owing = !self.owed.is_empty();
            let order = tokio::select! {
                order = self.inbox.recv() => order,
                () = at(retry_at), if retry_at.is_some() => {
                    self.commit().await;
                    continue;
                }
                () = time::sleep(DELETE_AGAIN), if is_owing => {
                    self.delete_owed().await;
                    continue;
                }
                _ = tick.tick() => {
                    self.note_time().await;
                    continue;
                }
                () = stop.cancelled() => {
                    self.inbox.close();
                    self.inbox.recv().await
                }
            };
            let Some(order) = order else { break };
            if let Some(done) = self.handle(order, &stop).await {
                self.finish().await;
                let _ = done.send(());
                return;
            }
        }
        self.finish().await;
    }

    /// Does one order; gives the asker back when the order was to close.
    async fn handle(&mut self, order: Order, stop: &CancellationToken) -> Option<oneshot::Sender<()>> {
        let mut next = Some(order);
        while let Some(order) = next.take() {
            match order {
                Order::Append { batch, flush, at, done } => {
                    self.add(batch, flush, done);
                    next = self.gather(at, stop).await;
                    if self.may_try() {
                        self.commit().await;
                    } else {
                        self.fill_ring();
                    }
                }
                Order::Apply { ack, done } => {
                    let verdict = self.ledger().judge(&ack);
                    if let Verdict::Apply(effect) = &verdict {
                        self.apply(effect).await;
                    }
                    let _ = done.send(verdict);
                }
                Order::NewEpoch { done } => match self.renumber().await {
                    Ok(()) => drop(done.send(())),
                    Err(e) => tracing::error!("a new epoch could not be written: {e}; it is tried again with the next ack"),
                },
                Order::Bury { range, why, done } => {
                    if let Err(e) = self.bury(range, why).await {
                        tracing::warn!("rows could not be given up: {e}");
                    }
                    let _ = done.send(());
                }
                Order::Close { done } => return Some(done),
            }
        }
        None
    }

    fn add(&mut self, batch: Batch, flush: bool, done: Option<oneshot::Sender<()>>) {
        let (now, mono) = (self.keeper.clock().now(), boot::millis());
        let (synced, boot) = (self.keeper.is_trusted(), Arc::clone(&self.boot));
        self.group.add(batch, flush, done, |change| Noted { event: event(change, now, mono), synced, boot: Arc::clone(&boot) });
    }

    /// Waits for more of the group, whose first event was handed over at `first`; gives back an order of another kind that ended it.
    async fn gather(&mut self, first: time::Instant, stop: &CancellationToken) -> Option<Order> {
        let until = self.pace.until(first, self.bounds.commit_within);
        while self.group.events.len() < GROUP {
            let order = if self.group.flush || stop.is_cancelled() {
                self.inbox.try_recv().ok()
            } else {
                time::timeout_at(until, self.inbox.recv()).await.ok().flatten()
            };
            match order? {
                Order::Append { batch, flush, done, .. } => self.add(batch, flush, done),
                other => return Some(other),
            }
        }
        None
    }

    /// False while the disk has just refused and is left alone for a moment.
    fn may_try(&self) -> bool {
        self.trouble.as_ref().is_none_or(|t| time::Instant::now() >= t.retry_at)
    }

    /// Forgets what a hub has. Rows in memory go at once; if the disk refuses, its rows stay held, and the next ack tries again.
    async fn apply(&mut self, effect: &AckEffect) {
        let from_memory = self.ring.remove(&effect.delete);
        self.ledger().deleted(from_memory.ranges());
        let on_disk: Vec<SeqRange> = {
            let ledger = self.ledger();
            effect.delete.iter().flat_map(|range| ledger.held().within(*range).collect::<Vec<_>>()).collect()
        };
        if on_disk.is_empty() && effect.told.is_empty() {
            return self.publish_progress();
        }
        match self.delete(&on_disk, &effect.told).await {
            Ok(()) => {
                self.ledger().deleted(&on_disk);
                self.ledger().forget_gone(&effect.told);
            }
            Err(e) => {
                tracing::debug!("acked rows could not be deleted yet: {e}");
                self.owed.extend(on_disk);
                self.after_refusal(&e).await;
            }
        }
        self.publish_progress();
    }

    /// Tries again to delete what a hub has.
    async fn delete_owed(&mut self) {
        let owed: SeqSet = self.owed.drain(..).collect();
        let held: Vec<SeqRange> = {
            let ledger = self.ledger();
            owed.ranges().iter().flat_map(|range| ledger.held().within(*range).collect::<Vec<_>>()).collect()
        };
        match self.delete(&held, &[]).await {
            Ok(()) => self.ledger().deleted(&held),
            Err(e) => {
                tracing::debug!("acked rows could not be deleted yet: {e}");
                self.owed = held;
                self.after_refusal(&e).await;
            }
        }
        self.publish_progress();
    }

    async fn after_refusal(&mut self, e: &OutboxError) {
        if let OutboxError::Read(e) = e {
            self.after_error(e).await;
        }
    }

    async fn delete(&mut self, ranges: &[SeqRange], told: &[SeqRange]) -> Result<(), OutboxError> {
        let mut freed = 0;
        let mut tx = self.store()?.write.begin().await?;
        for range in ranges {
            freed += rows::delete(&mut tx, *range).await?;
        }
        for range in told {
            rows::forget_gone(&mut tx, *range).await?;
        }
        tx.commit().await?;
        self.bytes = self.bytes.saturating_sub(freed);
        Ok(())
    }

    async fn renumber(&mut self) -> Result<(), OutboxError> {
        if self.ring.len() > 0 {
            // They must be rows of the file to be numbered with it.
            self.commit().await;
        }
        if self.ring.len() > 0 {
            return Err(OutboxError::Away);
        }
        let mut after = self.ledger().clone();
        after.renumber(file::new_epoch());
        let mut tx = self.store()?.write.begin().await?;
        rows::renumber(&mut tx).await?;
        rows::put_all_gone(&mut tx, &[]).await?;
        rows::put_numbers(&mut tx, &Numbers::of(&after, self.keeper.clock().now())).await?;
        tx.commit().await?;
        *self.ledger() = after;
        // Its numbers name other events now.
        self.owed.clear();
        self.publish_progress();
        Ok(())
    }

    /// Keeps the last time on the disk, so that it never runs back behind it; and forgets dead letters that are too old.
    async fn note_time(&mut self) {
        let Ok(store) = self.store() else { return };
        let now = self.keeper.clock().now();
        let noted = async {
            let mut tx = store.write.begin().await?;
            rows::put_time(&mut tx, now).await?;
            rows::forget_dead(&mut tx, now - self.bounds.max_age).await?;
            tx.commit().await
        };
        if let Err(e) = noted.await {
            tracing::debug!("the time could not be noted: {e}");
            self.after_error(&e).await;
        }
    }

    /// Gives the unused seqs back and closes the file.
    async fn finish(&mut self) {
        if !self.group.is_empty() || self.ring.len() > 0 {
            self.commit().await;
        }
        let lost = self.ring.len() + self.group.events.len();
        if lost > 0 {
            // The file still says how far seqs were reserved, so the next start accounts for theirs.
            tracing::error!("{lost} events that waited in memory are lost: the outbox could not be written until the end");
            self.lock = None;
            return;
        }
        let Ok(store) = self.store() else { return };
        let mut after = self.ledger().clone();
        after.release();
        let written = async {
            let mut tx = store.write.begin().await?;
            rows::put_numbers(&mut tx, &Numbers::of(&after, self.keeper.clock().now())).await?;
            tx.commit().await
        };
        match written.await {
            Ok(()) => *self.ledger() = after,
            Err(e) => tracing::warn!("the rest of the seq block could not be given back: {e}; it will be reported as never written"),
        }
        store.write.close().await;
        // Dropping the file gives the lock back.
        self.lock = None;
    }

    pub(super) fn store(&self) -> Result<Store, OutboxError> {
        self.store.get().ok_or(OutboxError::Away)
    }

    pub(super) fn publish_progress(&self) {
        let progress = {
            let ledger = self.ledger();
            Progress { next: ledger.next(), held: ledger.held().count() }
        };
        self.tell.send_replace(progress);
    }

    /// So many waiting events have got their seqs.
    pub(super) fn count_numbered(&self, count: u64) {
        self.health.sent_total.fetch_add(count, Ordering::SeqCst);
        self.publish_progress();
        self.uncounted(count);
    }

    /// So many events have lost their seqs and wait again.
    pub(super) fn uncount_numbered(&self, count: u64) {
        self.health.sent_total.fetch_sub(count, Ordering::SeqCst);
        self.health.uncommitted.fetch_add(count, Ordering::SeqCst);
    }

    /// So many events do not wait any more.
    pub(super) fn uncounted(&self, count: u64) {
        self.health.uncommitted.fetch_sub(count, Ordering::SeqCst);
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends at that time, if there is one.
async fn at(when: Option<time::Instant>) {
    match when {
        Some(when) => time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
