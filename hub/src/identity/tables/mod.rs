//! From rotating ids and installations to their owners: one table per window of 900 s, built when it is needed. Time comes in; the only I/O is that
//! very many chain keys lie sealed in a file of this process (see `vault`).
//!
//! For 10 M installations there are 8 bytes of owner, 9 of name and 9 a window in memory, two windows at a time; [benches/resolver.rs](../../../../benches)
//! measures it.

mod index;
mod keys;
mod owner;
mod vault;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use passage_protocol::{
    ChainKey, InstallationId, Millis, Rid,
    rid::{self, day_of, window_at, window_for_hint},
};

pub use self::owner::Owner;
use self::{
    index::{Full, Index},
    keys::Keys,
};
use crate::identity::MemberId;

/// Evidence older than this is resolved by nobody, and no key older than this is kept.
pub const HORIZON_MS: i64 = 48 * 3600 * 1000;
/// How many windows a phone's clock may be off.
pub const MAX_SKEW: i64 = 1;
/// Up to so many installations a missing table is built on the spot (about 5 ms); above, at the next refresh.
const BUILD_AT_ONCE: usize = 20_000;
/// Most bytes of all tables of windows together. Of 10 M installations two fit.
const ALL_TABLES: usize = 200_000_000;
/// Ids that are looked up in a bunch, so that the waits for memory overlap.
const BUNCH: usize = 4096;

#[derive(Debug)]
struct Window {
    ids: Index,
    used: u64,
}

/// All live installations, and the tables of the windows that were asked for lately.
#[derive(Debug)]
pub struct Tables {
    /// By slot. A slot is never used again.
    owners: Vec<Owner>,
    /// So many slots at the beginning ascend by member.
    ascending: usize,
    /// Slots of members behind those.
    late: HashMap<MemberId, Vec<u32>>,
    live: usize,
    /// From keyed hashes of installations to slots; one that is full gets a successor.
    names: Vec<Index>,
    hasher: RandomState,
    keys: Arc<RwLock<Keys>>,
    windows: BTreeMap<i64, Window>,
    /// Windows that were asked for in vain, and how often.
    asked: BTreeMap<i64, u32>,
    /// No window that was asked for is built before.
    next_asked: Millis,
    uses: u64,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Whose phone it is.
    Owner(Owner),
    /// Nobody's, as far as is known.
    Nobody,
    /// The table of that window is not built yet; it will be at one of the next refreshes.
    Later,
}

impl Default for Tables {
    fn default() -> Self {
        Self::new(0, std::env::temp_dir())
    }
}

impl Tables {
    /// Tables with room for so many installations. If they become very many, their keys lie in a nameless file in `folder`.
    pub fn new(installations: usize, folder: PathBuf) -> Self {
        Self {
            owners: Vec::with_capacity(installations + installations / 16),
            ascending: 0,
            late: HashMap::new(),
            live: 0,
            names: vec![Index::with_room_for(installations.max(1024))],
            hasher: RandomState::new(),
            keys: Arc::new(RwLock::new(Keys::in_folder(folder))),
            windows: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_asked: Millis(i64::MIN),
            uses: 0,
        }
    }

    /// How many live installations there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// True without any installation.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// True when most slots are of installations that have ended: it is time to load all anew.
    pub fn is_worn(&self) -> bool {
        self.owners.len() > 1024 + 2 * self.live
    }

    /// Sets the live installations of a member. Only those that are new or have another key are computed.
    ///
    /// # Errors
    /// The file of keys; the tables must be loaded anew then.
    pub fn set(&mut self, member: MemberId, grants: u32, now: Vec<(InstallationId, ChainKey)>) -> io::Result<()> {
        let owner = Owner::new(member, grants);
        let mut gone = self.slots(member);
        for (id, chain) in now {
            let name = self.hasher.hash_one(id.as_str());
            match self.named(name) {
                Some(slot) if gone.contains(&slot) => {
                    gone.retain(|s| *s != slot);
                    self.owners[slot as usize] = owner;
                    if !self.read_keys().is_of(slot as usize, &chain)? {
                        self.leave(slot)?;
                        self.write_keys().replace(slot as usize, &chain)?;
                        self.enter(slot, &chain);
                    }
                }
                before => {
                    if let Some(slot) = before {
                        // It was another member's, or had ended.
                        self.end(slot)?;
                        self.names.iter_mut().for_each(|names| names.remove(name, slot));
                    }
                    self.add(owner, name, &chain)?;
                }
            }
        }
        for slot in gone {
            self.end(slot)?;
        }
        Ok(())
    }

    /// The live slots of a member.
    fn slots(&self, member: MemberId) -> Vec<u32> {
        let from = self.owners[..self.ascending].partition_point(|o| o.member() < member);
        let early = (from..self.ascending).take_while(|slot| self.owners[*slot].member() == member).filter_map(|s| u32::try_from(s).ok());
        let late = self.late.get(&member).into_iter().flatten().copied();
        early.chain(late).filter(|slot| self.owner(*slot).is_some()).collect()
    }

