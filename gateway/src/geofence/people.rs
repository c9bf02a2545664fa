//! All installations in one block of memory, found by name, and woken when time alone ends a stay.
//!
//! A fix of one of 100,000 phones meets cold memory, so what is looked at stands close together: a table of small numbers, and a record that
//! holds its own name.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    hash::BuildHasher,
    hint::black_box,
};

use hashbrown::DefaultHashBuilder;
use passage_protocol::{InstallationId, Millis};

use super::{
    app::Words,
    index::{Index, MOST_SLOTS},
    spots::Spot,
    track::Track,
    world::World,
};

/// All that is known of one installation. No Debug: it holds places.
pub(super) struct Person {
    name: InstallationId,
    pub(super) track: Track,
    pub(super) words: Words,
    /// Its one valid entry in the queue of those who are woken; never later than it is due.
    woken: Option<Millis>,
    pub(super) save: Save,
}

/// What is to be saved of somebody.
#[derive(Default)]
pub(super) struct Save {
    /// Is in the list of those whose state has changed.
    pub(super) listed: bool,
    /// Entered, left or passed a mark since it was last saved.
    pub(super) moved: bool,
    pub(super) at: Option<Millis>,
}

/// Everybody.
#[derive(Default)]
pub(super) struct People {
    index: Index,
    /// Fast, and no shield against names that are made to collide: a hub gives the names, and only who has its token is looked up.
    hasher: DefaultHashBuilder,
    slots: Vec<Option<Person>>,
    free: Vec<u32>,
    /// When to look at whom. An entry that is not its person's `woken` is void.
    queue: BinaryHeap<Reverse<(Millis, u32)>>,
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Person> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn find(&self, who: &InstallationId) -> Option<u32> {
        let name = who.as_bytes();
        self.index.find(self.hasher.hash_one(name), |slot| self.is(slot, name))
    }

    /// The hash of a name, and a first look where [`Self::find`] will look.
    pub(super) fn call_for(&self, who: &InstallationId) -> u64 {
        let hash = self.hasher.hash_one(who.as_bytes());
        black_box(self.index.call_for(hash));
        hash
    }

    /// Who has a name with this hash, by all that the index alone can tell.
    pub(super) fn likely(&self, hash: u64) -> Option<&Person> {
        let slot = self.index.find(hash, |_| true)?;
        self.slots[slot as usize].as_ref()
    }

    /// Makes room for somebody who is not known yet.
    pub(super) fn add(&mut self, who: &InstallationId) -> Option<u32> {
        let person = Person { name: who.clone(), track: Track::default(), words: Words::default(), woken: None, save: Save::default() };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot < MOST_SLOTS)?;
                self.slots.push(None);
                slot
            }
        };
        self.slots[slot as usize] = Some(person);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |slot: u32| slots[slot as usize].as_ref().map_or(0, |p| hasher.hash_one(p.name.as_bytes()));
        self.index.add(hash(slot), slot, hash);
        Some(slot)
    }

    /// Forgets somebody, and tells who it was.
    pub(super) fn remove(&mut self, slot: u32) -> Option<InstallationId> {
        let who = self.get(slot)?.name.clone();
        self.index.remove(self.hasher.hash_one(who.as_bytes()), slot);
        self.slots[slot as usize] = None;
        self.free.push(slot);
        Some(who)
    }

    /// Everybody who is known.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (u32, &mut Person)> {
        (0..).zip(&mut self.slots).filter_map(|(slot, person)| Some((slot, person.as_mut()?)))
    }

    /// Notes when somebody must be looked at again. An earlier note stands; it is looked at then, and put off.
    pub(super) fn schedule(&mut self, slot: u32, world: &World) {
        let Some(person) = self.slots[slot as usize].as_mut() else { return };
        let Some(due) = person.due(world) else { return };
        if person.woken.is_none_or(|woken| due < woken) {
            person.woken = Some(due);
            self.queue.push(Reverse((due, slot)));
        }
    }

    /// Who is due by `now`, one after the other.
    pub(super) fn next_woken(&mut self, world: &World, now: Millis) -> Option<u32> {
        while let Some(Reverse((at, slot))) = self.queue.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.queue.pop();
            let Some(person) = self.get(slot).filter(|p| p.woken == Some(at)) else { continue };
            person.woken = None;
            match person.due(world) {
                Some(due) if due <= now => return Some(slot),
                _ => self.schedule(slot, world),
            }
        }
        None
    }

    /// Notes for everybody anew, under other rules.
    pub(super) fn reschedule(&mut self, world: &World) {
        self.queue.clear();
        let slots: Vec<u32> = self.all().map(|(slot, _)| slot).collect();
        self.all().for_each(|(_, person)| person.woken = None);
        slots.into_iter().for_each(|slot| self.schedule(slot, world));
    }

    fn is(&self, slot: u32, name: &[u8]) -> bool {
        self.slots[slot as usize].as_ref().is_some_and(|p| p.name.as_bytes() == name)
    }
}

impl Person {
    /// True while a stay is in one of these zones.
    pub(super) fn is_in_any(&self, spots: &HashSet<Spot>) -> bool {
        let words = self.words.0.iter().filter_map(|word| word.stay.as_ref());
        self.track.state.stays.iter().chain(words).any(|stay| spots.contains(&stay.spot))
    }

    /// When time alone will end a stay.
    pub(super) fn due(&self, world: &World) -> Option<Millis> {
        self.track.due(world).into_iter().chain(self.words.due(world)).min()
    }

    /// Last evidence of anything.
    pub(super) fn last(&self) -> Option<Millis> {
        self.track.last.max(self.words.last())
    }

    /// Reads a little all over the record.
    pub(super) fn call_for(&self) -> u64 {
        let end = self.name.as_bytes().last().copied().unwrap_or(0);
        let flags = self.save.listed ^ self.words.0.is_empty() ^ self.woken.is_none();
        u64::from(end) ^ u64::from(flags) ^ self.track.call_for_record()
    }

    /// Whose this is.
    pub(super) fn name(&self) -> &InstallationId {
        &self.name
    }
}
