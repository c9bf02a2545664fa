//! The state that outlives a restart: times and zones, no place.

use std::{borrow::Cow, collections::HashMap};

use passage_protocol::{FenceId, InstallationId, Millis, Signal, StoreId, Zone};
use serde::{Deserialize, Serialize};

use super::{
    Geofences,
    app::{Word, Words},
    people::Person,
    spots::Spots,
    stay::{Leaving, Loudness, Stay},
    track::Track,
    world::State,
};
use crate::SavedState;

/// Evidence without a transition is saved at most so often while somebody is in a stay ...
const EVERY_MS: i64 = 30_000;
/// ... and so often while they are not.
const EVERY_OUTSIDE_MS: i64 = 600_000;
/// Name of the machine in [`SavedState`].
const MACHINE: &str = "geofence";
/// Key of what is saved of the fences themselves: no installation can have this id.
const FENCES: &[u8] = b"*";

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Millis>,
    heard: Millis,
    /// The fences as they are drawn now had been looked at.
    known: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stays: Vec<SavedStay<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<SavedWord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedStay<'a> {
    store: Cow<'a, StoreId>,
    zone: Cow<'a, Zone>,
    signal: Signal,
    first: Millis,
    last: Millis,
    alive: Millis,
    marks: u16,
    initial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaving: Option<Leaving>,
    p: f32,
    accuracy_m: f32,
    #[serde(default)]
    loudness: Loudness,
}

#[derive(Serialize, Deserialize)]
struct SavedWord<'a> {
    store: Cow<'a, StoreId>,
    zone: Cow<'a, Zone>,
    stay: Option<SavedStay<'a>>,
    left: Option<Millis>,
}

/// The saved bytes are not what this machine writes; the gateway goes on without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved geofence state of one installation cannot be read; it starts as unknown")]
pub struct BadState;

impl Geofences {
    /// What has changed since the last call and must be committed with the changes. `full`: all of it, for sources that can be played again;
    /// else transitions at once and mere evidence now and then.
    pub fn take_saved(&mut self, full: bool) -> Vec<SavedState> {
        // Who came back in the meantime is saved below.
        let gone = self.gone.drain(..).filter(|who| self.people.find(who).is_none());
        let mut out: Vec<SavedState> = gone.map(|who| saved(who.as_bytes(), None)).collect();
        let (now, youngest) = (self.now, self.world.youngest());
        let mut waiting = Vec::new();
        for slot in self.touched.drain(..) {
            let Some(person) = self.people.get(slot).filter(|p| p.save.listed) else { continue };
            if !(full || person.save.moved || person.is_stale(now)) {
                waiting.push(slot);
                continue;
            }
            person.save.listed = false;
            person.save.moved = false;
            person.save.at = Some(now);
            let bytes = person.to_bytes(&self.spots, youngest);
            out.push(saved(person.name().as_bytes(), Some(bytes)));
        }
        self.touched = waiting;
        if !out.is_empty() && std::mem::take(&mut self.drawn_anew) {
            out.push(saved(FENCES, Some(self.prints())));
        }
        out
    }

    /// Takes back one piece of saved state, before anything else is fed in.
    ///
    /// # Errors
    /// The piece is not one that this machine writes. Nothing has changed then.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), BadState> {
        if key == FENCES {
            let prints: HashMap<FenceId, String> = serde_json::from_slice(value).map_err(|_| BadState)?;
            self.world.stood_before(&prints);
            return Ok(());
        }
        let who = std::str::from_utf8(key).ok().and_then(|text| text.parse::<InstallationId>().ok()).ok_or(BadState)?;
        let saved: Saved<'_> = serde_json::from_slice(value).map_err(|_| BadState)?;
        let state = State { seen: u32::from(saved.known), stays: saved.stays.into_iter().map(|s| s.restored(&mut self.spots)).collect() };
        let words = saved.words.into_iter().map(|w| w.restored(&mut self.spots)).collect();
        let slot = self.people.find(&who).or_else(|| self.people.add(&who)).ok_or(BadState)?;
        if let Some(person) = self.people.get(slot) {
            person.track = Track::restored(state, saved.last, saved.heard);
            person.words = Words(words);
        }
        self.people.schedule(slot, &self.world);
        Ok(())
    }

    fn prints(&self) -> Vec<u8> {
        let prints: HashMap<&FenceId, &str> = self.world.fences.iter().map(|f| (&f.label.id, f.label.print.as_str())).collect();
        serde_json::to_vec(&prints).unwrap_or_default()
    }
}

impl Person {
    fn is_stale(&self, now: Millis) -> bool {
        let inside = !self.track.state.stays.is_empty() || self.words.0.iter().any(|w| w.stay.is_some());
        let every = if inside { EVERY_MS } else { EVERY_OUTSIDE_MS };
        self.save.at.is_none_or(|at| now.since(at) >= every)
    }

    fn to_bytes(&self, spots: &Spots, youngest: u32) -> Vec<u8> {
        let saved = Saved {
            last: self.track.last,
            heard: self.track.heard,
            known: self.track.state.seen >= youngest.max(1),
            stays: self.track.state.stays.iter().map(|stay| SavedStay::of(stay, spots)).collect(),
            words: self.words.0.iter().map(|word| SavedWord::of(word, spots)).collect(),
        };
        // As long as it will be, so that it is written in one piece.
        let mut bytes = Vec::with_capacity(96 + 320 * (saved.stays.len() + saved.words.len()));
        serde_json::to_writer(&mut bytes, &saved).map(|()| bytes).unwrap_or_default()
    }
}

impl<'a> SavedStay<'a> {
    fn of(stay: &Stay, spots: &'a Spots) -> Self {
        let (store, zone) = spots.name(stay.spot);
        let Stay { signal, first, last, alive, marks, initial, leaving, p, accuracy_m, loudness, .. } = *stay;
        let (store, zone) = (Cow::Borrowed(store), Cow::Borrowed(zone));
        Self { store, zone, signal, first, last, alive, marks, initial, leaving, p, accuracy_m, loudness }
    }

    fn restored(self, spots: &mut Spots) -> Stay {
        let spot = spots.number(&self.store, &self.zone);
        let Self { signal, first, last, alive, marks, initial, leaving, p, accuracy_m, loudness, .. } = self;
        Stay { spot, signal, first, last, alive, marks, initial, leaving, p, accuracy_m, loudness }
    }
}

impl<'a> SavedWord<'a> {
    fn of(word: &Word, spots: &'a Spots) -> Self {
        let (store, zone) = spots.name(word.spot);
        Self {
            store: Cow::Borrowed(store),
            zone: Cow::Borrowed(zone),
            stay: word.stay.as_ref().map(|s| SavedStay::of(s, spots)),
            left: word.left,
        }
    }

    fn restored(self, spots: &mut Spots) -> Word {
        Word { spot: spots.number(&self.store, &self.zone), stay: self.stay.map(|s| s.restored(spots)), left: self.left }
    }
}

fn saved(key: &[u8], value: Option<Vec<u8>>) -> SavedState {
    SavedState { machine: MACHINE, key: key.to_vec(), value }
}
