//! What a restart needs: the tracks that changed, in JSON, without any address.

use std::collections::BTreeSet;

use passage_protocol::Subject;
use serde::Serialize;

use super::{Presence, start, track::Track};
use crate::change::SavedState;

/// Which machine the saved state belongs to.
const MACHINE: &str = "presence";
/// The key of what belongs to nobody; no subject is written so.
const START: &[u8] = b"start";
/// How far evidence may run ahead of what is saved when nothing else changed, in milliseconds.
const LAG: i64 = 30_000;

/// A saved state that cannot be read. The text holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a saved stay cannot be read and is dropped; its subject will enter anew")]
pub struct RestoreError;

/// Who changed since the last save.
#[derive(Default)]
pub(super) struct Dirty {
    /// Each once; its track says so too.
    touched: Vec<Subject>,
    /// Who is forgotten, and not yet on disk.
    gone: BTreeSet<Subject>,
}

impl Dirty {
    pub fn touch(&mut self, subject: &Subject, track: &mut Track, moved: bool) {
        track.moved |= moved;
        if !track.touched {
            track.touched = true;
            self.touched.push(subject.clone());
        }
    }

    pub fn forget(&mut self, subject: &Subject, track: &Track) {
        if track.saved.is_some() {
            self.gone.insert(subject.clone());
        }
    }
}

impl Presence {
    /// What changed since the last call, to be committed with the changes that were reported since.
    ///
    /// With `full`, everything is in it, so that a restart that plays the rest of a capture again decides exactly as if it had never
    /// stopped. Without, only who is in a zone is: at once after an enter, dwell or exit, else when 30 s of evidence have come together.
    /// [`Presence::rest`] at an orderly stop brings what is left out here.
    pub fn take_saved(&mut self, full: bool) -> Vec<SavedState> {
        self.start.changed |= self.start.gapless != full && self.start.has_begun();
        self.start.gapless = full;
        let mut out = Vec::new();
        if self.start.changed {
            out.extend(self.start.save(None).map(|saved| state(START.to_vec(), Some(&saved))));
        }
        for subject in std::mem::take(&mut self.dirty.touched) {
            if let Some(track) = self.tracks.get_mut(&subject).filter(|track| track.touched) {
                out.extend(save(&subject, track, full));
            }
        }
        for subject in std::mem::take(&mut self.dirty.gone) {
            // Who came back meanwhile, and is not worth saving yet, is on disk as she was before.
            if self.tracks.get(&subject).is_none_or(|track| track.saved.is_none()) {
                out.extend(key(&subject).map(|key| state::<Track>(key, None)));
            }
        }
        out
    }

    /// Everything that [`Presence::take_saved`] has left out so far, and that nothing was missed up to now; for an orderly stop.
    pub fn rest(&mut self) -> Vec<SavedState> {
        let gapless = self.start.gapless;
        for (subject, track) in &mut self.tracks {
            if track.saved != Some(track.seen) || track.moved {
                self.dirty.touch(subject, track, true);
            }
        }
        let mut out = self.take_saved(true);
        self.start.gapless = gapless;
        out.retain(|saved| saved.key != START);
        out.extend(self.start.save(self.latest).map(|saved| state(START.to_vec(), Some(&saved))));
        out
    }

    /// Takes back one saved state, before the first sighting. The next [`Presence::advance`] closes what has been silent for too long since.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        if key == START {
            self.start.restore(serde_json::from_slice::<start::Saved>(value).map_err(|_| RestoreError)?);
            return Ok(());
        }
        let subject: Subject = serde_json::from_slice(key).map_err(|_| RestoreError)?;
        let mut track: Track = serde_json::from_slice(value).map_err(|_| RestoreError)?;
        track.saved = Some(track.seen);
        track.restored = true;
        if let Some(mut before) = self.tracks.remove(&subject) {
            self.queues.remove(&subject, &mut before);
        }
        self.queues.put(&subject, &mut track, &self.rules);
        self.tracks.insert(subject, track);
        Ok(())
    }
}

fn save(subject: &Subject, track: &mut Track, full: bool) -> Option<SavedState> {
    let moved = std::mem::take(&mut track.moved);
    track.touched = false;
    if !full && !track.is_staying() {
        // It came and went between two saves: nothing on disk knows it.
        return track.saved.take().and_then(|_| key(subject)).map(|key| state::<Track>(key, None));
    }
    let lags = track.saved.is_none_or(|saved| track.seen.since(saved) >= LAG);
    if !(full || moved || lags) {
        return None;
    }
    track.saved = Some(track.seen);
    key(subject).map(|key| state(key, Some(track)))
}

fn key(subject: &Subject) -> Option<Vec<u8>> {
    serde_json::to_vec(subject).ok()
}

fn state<T: Serialize>(key: Vec<u8>, value: Option<&T>) -> SavedState {
    SavedState { machine: MACHINE, key, value: value.and_then(|value| serde_json::to_vec(value).ok()) }
}
