//! How long a group may wait for more. Pure: time comes in.
//!
//! What was promised is when an event is durable, not when its commit begins. So the wait is counted from when the first event of the group was
//! handed over, which may have been while the group before it was written, and the time that a commit takes on this disk is left for it.

use std::time::Duration;

use tokio::time::Instant;

/// At least this part of the promised time is waited for more: on a slow disk, larger groups are what helps.
const LEAST: u32 = 2;
/// So slowly is a slow commit forgotten: by this part with each one.
const FORGET: u32 = 16;

/// How long commits take on this disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    took: Duration,
}

impl Pace {
    /// Notes how long a commit took: a slower one counts at once, faster ones little by little.
    pub fn note(&mut self, took: Duration) {
        self.took = took.max(self.took - self.took / FORGET);
    }

    /// Until when the group waits whose first event was handed over at `first`, when it should be durable `within`.
    pub fn until(&self, first: Instant, within: Duration) -> Instant {
        first + within.saturating_sub(self.took).max(within / LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_time_of_a_commit_is_left_for_it_but_never_more_than_half() {
        let (mut pace, first) = (Pace::default(), Instant::now());
        assert_eq!(pace.until(first, ms(50)), first + ms(50));
        pace.note(ms(10));
        assert_eq!(pace.until(first, ms(50)), first + ms(40));
        pace.note(ms(400));
        assert_eq!(pace.until(first, ms(50)), first + ms(25));
        assert_eq!(pace.until(first, Duration::ZERO), first);
    }

    #[test]
    fn a_slow_commit_counts_at_once_and_is_forgotten_little_by_little() {
        let (mut pace, first) = (Pace::default(), Instant::now());
        pace.note(ms(20));
        pace.note(ms(4));
        let soon = pace.until(first, ms(50));
        assert!(soon > first + ms(30) && soon < first + ms(32));
        (0..100).for_each(|_| pace.note(ms(4)));
        assert_eq!(pace.until(first, ms(50)), first + ms(46));
    }
}
