//! Who is to be looked at when. A track waits in one of two queues, sorted by time: who is in a zone, and who is not. Its entry is never later
//! than what it waits for; sightings, which only put that off, leave the entry alone. It is moved when its time comes, so a sighting costs
//! nothing here.

use std::collections::BTreeSet;

use passage_config::PresenceRules;
use passage_protocol::{Millis, Subject};

use super::track::{Queued, Track};

/// Both queues.
#[derive(Default)]
pub(super) struct Queues {
    candidates: BTreeSet<(Millis, Subject)>,
    stays: BTreeSet<(Millis, Subject)>,
}

impl Queues {
    /// Puts the track where it belongs, if it is not there.
    pub fn put(&mut self, subject: &Subject, track: &mut Track, rules: &PresenceRules) {
        let (staying, due) = (track.is_staying(), track.due(rules));
        if track.queued.is_some_and(|queued| queued.staying == staying && queued.due <= due) {
            return;
        }
        self.remove(subject, track);
        self.of(staying).insert((due, subject.clone()));
        track.queued = Some(Queued { staying, due });
    }

    /// Takes the entry of the track out.
    pub fn remove(&mut self, subject: &Subject, track: &mut Track) {
        if let Some(queued) = track.queued.take() {
            self.of(queued.staying).remove(&(queued.due, subject.clone()));
        }
    }

    /// Takes out one entry whose time has come. The caller puts the track back if it was too early, and clears `queued` in any case.
    pub fn pop_due(&mut self, now: Millis) -> Option<Subject> {
        let queue = [&mut self.stays, &mut self.candidates].into_iter().find(|queue| queue.first().is_some_and(|(due, _)| *due <= now))?;
        queue.pop_first().map(|(_, subject)| subject)
    }

    /// Whose entry among the candidates, or else among those in a zone, has the earliest time.
    pub fn first_to_go(&self) -> Option<(Millis, Subject)> {
        self.candidates.first().or_else(|| self.stays.first()).cloned()
    }

    /// The earliest time at which somebody may have to be looked at.
    pub fn next_due(&self) -> Option<Millis> {
        [&self.candidates, &self.stays].into_iter().filter_map(|queue| queue.first().map(|(due, _)| *due)).min()
    }

    /// Entries in both.
    pub fn len(&self) -> usize {
        self.candidates.len() + self.stays.len()
    }

    fn of(&mut self, staying: bool) -> &mut BTreeSet<(Millis, Subject)> {
        if staying { &mut self.stays } else { &mut self.candidates }
    }
}
