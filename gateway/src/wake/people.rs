//! What is remembered of the installations whose apps were woken: the shop, and how often nothing could be proven. Lost at a restart, which
//! costs a departure that silence will tell as well.

use std::{collections::HashMap, time::Duration};

use passage_protocol::{InstallationId, Millis, StoreId, WakeId};

/// Installations that are remembered at once.
const MOST_PEOPLE: usize = 200_000;
/// How long somebody is remembered.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Different unproven ids in an hour that are looked at. With 4 bytes and a thousand shops, so many guesses succeed once in some years.
const MOST_MISSES: usize = 10;
/// That hour.
const MISSES_IN: Duration = Duration::from_secs(3600);

/// The installations.
#[derive(Default)]
pub(super) struct People(HashMap<InstallationId, Person>);

/// Where somebody was proven to be.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: StoreId,
    /// When the beacon was heard there.
    pub(super) at: Millis,
    /// In the shop, not in front of it.
    pub(super) inside: bool,
}

#[derive(Default)]
struct Person {
    /// The last shop.
    place: Option<Place>,
    /// When the current hour of misses began, and which ids they were. A copy that stands near her home says the same again and again, and
    /// must not keep her from being noticed in the shop.
    misses: Option<(Millis, Vec<WakeId>)>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "People({})", self.0.len())
    }
}

impl People {
    /// Where it was last proven to be.
    pub(super) fn last(&self, who: &InstallationId) -> Option<Place> {
        self.0.get(who)?.place.clone()
    }

    /// The installation was proven to be somewhere. A word that comes late does not take it back to where it was before.
    pub(super) fn is_at(&mut self, who: &InstallationId, place: Place, now: Millis) {
        let Some(person) = self.person(who, now) else { return };
        if person.place.as_ref().is_none_or(|last| last.at <= place.at) {
            person.place = Some(place);
        }
    }

    /// An id could not be proven.
    pub(super) fn missed(&mut self, who: &InstallationId, id: WakeId, now: Millis) {
        let Some(person) = self.person(who, now) else { return };
        let misses = person.misses.get_or_insert_with(|| (now, Vec::new()));
        if !is_within(misses.0, now) {
            *misses = (now, Vec::new());
        }
        if misses.1.len() < MOST_MISSES && !misses.1.contains(&id) {
            misses.1.push(id);
        }
    }

    /// True when the installation has had its share of misses for now.
    pub(super) fn is_guessing(&self, who: &InstallationId, now: Millis) -> bool {
        let misses = self.0.get(who).and_then(|p| p.misses.as_ref());
        misses.is_some_and(|(since, ids)| ids.len() >= MOST_MISSES && is_within(*since, now))
    }

    fn person(&mut self, who: &InstallationId, now: Millis) -> Option<&mut Person> {
        if self.0.len() >= MOST_PEOPLE && !self.0.contains_key(who) {
            self.0.retain(|_, p| p.last().is_some_and(|last| last + FORGET_AFTER > now));
        }
        if self.0.len() >= MOST_PEOPLE && !self.0.contains_key(who) {
            return None;
        }
        Some(self.0.entry(who.clone()).or_default())
    }
}

impl Person {
    fn last(&self) -> Option<Millis> {
        self.place.as_ref().map(|place| place.at).max(self.misses.as_ref().map(|(since, _)| *since))
    }
}

fn is_within(since: Millis, now: Millis) -> bool {
    now < since + MISSES_IN && since <= now
}
