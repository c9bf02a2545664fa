//! What is remembered between two reports: what was just taken, and who was far away. No place.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use hashbrown::DefaultHashBuilder;
use passage_protocol::{InstallationId, Millis};

use super::Fix;

/// Marks that are remembered as taken.
const MOST_TAKEN: usize = 131_072;
/// Installations that are remembered as far away.
const MOST_AWAY: usize = 200_000;
/// How long somebody is remembered as far away.
const AWAY_MS: i64 = 24 * 3_600_000;

/// Short memory; lost at a restart, which costs nothing but a few repeated decisions.
#[derive(Default)]
pub(super) struct Memory {
    /// Fast, and no shield against marks that are made to collide: who could make them would only lose a report of their own.
    key: DefaultHashBuilder,
    taken: Mutex<Taken>,
    away: Mutex<HashMap<InstallationId, Millis>>,
}

struct Taken {
    marks: HashSet<u64, BuildHasherDefault<AsIs>>,
    order: VecDeque<u64>,
}

impl Default for Taken {
    fn default() -> Self {
        Self { marks: HashSet::with_capacity_and_hasher(MOST_TAKEN + 2, BuildHasherDefault::default()), order: VecDeque::new() }
    }
}

/// Marks are keyed hashes already, so they are spread as they are.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |all, byte| (all << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }
}

/// Keyed marks of one report: equal for the same report sent again, of no use to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    place: u64,
    name: Option<u64>,
}

impl Memory {
    /// The marks of a report: by time and place, and by time and the app's own name of the message. The name alone is not enough, because apps
    /// make it of four random bytes.
    pub(super) fn marks(&self, fix: &Fix, name: Option<&str>) -> Marks {
        let mut both = self.key.build_hasher();
        (&fix.installation, fix.told_at()).hash(&mut both);
        let name = name.map(|name| {
            let mut both = both.clone();
            name.hash(&mut both);
            both.finish()
        });
        [fix.lat, fix.lon, fix.accuracy_m.unwrap_or(0.0)].map(f64::to_bits).hash(&mut both);
        Marks { place: both.finish(), name }
    }

    /// True if this report was taken before.
    pub(super) fn has_taken(&self, marks: &Marks) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.marks.contains(&marks.place) || marks.name.is_some_and(|name| taken.marks.contains(&name))
    }

    /// Remembers a report, once it is committed.
    pub(super) fn take(&self, marks: &Marks) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in std::iter::once(marks.place).chain(marks.name) {
            if taken.marks.insert(mark) {
                taken.order.push_back(mark);
            }
        }
        while taken.order.len() > MOST_TAKEN
            && let Some(oldest) = taken.order.pop_front()
        {
            taken.marks.remove(&oldest);
        }
    }

    /// This installation was far from every store at `at`.
    pub(super) fn went_away(&self, who: &InstallationId, at: Millis) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = away.get_mut(who) {
            *known = at.max(*known);
            return;
        }
        if away.len() >= MOST_AWAY {
            away.retain(|_, known| at.since(*known) < AWAY_MS);
        }
        if away.len() < MOST_AWAY {
            away.insert(who.clone(), at);
        }
    }

    /// When this installation was last far from every store.
    pub(super) fn away(&self, who: &InstallationId) -> Option<Millis> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).get(who).copied()
    }
}
