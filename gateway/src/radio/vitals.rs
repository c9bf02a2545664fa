//! How a radio does: counters and flags that its source writes and the health of the gateway reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What a radio has done since it was opened. All counters only grow, except [`Vitals::last_10_s`].
#[derive(Debug, Default)]
pub struct Vitals {
    /// Adverts with a payload that were handed on.
    pub adverts: AtomicU64,
    /// Adverts of the last full 10 s.
    pub last_10_s: AtomicU64,
    /// Adverts without any payload that could be ours; they are not handed on. Many of them and nothing else mean a broken chip or driver.
    pub empty: AtomicU64,
    /// Adverts that were dropped because the queue was full.
    pub dropped: AtomicU64,
    /// Times that each rung of the ladder was taken.
    pub rungs: Rungs,
    /// Nothing has been heard although the scan was started again, or the calls fail.
    pub silent: AtomicBool,
    /// The Bluetooth daemon has lost track of its own scan; only a restart of it helps.
    pub wedged: AtomicBool,
}

/// How often the radio was brought back by which means.
#[derive(Debug, Default)]
pub struct Rungs {
    /// The scan was started again.
    pub start: AtomicU64,
    /// The scan was stopped, to be started again.
    pub stop: AtomicU64,
    /// A new connection to the message bus, with a new stream of events.
    pub session: AtomicU64,
    /// systemd was asked to restart the Bluetooth daemon.
    pub daemon: AtomicU64,
}

impl Vitals {
    /// Everything that was heard, whatever it held: a sign of life.
    pub fn heard(&self) -> u64 {
        self.adverts.load(Relaxed) + self.empty.load(Relaxed)
    }

    /// The raised flags, as they stand in the gateway's state.
    pub fn flags(&self) -> [(&'static str, bool); 2] {
        [("radio-silent", self.silent.load(Relaxed)), ("radio-wedged", self.wedged.load(Relaxed))]
    }
}
