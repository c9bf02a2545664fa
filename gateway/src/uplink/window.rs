//! What to send next. Pure: time comes in as machine time since the start, and nothing here publishes.
//!
//! Every held row is in one of three places: not sent on this connection, sent and waiting for the hub, or to be sent again. Only the hub's ack,
//! by way of the outbox, takes it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use passage_protocol::{MAX_EVENTS, Seq, SeqRange, SeqSet};

/// A row without a hub ack is sent again after this, because the hub that got it may hang ...
const FIRST_RETRY: Duration = Duration::from_secs(4);
/// ... doubling up to this.
const LAST_RETRY: Duration = Duration::from_secs(15 * 60);
/// A row that a hub misses is not sent again while it may still be on its way.
const SETTLE: Duration = Duration::from_secs(1);
/// So many events a second a backlog begins with. Each ack doubles it up to what the hub grants: when all shops come back at once, the hub knows
/// of all of them before the first has sent much.
const FIRST_RATE: f64 = 10.0;
/// An envelope from the backlog holds what is granted for so long: one event each would cost broker and hub as much as an envelope each.
const BACKLOG_EVERY: Duration = Duration::from_millis(500);
/// Most rows that wait for the hub; more are not sent before some are acked.
const MAX_WAITING: usize = 4_000;

/// A row that was sent and is not acked by a hub.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Duration,
    retry_at: Duration,
    retries: u32,
}

/// The state of sending on one connection.
#[derive(Debug, Clone)]
pub struct Window {
    /// Rows from here on are live; those before are backlog.
    live_from: Seq,
    live_next: Seq,
    backlog_next: Seq,
    backlog_from: Duration,
    sent: BTreeMap<Seq, Sent>,
    again: BTreeSet<Seq>,
    bucket: Bucket,
}

impl Window {
    /// Nothing is sent yet; rows before `live_from` are backlog.
    pub fn new(live_from: Seq, now: Duration) -> Self {
        Self {
            live_from,
            live_next: live_from,
            backlog_next: 1,
            backlog_from: now,
            sent: BTreeMap::new(),
            again: BTreeSet::new(),
            bucket: Bucket { rate: FIRST_RATE, level: FIRST_RATE, at: now },
        }
    }

    /// Events per second that the hub grants for the backlog; a higher rate is taken up by doublings, one for each time that the hub says so.
    pub fn set_backlog_rate(&mut self, rate: u32) {
        self.bucket.rate = f64::from(rate.max(1)).min(self.bucket.rate * 2.0);
    }

    /// The backlog begins at this time.
    pub fn hold_backlog(&mut self, until: Duration) {
        self.backlog_from = until;
    }

    /// The rows of the next envelope: those to repeat, then live ones, then backlog. At most 200; empty when there is nothing to do now.
    pub fn next(&mut self, held: &SeqSet, next: Seq, now: Duration) -> Vec<SeqRange> {
        self.refresh(held, now);
        let mut picked: SeqSet = self.again.iter().copied().take(MAX_EVENTS).collect();
        let room = MAX_EVENTS as u64 - picked.count();
        if picked.is_empty() && self.sent.len() >= MAX_WAITING {
            return Vec::new();
        }
        if let Some(live) = SeqRange::new(self.live_next, next.saturating_sub(1)) {
            take(held, live, room, &mut picked);
        }
        let granted = self.bucket.whole(now).min(MAX_EVENTS as u64);
        if picked.is_empty()
            && now >= self.backlog_from
            && let Some(backlog) = self.backlog()
            && granted >= self.envelope_of(held, backlog)
        {
            take(held, backlog, granted, &mut picked);
        }
        picked.ranges().to_vec()
    }

    /// Notes that these rows went out.
    pub fn sent(&mut self, seqs: &[Seq], now: Duration) {
        for &seq in seqs {
            let retries = self.sent.get(&seq).map_or(0, |s| s.retries + 1);
            self.again.remove(&seq);
            self.sent.insert(seq, Sent { at: now, retry_at: now + retry_after(retries), retries });
            if seq >= self.live_from {
                self.live_next = self.live_next.max(seq + 1);
            } else if seq >= self.backlog_next {
                self.backlog_next = seq + 1;
                self.bucket.take(1.0);
            }
        }
    }

