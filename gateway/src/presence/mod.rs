//! Sightings to stays: who entered, dwells in, and left the two radio zones of a gateway. Pure: time comes with the sightings.
//!
//! The zones lie around each other. `in` is the shop; `front` is where a passer-by is heard. A subject that is `in` does not come into
//! `front`: who walks straight in has one stay, who is heard in front of the door first keeps that stay open around the inner one, and who
//! steps back out of the door comes into `front` then. Each zone has at most one open stay of a subject, and its enters and exits alternate.
//!
//! **What ends a stay.** Not being heard for the zone's `silence`, or being heard for its `hold`, but only below its `leave_dbm`. A body between
//! phone and gateway takes 10 dB for minutes, so a weak signal is doubt, and doubt changes nothing until it has lasted. Waiting costs no
//! accuracy: an exit is *reported* when the wait is over, and *happened* at the last evidence. The time of every change is that of a sighting.
//! Who left although she was heard stands about the border, and enters again only at half the gap above `enter_dbm`.
//!
//! **Who was there before.** A subject first heard within `settle` of a cold start did not come in under our eyes: its stays are `initial`.
//!
//! **When the clock is set.** A live gateway sees the step by comparing with a clock that nobody sets ([`Steps`]), and tells it with
//! [`Presence::set_clock`]: every stay moves with the clock and keeps its length, nobody leaves, and nobody enters a second time. Times that run
//! back without such a word are a step too, if they run back by more than the window; smaller ones count as now.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use passage_config::PresenceRules;
use passage_protocol::{Millis, Phase, Signal, StoreId, Strength, Subject, Zone};

use crate::{beacon::Sighting, change::Change};

mod queues;
mod recent;
mod saved;
mod start;
mod steps;
mod track;

use queues::Queues;
use saved::Dirty;
pub use saved::RestoreError;
use start::Start;
pub use steps::Steps;
use track::{Stay, Track};

/// The machine of one gateway.
pub struct Presence {
    store: StoreId,
    rules: PresenceRules,
    marks: Vec<i64>,
    tracks: HashMap<Subject, Track>,
    queues: Queues,
    dirty: Dirty,
    start: Start,
    /// The latest time that this run was told.
    latest: Option<Millis>,
    counts: Counts,
}

/// What had to be given up, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Subjects that never came into a zone, forgotten because there were too many.
    pub candidates_dropped: u64,
    /// Subjects in a zone whose stays were closed at their last evidence because there were too many.
    pub stays_cut: u64,
    /// How often the clock was set.
    pub clock_steps: u64,
}

impl Presence {
    /// A machine that has seen nobody. `dwell_marks` are the stays, counted from their first evidence, at which a dwell is reported.
    pub fn new(store: StoreId, rules: PresenceRules, dwell_marks: Vec<Duration>) -> Self {
        Self {
            store,
            rules,
            marks: ascending(&dwell_marks),
            tracks: HashMap::new(),
            queues: Queues::default(),
            dirty: Dirty::default(),
            start: Start::default(),
            latest: None,
            counts: Counts::default(),
        }
    }

    /// The same people by other rules. Nobody enters or leaves by that alone: the next sightings and the time that passes decide by the new ones.
    pub fn reload(&mut self, rules: PresenceRules, dwell_marks: &[Duration]) {
        (self.rules, self.marks) = (rules, ascending(dwell_marks));
        // A shorter silence may be over sooner than the queues know.
        for (subject, track) in &mut self.tracks {
            self.queues.remove(subject, track);
            self.queues.put(subject, track, &self.rules);
        }
    }

    /// Begins to listen anew: who is heard next was perhaps there before.
    pub fn listen_anew(&mut self) {
        self.start = Start::default();
    }

    /// The shop.
    pub fn store(&self) -> &StoreId {
        &self.store
    }

    /// Takes in one sighting.
    pub fn sight(&mut self, sighting: &Sighting, changes: &mut Vec<Change>) {
        self.follow(sighting.at);
        let (subject, at) = (&sighting.subject, sighting.at);
        let early = self.start.is_early(at, self.rules.settle);
        if !self.tracks.contains_key(subject) {
            self.make_room(changes);
            self.tracks.insert(subject.clone(), Track::new(at, early));
        }
        let Some(track) = self.tracks.get_mut(subject) else { return };
        let before = changes.len();
        let mut report = Report { store: &self.store, subject, changes };
        if std::mem::take(&mut track.restored) && at < track.seen - track::keep(&self.rules) {
            // The clock went back while the gateway was off. How long that was, nobody knows: the old stay ends, and what follows triggers nothing.
            track.close(&mut report);
            track.begin_anew(at, true);
        }
        track.expire(at, &self.rules, &mut report);
        if track.is_over(at, &self.rules) {
            track.begin_anew(at, early);
        }
        track.sight(at, sighting.rssi, &self.rules, &self.marks, &mut report);
        self.dirty.touch(subject, track, changes.len() > before);
        self.queues.put(subject, track, &self.rules);
    }

