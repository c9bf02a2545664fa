//! The one task that writes to the file: group commit, acks, eviction.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use passage_config::Outbox as Bounds;
use passage_protocol::{Clock, Event, Millis, Seq, SeqRange};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Batch, Order, Progress,
    file::{self, Store},
    ledger::{Ledger, Verdict},
};
use crate::{Change, SavedState, health::Health};

/// A group is committed when it has so many events.
const GROUP: usize = 64;
/// Most events that wait in memory while commits fail.
const RING: usize = 4_096;
const FAILING: &str = "outbox-not-writable";

/// The writer of the outbox. Exactly one runs for a file.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    ledger: Arc<Mutex<Ledger>>,
    inbox: mpsc::Receiver<Order>,
    tell: watch::Sender<Progress>,
    bounds: Bounds,
    bytes: u64,
    clock: Clock,
    started: Instant,
    health: Arc<Health>,
}

/// What waits for the next commit.
#[derive(Debug, Default)]
struct Group {
    changes: Vec<Change>,
    saved: HashMap<(&'static str, Vec<u8>), SavedState>,
    replay: Option<u64>,
    waiting: Vec<oneshot::Sender<()>>,
    flush: bool,
}

impl Group {
    fn add(&mut self, batch: Batch, flush: bool, done: Option<oneshot::Sender<()>>) {
        self.changes.extend(batch.changes);
        self.saved.extend(batch.saved.into_iter().map(|s| ((s.machine, s.key.clone()), s)));
        self.replay = batch.replay_position.or(self.replay);
        self.waiting.extend(done);
        self.flush |= flush;
    }

    /// Tells everybody who waits for the commit.
    fn answer(&mut self) {
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.saved.is_empty() && self.replay.is_none()
    }
}

impl Writer {
    #[expect(clippy::too_many_arguments, reason = "called in one place; each is a field")]
    pub(super) fn new(
        store: Store,
        ledger: Arc<Mutex<Ledger>>,
        inbox: mpsc::Receiver<Order>,
        tell: watch::Sender<Progress>,
        bounds: Bounds,
        bytes: u64,
        clock: Clock,
        started: Instant,
        health: Arc<Health>,
    ) -> Self {
        Self { store, ledger, inbox, tell, bounds, bytes, clock, started, health }
    }