    /// Forgets rows that a hub has stored.
    pub fn stored(&mut self, ranges: &[SeqRange]) {
        for range in ranges {
            let seqs: Vec<Seq> = self.sent.range(range.from..=range.to).map(|(s, _)| *s).collect();
            for seq in seqs {
                self.sent.remove(&seq);
            }
            self.again.retain(|s| !range.contains(*s));
        }
    }

    /// A hub misses these rows: send them at once, but those just sent only when they have had time to arrive.
    pub fn missing(&mut self, ranges: &[SeqRange], now: Duration) {
        for range in ranges {
            for seq in self.passed_over(*range) {
                self.again.insert(seq);
            }
            for (&seq, sent) in self.sent.range_mut(range.from..=range.to) {
                if now >= sent.at + SETTLE {
                    self.again.insert(seq);
                } else {
                    sent.retry_at = sent.retry_at.min(sent.at + SETTLE);
                }
            }
        }
    }

    /// A hub is gone, and with it what it had not stored: everything that waits is sent again at once. What it had stored comes to the others as
    /// duplicates, which cost nothing.
    pub fn hub_lost(&mut self, now: Duration) {
        for sent in self.sent.values_mut() {
            sent.retry_at = sent.retry_at.min(now);
        }
    }

    /// True if one of these rows went out before on this connection.
    pub fn is_repeated(&self, seqs: &[Seq]) -> bool {
        seqs.iter().any(|seq| self.sent.contains_key(seq))
    }

    /// The broker had nobody to give these rows to, or refused them: not delivered. Tried again soon, then less and less often.
    pub fn bounced(&mut self, seqs: &[Seq], now: Duration) {
        for seq in seqs {
            if let Some(sent) = self.sent.get_mut(seq) {
                sent.retry_at = now + SETTLE * 2u32.pow(sent.retries.min(6));
            }
        }
    }

    /// When something becomes due by itself; `None` if only an event can change that.
    pub fn next_due(&self, held: &SeqSet, now: Duration) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(now);
        }
        let retry = self.sent.values().map(|s| s.retry_at).min();
        let may_refill = self.sent.len() < MAX_WAITING;
        let refill = self
            .backlog()
            .filter(|&b| may_refill && held.within(b).next().is_some())
            .map(|b| self.bucket.holds_at(self.envelope_of(held, b), now).max(self.backlog_from));
        retry.into_iter().chain(refill).min()
    }

    /// Rows of `range` whose turn has passed although they were never sent: they could not be read then.
    fn passed_over(&self, range: SeqRange) -> Vec<Seq> {
        let passed = [SeqRange::new(1, self.backlog_next - 1), SeqRange::new(self.live_from, self.live_next - 1)];
        let parts = passed.into_iter().flatten().filter_map(|p| SeqRange::new(p.from.max(range.from), p.to.min(range.to)));
        parts.flat_map(|part| part.from..=part.to).filter(|seq| !self.sent.contains_key(seq)).collect()
    }

    /// The backlog that was not sent on this connection.
    fn backlog(&self) -> Option<SeqRange> {
        SeqRange::new(self.backlog_next, self.live_from.saturating_sub(1))
    }

    /// Rows of the next envelope from the backlog.
    fn envelope_of(&self, held: &SeqSet, backlog: SeqRange) -> u64 {
        let left: u64 = held.within(backlog).map(|r| r.count()).sum();
        self.bucket.worth(BACKLOG_EVERY).min(left).min(MAX_EVENTS as u64).max(1)
    }

    /// Moves rows whose time has come to those to repeat, and forgets those that were evicted.
    fn refresh(&mut self, held: &SeqSet, now: Duration) {
        let due: Vec<Seq> = self.sent.iter().filter(|(_, s)| s.retry_at <= now).map(|(seq, _)| *seq).collect();
        for seq in due {
            if held.contains(seq) {
                self.again.insert(seq);
            } else {
                self.sent.remove(&seq);
            }
        }
        self.again.retain(|s| held.contains(*s));
    }
}

/// Adds held seqs of `range` to `picked`, at most `room`.
fn take(held: &SeqSet, range: SeqRange, mut room: u64, picked: &mut SeqSet) {
    for part in held.within(range) {
        if room == 0 {
            return;
        }
        let part = SeqRange { from: part.from, to: part.to.min(part.from + room - 1) };
        room -= part.count();
        picked.insert(part);
    }
}

fn retry_after(retries: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2u32.saturating_pow(retries.min(10))).min(LAST_RETRY)
}

