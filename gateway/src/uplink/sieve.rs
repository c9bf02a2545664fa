//! How large envelopes may be, and which event no broker takes. Pure.
//!
//! A broker may close the connection over a message that it does not like, without saying why, and would do so again each time. So after a connection
//! that was lost over envelopes and took none, the next one tries smaller ones, down to one event at a time; an event on which five connections in a
//! row are lost, while everything else on them was answered, is the culprit.

use passage_protocol::{MAX_PAYLOAD, Seq};

/// Connections that must be lost on one event.
const PROOFS: u32 = 5;
/// After each lost connection envelopes have a fourth of the bytes.
const SHRINK: usize = 4;
/// Below this, one event at a time.
const SMALL: usize = 2_048;

/// What was learnt from the connections so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sieve {
    bytes: usize,
    suspect: Option<(Seq, u32)>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self { bytes: MAX_PAYLOAD, suspect: None }
    }
}

impl Sieve {
    /// Most bytes of an envelope; 0 means one event.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if only one envelope may be in flight.
    pub fn is_careful(&self) -> bool {
        self.bytes < MAX_PAYLOAD
    }

    /// The broker took an envelope.
    pub fn taken(&mut self) {
        self.suspect = None;
        self.bytes = (self.bytes * 2).clamp(SMALL, MAX_PAYLOAD);
    }

    /// A connection was lost that had answered other messages, but none of its envelopes, which carried these events. Gives the culprit, once it is proved.
    pub fn lost(&mut self, flying: &[Seq]) -> Option<Seq> {
        if flying.is_empty() {
            return None;
        }
        if self.bytes > 0 {
            self.bytes = if self.bytes < SMALL * SHRINK { 0 } else { self.bytes / SHRINK };
            return None;
        }
        let [seq] = flying else { return None };
        let proofs = self.suspect.filter(|(suspect, _)| suspect == seq).map_or(1, |(_, n)| n + 1);
        self.suspect = (proofs < PROOFS).then_some((*seq, proofs));
        (proofs >= PROOFS).then_some(*seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_shrink_to_one_event_and_grow_again() {
        let mut sieve = Sieve::default();
        let mut losses = 0;
        while sieve.bytes() > 0 {
            assert_eq!(sieve.lost(&[1, 2, 3]), None);
            losses += 1;
        }
        assert!(losses <= 3 && sieve.is_careful());
        for _ in 0..6 {
            sieve.taken();
        }
        assert_eq!(sieve, Sieve::default());
    }

    #[test]
    fn only_five_connections_in_a_row_prove_an_event_guilty() {
        let mut sieve = Sieve { bytes: 0, suspect: None };
        for _ in 0..4 {
            assert_eq!(sieve.lost(&[7]), None);
        }
        sieve.taken();
        sieve.bytes = 0;
        for n in 0..4 {
            assert_eq!(sieve.lost(&[7]), None, "after {n}");
        }
        assert_eq!(sieve.lost(&[]), None);
        assert_eq!(sieve.lost(&[7]), Some(7));
        assert_eq!(sieve.lost(&[8]), None);
    }
}
