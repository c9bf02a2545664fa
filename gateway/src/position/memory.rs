//! What the server remembers between two requests: what it has just taken, and who was far away. No place.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use passage_protocol::{InstallationId, Millis};

use super::Fix;

/// Reports that are remembered as taken.
const MOST_TAKEN: usize = 65_536;
/// Installations that are remembered as far away.
const MOST_AWAY: usize = 200_000;
/// How long somebody is remembered as far away.
const AWAY_MS: i64 = 24 * 3_600_000;

/// Short memory of the server; lost at a restart, which costs nothing but a few repeated decisions.
#[derive(Default)]
pub(super) struct Memory {
    key: RandomState,
    taken: Mutex<Taken>,
    away: Mutex<HashMap<InstallationId, Millis>>,
}

#[derive(Default)]
struct Taken {
    marks: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Memory {
    /// A keyed mark of the report: equal for the same fix sent again, of no use to anybody else.
    pub(super) fn mark(&self, fix: &Fix) -> u64 {
        let accuracy = fix.accuracy_m.unwrap_or(0.0);
        self.key.hash_one((&fix.installation, fix.at, [fix.lat, fix.lon, accuracy].map(f64::to_bits)))
    }

    /// True if this report was taken before.
    pub(super) fn has_taken(&self, mark: u64) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).marks.contains(&mark)
    }

    /// Remembers a report, once it is committed.
    pub(super) fn take(&self, mark: u64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.marks.insert(mark) {
            return;
        }
        taken.order.push_back(mark);
        if taken.order.len() > MOST_TAKEN
            && let Some(oldest) = taken.order.pop_front()
        {
            taken.marks.remove(&oldest);
        }
    }

    /// This installation was far from every store at `at`.
    pub(super) fn went_away(&self, who: InstallationId, at: Millis) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.len() >= MOST_AWAY && !away.contains_key(&who) {
            away.retain(|_, known| at.since(*known) < AWAY_MS);
        }
        if away.len() < MOST_AWAY || away.contains_key(&who) {
            let known = away.entry(who).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// When this installation was last far from every store.
    pub(super) fn away(&self, who: &InstallationId) -> Option<Millis> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).get(who).copied()
    }
}
