//! How a radio does: counters and flags that its source writes and the health of the gateway reads.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use serde::Serialize;

/// What a radio has done since it was opened. All counters only grow, except [`Vitals::last_10_s`], [`Vitals::queued`] and [`Vitals::silent_ms`].
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
    /// Adverts in the queue when it was last looked at.
    pub queued: AtomicU64,
    /// Milliseconds since anything was heard, when that was last looked at.
    pub silent_ms: AtomicU64,
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

    /// All of it at this moment.
    pub fn look(&self) -> Look {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        Look {
            adverts: of(&self.adverts),
            last_10_s: of(&self.last_10_s),
            empty: of(&self.empty),
            dropped: of(&self.dropped),
            queued: of(&self.queued),
            silent_ms: of(&self.silent_ms),
            starts: of(&self.rungs.start),
            stops: of(&self.rungs.stop),
            sessions: of(&self.rungs.session),
            daemons: of(&self.rungs.daemon),
            silent: self.silent.load(Relaxed),
            wedged: self.wedged.load(Relaxed),
        }
    }
}

/// [`Vitals`] at one moment, for people and for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Adverts with a payload.
    pub adverts: u64,
    /// Adverts of the last full 10 s.
    pub last_10_s: u64,
    /// Adverts without a payload that could be ours.
    pub empty: u64,
    /// Adverts that were dropped.
    pub dropped: u64,
    /// Adverts in the queue.
    pub queued: u64,
    /// Milliseconds since anything was heard.
    pub silent_ms: u64,
    /// How often the scan was started again.
    pub starts: u64,
    /// How often it was stopped for that.
    pub stops: u64,
    /// How often the connection was made anew.
    pub sessions: u64,
    /// How often systemd was asked to restart the Bluetooth daemon.
    pub daemons: u64,
    /// Nothing is heard, or calls fail.
    pub silent: bool,
    /// The daemon has lost track of its scan.
    pub wedged: bool,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adverts, empty, dropped, starts, sessions, daemons, .. } = self;
        write!(f, "{adverts} adverts, {empty} empty, {dropped} dropped; anew: scan {starts}, connection {sessions}, daemon {daemons}")?;
        f.write_str(if self.wedged {
            "; WEDGED"
        } else if self.silent {
            "; SILENT"
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_what_a_technician_needs_and_the_worst_flag() {
        let vitals = Vitals::default();
        vitals.adverts.store(1204, Relaxed);
        vitals.rungs.session.store(2, Relaxed);
        vitals.silent.store(true, Relaxed);
        let told = "1204 adverts, 0 empty, 0 dropped; anew: scan 0, connection 2, daemon 0; SILENT";
        assert_eq!(vitals.look().to_string(), told);
        vitals.wedged.store(true, Relaxed);
        assert!(vitals.look().to_string().ends_with("; WEDGED"));
    }
}
