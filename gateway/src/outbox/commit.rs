//! How the writer puts a group on the disk, and what it does when the disk refuses.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use passage_protocol::{GoneReason, SeqRange};
use tokio::time::Instant;

use super::{
    Numbers, OutboxError, disk, file,
    group::Noted,
    needs_reopening,
    ring::Row,
    rows,
    writer::{RING, Writer},
};

/// Raised while the disk refuses.
pub(super) const FAILING: &str = "outbox-not-writable";
/// Raised when an event was lost because both disk and memory were full.
const LOSING: &str = "outbox-overflowed";
/// Raised after a damaged file was set aside.
pub(super) const DAMAGED: &str = "outbox-was-damaged";
/// Raised while there are events that nobody takes.
pub(super) const DEAD: &str = "outbox-dead-letters";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// The same trouble is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// Why a group is not on the disk.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the disk is full but for what SQLite needs to delete")]
    AlmostFull,
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
    #[error("{0}")]
    Open(#[from] OutboxError),
}

/// A disk that refuses.
#[derive(Debug)]
pub(super) struct Trouble {
    pub retry_at: Instant,
    pause: Duration,
    /// When it was last told; `None` when it was met by something that does not tell, such as a deletion.
    told_at: Option<Instant>,
}

impl Trouble {
    /// It was just met.
    fn new(now: Instant) -> Self {
        Self { retry_at: now + FIRST_PAUSE, pause: FIRST_PAUSE, told_at: None }
    }

    /// A commit was refused, after the trouble that was known `before`. True if it is to be told.
    fn after_commit(before: Option<&Self>, now: Instant) -> (Self, bool) {
        let told_at = before.and_then(|t| t.told_at).filter(|at| now < *at + TELL_AGAIN);
        let pause = before.map_or(FIRST_PAUSE, |t| (t.pause * 2).min(LAST_PAUSE));
        (Self { retry_at: now + pause, pause, told_at: told_at.or(Some(now)) }, told_at.is_none())
    }
}

impl Writer {
    /// Commits what waits. If the disk refuses, the events wait in memory, with seqs as far as some are reserved, and are tried again later.
    pub(super) async fn commit(&mut self) {
        if self.group.is_empty() && self.is_settled && self.ring.len() == 0 {
            // Somebody only asked whether all before this is durable, and it is.
            return self.group.answer();
        }
        let begun = Instant::now();
        match self.write().await {
            Ok(()) => {
                self.pace.note(begun.elapsed());
                self.succeeded().await;
            }
            Err(e) => self.failed(&e).await,
        }
    }