    /// Writes until [`super::Outbox::close`], or until `stop` and every handle is done. What was handed over before is committed.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let order = tokio::select! {
                order = self.inbox.recv() => order,
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
                Order::Append { batch, flush, done } => {
                    let mut group = Group::default();
                    group.add(batch, flush, done);
                    next = self.gather(&mut group, stop).await;
                    self.commit(group, stop).await;
                }
                Order::Apply { ack, done } => {
                    let verdict = self.ledger().judge(&ack);
                    let deleted = match &verdict {
                        Verdict::Apply(effect) => self.delete(&effect.delete).await,
                        _ => Ok(()),
                    };
                    // On failure nobody is told that rows are gone; the same ack comes again.
                    match deleted {
                        Ok(()) => drop(done.send(verdict)),
                        Err(e) => tracing::warn!("acked rows could not be deleted yet: {e}"),
                    }
                }
                Order::NewEpoch { done } => match self.renumber().await {
                    Ok(()) => drop(done.send(())),
                    Err(e) => tracing::error!("a new epoch could not be written: {e}; it is tried again with the next ack"),
                },
                Order::GiveUp { range, done } => {
                    if let Err(e) = self.evict(range).await {
                        tracing::warn!("rows could not be given up: {e}");
                    }
                    let _ = done.send(());
                }
                Order::Close { done } => return Some(done),
            }
        }
        None
    }

    /// Waits for more of the group; gives back an order of another kind that ended it.
    async fn gather(&mut self, group: &mut Group, stop: &CancellationToken) -> Option<Order> {
        let until = time::Instant::now() + self.bounds.commit_within;
        while group.changes.len() < GROUP {
            let order = if group.flush || stop.is_cancelled() {
                self.inbox.try_recv().ok()
            } else {
                time::timeout_at(until, self.inbox.recv()).await.ok().flatten()
            };
            match order? {
                Order::Append { batch, flush, done } => group.add(batch, flush, done),
                other => return Some(other),
            }
        }
        None
    }

    /// Commits a group, again and again if need be. Only a stop gives up, after one more try.
    async fn commit(&mut self, mut group: Group, stop: &CancellationToken) {
        if group.is_empty() {
            // Somebody only asked whether all before this is durable, and it is.
            return group.answer();
        }
        let mut pause = Duration::from_millis(200);
        loop {
            match self.write(&group).await {
                Ok(()) => break,
                Err(e) => {
                    self.health.flag(FAILING, true);
                    tracing::error!(
                        "the outbox cannot be written ({e}); {} events wait in memory. Mend: free disk space or check the disk",
                        group.changes.len()
                    );
                    if stop.is_cancelled() {
                        return;
                    }
                    self.wait_with(&mut group, pause, stop).await;
                    pause = (pause * 2).min(Duration::from_secs(30));
                }
            }
        }
        self.health.flag(FAILING, false);
        self.health.sent_total.fetch_add(group.changes.len() as u64, Ordering::SeqCst);
        self.publish_progress();
        self.health.uncommitted.fetch_sub(group.changes.len() as u64, Ordering::SeqCst);
        group.answer();
        if let Err(e) = self.keep_bounds().await {
            tracing::warn!("old rows could not be evicted: {e}");
        }
    }

    /// Takes in more batches while the disk refuses, up to the size of the ring.
    async fn wait_with(&mut self, group: &mut Group, pause: Duration, stop: &CancellationToken) {
        let over = time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = &mut over => break,
                order = self.inbox.recv(), if group.changes.len() < RING && !self.inbox.is_closed() => {
                    // Other askers are dropped: they see a closed outbox and try again later.
                    if let Some(Order::Append { batch, flush, done }) = order {
                        group.add(batch, flush, done);
                    }
                }
            }
        }
        // An app that was not answered in time sends again; nobody waits here for ever.
        group.waiting.retain(|done| !done.is_closed());
    }

    /// One transaction: reservation, rows, states, position. The ledger follows after the commit.
    async fn write(&mut self, group: &Group) -> sqlx::Result<()> {
        let count = group.changes.len() as u64;
        self.reserve(count).await?;
        let mut after = self.ledger().clone();
        let first = after.next();
        let (now, mono) = (self.clock.now(), i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut added = 0;
        let mut tx = self.store.write.begin().await?;
        for (change, seq) in group.changes.iter().zip(first..) {
            let event = number(change, seq, now, mono);
            let json = serde_json::to_vec(&event).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
            added += json.len() as u64;
            file::put_row(&mut tx, &event, &json).await?;
        }
        for saved in group.saved.values() {
            file::put_saved(&mut tx, saved).await?;
        }
        if let Some(position) = group.replay {
            file::put_replay(&mut tx, position).await?;
        }
        after.appended(count);
        file::put_numbers(&mut tx, &after).await?;
        tx.commit().await?;
        *self.ledger() = after;
        self.bytes += added;
        Ok(())
    }

    /// Makes the reservation durable before any seq of it is used.
    async fn reserve(&self, count: u64) -> sqlx::Result<()> {
        let Some(to) = self.ledger().reserve_for(count) else { return Ok(()) };
        let mut after = self.ledger().clone();
        after.set_reserved(to);
        let mut tx = self.store.write.begin().await?;
        file::put_numbers(&mut tx, &after).await?;
        tx.commit().await?;
        *self.ledger() = after;
        Ok(())
    }

    async fn delete(&mut self, ranges: &[SeqRange]) -> sqlx::Result<()> {
        if ranges.is_empty() {
            return Ok(());
        }
        let mut freed = 0;
        let mut tx = self.store.write.begin().await?;
        for range in ranges {
            freed += file::delete(&mut tx, *range).await?;
        }
        tx.commit().await?;
        self.bytes = self.bytes.saturating_sub(freed);
        self.ledger().deleted(ranges);
        self.publish_progress();
        Ok(())
    }

    async fn evict(&mut self, range: SeqRange) -> sqlx::Result<()> {
        let mut after = self.ledger().clone();
        let gone = after.evicted(range);
        let mut tx = self.store.write.begin().await?;
        let freed = file::delete(&mut tx, range).await?;
        file::put_gone(&mut tx, &gone).await?;
        tx.commit().await?;
        self.bytes = self.bytes.saturating_sub(freed);
        *self.ledger() = after;
        self.publish_progress();
        Ok(())
    }

    async fn renumber(&mut self) -> sqlx::Result<()> {
        let mut after = self.ledger().clone();
        after.renumber(file::new_epoch());
        let mut tx = self.store.write.begin().await?;
        file::renumber(&mut tx).await?;
        file::put_all_gone(&mut tx, &after).await?;
        file::put_numbers(&mut tx, &after).await?;
        tx.commit().await?;
        *self.ledger() = after;
        self.publish_progress();
        Ok(())
    }

    /// Evicts the oldest rows while the file is over its bounds.
    async fn keep_bounds(&mut self) -> sqlx::Result<()> {
        let too_old = self.clock.now() - self.bounds.max_age;
        loop {
            let limit = if self.bytes > self.bounds.max_bytes { 1_000 } else { 1 };
            let oldest = file::oldest(&self.store.read, limit).await?;
            let over = self.bytes.saturating_sub(self.bounds.max_bytes);
            for range in surplus(&oldest, over, too_old) {
                tracing::warn!("{} events were evicted from the outbox: it is over its bounds of bytes or age", range.count());
                self.evict(range).await?;
            }
            if surplus(&oldest, over, too_old).is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives the unused seqs back and closes the file.
    async fn finish(&mut self) {
        let mut after = self.ledger().clone();
        after.release();
        let written = async {
            let mut tx = self.store.write.begin().await?;
            file::put_numbers(&mut tx, &after).await?;
            tx.commit().await
        };
        match written.await {
            Ok(()) => *self.ledger() = after,
            Err(e) => tracing::warn!("the rest of the seq block could not be given back: {e}; it will be reported as never written"),
        }
        self.store.write.close().await;
        let _ = self.store.lock.unlock();
    }

    fn publish_progress(&self) {
        let progress = {
            let ledger = self.ledger();
            Progress { next: ledger.next(), held: ledger.held().count() }
        };
        self.tell.send_replace(progress);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ranges of the oldest rows that must go: those that free `over` bytes, and those older than `too_old`.
fn surplus(oldest: &[(Seq, Millis, u64)], over: u64, too_old: Millis) -> Vec<SeqRange> {
    let mut freed = 0;
    let mut out: Vec<SeqRange> = Vec::new();
    for &(seq, at, bytes) in oldest {
        if freed >= over && at >= too_old {
            break;
        }
        freed += bytes;
        match out.last_mut() {
            Some(last) if last.to + 1 == seq => last.to = seq,
            _ => out.push(SeqRange { from: seq, to: seq }),
        }
    }
    out
}

/// Makes the event: an id from its own time, its seq, and the monotonic time at which its fact was true.
fn number(change: &Change, seq: Seq, now: Millis, mono: i64) -> Event {
    Event {
        id: event_id(change.at),
        seq,
        store: change.store.clone(),
        zone: change.zone.clone(),
        subject: change.subject.clone(),
        signal: change.signal,
        phase: change.phase,
        at: change.at,
        mono: mono.saturating_sub(now.since(change.at)),
        first: change.first,
        last: change.last,
        strength: change.strength,
        initial: change.initial,
        late: change.late,
    }
}

fn event_id(at: Millis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &rand::random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_go_until_the_bound_holds() {
        let rows = [(1, Millis(10), 100), (2, Millis(20), 100), (4, Millis(30), 100), (5, Millis(40), 100)];
        assert_eq!(surplus(&rows, 150, Millis(0)), [SeqRange { from: 1, to: 2 }]);
        assert_eq!(surplus(&rows, 250, Millis(0)), [SeqRange { from: 1, to: 2 }, SeqRange { from: 4, to: 4 }]);
        assert_eq!(surplus(&rows, 0, Millis(15)), [SeqRange { from: 1, to: 1 }]);
        assert!(surplus(&rows, 0, Millis(5)).is_empty());
    }

    #[test]
    fn an_event_keeps_its_time_and_tells_the_monotonic_time_of_the_fact() {
        let id = event_id(Millis(1_795_000_000_000));
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_795_000_000);
    }
}