/// Token bucket that holds one second's worth.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    fn whole(&mut self, now: Duration) -> u64 {
        self.level = (self.level + self.rate * now.saturating_sub(self.at).as_secs_f64()).min(self.rate.max(1.0));
        self.at = now;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a rate of 32 bits")]
        let whole = self.level.max(0.0) as u64;
        whole
    }

    fn take(&mut self, n: f64) {
        self.level -= n;
    }

    /// Whole tokens of so long.
    fn worth(&self, long: Duration) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a rate of 32 bits")]
        let whole = (self.rate * long.as_secs_f64()).ceil() as u64;
        whole
    }

    /// When it holds `n` tokens, at most a second's worth.
    fn holds_at(&self, n: u64, now: Duration) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "at most an envelope's events")]
        let lacking = (n as f64 - self.level).max(0.0) / self.rate;
        now.max(self.at + Duration::from_secs_f64(lacking))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn seqs(ranges: &[SeqRange]) -> Vec<Seq> {
        ranges.iter().flat_map(|r| r.from..=r.to).collect()
    }

    /// Sends rows that a hub acks at once.
    fn deliver(w: &mut Window, seqs: &[Seq], now: Duration) {
        w.sent(seqs, now);
        w.stored(seqs.iter().copied().collect::<SeqSet>().ranges());
    }

    fn held(range: std::ops::RangeInclusive<Seq>) -> SeqSet {
        range.collect()
    }

    #[test]
    fn live_rows_go_before_the_backlog() {
        let mut w = Window::new(101, secs(0));
        let held = held(1..=110);
        let first = seqs(&w.next(&held, 111, secs(0)));
        assert_eq!(first, (101..=110).collect::<Vec<_>>());
        w.sent(&first, secs(0));
        assert_eq!(seqs(&w.next(&held, 111, secs(0))), (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn the_backlog_keeps_to_the_rate_that_the_hub_grants() {
        let mut w = Window::new(10_000, secs(0));
        w.set_backlog_rate(20);
        let held = held(1..=9_999);
        let mut total = 0;
        for tenth in 0..100 {
            let now = Duration::from_millis(tenth * 100);
            let next = seqs(&w.next(&held, 10_000, now));
            total += next.len();
            deliver(&mut w, &next, now);
        }
        assert!((200..=260).contains(&total), "{total} rows in 10 s at 20/s");
    }

    #[test]
    fn a_backlog_begins_slowly_and_each_word_of_the_hub_doubles_it_up_to_the_grant() {
        let mut w = Window::new(100_000, secs(0));
        let held = held(1..=99_999);
        let per_second = |w: &mut Window, at: u64| {
            let next = seqs(&w.next(&held, 100_000, secs(at)));
            deliver(w, &next, secs(at));
            next.len()
        };
        let mut told = vec![per_second(&mut w, 0)];
        for at in 1..6 {
            w.set_backlog_rate(100);
            told.push(per_second(&mut w, at));
        }
        assert_eq!(told, [10, 20, 40, 80, 100, 100]);
        w.set_backlog_rate(5);
        assert_eq!(per_second(&mut w, 6), 5, "a lower grant holds at once");
    }

    #[test]
    fn what_trickles_in_is_sent_twice_a_second_in_one_envelope_each() {
        let mut w = Window::new(1_000, secs(0));
        let held = held(1..=999);
        let mut envelopes = Vec::new();
        for ms in (0..2_000).step_by(10) {
            w.set_backlog_rate(20);
            let now = Duration::from_millis(ms);
            let next = seqs(&w.next(&held, 1_000, now));
            w.sent(&next, now);
            if !next.is_empty() {
                envelopes.push(next.len());
                assert!(w.next_due(&held, now).unwrap() > now);
            }
        }
        assert_eq!(envelopes, [10, 10, 10, 10]);
    }

    #[test]
    fn the_rest_of_a_backlog_waits_for_no_company() {
        let mut w = Window::new(4, secs(0));
        assert_eq!(seqs(&w.next(&held(1..=3), 4, secs(0))), [1, 2, 3]);
    }

    #[test]
    fn a_backlog_that_is_held_back_begins_in_time_and_live_rows_do_not_wait() {
        let mut w = Window::new(11, secs(0));
        w.hold_backlog(secs(30));
        let held = held(1..=11);
        let live = seqs(&w.next(&held, 12, secs(0)));
        assert_eq!(live, [11]);
        w.sent(&live, secs(0));
        w.stored(&[SeqRange { from: 11, to: 11 }]);
        assert!(w.next(&held, 12, secs(29)).is_empty());
        assert_eq!(w.next_due(&held, secs(1)), Some(secs(30)));
        assert_eq!(seqs(&w.next(&held, 12, secs(30))), (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_that_was_passed_over_is_sent_when_the_hub_misses_it() {
        let mut w = Window::new(1, secs(0));
        let held = held(1..=3);
        w.sent(&[1, 3], secs(0));
        w.missing(&[SeqRange { from: 2, to: 2 }], secs(0));
        assert_eq!(seqs(&w.next(&held, 4, secs(0))), [2]);
    }

    #[test]
    fn a_row_without_a_hub_ack_is_repeated_later_and_later() {
        let mut w = Window::new(1, secs(0));
        let held = held(1..=1);
        w.sent(&[1], secs(0));
        assert!(w.next(&held, 2, secs(3)).is_empty());
        assert_eq!(seqs(&w.next(&held, 2, secs(4))), [1]);
        w.sent(&[1], secs(4));
        assert!(w.next(&held, 2, secs(11)).is_empty());
        assert_eq!(seqs(&w.next(&held, 2, secs(12))), [1]);
    }

    #[test]
    fn what_a_lost_hub_may_have_held_is_repeated_at_once() {
        let mut w = Window::new(1, secs(0));
        let held = held(1..=2);
        w.sent(&[1, 2], secs(0));
        assert!(w.next(&held, 3, secs(1)).is_empty());
        w.hub_lost(secs(1));
        assert_eq!(seqs(&w.next(&held, 3, secs(1))), [1, 2]);
        assert!(w.is_repeated(&[2]) && !w.is_repeated(&[3]));
    }

    #[test]
    fn a_row_that_the_hub_misses_is_repeated_at_once_unless_it_may_be_on_its_way() {
        let mut w = Window::new(1, secs(0));
        let held = held(1..=2);
        w.sent(&[1, 2], secs(0));
        w.missing(&[SeqRange { from: 1, to: 1 }], Duration::from_millis(100));
        assert!(w.next(&held, 3, Duration::from_millis(100)).is_empty());
        assert_eq!(seqs(&w.next(&held, 3, secs(1))), [1]);
        w.missing(&[SeqRange { from: 2, to: 2 }], secs(2));
        assert_eq!(seqs(&w.next(&held, 3, secs(2))), [1, 2]);
    }

    #[test]
    fn with_enough_rows_under_way_the_backlog_waits_for_acks_and_not_in_a_busy_loop() {
        let mut w = Window::new(10_000, secs(0));
        let held = held(1..=9_999);
        w.sent(&(1..=MAX_WAITING as Seq).collect::<Vec<_>>(), secs(0));
        assert!(w.next(&held, 10_000, secs(3)).is_empty());
        assert_eq!(w.next_due(&held, secs(3)), Some(FIRST_RETRY));
    }

    #[test]
    fn a_row_that_nobody_took_is_tried_again_after_a_second() {
        let mut w = Window::new(1, secs(0));
        let held = held(1..=1);
        w.sent(&[1], secs(0));
        w.bounced(&[1], secs(0));
        assert_eq!(seqs(&w.next(&held, 2, secs(1))), [1]);
    }

    proptest! {
        #[test]
        fn every_row_is_sent_in_the_end_whatever_is_acked_or_lost(
            rows in 1u64..600, live_from in 1u64..600, fates in prop::collection::vec(0u8..3, 1..40),
        ) {
            let mut held = held(1..=rows);
            let mut w = Window::new(live_from.min(rows + 1), secs(0));
            w.set_backlog_rate(100);
            let mut now = secs(0);
            for step in 0..2_000u32 {
                if held.is_empty() { break }
                now += secs(2);
                let picked = seqs(&w.next(&held, rows + 1, now));
                prop_assert!(picked.len() <= MAX_EVENTS);
                prop_assert!(picked.iter().all(|s| held.contains(*s)));
                w.sent(&picked, now);
                let fate = if step < 100 { fates[step as usize % fates.len()] } else { 0 };
                match fate {
                    0 => {
                        let set: SeqSet = picked.iter().copied().collect();
                        w.stored(set.ranges());
                        for r in set.ranges() { held.remove(*r) }
                    }
                    1 => w.bounced(&picked, now),
                    _ => {}
                }
            }
            prop_assert!(held.is_empty(), "never sent: {:?}", held);
        }
    }
}
