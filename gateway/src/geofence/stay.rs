//! One subject's stay in one zone, as far as evidence goes.

use passage_protocol::{InstallationId, Millis, Phase, Signal, StoreId, Strength, Subject, Zone};
use serde::{Deserialize, Serialize};

use crate::Change;

/// A stay that has begun and not ended. It knows times and a probability, never a place.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stay {
    pub(super) store: StoreId,
    pub(super) zone: Zone,
    pub(super) signal: Signal,
    /// First evidence inside.
    pub(super) first: Millis,
    /// Last evidence inside.
    pub(super) last: Millis,
    /// Last evidence that did not speak against it; silence is counted from here.
    pub(super) alive: Millis,
    /// How many dwell marks were reported.
    pub(super) marks: usize,
    pub(super) initial: bool,
    /// Evidence outside that has not been enough yet.
    pub(super) leaving: Option<Leaving>,
    /// Probability inside, by the last evidence inside.
    pub(super) p: f32,
    /// Its 68 % radius in metres.
    pub(super) accuracy_m: f32,
}

/// Evidence outside, without any inside after it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Leaving {
    pub(super) since: Millis,
    pub(super) fixes: u32,
}

impl Stay {
    /// A stay that begins with this evidence.
    pub(super) fn begin(store: StoreId, zone: Zone, signal: Signal, at: Millis) -> Self {
        Self { store, zone, signal, first: at, last: at, alive: at, marks: 0, initial: false, leaving: None, p: 1.0, accuracy_m: 0.0 }
    }

    /// Takes evidence inside at `at`; true if the dwell has passed a mark that was not reported yet.
    pub(super) fn extend(&mut self, at: Millis, marks: &[i64]) -> bool {
        self.last = self.last.max(at);
        self.alive = self.alive.max(at);
        self.leaving = None;
        self.passes_mark(marks)
    }

    /// True if the dwell, last minus first evidence, has passed a mark that was not reported yet; counts it as reported.
    pub(super) fn passes_mark(&mut self, marks: &[i64]) -> bool {
        let passed = marks.iter().filter(|m| **m <= self.last.since(self.first)).count();
        let more = passed > self.marks;
        self.marks = self.marks.max(passed);
        more
    }

    /// What is reported of this stay.
    pub(super) fn change(&self, who: &InstallationId, phase: Phase, at: Millis, late: bool) -> Change {
        let strength = match self.signal {
            Signal::App => Strength::App,
            _ => Strength::Position { p: self.p, accuracy_m: self.accuracy_m },
        };
        Change {
            store: self.store.clone(),
            zone: self.zone.clone(),
            subject: Subject::Installation(who.clone()),
            signal: self.signal,
            phase,
            at,
            first: self.first,
            last: self.last,
            strength,
            initial: self.initial,
            late,
        }
    }

    /// The end of this stay: its last evidence inside, never a time-out.
    pub(super) fn exit(&self, who: &InstallationId, late: bool) -> Change {
        self.change(who, Phase::Exit, self.last, late)
    }
}
