//! What the two deciding machines, presence and geofence, hand on: an event that has no number yet, and the state to remember with it.

use passage_protocol::{Millis, Phase, Signal, StoreId, Strength, Subject, Zone};

/// A decision of a machine. The outbox gives it an id, a seq and the monotonic time, and so makes it an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The store that the zone belongs to.
    pub store: StoreId,
    /// Where.
    pub zone: Zone,
    /// Who, as far as a gateway can tell.
    pub subject: Subject,
    /// How it was noticed.
    pub signal: Signal,
    /// What happened.
    pub phase: Phase,
    /// When it became a fact: for an enter the deciding evidence, for a dwell the evidence that passed the mark, for an exit the last evidence.
    pub at: Millis,
    /// First evidence of the stay.
    pub first: Millis,
    /// Last evidence of the stay so far.
    pub last: Millis,
    /// How good the evidence was.
    pub strength: Strength,
    /// Already inside when first seen.
    pub initial: bool,
    /// Too late to trigger anything.
    pub late: bool,
}

/// A piece of machine state that must be committed together with the changes that led to it.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedState {
    /// Which machine: `presence` or `geofence`.
    pub machine: &'static str,
    /// Key inside the machine, for example the subject. Never a MAC address.
    pub key: Vec<u8>,
    /// The state; `None` forgets the key. Never a coordinate.
    pub value: Option<Vec<u8>>,
}

impl std::fmt::Debug for SavedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SavedState({}, ..)", self.machine)
    }
}
