//! Counters and flags of a running gateway. The state message and the tests read them.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

/// What happened since the start; shared by all tasks.
#[derive(Debug, Default)]
pub struct Health {
    /// Events that got a seq.
    pub sent_total: AtomicU64,
    /// Changes that were handed over and are not committed yet.
    pub uncommitted: AtomicU64,
    /// Envelopes published.
    pub envelopes: AtomicU64,
    /// Acks that a pinned key signed and that were applied.
    pub acks: AtomicU64,
    /// Acks that no pinned key signed. Not zero means that somebody else writes to our topics.
    pub forged_acks: AtomicU64,
    /// Acks for another gateway or epoch.
    pub foreign_acks: AtomicU64,
    /// Broken records and radio faults.
    pub radio_errors: AtomicU64,
    /// Adverts that the radio heard and dropped because the gateway could not keep up.
    pub adverts_dropped: AtomicU64,
    /// Connections to the broker that came up.
    pub connections: AtomicU64,
    flags: Mutex<BTreeSet<&'static str>>,
}

impl Health {
    /// Raises or lowers a flag that a person should look at.
    pub fn flag(&self, name: &'static str, raised: bool) {
        let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        if raised {
            flags.insert(name);
        } else {
            flags.remove(name);
        }
    }

    /// The raised flags in alphabetical order.
    pub fn flags(&self) -> Vec<String> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|f| (*f).to_owned()).collect()
    }
}
