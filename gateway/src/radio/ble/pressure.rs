//! Notices that more is heard than btleplug can take. Pure.
//!
//! btleplug asks BlueZ once for each event, one after the other; what comes faster waits in a queue without a bound, and nothing tells how long
//! it is. But a connection that catches up pauses now and then, and one that does not never does.

use std::time::{Duration, Instant};

/// Two events that are farther apart than this mean that nothing waits.
const PAUSE: Duration = Duration::from_millis(4);
/// Without a pause for so long, the queue holds seconds of old adverts.
const OVERRUN: Duration = Duration::from_secs(20);

/// When events came, as far as it matters.
#[derive(Debug)]
pub struct Pressure {
    last: Instant,
    pause: Instant,
}

impl Pressure {
    /// A connection that has just begun.
    pub fn new(now: Instant) -> Self {
        Self { last: now, pause: now }
    }

    /// Notes an event; true when there was no pause for too long. Then the count begins anew.
    pub fn is_overrun(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.last) >= PAUSE {
            self.pause = now;
        }
        self.last = now;
        let over = now.saturating_duration_since(self.pause) >= OVERRUN;
        if over {
            self.pause = now;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_any_pause_is_an_overrun_and_one_with_pauses_is_none() {
        let start = Instant::now();
        let at = |us: u64| start + Duration::from_micros(us);
        let mut pressure = Pressure::new(start);
        let overruns = (0..300_000u64).filter(|n| pressure.is_overrun(at(n * 150))).count();
        assert_eq!(overruns, 2, "45 s without a pause");
        let mut pressure = Pressure::new(start);
        let busy = (0..300_000u64).filter(|n| pressure.is_overrun(at(n * 150 + (n / 20_000) * 5_000))).count();
        assert_eq!(busy, 0, "a pause every 3 s");
    }
}
