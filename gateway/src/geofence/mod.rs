//! Positions against geofences, and the app's own word, to enter, dwell and exit. Pure: time comes in, changes go out, places stay in memory.
//!
//! A fix is a probability of being inside: enter at 0.75, leave at 0.25 when it holds, and between them nothing changes. Fixes may come late
//! and out of order; they complete the record and never trigger. What is saved for a restart holds times and zones, no place.

mod ahead;
mod app;
mod area;
mod chance;
mod contain;
mod crossing;
mod explain;
mod fence;
mod gate;
mod index;
mod people;
mod saved;
mod spots;
mod stay;
#[cfg(test)]
mod tests;
mod track;
mod world;

use std::time::Duration;

use passage_config::{GeofenceRules, Site};
use passage_protocol::{InstallationId, Millis};

pub use self::{contain::Containment, crossing::Crossing, explain::Likely, saved::BadState};
use self::{people::People, spots::Spots, stay::Teller, world::World};
use crate::{
    Change,
    position::{AppEvent, Fix},
};

/// Installations that are remembered at once; more are refused and counted.
const MOST_PEOPLE: usize = 200_000;
/// An installation that was silent for so long, and is in no stay, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How often the forgetful look around.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What became of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Judged against the fences, at its time.
    Decided,
    /// Older than the newest, put into its place; never triggers.
    Amended,
    /// Coarser than the rules allow, or no place at all.
    Coarse,
    /// Same time as another, and not better.
    Duplicate,
    /// Too old even to amend the record.
    Late,
    /// At a place that the phone cannot have reached; held until others agree.
    Jump,
    /// Of an installation for which there is no room.
    NoRoom,
}

/// Fixes that decided nothing at their time, by reason: see [`Outcome`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`Outcome::Coarse`].
    pub coarse: u64,
    /// [`Outcome::Duplicate`].
    pub duplicates: u64,
    /// [`Outcome::Late`].
    pub late: u64,
    /// [`Outcome::Amended`].
    pub amended: u64,
    /// [`Outcome::Jump`].
    pub jumps: u64,
    /// [`Outcome::NoRoom`].
    pub no_room: u64,
}

/// The machine for all installations of this gateway.
pub struct Geofences {
    world: World,
    spots: Spots,
    people: People,
    /// Whose state has changed since it was last taken.
    touched: Vec<u32>,
    /// Who was forgotten since then.
    gone: Vec<InstallationId>,
    /// The fences have changed since then.
    drawn_anew: bool,
    counts: Counts,
    /// On the way to the last fix.
    crossed: Vec<Crossing>,
    crossings: u64,
    now: Millis,
    looked: Millis,
}

impl std::fmt::Debug for Geofences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Geofences {{ installations: {}, .. }}", self.people.len())
    }
}

impl Geofences {
    /// A machine that knows nobody yet. `dwell_marks` are reported as they are passed, by evidence.
    pub fn new(site: &Site, rules: GeofenceRules, dwell_marks: Vec<Duration>) -> Self {
        let mut spots = Spots::default();
        Self {
            world: World::new(site, rules, dwell_marks, &mut spots, None),
            spots,
            people: People::default(),
            touched: Vec::new(),
            gone: Vec::new(),
            drawn_anew: true,
            counts: Counts::default(),
            crossed: Vec::new(),
            crossings: 0,
            now: Millis(0),
            looked: Millis(0),
        }
    }

    /// The same people with other fences and rules. Stays in fences and stores that are there no more end at their last evidence; somebody who
    /// stands in a fence that was drawn around them was inside already.
    pub fn reload(&mut self, site: &Site, rules: GeofenceRules, dwell_marks: Vec<Duration>, out: &mut Vec<Change>) {
        self.world = World::new(site, rules, dwell_marks, &mut self.spots, Some(&self.world));
        self.drawn_anew = true;
        self.end_vanished(site, out);
        self.people.reschedule(&self.world);
    }

    fn end_vanished(&mut self, site: &Site, out: &mut Vec<Change>) {
        let gone = self.spots.vanished(site);
        let ended: Vec<u32> = self.people.all().filter(|(_, p)| p.is_in_any(&gone)).map(|(slot, _)| slot).collect();
        for slot in ended {
            let Some(person) = self.people.get(slot) else { continue };
            let who = person.name().clone();
            let mut teller = Teller { who: &who, spots: &self.spots, out };
            person.track.end_in(&gone, &mut teller);
            person.words.end_in(&gone, &mut teller);
            self.touch(slot, true);
        }
    }

