//! Sightings to stays: who entered, dwells in, and left the two radio zones of a gateway. Pure: time comes with the sightings.
//!
//! The zones lie around each other. `in` is the shop; `front` is where a passer-by is heard. A subject that is `in` does not come into
//! `front`: who walks straight in has one stay, who is heard in front of the door first keeps that stay open around the inner one, and who
//! steps back out of the door comes into `front` then. Each zone has at most one open stay of a subject, and its enters and exits alternate.
//!
//! The time of every change is the time of a sighting. An exit by silence is *reported* when [`Presence::advance`] passes the silence, and
//! *happened* at the last evidence.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use passage_config::PresenceRules;
use passage_protocol::{Millis, Phase, Signal, StoreId, Strength, Subject, Zone};

use crate::{beacon::Sighting, change::Change};

mod saved;
mod track;

use saved::Dirty;
pub use saved::RestoreError;
use track::{Stay, Track};

/// Most subjects that are remembered at once; beyond it, the one that is due first is closed at its last evidence.
const CAPACITY: usize = 8192;

/// The machine of one gateway.
pub struct Presence {
    store: StoreId,
    rules: PresenceRules,
    marks: Vec<i64>,
    capacity: usize,
    tracks: BTreeMap<Subject, Track>,
    due: BTreeSet<(Millis, Subject)>,
    dirty: Dirty,
    advanced: Option<Millis>,
}

impl Presence {
    /// A machine that has seen nobody. `dwell_marks` are the stays, counted from their first evidence, at which a dwell is reported.
    pub fn new(store: StoreId, rules: PresenceRules, dwell_marks: Vec<Duration>) -> Self {
        let marks: BTreeSet<i64> = dwell_marks.iter().map(|&mark| millis(mark)).filter(|&mark| mark > 0).collect();
        Self {
            store,
            rules,
            marks: marks.into_iter().collect(),
            capacity: CAPACITY,
            tracks: BTreeMap::new(),
            due: BTreeSet::new(),
            dirty: Dirty::default(),
            advanced: None,
        }
    }

    /// Takes in one sighting. A sighting that is a little older than the last one of its subject counts as if it had come with that one;
    /// one that is older by more than the window shows that the clock was set back, and closes the subject's stays at their last evidence.
    pub fn sight(&mut self, sighting: &Sighting, changes: &mut Vec<Change>) {
        let subject = &sighting.subject;
        let mut track = self.take(subject).unwrap_or_else(|| {
            self.make_room(changes);
            Track::new(sighting.at)
        });
        let before = changes.len();
        let mut report = Report { store: &self.store, subject, changes };
        track.sight(sighting.at, sighting.rssi, &self.rules, &self.marks, &mut report);
        self.dirty.touch(subject, changes.len() > before);
        self.put(subject.clone(), track);
    }

    /// Lets time pass: stays that were silent for too long are closed at their last evidence, and who never came in is forgotten. When `now`
    /// lies before an earlier `now` by more than the window, stays with evidence from the lost time are closed as well.
    pub fn advance(&mut self, now: Millis, changes: &mut Vec<Change>) {
        let window = self.rules.window;
        if self.advanced.is_some_and(|earlier| now < earlier - window) {
            let ahead: Vec<_> =
                self.tracks.iter().filter(|(_, track)| track.seen > now + window).map(|(subject, _)| subject.clone()).collect();
            for subject in ahead {
                self.forget(&subject, changes);
            }
        }
        self.advanced = Some(now);
        while let Some((due, subject)) = self.due.first().cloned() {
            if due > now {
                break;
            }
            self.expire(&subject, now, changes);
        }
    }

    /// When [`Presence::advance`] has something to do at the earliest, if no sighting comes before.
    pub fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many subjects are in the shop, by this gateway's radio.
    pub fn inside(&self) -> usize {
        self.tracks.values().filter(|track| track.is_inside()).count()
    }

    fn expire(&mut self, subject: &Subject, now: Millis, changes: &mut Vec<Change>) {
        let Some(mut track) = self.take(subject) else { return };
        let before = changes.len();
        track.expire(now, &self.rules, &mut Report { store: &self.store, subject, changes });
        if track.is_over(now, &self.rules) {
            self.dirty.forget(subject, &track);
        } else {
            self.dirty.touch(subject, changes.len() > before);
            self.put(subject.clone(), track);
        }
    }

    fn forget(&mut self, subject: &Subject, changes: &mut Vec<Change>) {
        if let Some(mut track) = self.take(subject) {
            track.close(&mut Report { store: &self.store, subject, changes });
            self.dirty.forget(subject, &track);
        }
    }

    fn make_room(&mut self, changes: &mut Vec<Change>) {
        while self.tracks.len() >= self.capacity {
            let Some((_, first)) = self.due.first().cloned() else { return };
            self.forget(&first, changes);
        }
    }

    fn take(&mut self, subject: &Subject) -> Option<Track> {
        let track = self.tracks.remove(subject)?;
        self.due.remove(&(track.due(&self.rules), subject.clone()));
        Some(track)
    }

    fn put(&mut self, subject: Subject, track: Track) {
        self.due.insert((track.due(&self.rules), subject.clone()));
        self.tracks.insert(subject, track);
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
            initial: false,
            late: false,
        });
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