    /// Lets time pass: stays that waited too long for evidence are closed at their last one, and who never came in is forgotten.
    pub fn advance(&mut self, now: Millis, changes: &mut Vec<Change>) {
        self.follow(now);
        let mut due = Vec::new();
        while let Some(subject) = self.queues.pop_due(now) {
            let Some(track) = self.tracks.get_mut(&subject) else { continue };
            track.queued = None;
            if track.due(&self.rules) <= now {
                due.push((track.due(&self.rules), subject));
            } else {
                self.queues.put(&subject, track, &self.rules);
            }
        }
        // However they are stored: in the order of time, and of the subjects.
        due.sort_unstable();
        for (_, subject) in due {
            self.expire(&subject, now, changes);
        }
    }

    /// The clock was set by `step` milliseconds: everything heard in this run moves with it, so that every stay keeps its length. What was
    /// taken back from disk and not heard since stays where it is; it was written by a clock that had nothing to do with this step.
    pub fn set_clock(&mut self, step: i64) {
        self.counts.clock_steps += 1;
        self.latest = self.latest.map(|at| Millis(at.0.saturating_add(step)));
        self.start.shift(step);
        for (subject, track) in self.tracks.iter_mut().filter(|(_, track)| !track.restored) {
            self.queues.remove(subject, track);
            track.shift(step);
            self.queues.put(subject, track, &self.rules);
            self.dirty.touch(subject, track, true);
        }
    }

    /// [`Presence::advance`] has nothing to do before this time.
    pub fn next_due(&self) -> Option<Millis> {
        self.queues.next_due()
    }

    /// How many subjects are in the shop, by this gateway's radio.
    pub fn inside(&self) -> usize {
        self.tracks.values().filter(|track| track.is_inside()).count()
    }

    /// How many subjects are remembered, in a zone or not.
    pub fn subjects(&self) -> usize {
        self.tracks.len()
    }

    /// True from the moment that somebody has to be forgotten too early until a tenth of the room is free again.
    pub fn is_full(&self, was_full: bool) -> bool {
        let limit = self.limit();
        self.tracks.len() >= if was_full { limit - limit / 10 } else { limit }
    }

    /// What had to be given up.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes that the machine holds for its subjects, by the sizes of its tables; allocators take a little more.
    pub fn bytes(&self) -> usize {
        let entry = size_of::<(Subject, Track)>() + 1;
        // A B-tree's nodes are at least half full.
        let queued = self.queues.len() * size_of::<(Millis, Subject)>() * 3 / 2;
        self.tracks.capacity() * entry + queued + self.tracks.values().map(Track::heap_bytes).sum::<usize>()
    }

    /// Takes note of a time. The first one begins this run; one far behind the latest shows that the clock was set back.
    fn follow(&mut self, at: Millis) {
        if !self.start.has_begun() {
            // Whoever is inside is heard within a window.
            self.start.begin(at, track::keep(&self.rules));
        }
        if let Some(latest) = self.latest.filter(|&latest| at < latest - track::keep(&self.rules)) {
            self.set_clock(at.since(latest));
        }
        self.latest = self.latest.max(Some(at));
    }

    fn expire(&mut self, subject: &Subject, now: Millis, changes: &mut Vec<Change>) {
        let Some(track) = self.tracks.get_mut(subject) else { return };
        let before = changes.len();
        track.expire(now, &self.rules, &mut Report { store: &self.store, subject, changes });
        if track.is_over(now, &self.rules) {
            self.dirty.forget(subject, track);
            self.tracks.remove(subject);
        } else {
            self.dirty.touch(subject, track, changes.len() > before);
            self.queues.put(subject, track, &self.rules);
        }
    }

    /// Forgets who was heard longest ago among those who never came in, and only when there is none, among those in a zone.
    fn make_room(&mut self, changes: &mut Vec<Change>) {
        while self.tracks.len() >= self.limit() {
            let Some((due, subject)) = self.queues.first_to_go() else { return };
            let Some(track) = self.tracks.get_mut(&subject) else { return };
            self.queues.remove(&subject, track);
            if track.due(&self.rules) > due {
                // Heard since; others were heard longer ago.
                self.queues.put(&subject, track, &self.rules);
                continue;
            }
            let was_staying = track.is_staying();
            track.close(&mut Report { store: &self.store, subject: &subject, changes });
            self.dirty.forget(&subject, track);
            self.tracks.remove(&subject);
            *(if was_staying { &mut self.counts.stays_cut } else { &mut self.counts.candidates_dropped }) += 1;
        }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.rules.max_subjects).unwrap_or(usize::MAX).max(1)
    }
}

/// Where a track writes its changes.
struct Report<'a> {
    store: &'a StoreId,
    subject: &'a Subject,
    changes: &'a mut Vec<Change>,
}

impl Report<'_> {
    fn push(&mut self, zone: Zone, phase: Phase, stay: &Stay) {
        self.changes.push(Change {
            store: self.store.clone(),
            zone,
            subject: self.subject.clone(),
            signal: Signal::Beacon,
            phase,
            at: stay.last,
            first: stay.first,
            last: stay.last,
            strength: Strength::Radio { rssi: stay.rssi, count: stay.count },
            initial: stay.initial,
            late: false,
        });
    }
}

fn ascending(dwell_marks: &[Duration]) -> Vec<i64> {
    let marks: BTreeSet<i64> = dwell_marks.iter().map(|&mark| millis(mark)).filter(|&mark| mark > 0).collect();
    marks.into_iter().collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walks;
