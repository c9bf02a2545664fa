//! What is counted and measured, and what it comes to.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use passage_protocol::Seq;
use serde::Serialize;

use super::{Outcome, Plan};

/// Three points of a distribution, in milliseconds; 0 when nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are below.
    pub p50: f64,
    /// All but one in a hundred are below.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let place = (times.len() * share).div_ceil(100).clamp(1, times.len().max(1)) - 1;
            times.get(place).map_or(0.0, |t| t.as_secs_f64() * 1e3)
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Live events that are not deleted yet, in the order of their seqs.
#[derive(Debug)]
pub(super) struct Waiting {
    next: Seq,
    given: VecDeque<(Seq, Instant)>,
}

impl From<Seq> for Waiting {
    /// `next` is the seq of the next event.
    fn from(next: Seq) -> Self {
        Self { next, given: VecDeque::new() }
    }
}

impl Waiting {
    /// An event is handed over now.
    pub fn given(&mut self) -> Instant {
        let now = Instant::now();
        self.given.push_back((self.next, now));
        self.next += 1;
        now
    }

    /// Notes how long the events took that are not held any more.
    pub fn settle(&mut self, is_held: impl Fn(Seq) -> bool, took: &mut Vec<Duration>) {
        self.given.retain(|(seq, given)| {
            let held = is_held(*seq);
            if !held {
                took.push(given.elapsed());
            }
            held
        });
    }
}

/// What one gateway did, or all of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub events: u64,
    pub deleted: u64,
    pub envelopes: u64,
    pub elapsed: Duration,
    pub durable: Vec<Duration>,
    pub took: Vec<Duration>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.deleted += other.deleted;
        self.envelopes += other.envelopes;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.durable.extend(other.durable);
        self.took.extend(other.took);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    pub fn outcome(self, plan: &Plan) -> Outcome {
        let seconds = self.elapsed.as_secs_f64();
        Outcome {
            gateways: plan.gateways,
            events: self.events,
            deleted: self.deleted,
            seconds,
            per_second: self.deleted as f64 / seconds.max(1e-3),
            durable_ms: Quantiles::of(self.durable),
            deleted_ms: Quantiles::of(self.took),
            envelopes: self.envelopes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(Quantiles::of(times), Quantiles { p50: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Quantiles::of(vec![Duration::from_millis(7)]), Quantiles { p50: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(Quantiles::of(vec![]), Quantiles::default());
    }

    #[test]
    fn only_what_is_not_held_any_more_is_measured() {
        let (mut waiting, mut took) = (Waiting::from(5), Vec::new());
        for _ in 0..3 {
            waiting.given();
        }
        waiting.settle(|seq| seq == 6, &mut took);
        assert_eq!((took.len(), waiting.given.len()), (2, 1));
    }
}
