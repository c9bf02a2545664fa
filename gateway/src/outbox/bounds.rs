//! Which rows go without having been delivered: over the bounds of the file, or because nobody takes them.

use passage_protocol::{GoneReason, Millis, SeqRange};

use super::{
    OutboxError,
    commit::DEAD,
    rows::{self, Old},
    writer::Writer,
};

/// When the file is over its bound of bytes, so much of the bound is freed at once: 1/20.
const SPARE: u64 = 20;
/// Rows that are looked at when some must go.
const LOOK: u32 = 1_000;

impl Writer {
    /// Evicts while the file is over its bounds: too old ones, then superseded ones, then the oldest.
    pub(super) async fn keep_bounds(&mut self) -> Result<(), OutboxError> {
        let read = self.store()?.read;
        let too_old = self.keeper.clock().now() - self.bounds.max_age;
        while rows::oldest(&read, 1).await?.first().is_some_and(|row| row.1 < too_old) {
            let oldest = rows::oldest(&read, LOOK).await?;
            self.evict_told(&surplus(&oldest, 0, too_old)).await?;
        }
        if self.bytes > self.bounds.max_bytes {
            let target = self.bounds.max_bytes - self.bounds.max_bytes / SPARE;
            while self.bytes > target {
                let over = self.bytes - target;
                let mut some = rows::superseded(&read, LOOK).await?;
                if some.is_empty() {
                    some = rows::oldest(&read, LOOK).await?;
                }
                let go = surplus(&some, over, Millis(i64::MIN));
                if go.is_empty() {
                    break;
                }
                self.evict_told(&go).await?;
            }
        }
        Ok(())
    }

    async fn evict_told(&mut self, ranges: &[SeqRange]) -> Result<(), OutboxError> {
        let count: u64 = ranges.iter().map(SeqRange::count).sum();
        tracing::warn!("{count} events were evicted from the outbox: it is over its bounds of bytes or age");
        self.evict(ranges).await
    }

    async fn evict(&mut self, ranges: &[SeqRange]) -> Result<(), OutboxError> {
        let mut after = self.ledger().clone();
        let mut freed = 0;
        let mut tx = self.store()?.write.begin().await?;
        for range in ranges {
            let gone = after.gave_up(*range, GoneReason::Evicted);
            freed += rows::delete(&mut tx, *range).await?;
            rows::put_gone(&mut tx, &gone).await?;
        }
        tx.commit().await?;
        self.bytes = self.bytes.saturating_sub(freed);
        *self.ledger() = after;
        self.publish_progress();
        Ok(())
    }

    /// Takes rows that nobody takes out of the way and keeps a copy.
    pub(super) async fn bury(&mut self, range: SeqRange, why: &'static str) -> Result<(), OutboxError> {
        let mut after = self.ledger().clone();
        let gone = after.gave_up(range, GoneReason::Undeliverable);
        let mut tx = self.store()?.write.begin().await?;
        rows::bury(&mut tx, after.epoch(), range, why).await?;
        let freed = rows::delete(&mut tx, range).await?;
        rows::put_gone(&mut tx, &gone).await?;
        tx.commit().await?;
        self.bytes = self.bytes.saturating_sub(freed);
        *self.ledger() = after;
        self.health.flag(DEAD, true);
        self.publish_progress();
        Ok(())
    }
}

/// Ranges of rows that must go: the first ones that free `over` bytes, and those older than `too_old`.
fn surplus(some: &[Old], over: u64, too_old: Millis) -> Vec<SeqRange> {
    let mut freed = 0;
    let mut out: Vec<SeqRange> = Vec::new();
    for &(seq, at, bytes) in some {
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
}
