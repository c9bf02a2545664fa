//! The state that outlives a restart: times and zones, no place.

use passage_protocol::{InstallationId, Millis};
use serde::{Deserialize, Serialize};

use super::{Geofences, Person, app::Words, track::Track, world::State};
use crate::SavedState;

/// Evidence without a transition is saved at most so often while somebody is in a stay ...
const EVERY_MS: i64 = 30_000;
/// ... and so often while they are not.
const EVERY_OUTSIDE_MS: i64 = 600_000;
/// Name of the machine in [`SavedState`].
const MACHINE: &str = "geofence";

#[derive(Serialize, Deserialize)]
struct Saved {
    last: Option<Millis>,
    #[serde(default)]
    heard: Millis,
    state: State,
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    words: Words,
}

/// The saved bytes are not what this machine writes; the gateway goes on without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved geofence state of one installation cannot be read; it starts as unknown")]
pub struct BadState;

impl Geofences {
    /// What has changed since the last call and must be committed with the changes. `full`: all of it, for sources that can be played again;
    /// else transitions at once and mere evidence now and then.
    pub fn take_saved(&mut self, full: bool) -> Vec<SavedState> {
        let mut out = Vec::new();
        let now = self.now;
        let people = &mut self.people;
        self.touched.retain(|who| {
            let Some(person) = people.get_mut(who) else {
                out.push(saved(who, None));
                return false;
            };
            let ready = full || person.moved || person.is_stale(now);
            if ready {
                person.moved = false;
                person.saved_at = Some(now);
                out.push(saved(who, Some(person.to_bytes())));
            }
            !ready
        });
        out
    }

    /// Takes back one piece of saved state, before anything else is fed in.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), BadState> {
        let who = std::str::from_utf8(key).ok().and_then(|text| text.parse::<InstallationId>().ok()).ok_or(BadState)?;
        let saved: Saved = serde_json::from_slice(value).map_err(|_| BadState)?;
        let mut person = Person { track: Track::restored(saved.state, saved.last, saved.heard), words: saved.words, ..Person::default() };
        person.due = person.next_due(&self.world);
        if let Some(due) = self.people.get(&who).and_then(|old| old.due) {
            self.due.remove(&(due, who.clone()));
        }
        self.due.extend(person.due.map(|due| (due, who.clone())));
        self.people.insert(who, person);
        Ok(())
    }
}

impl Person {
    fn is_stale(&self, now: Millis) -> bool {
        let every = if self.due.is_some() { EVERY_MS } else { EVERY_OUTSIDE_MS };
        self.saved_at.is_none_or(|at| now.since(at) >= every)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let saved = Saved { last: self.track.last, heard: self.track.heard, state: self.track.state.clone(), words: self.words.clone() };
        serde_json::to_vec(&saved).unwrap_or_default()
    }
}

fn saved(who: &InstallationId, value: Option<Vec<u8>>) -> SavedState {
    SavedState { machine: MACHINE, key: who.as_str().as_bytes().to_vec(), value }
}
