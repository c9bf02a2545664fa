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

use std::{collections::BTreeMap, time::Duration};

use geo::{Distance, Haversine, Point};
use passage_config::{Site, WakeCheck};
use passage_protocol::{InstallationId, Millis, StoreId, WakeId, Zone};

use self::people::{People, Place};

/// What an app heard: the UUID that woke it, and major and minor when it had the time to listen for them. Debug output hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Woken {
    /// The UUID of the beacon.
    pub uuid: [u8; 16],
    /// Major and minor; iOS does not tell them with a region alone.
    pub id: Option<WakeId>,
    /// dBm, when the phone told it.
    pub rssi: Option<i16>,
}

impl std::fmt::Debug for Woken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Woken(..)")
    }
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Which shop it was.
    pub store: StoreId,
    /// [`Zone::In`], or [`Zone::Front`] when the beacon was heard too weakly for that.
    pub zone: Zone,
    /// When it was heard.
    pub at: Millis,
}

/// Why a word that names a wake beacon makes no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The UUID is none of our brands'.
    Stranger,
    /// The key of no shop made this id at that time: a copy, a recording, or a wrong clock.
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
/// A stay that was inside stays inside for so long, however weak the beacon is heard: a phone in a bag loses 10 dB.
const INSIDE_FOR: Duration = Duration::from_secs(30 * 60);

/// Judges what apps report of wake beacons.
#[derive(Debug)]
pub struct Wakes {
    verifier: Verifier,
    places: BTreeMap<StoreId, Point<f64>>,
    people: People,
    inside_dbm: i16,
}

impl Wakes {
    /// A judge for the shops of the site whose keys are known. A beacon that is heard weaker than `inside_dbm` is heard in front of the shop.
    pub fn new(site: &Site, check: &WakeCheck, inside_dbm: i8) -> Self {
        let places = site.stores.values().map(|s| (s.id.clone(), s.at)).collect();
        Self { verifier: Verifier::new(site, check), places, people: People::default(), inside_dbm: inside_dbm.into() }
    }

    /// The same people with other shops.
    pub fn reload(&mut self, site: &Site, check: &WakeCheck, inside_dbm: i8) {
        let people = std::mem::take(&mut self.people);
        *self = Self { people, ..Self::new(site, check, inside_dbm) };
    }

    /// The shop that an installation came to, by what its app heard and reported at `now`. It was heard at one of `times`; the first that
    /// can be proven counts.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn enter(&mut self, who: &InstallationId, woken: &Woken, times: &[Millis], now: Millis) -> Result<Proven, Refusal> {
        if !self.verifier.knows(&woken.uuid) {
            return Err(Refusal::Stranger);
        }
        if self.people.is_guessing(who, now) {
            return Err(Refusal::Guessing);
        }
        let (store, at) = match self.said(woken, times) {
            Ok(found) => found,
            Err(refusal) => {
                if let (Refusal::Unproven, Some(id)) = (refusal, woken.id) {
                    self.people.missed(who, id, now);
                }
                return Err(refusal);
            }
        };
        let last = self.people.last(who);
        if last.as_ref().is_some_and(|last| self.is_too_far(last, &store, at)) {
            return Err(Refusal::TwoPlaces);
        }
        let was_inside = last.is_some_and(|last| last.inside && last.store == store && at < last.at + INSIDE_FOR);
        let inside = was_inside || woken.rssi.is_none_or(|rssi| rssi >= self.inside_dbm);
        self.people.is_at(who, Place { store: store.clone(), at, inside }, now);
        Ok(Proven { store, zone: zone(inside), at })
    }

    /// The shop that an installation has left. iOS tells the end of a region long after the last id was heard, so the shop where it was proven
    /// to be is good enough: a departure ends nothing but the installation's own stay.
    ///
    /// # Errors
    /// [`Refusal::Unproven`] when it was not known to be anywhere.
    pub fn exit(&mut self, who: &InstallationId, woken: &Woken, times: &[Millis]) -> Result<Proven, Refusal> {
        let at = times.first().copied().ok_or(Refusal::Unproven)?;
        match self.people.last(who) {
            Some(last) if self.verifier.is_of(&last.store, &woken.uuid) => Ok(Proven { zone: zone(last.inside), store: last.store, at }),
            _ => self.said(woken, times).map(|(store, at)| Proven { store, zone: Zone::In, at }),
        }
    }

    fn said(&mut self, woken: &Woken, times: &[Millis]) -> Result<(StoreId, Millis), Refusal> {
        for at in times {
            match self.verifier.verify(woken, *at) {
                Verdict::Store(store) => return Ok((store, *at)),
                Verdict::Several => return Err(Refusal::Ambiguous),
                Verdict::Nobody => {}
            }
        }
        Err(Refusal::Unproven)
    }

    fn is_too_far(&self, last: &Place, store: &StoreId, at: Millis) -> bool {
        let (Some(a), Some(b)) = (self.places.get(&last.store), self.places.get(store)) else { return false };
        let metres = Haversine.distance(*a, *b);
        #[expect(clippy::cast_precision_loss, reason = "hours between two reports")]
        let hours = at.since(last.at).unsigned_abs() as f64 / 3_600_000.0;
        metres > NEAR_M && metres / 1000.0 > FASTEST_KMH * hours
    }
}

fn zone(inside: bool) -> Zone {
    if inside { Zone::In } else { Zone::Front }
}
