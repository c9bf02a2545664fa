//! Positions against geofences, and the app's own word, to enter, dwell and exit. Pure: time comes in, changes go out, places stay in memory.
//!
//! A fix is a probability of being inside: enter at 0.75, leave at 0.25 when it holds, and between them nothing changes. Fixes may come late
//! and out of order; they complete the record and never trigger. What is saved for a restart holds times and zones, no place.

mod app;
mod chance;
mod gate;
mod grid;
mod saved;
mod shape;
mod stay;
#[cfg(test)]
mod tests;
mod track;
mod world;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use passage_config::{GeofenceRules, Site};
use passage_protocol::{InstallationId, Millis};

pub use self::saved::BadState;
use self::{app::Words, track::Track, world::World};
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

/// Fixes that decided nothing, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Coarser than the rules allow.
    pub coarse: u64,
    /// Same time as another, and not better.
    pub duplicates: u64,
    /// Too old even to amend the record.
    pub late: u64,
    /// Older than the newest, put into its place; never triggers.
    pub amended: u64,
    /// At a place that the phone cannot have reached; held until others agree.
    pub jumps: u64,
    /// Of an installation for which there was no room.
    pub no_room: u64,
}

/// The machine for all installations of this gateway.
pub struct Geofences {
    world: World,
    people: HashMap<InstallationId, Person>,
    /// When time alone will end a stay of whom.
    due: BTreeSet<(Millis, InstallationId)>,
    /// Whose state has changed since it was last taken.
    touched: BTreeSet<InstallationId>,
    counts: Counts,
    now: Millis,
    looked: Millis,
}

/// All that is known of one installation. No Debug: it holds places.
#[derive(Default)]
struct Person {
    track: Track,
    words: Words,
    /// Its entry in `due`.
    due: Option<Millis>,
    /// It entered, left or passed a mark since its state was last taken.
    moved: bool,
    saved_at: Option<Millis>,
}

impl std::fmt::Debug for Geofences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Geofences {{ installations: {}, .. }}", self.people.len())
    }
}

impl Geofences {
    /// A machine that knows nobody yet. `dwell_marks` are reported as they are passed, by evidence.
    pub fn new(site: &Site, rules: GeofenceRules, dwell_marks: Vec<Duration>) -> Self {
        Self {
            world: World::new(site, rules, dwell_marks),
            people: HashMap::new(),
            due: BTreeSet::new(),
            touched: BTreeSet::new(),
            counts: Counts::default(),
            now: Millis(0),
            looked: Millis(0),
        }
    }

    /// The same people with other fences and rules. Stays in fences that are no longer drawn end by silence.
    pub fn reload(&mut self, site: &Site, rules: GeofenceRules, dwell_marks: Vec<Duration>) {
        self.world = World::new(site, rules, dwell_marks);
        self.due.clear();
        for (id, person) in &mut self.people {
            person.due = person.next_due(&self.world);
            self.due.extend(person.due.map(|due| (due, id.clone())));
        }
    }

    /// Takes one fix that arrived at `now`.
    pub fn fix(&mut self, fix: &Fix, now: Millis, out: &mut Vec<Change>) {
        self.now = self.now.max(now);
        let before = out.len();
        let Some(mut person) = self.take_person(&fix.installation) else { return };
        person.track.fix(&self.world, fix, now, &mut self.counts, out);
        self.put_person(fix.installation.clone(), person, out.len() > before);
    }

    /// Takes the app's own word that arrived at `now`.
    pub fn app(&mut self, event: &AppEvent, now: Millis, out: &mut Vec<Change>) {
        self.now = self.now.max(now);
        let before = out.len();
        let Some(mut person) = self.take_person(&event.installation) else { return };
        person.words.advance(&event.installation, self.world.rules.silence, event.at, out);
        person.words.hear(event, &self.world.marks, now, out);
        self.put_person(event.installation.clone(), person, out.len() > before);
    }

    /// Lets time pass: ends stays after silence and departures that held.
    pub fn advance(&mut self, now: Millis, out: &mut Vec<Change>) {
        self.now = self.now.max(now);
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, who)) = self.due.pop_first() else { break };
            let Some(mut person) = self.take_person(&who) else { continue };
            person.track.advance(&self.world, &who, now, out);
            person.words.advance(&who, self.world.rules.silence, now, out);
            self.put_person(who, person, true);
        }
        self.forget(now);
    }

    /// When [`Self::advance`] will next end something.
    pub fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Fixes that decided nothing, by reason.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn take_person(&mut self, who: &InstallationId) -> Option<Person> {
        let person = match self.people.remove(who) {
            Some(person) => person,
            None if self.people.len() >= MOST_PEOPLE => {
                self.counts.no_room += 1;
                return None;
            }
            None => Person::default(),
        };
        if let Some(due) = person.due {
            self.due.remove(&(due, who.clone()));
        }
        Some(person)
    }

    fn put_person(&mut self, who: InstallationId, mut person: Person, moved: bool) {
        person.moved |= moved;
        person.due = person.next_due(&self.world);
        self.due.extend(person.due.map(|due| (due, who.clone())));
        self.touched.insert(who.clone());
        self.people.insert(who, person);
    }

    /// Forgets who has not been heard for long and is nowhere.
    fn forget(&mut self, now: Millis) {
        if now.since(self.looked) < world::millis(LOOK_EVERY) {
            return;
        }
        self.looked = now;
        let gone = self.people.iter().filter(|(_, p)| p.due.is_none() && p.last().is_none_or(|last| last + FORGET_AFTER <= now));
        let gone: Vec<InstallationId> = gone.map(|(who, _)| who.clone()).collect();
        for who in gone {
            self.people.remove(&who);
            self.touched.insert(who);
        }
    }
}

impl Person {
    fn next_due(&self, world: &World) -> Option<Millis> {
        let (track, words) = (self.track.due(world), self.words.due(world.rules.silence));
        track.into_iter().chain(words).min()
    }

    fn last(&self) -> Option<Millis> {
        self.track.last.max(self.words.last())
    }
}