    /// Adds an installation to the tables that exist.
    fn add(&mut self, owner: Owner, name: u64, chain: &ChainKey) -> io::Result<()> {
        let Ok(slot) = u32::try_from(self.owners.len()) else { return Err(io::Error::other("more than 2^32 installations")) };
        self.write_keys().push(chain)?;
        let ascends = self.ascending == self.owners.len() && self.owners.last().is_none_or(|last| last.member() <= owner.member());
        self.owners.push(owner);
        if ascends {
            self.ascending += 1;
        } else {
            self.late.entry(owner.member()).or_default().push(slot);
        }
        self.live += 1;
        self.enter(slot, chain);
        if self.names.last_mut().is_none_or(|names| names.insert(name, slot).is_err()) {
            let mut more = Index::with_room_for(self.owners.len() / 4 + 1024);
            // Slot numbers count from the first index on, so this one needs cells for them all.
            if more.insert(name, slot) == Err(Full) {
                more = Index::with_room_for(self.owners.len() + self.owners.len() / 4);
                more.insert(name, slot).map_err(|Full| io::Error::other("no room in a new index"))?;
            }
            self.names.push(more);
        }
        Ok(())
    }

    /// Puts a slot into the tables that exist. A table without room is built anew when it is asked for.
    fn enter(&mut self, slot: u32, chain: &ChainKey) {
        self.windows.retain(|window, table| id_in(chain, *window).is_none_or(|id| table.ids.insert(id, slot).is_ok()));
    }

    /// Takes a slot out of the tables.
    fn leave(&mut self, slot: u32) -> io::Result<()> {
        let Some(chain) = self.read_keys().chain(slot as usize)? else { return Ok(()) };
        for (window, table) in &mut self.windows {
            if let Some(id) = id_in(&chain, *window) {
                table.ids.remove(id, slot);
            }
        }
        Ok(())
    }

    fn end(&mut self, slot: u32) -> io::Result<()> {
        let Some(owner) = self.owner(slot) else { return Ok(()) };
        self.leave(slot)?;
        self.write_keys().clear(slot as usize)?;
        self.owners[slot as usize] = owner.ended();
        if let Some(late) = self.late.get_mut(&owner.member()) {
            late.retain(|s| *s != slot);
            if late.is_empty() {
                self.late.remove(&owner.member());
            }
        }
        self.live -= 1;
        Ok(())
    }

    fn owner(&self, slot: u32) -> Option<Owner> {
        self.owners.get(slot as usize).copied().filter(|o| !o.has_ended())
    }

    fn named(&self, name: u64) -> Option<u32> {
        self.names.iter().rev().find_map(|names| match names.find(name) {
            index::Found::Slot(slot) => Some(slot),
            index::Found::Nothing => None,
        })
    }

    /// The owner of an installation that spoke for itself.
    pub fn installation(&self, id: &InstallationId) -> Option<Owner> {
        self.named(self.hasher.hash_one(id.as_str())).and_then(|slot| self.owner(slot))
    }

    /// Looks up a rotating id that was heard at `evidence` with this hint. `now` may be as old as the last refresh.
    pub fn rid(&mut self, rid: Rid, hint: u8, evidence: Millis, now: Millis) -> Found {
        let around = window_at(evidence);
        let window = window_for_hint(around, hint);
        if (window - around).abs() > MAX_SKEW || now.since(evidence).abs() > HORIZON_MS {
            return Found::Nobody;
        }
        if !self.windows.contains_key(&window) && !self.build_at_once(window, now) {
            return Found::Later;
        }
        self.uses += 1;
        let Some(table) = self.windows.get_mut(&window) else { return Found::Later };
        table.used = self.uses;
        match table.ids.find(u64::from_be_bytes(rid.0)) {
            index::Found::Slot(slot) => self.owner(slot).map_or(Found::Nobody, Found::Owner),
            index::Found::Nothing => Found::Nobody,
        }
    }

    /// Builds a window that was asked for if that is quick; otherwise notes that it was asked for.
    fn build_at_once(&mut self, window: i64, now: Millis) -> bool {
        if self.live <= BUILD_AT_ONCE {
            match self.build(window, now).run() {
                Ok(built) => {
                    self.install(built);
                    return true;
                }
                Err(error) => tracing::warn!(%error, "a table of rotating ids could not be built"),
            }
        }
        *self.asked.entry(window).or_default() += 1;
        false
    }

