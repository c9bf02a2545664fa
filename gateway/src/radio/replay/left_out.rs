//! What a capture holds beside adverts that can decide something.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Packets of a capture that were left out, counted for the person who misses them. Shared with whoever plays the capture.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Packets from the air whose checksum is wrong.
    pub bad_checksum: AtomicU64,
    /// Adverts without a signal strength. They cannot decide anything.
    pub no_strength: AtomicU64,
    /// Packets of any other kind: commands, connections, scan requests, pieces of long adverts whose beginning is missing.
    pub other: AtomicU64,
}

impl LeftOut {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bad, mute, other] = [&self.bad_checksum, &self.no_strength, &self.other].map(|n| n.load(Ordering::Relaxed));
        write!(f, "{bad} packets with a wrong checksum, {mute} adverts without a strength, {other} other packets")
    }
}