    /// Takes one fix that arrived at `now`.
    pub fn fix(&mut self, fix: &Fix, now: Millis, out: &mut Vec<Change>) -> Outcome {
        self.now = self.now.max(now);
        self.crossed.clear();
        let before = out.len();
        self.world.grid.call_for(fix.lat, fix.lon);
        let Some(slot) = self.slot_of(&fix.installation) else { return Outcome::NoRoom };
        let Some(person) = self.people.get(slot) else { return Outcome::NoRoom };
        let mut teller = Teller { who: &fix.installation, spots: &self.spots, out };
        let outcome = person.track.fix(&self.world, fix, now, &mut teller, &mut self.crossed);
        self.counts.add(outcome);
        self.crossings += self.crossed.len() as u64;
        self.touch(slot, out.len() > before);
        outcome
    }

    /// Takes the app's own word that arrived at `now`.
    pub fn app(&mut self, event: &AppEvent, now: Millis, out: &mut Vec<Change>) {
        self.now = self.now.max(now);
        let before = out.len();
        let spot = self.spots.number(&event.store, &event.zone);
        let Some(slot) = self.slot_of(&event.installation) else { return };
        let Some(person) = self.people.get(slot) else { return };
        let mut teller = Teller { who: &event.installation, spots: &self.spots, out };
        person.words.advance(&self.world, event.at, &mut teller);
        person.words.hear(&self.world, event, spot, now, &mut teller);
        self.touch(slot, out.len() > before);
    }

    /// Lets time pass: ends stays after silence and departures that held.
    pub fn advance(&mut self, now: Millis, out: &mut Vec<Change>) {
        self.now = self.now.max(now);
        while let Some(slot) = self.people.next_woken(&self.world, now) {
            let Some(person) = self.people.get(slot) else { continue };
            let who = person.name().clone();
            let mut teller = Teller { who: &who, spots: &self.spots, out };
            person.track.advance(&self.world, now, &mut teller);
            person.words.advance(&self.world, now, &mut teller);
            self.touch(slot, true);
        }
        self.forget(now);
    }

    /// When [`Self::advance`] will next end something.
    #[cfg(test)]
    fn next_due(&mut self) -> Option<Millis> {
        self.people.all().filter_map(|(_, person)| person.due(&self.world)).min()
    }

    /// Fixes that decided nothing, by reason.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The fences that lay on the way to the fix that was taken last, with nobody seen in them. They are no stays, and trigger nothing.
    pub fn crossed(&self) -> &[Crossing] {
        &self.crossed
    }

    /// How many there were since the start.
    pub fn crossings(&self) -> u64 {
        self.crossings
    }

    fn slot_of(&mut self, who: &InstallationId) -> Option<u32> {
        let known = self.people.find(who);
        let slot = known.or_else(|| (self.people.len() < MOST_PEOPLE).then(|| self.people.add(who)).flatten());
        if slot.is_none() {
            self.counts.add(Outcome::NoRoom);
        }
        slot
    }

    fn touch(&mut self, slot: u32, moved: bool) {
        if let Some(person) = self.people.get(slot) {
            person.save.moved |= moved;
            if !std::mem::replace(&mut person.save.listed, true) {
                self.touched.push(slot);
            }
        }
        self.people.schedule(slot, &self.world);
    }

    /// Forgets who has not been heard for long and is nowhere.
    fn forget(&mut self, now: Millis) {
        if now.since(self.looked) < world::millis(LOOK_EVERY) {
            return;
        }
        self.looked = now;
        let world = &self.world;
        let is_gone = |p: &people::Person| p.due(world).is_none() && p.last().is_none_or(|last| last + FORGET_AFTER <= now);
        let gone: Vec<u32> = self.people.all().filter(|(_, p)| is_gone(p)).map(|(slot, _)| slot).collect();
        self.gone.extend(gone.into_iter().filter_map(|slot| self.people.remove(slot)));
    }
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Decided => return,
            Outcome::Amended => &mut self.amended,
            Outcome::Coarse => &mut self.coarse,
            Outcome::Duplicate => &mut self.duplicates,
            Outcome::Late => &mut self.late,
            Outcome::Jump => &mut self.jumps,
            Outcome::NoRoom => &mut self.no_room,
        };
        *count += 1;
    }
}