    /// The window that should be built next, if one should: those around `now`, and one that was asked for in vain. The work is the caller's, because
    /// with very many installations it takes seconds; with it he calls [`Tables::install`].
    pub fn next_build(&mut self, now: Millis) -> Option<Build> {
        let oldest = window_at(Millis(now.0 - HORIZON_MS)) - MAX_SKEW;
        self.windows.retain(|window, _| *window >= oldest);
        self.asked.retain(|window, _| *window >= oldest);
        let near = self.near(now).into_iter().find(|window| !self.windows.contains_key(window));
        let window = near.or_else(|| {
            let most = self.asked.iter().max_by_key(|(_, times)| **times).map(|(window, _)| *window);
            let window = most.filter(|_| now >= self.next_asked)?;
            // Building may take a twentieth of one processor: a phone with a wrong clock must not keep the hub busy.
            self.next_asked = Millis(now.0 + i64::try_from(self.owners.len() / 200).unwrap_or(i64::MAX));
            Some(window)
        })?;
        Some(self.build(window, now))
    }

    /// The windows that are kept ready. Where tables are large, the neighbours of the present one only while they are of use: reports of a stay come
    /// some minutes after its last advert, and clocks of phones are seconds off.
    fn near(&self, now: Millis) -> Vec<i64> {
        let (window, second) = (window_at(now), now.secs().rem_euclid(rid::WINDOW_SECS));
        match (self.most_tables() >= 8, second) {
            (true, _) => vec![window, window - MAX_SKEW, window + MAX_SKEW],
            (false, ..300) => vec![window, window - 1],
            (false, 780..) => vec![window, window + 1],
            _ => vec![window],
        }
    }

    fn most_tables(&self) -> usize {
        (ALL_TABLES / Index::bytes(self.owners.len())).clamp(2, 256)
    }

    /// Drops tables until one more fits, first those that are not `near`, of these the ones that were used longest ago.
    fn build(&mut self, window: i64, now: Millis) -> Build {
        let near = self.near(now);
        while self.windows.len() >= self.most_tables() {
            let last = self.windows.iter().min_by_key(|(w, table)| (near.contains(w), table.used)).map(|(w, _)| *w);
            let Some(last) = last else { break };
            self.windows.remove(&last);
        }
        let asked = self.asked.remove(&window).is_some();
        let is_today = day_of(window) == day_of(window_at(now));
        Build { window, asked, is_today, slots: self.owners.len(), keys: Arc::clone(&self.keys) }
    }

    /// Takes over a table. Installations must not have changed since [`Tables::next_build`].
    pub fn install(&mut self, built: Built) {
        self.uses += 1;
        self.windows.insert(built.window, Window { ids: built.ids, used: self.uses });
    }

    /// What replaces keys of days that have left the horizon by their successors, which cannot resolve those days. It may take a second.
    pub fn rolling(&self, day: i64) -> impl FnOnce() -> io::Result<()> + Send + use<> {
        let keys = Arc::clone(&self.keys);
        move || keys.write().unwrap_or_else(PoisonError::into_inner).roll_forward(day)
    }

    fn read_keys(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_keys(&self) -> std::sync::RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table of a window that is to be built.
#[derive(Debug)]
pub struct Build {
    window: i64,
    asked: bool,
    is_today: bool,
    slots: usize,
    keys: Arc<RwLock<Keys>>,
}

/// The table of a window.
#[derive(Debug)]
pub struct Built {
    window: i64,
    ids: Index,
}

impl Build {
    /// True if somebody asked for it in vain, so that what was unknown may be known once it is there.
    pub fn was_asked_for(&self) -> bool {
        self.asked
    }

    /// True if it takes some milliseconds only.
    pub fn is_quick(&self) -> bool {
        self.slots <= BUILD_AT_ONCE
    }

    /// Does it.
    ///
    /// # Errors
    /// The file of keys.
    pub fn run(self) -> io::Result<Built> {
        let day = day_of(self.window);
        if self.is_today {
            self.keys.write().unwrap_or_else(PoisonError::into_inner).prepare_day(day)?;
        }
        let mut ids = Index::with_room_for(self.slots);
        let mut bunch: Vec<(u64, u32)> = Vec::with_capacity(BUNCH);
        let mut put = |bunch: &mut Vec<(u64, u32)>| {
            bunch.drain(..).try_for_each(|(id, slot)| ids.insert(id, slot)).map_err(|Full| io::Error::other("a table is too small"))
        };
        let mut fits = Ok(());
        self.keys.read().unwrap_or_else(PoisonError::into_inner).each_of_day(day, |slot, key| {
            bunch.push((u64::from_be_bytes(rid::rid_of(key, self.window).0), u32::try_from(slot).unwrap_or(u32::MAX)));
            if bunch.len() == BUNCH && fits.is_ok() {
                fits = put(&mut bunch);
            }
        })?;
        fits?;
        put(&mut bunch)?;
        Ok(Built { window: self.window, ids })
    }
}

/// The id of an installation in a window, if its key reaches that day.
fn id_in(chain: &ChainKey, window: i64) -> Option<u64> {
    Some(u64::from_be_bytes(chain.for_day(day_of(window))?.rid(window).0))
}

#[cfg(test)]
mod tests;
