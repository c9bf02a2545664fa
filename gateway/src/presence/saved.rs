//! What a restart needs: the tracks that changed, in JSON, without any address.

use std::collections::{BTreeMap, BTreeSet};

use passage_protocol::Subject;

use super::{Presence, track::Track};
use crate::change::SavedState;

/// Which machine the saved state belongs to.
const MACHINE: &str = "presence";
/// How far evidence may run ahead of what is saved when nothing else changed, in milliseconds.
const LAG: i64 = 30_000;

/// A saved state that cannot be read. The text holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a saved stay cannot be read and is dropped; its subject will enter anew")]
pub struct RestoreError;

/// Which subjects changed since the last save, and whether more than their evidence did.
#[derive(Default)]
pub(super) struct Dirty {
    subjects: BTreeMap<Subject, bool>,
    /// Whose evidence runs ahead of what is saved, by less than [`LAG`].
    ahead: BTreeSet<Subject>,
}

impl Dirty {
    pub fn touch(&mut self, subject: &Subject, transition: bool) {
        *self.subjects.entry(subject.clone()).or_default() |= transition;
    }

    pub fn forget(&mut self, subject: &Subject, track: &Track) {
        self.ahead.remove(subject);
        if track.saved.is_some() {
            self.touch(subject, true);
        } else if self.subjects.get(subject) == Some(&false) {
            // It came and went between two saves: nothing on disk knows it.
            self.subjects.remove(subject);
        }
    }
}

impl Presence {
    /// What changed since the last call, to be committed with the changes that were reported since.
    ///
    /// With `full`, everything is in it, so that a restart that plays the rest of a capture again decides exactly as if it had never
    /// stopped. Without, only who is in a zone is: at once after an enter, dwell or exit, else when 30 s of evidence have come together. A
    /// call with `full` at an orderly stop brings the rest.
    pub fn take_saved(&mut self, full: bool) -> Vec<SavedState> {
        if full {
            for subject in std::mem::take(&mut self.dirty.ahead) {
                self.dirty.touch(&subject, false);
            }
        }
        let dirty = std::mem::take(&mut self.dirty.subjects);
        dirty.into_iter().filter_map(|(subject, transition)| self.save(&subject, transition, full)).collect()
    }

    fn save(&mut self, subject: &Subject, transition: bool, full: bool) -> Option<SavedState> {
        let key = serde_json::to_vec(subject).ok()?;
        let forgotten = SavedState { machine: MACHINE, key: key.clone(), value: None };
        let Some(track) = self.tracks.get_mut(subject) else { return Some(forgotten) };
        if !full && !track.is_staying() {
            let was_saved = track.saved.take().is_some();
            return (transition || was_saved).then_some(forgotten);
        }
        let lags = track.saved.is_none_or(|saved| track.seen.since(saved) >= LAG);
        if !(full || transition || lags) {
            self.dirty.ahead.insert(subject.clone());
            return None;
        }
        self.dirty.ahead.remove(subject);
        track.saved = Some(track.seen);
        Some(SavedState { value: serde_json::to_vec(track).ok(), ..forgotten })
    }

    /// Takes back one saved state, before the first sighting. The next [`Presence::advance`] closes what has been silent for too long since.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let subject: Subject = serde_json::from_slice(key).map_err(|_| RestoreError)?;
        let mut track: Track = serde_json::from_slice(value).map_err(|_| RestoreError)?;
        track.saved = Some(track.seen);
        self.take(&subject);
        self.put(subject, track);
        Ok(())
    }
}
