//! One subject's stay in one zone, as far as evidence goes.

use passage_protocol::{InstallationId, Millis, Phase, Signal, Strength, Subject};
use serde::{Deserialize, Serialize};

use super::spots::{Spot, Spots};
use crate::Change;

/// A stay that has begun and not ended. It knows times and a probability, never a position.
#[derive(Clone, Copy)]
pub(super) struct Stay {
    pub(super) spot: Spot,
    pub(super) signal: Signal,
    /// Already inside when first seen.
    pub(super) initial: bool,
    /// How many dwell marks were reported.
    pub(super) marks: u16,
    /// First evidence inside.
    pub(super) first: Millis,
    /// Last evidence inside.
    pub(super) last: Millis,
    /// Last evidence that did not speak against it; silence is counted from here.
    pub(super) alive: Millis,
    /// Evidence outside that has not been enough yet.
    pub(super) leaving: Option<Leaving>,
    /// Probability inside, by the last evidence inside.
    pub(super) p: f32,
    /// Its 68 % radius in metres.
    pub(super) accuracy_m: f32,
    /// How loud the app heard the shop's beacon.
    pub(super) loudness: Loudness,
}

/// The strengths that an app told during a stay.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Loudness {
    /// Of all of them, dBm.
    sum: i32,
    count: u32,
}

/// Evidence outside, without any inside after it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Leaving {
    pub(super) since: Millis,
    pub(super) fixes: u32,
}

/// To whom changes are told, and by which names.
pub(super) struct Teller<'a> {
    pub(super) who: &'a InstallationId,
    pub(super) spots: &'a Spots,
    pub(super) out: &'a mut Vec<Change>,
}

impl Stay {
    /// A stay that begins with this evidence.
    pub(super) fn begin(spot: Spot, signal: Signal, at: Millis) -> Self {
        Self {
            spot,
            signal,
            initial: false,
            marks: 0,
            first: at,
            last: at,
            alive: at,
            leaving: None,
            p: 1.0,
            accuracy_m: 0.0,
            loudness: Loudness::default(),
        }
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
        let dwell = self.last.since(self.first);
        let passed = marks.partition_point(|mark| *mark <= dwell);
        let passed = u16::try_from(passed).unwrap_or(u16::MAX);
        let more = passed > self.marks;
        self.marks = self.marks.max(passed);
        more
    }
}

impl Loudness {
    /// Takes in what one word told.
    pub(super) fn take(&mut self, rssi: Option<i8>) {
        if let Some(rssi) = rssi {
            self.sum = self.sum.saturating_add(rssi.into());
            self.count = self.count.saturating_add(1);
        }
    }

    /// The mean, when any word told a strength. Each word is the mean of some seconds of ranging, so there are no outliers to be wary of.
    fn strength(self) -> Option<Strength> {
        let mean = self.sum.checked_div(i32::try_from(self.count).ok()?)?;
        Some(Strength::Radio { rssi: i8::try_from(mean).ok()?, count: self.count })
    }
}

impl Teller<'_> {
    /// Tells a change of a stay.
    pub(super) fn tell(&mut self, stay: &Stay, phase: Phase, at: Millis, late: bool) {
        let (store, zone) = self.spots.name(stay.spot);
        let strength = match stay.signal {
            Signal::App => stay.loudness.strength().unwrap_or(Strength::App),
            _ => Strength::Position { p: stay.p, accuracy_m: stay.accuracy_m },
        };
        self.out.push(Change {
            store: store.clone(),
            zone: zone.clone(),
            subject: Subject::Installation(self.who.clone()),
            signal: stay.signal,
            phase,
            at,
            first: stay.first,
            last: stay.last,
            strength,
            initial: stay.initial,
            late,
        });
    }

    /// Tells the end of a stay: its last evidence inside, never a time-out.
    pub(super) fn exit(&mut self, stay: &Stay, late: bool) {
        self.tell(stay, Phase::Exit, stay.last, late);
    }
}
