//! What a fix means: the fences, the rules, and one step of the pure state of one installation.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use passage_config::{GeofenceRules, Site};
use passage_protocol::{FenceId, InstallationId, Millis, Phase, Signal, Zone};
use serde::{Deserialize, Serialize};

use super::{
    chance::Chance,
    grid::Grid,
    shape::Fence,
    stay::{Leaving, Stay},
};
use crate::Change;

/// Fences and rules; the same for everybody.
pub(super) struct World {
    fences: Vec<Fence>,
    by_id: HashMap<FenceId, usize>,
    grid: Grid,
    pub(super) rules: GeofenceRules,
    /// Dwell marks in milliseconds, ascending.
    pub(super) marks: Vec<i64>,
}

/// What is believed of one installation.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// A fix was decided before, so an enter is one.
    pub(super) known: bool,
    pub(super) stays: BTreeMap<FenceId, Stay>,
}

/// A fix that is good enough to decide on. No Debug: it is a place of a person.
#[derive(Clone, Copy)]
pub(super) struct Observed {
    pub(super) at: Millis,
    pub(super) lat: f64,
    pub(super) lon: f64,
    pub(super) accuracy_m: f64,
    /// Too fast for somebody who comes to shop.
    pub(super) fast: bool,
    /// The app said not long ago that it is far from every store.
    pub(super) from_afar: bool,
    /// Arrived too late to trigger anything.
    pub(super) late: bool,
}

impl World {
    pub(super) fn new(site: &Site, rules: GeofenceRules, marks: Vec<Duration>) -> Self {
        let fences: Vec<Fence> = site.geofences.values().map(|g| Fence::new(g, rules.max_accuracy_m)).collect();
        let by_id = fences.iter().enumerate().map(|(i, f)| (f.id.clone(), i)).collect();
        let mut marks: Vec<i64> = marks.into_iter().map(millis).collect();
        marks.sort_unstable();
        Self { grid: Grid::new(&fences), by_id, fences, rules, marks }
    }

    /// Lets time pass up to `now`: stays end after silence, and after a departure that has held long enough.
    pub(super) fn expire(&self, who: &InstallationId, state: &mut State, now: Millis, late: bool, out: &mut Vec<Change>) {
        state.stays.retain(|_, stay| {
            let over = self.due(stay) <= now;
            if over {
                out.push(stay.exit(who, late));
            }
            !over
        });
    }

    /// When this stay ends if nothing more is heard.
    pub(super) fn due(&self, stay: &Stay) -> Millis {
        let silent = stay.alive + self.rules.silence;
        stay.leaving.map_or(silent, |l| silent.min(l.since + self.rules.exit_after))
    }

    /// Takes one fix: first who left, then who stays, then who came.
    pub(super) fn observe(&self, who: &InstallationId, state: &mut State, fix: &Observed, out: &mut Vec<Change>) {
        self.expire(who, state, fix.at, fix.late, out);
        let mut dwells = Vec::new();
        state.stays.retain(|id, stay| {
            // A fence that is no longer drawn gets no more evidence; silence ends the stay.
            let Some(fence) = self.by_id.get(id).map(|i| &self.fences[*i]) else { return true };
            let Some(chance) = fence.chance(fix.lat, fix.lon, fix.accuracy_m) else { return true };
            if self.has_left(stay, fix, chance) {
                out.push(stay.exit(who, fix.late));
                return false;
            }
            if chance.stay >= self.rules.enter_p && note(stay, fix, chance.stay, &self.marks) {
                dwells.push(stay.change(who, Phase::Dwell, fix.at, fix.late));
            }
            true
        });
        out.append(&mut dwells);
        self.enter(who, state, fix, out);
        state.known = true;
    }

    fn enter(&self, who: &InstallationId, state: &mut State, fix: &Observed, out: &mut Vec<Change>) {
        if fix.fast {
            return;
        }
        for fence in self.grid.near(fix.lat, fix.lon).map(|i| &self.fences[i]) {
            if !fence.bounds.contains(fix.lat, fix.lon) || state.stays.contains_key(&fence.id) {
                continue;
            }
            let Some(chance) = fence.chance(fix.lat, fix.lon, fix.accuracy_m).filter(|c| c.enter >= self.rules.enter_p) else { continue };
            let mut stay = Stay::begin(fence.store.clone(), Zone::Fence(fence.id.clone()), Signal::Position, fix.at);
            stay.initial = !state.known && !fix.from_afar;
            note(&mut stay, fix, chance.enter, &self.marks);
            out.push(stay.change(who, Phase::Enter, fix.at, fix.late));
            state.stays.insert(fence.id.clone(), stay);
        }
    }

    /// Judges a departure: outside by `exit_fixes` fixes in a row, or for `exit_after`.
    fn has_left(&self, stay: &mut Stay, fix: &Observed, chance: Chance) -> bool {
        if chance.stay > self.rules.exit_p {
            stay.leaving = None;
            stay.alive = stay.alive.max(fix.at);
            return false;
        }
        let leaving = stay.leaving.get_or_insert(Leaving { since: fix.at, fixes: 0 });
        leaving.fixes += 1;
        leaving.fixes >= self.rules.exit_fixes.max(1) || fix.at.since(leaving.since) >= millis(self.rules.exit_after)
    }
}

/// Evidence inside; true if a new dwell mark was passed.
#[expect(clippy::cast_possible_truncation, reason = "a probability and some metres need no more digits")]
fn note(stay: &mut Stay, fix: &Observed, p: f64, marks: &[i64]) -> bool {
    stay.p = p as f32;
    stay.accuracy_m = fix.accuracy_m as f32;
    stay.extend(fix.at, marks)
}

pub(super) fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
