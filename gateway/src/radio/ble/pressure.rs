//! Notices that more is told than can be read. Pure.
//!
//! What is not read waits at the message bus, without a count and without a time. But who keeps up finds nothing to read now and then, and who
//! does not never does.

use std::time::{Duration, Instant};

/// When there was something to read for so long without a break, what waits may be seconds old.
const OVERRUN: Duration = Duration::from_secs(20);

/// When there was last nothing to read.
#[derive(Debug)]
pub struct Pressure {
    calm: Instant,
}

impl Pressure {
    /// A connection that has just begun.
    pub fn new(now: Instant) -> Self {
        Self { calm: now }
    }

    /// Nothing waits.
    pub fn calm(&mut self, now: Instant) {
        self.calm = now;
    }

    /// Something has waited; true when that has been so for too long. Then the count begins anew.
    pub fn is_overrun(&mut self, now: Instant) -> bool {
        let over = now.saturating_duration_since(self.calm) >= OVERRUN;
        if over {
            self.calm = now;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_never_runs_dry_is_an_overrun_and_one_that_does_is_none() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pressure = Pressure::new(start);
        assert_eq!((0..45_000).filter(|ms| pressure.is_overrun(at(*ms))).count(), 2, "45 s without a break");
        let mut pressure = Pressure::new(start);
        let overruns = (0..45_000).filter(|ms| {
            if ms % 10_000 == 0 {
                pressure.calm(at(*ms));
            }
            pressure.is_overrun(at(*ms))
        });
        assert_eq!(overruns.count(), 0);
    }
}