    async fn succeeded(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the outbox is written again");
        }
        self.health.flag(FAILING, false);
        self.publish_progress();
        self.group.answer();
        if let Err(e) = self.keep_bounds().await {
            tracing::warn!("old rows could not be evicted: {e}");
        }
    }

    async fn failed(&mut self, why: &Refused) {
        self.health.flag(FAILING, true);
        self.fill_ring();
        self.group.forget_who_gave_up();
        let (trouble, is_news) = Trouble::after_commit(self.trouble.as_ref(), Instant::now());
        self.trouble = Some(trouble);
        if is_news {
            tracing::error!(
                "the outbox in {} cannot be written ({why}); {} events wait in memory, which are sent but would be lost in a power cut. Mend: free disk \
                 space, check the card or disk, or correct `data` in gateway.toml",
                self.dir.display(),
                self.ring.len() + self.group.events.len()
            );
        }
        if let Refused::Sql(e) = why {
            self.after_error(e).await;
        }
    }

    /// Gives waiting events the seqs that are reserved, so that they can be sent; when memory is full, the least useful go.
    pub(super) fn fill_ring(&mut self) {
        let (mut room, mut seq) = {
            let ledger = self.ledger();
            (ledger.room(), ledger.next())
        };
        while room > 0
            && let Some(noted) = self.group.events.pop_front()
        {
            self.ring.push(noted.row(seq));
            self.ledger().appended(1);
            self.count_numbered(1);
            (room, seq) = (room - 1, seq + 1);
        }
        while self.ring.len() + self.group.events.len() > RING {
            self.health.flag(LOSING, true);
            // Nobody may be told that what goes now was stored.
            self.group.waiting.clear();
            if let Some(seq) = self.ring.first_to_go() {
                let range = SeqRange { from: seq, to: seq };
                self.ring.remove(&[range]);
                self.ledger().gave_up(range, GoneReason::Evicted);
                self.is_settled = false;
            } else if self.group.events.pop_front().is_some() {
                self.uncounted(1);
            }
        }
        self.publish_progress();
    }

    /// One transaction: rows that waited in memory, new rows, states, position, numbers. The accounts follow after the commit.
    async fn write(&mut self) -> Result<(), Refused> {
        self.open_file().await?;
        let count = self.group.events.len() as u64;
        self.reserve(count).await?;
        let waited = self.ring.all();
        if !disk::has_room(&self.dir) {
            return Err(Refused::AlmostFull);
        }
        let store = self.store()?;
        let (epoch, first, reserved, gone) = {
            let ledger = self.ledger();
            let gone: Vec<_> = if self.is_settled { Vec::new() } else { ledger.gone().copied().collect() };
            (ledger.epoch().to_owned(), ledger.next(), ledger.reserved(), gone)
        };
        let new: Vec<Row> = self.group.events.iter().zip(first..).map(|(noted, seq)| noted.row(seq)).collect();
        let mut added = 0;
        let mut tx = store.write.begin().await?;
        for row in waited.iter().chain(&new) {
            added += row.json.len() as u64;
            rows::put_row(&mut tx, row).await?;
        }
        for saved in self.group.saved.values() {
            rows::put_saved(&mut tx, saved).await?;
        }
        for salvaged in &self.group.salvaged {
            rows::put_salvaged(&mut tx, salvaged).await?;
        }
        if let Some(position) = self.group.replay {
            rows::put_replay(&mut tx, position).await?;
        }
        if !self.is_settled {
            rows::put_all_gone(&mut tx, &gone).await?;
        }
        let numbers = Numbers { epoch: &epoch, next: first + count, reserved, now: self.keeper.clock().now() };
        rows::put_numbers(&mut tx, &numbers).await?;
        tx.commit().await?;
        self.is_settled = true;
        self.bytes += added;
        self.ledger().appended(count);
        // Readers look here first and into the file afterwards, so they miss nothing.
        self.ring.clear();
        self.group.events.clear();
        self.group.saved.clear();
        self.group.salvaged.clear();
        self.group.replay = None;
        self.count_numbered(count);
        Ok(())
    }

    /// Makes the reservation durable before any seq of it is used.
    async fn reserve(&self, count: u64) -> Result<(), Refused> {
        let Some(to) = self.ledger().reserve_for(count) else { return Ok(()) };
        let mut tx = self.store()?.write.begin().await?;
        rows::put_reserved(&mut tx, to).await?;
        tx.commit().await?;
        self.ledger().set_reserved(to);
        Ok(())
    }

    /// Opens the file if it is not open, and joins what waited in memory with what it holds.
    async fn open_file(&mut self) -> Result<(), OutboxError> {
        if self.store.get().is_some() {
            return Ok(());
        }
        if self.lock.is_none() {
            self.lock = Some(file::lock(&self.dir)?);
        }
        let opened = file::open(&self.dir).await?;
        self.take(opened);
        Ok(())
    }

    /// Takes over a file that was just opened. What waited with seqs of another epoch gets new ones.
    pub(super) fn take(&mut self, opened: file::Opened) {
        self.bytes = opened.bytes;
        self.is_settled = false;
        self.keeper.not_before(opened.last_at);
        self.health.flag(DEAD, opened.dead > 0);
        if opened.set_aside.is_some() {
            self.health.flag(DAMAGED, true);
        }
        let is_other = self.ledger().epoch() != opened.ledger.epoch();
        // Of an epoch that was only interrupted, memory knows more than the file.
        if is_other {
            let waited = self.ring.all();
            self.ring.clear();
            self.uncount_numbered(waited.len() as u64);
            self.group.put_first(waited.iter().filter_map(Noted::of_row).collect());
            *self.ledger() = opened.ledger;
            self.owed.clear();
        }
        let salvaged = opened.salvaged;
        self.health.uncommitted.fetch_add(salvaged.rows.len() as u64, Ordering::SeqCst);
        self.group.put_first(salvaged.rows.into_iter().map(|event| Noted { event, synced: true, boot: Arc::from("") }).collect());
        self.group.salvaged = salvaged.saved;
        self.group.replay = self.group.replay.or(salvaged.replay);
        self.store.set(Some(opened.store));
    }

    /// After some errors the file is opened anew with the next group, which also finds damage and sets the file aside.
    pub(super) async fn after_error(&mut self, e: &sqlx::Error) {
        if needs_reopening(e) {
            self.leave_file().await;
        }
    }

    /// Closes a file that will not get well again.
    async fn leave_file(&mut self) {
        self.is_settled = false;
        self.trouble.get_or_insert_with(|| Trouble::new(Instant::now()));
        if let Some(store) = self.store.set(None) {
            store.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_refuses_is_told_at_once_also_when_a_deletion_met_it_first_and_then_now_and_then() {
        let now = Instant::now();
        let (first, is_news) = Trouble::after_commit(None, now);
        assert!(is_news);
        let (met_by_deletion, is_news) = Trouble::after_commit(Some(&Trouble::new(now)), now);
        assert!(is_news && met_by_deletion.told_at == Some(now));
        let (again, is_news) = Trouble::after_commit(Some(&first), now + FIRST_PAUSE);
        assert!(!is_news);
        let (late, is_news) = Trouble::after_commit(Some(&again), now + TELL_AGAIN);
        assert!(is_news && late.pause == FIRST_PAUSE * 4 && late.told_at == Some(now + TELL_AGAIN));
    }
}
