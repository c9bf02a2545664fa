//! How much the last 10 s have brought. Pure.

use std::time::Duration;

/// The span that is counted.
const SPAN: Duration = Duration::from_secs(10);

/// A counter that is read now and then, and its growth in each full span.
#[derive(Debug, Default)]
pub struct Rate {
    begun: Duration,
    before: u64,
    last: u64,
}

impl Rate {
    /// Notes the counter; gives its growth in the last full span.
    pub fn note(&mut self, now: Duration, counter: u64) -> u64 {
        if now.saturating_sub(self.begun) >= SPAN {
            self.last = counter.saturating_sub(self.before);
            (self.begun, self.before) = (now, counter);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_full_span() {
        let mut rate = Rate::default();
        assert_eq!(rate.note(Duration::from_secs(9), 90), 0);
        assert_eq!(rate.note(Duration::from_secs(10), 100), 100);
        assert_eq!(rate.note(Duration::from_secs(15), 900), 100);
        assert_eq!(rate.note(Duration::from_secs(20), 900), 800);
        assert_eq!(rate.note(Duration::from_secs(30), 900), 0);
    }
}
