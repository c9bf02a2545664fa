//! When the beacon changes what it says.

use std::time::Duration;

use passage_protocol::{Millis, rid};

/// After a fault, the next try comes so soon ...
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// ... and doubles up to this.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Between two changes, the advertisement is looked after so often: an adapter that was switched off and on says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What is to be on the air, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The window whose id is advertised.
    pub window: i64,
    /// When the next window's id takes its place. Business time.
    pub until: Millis,
}

/// Decides what to advertise when, and how long to wait after a fault.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    jitter: Duration,
    faults: u32,
}

impl Schedule {
    /// A schedule that changes `jitter` after the edge of each window, so that not all shops do at the same instant. Longer than a third of
    /// a window is cut: the check gives one window of grace, and phones need some of it.
    pub fn new(jitter: Duration) -> Self {
        let longest = Duration::from_secs(rid::WINDOW_SECS.unsigned_abs() / 3);
        Self { jitter: jitter.min(longest), faults: 0 }
    }

    /// What is to be advertised at `now`.
    pub fn turn(&self, now: Millis) -> Turn {
        let window = rid::window_at(now - self.jitter);
        Turn { window, until: Millis::from_secs((window + 1) * rid::WINDOW_SECS) + self.jitter }
    }

    /// The advertisement is on the air; gives how long to wait before looking after it. Machine time.
    pub fn well(&mut self) -> Duration {
        self.faults = 0;
        LOOK_EVERY
    }

    /// It is not; gives how long to wait before the next try. Machine time.
    pub fn fault(&mut self) -> Duration {
        let wait = FIRST_RETRY.saturating_mul(1 << self.faults.min(6)).min(LAST_RETRY);
        self.faults = self.faults.saturating_add(1);
        wait
    }
}
