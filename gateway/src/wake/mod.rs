//! The shop's own rotating beacon, both ends of it: when it changes what it says, and whether what an app heard of it can be true.
//!
//! Pure: time and chance come in with the calls. What goes on the air is in `radio/ble/advertise.rs`; the ids are made in
//! [`passage_protocol::wake`].

mod people;
mod schedule;
#[cfg(test)]
mod tests;
mod verify;

pub use self::{
    schedule::{Schedule, Turn},
    verify::{Verdict, Verifier},
};

use std::collections::BTreeMap;

use geo::{Distance, Haversine, Point};
use passage_config::{Site, WakeCheck};
use passage_protocol::{InstallationId, Millis, StoreId, WakeId};

use self::people::People;

/// What an app heard: the UUID that woke it, and major and minor when it had the time to listen for them. Debug output hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Woken {
    /// The UUID of the beacon.
    pub uuid: [u8; 16],
    /// Major and minor; iOS does not tell them with a region alone.
    pub id: Option<WakeId>,
}

impl std::fmt::Debug for Woken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Woken(..)")
    }
}

/// Why a word that names a wake beacon makes no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The UUID is none of our brands', or the key of no shop made this id at that time: a copy, a replay, or a wrong clock.
    Unproven,
    /// Two shops said the same at that time. It happens by chance, about once in a thousand years for ten shops, and passes with the window.
    Ambiguous,
    /// This installation has sent so many unproven ids that it may be trying them out.
    Guessing,
    /// The same installation was proven to be in another shop, too far away for the time between.
    TwoPlaces,
}

/// Faster than this from shop to shop is nobody, km/h.
const FASTEST_KMH: f64 = 300.0;
/// Shops nearer to each other than this may both be heard at once, metres.
const NEAR_M: f64 = 1_000.0;

/// Judges what apps report of wake beacons.
#[derive(Debug)]
pub struct Wakes {
    verifier: Verifier,
    places: BTreeMap<StoreId, Point<f64>>,
    people: People,
}

impl Wakes {
    /// A judge for the shops of the site whose keys are known.
    pub fn new(site: &Site, check: &WakeCheck) -> Self {
        let places = site.stores.values().map(|s| (s.id.clone(), s.at)).collect();
        Self { verifier: Verifier::new(site, check), places, people: People::default() }
    }

    /// The shop that an installation came to, by what its app heard at `at` and reported at `now`.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn enter(&mut self, who: &InstallationId, woken: &Woken, at: Millis, now: Millis) -> Result<StoreId, Refusal> {
        if self.people.is_guessing(who, now) {
            return Err(Refusal::Guessing);
        }
        let store = match self.verifier.verify(woken, at) {
            Verdict::Store(store) => store,
            Verdict::Several => return Err(Refusal::Ambiguous),
            Verdict::Nobody => {
                self.people.missed(who, now);
                return Err(Refusal::Unproven);
            }
        };
        if self.people.last(who).is_some_and(|(last, then)| self.is_too_far(&last, then, &store, at)) {
            return Err(Refusal::TwoPlaces);
        }
        self.people.is_in(who, &store, at, now);
        Ok(store)
    }

    /// The shop that an installation has left. iOS tells the end of a region long after the last id was heard, so the shop where it was proven
    /// to be is good enough: a departure ends nothing but the installation's own stay.
    ///
    /// # Errors
    /// [`Refusal::Unproven`] when it was not known to be anywhere.
    pub fn exit(&mut self, who: &InstallationId, woken: &Woken, at: Millis) -> Result<StoreId, Refusal> {
        if let Some((store, _)) = self.people.last(who)
            && self.verifier.is_of(&store, &woken.uuid)
        {
            return Ok(store);
        }
        match self.verifier.verify(woken, at) {
            Verdict::Store(store) => Ok(store),
            Verdict::Several => Err(Refusal::Ambiguous),
            Verdict::Nobody => Err(Refusal::Unproven),
        }
    }

    fn is_too_far(&self, last: &StoreId, then: Millis, store: &StoreId, at: Millis) -> bool {
        let (Some(a), Some(b)) = (self.places.get(last), self.places.get(store)) else { return false };
        let metres = Haversine.distance(*a, *b);
        #[expect(clippy::cast_precision_loss, reason = "hours between two reports")]
        let hours = at.since(then).unsigned_abs() as f64 / 3_600_000.0;
        metres > NEAR_M && metres / 1000.0 > FASTEST_KMH * hours
    }
}
