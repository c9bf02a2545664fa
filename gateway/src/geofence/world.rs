//! What a fix means: the fences, the rules, and one step of the pure state of one installation.

use std::{collections::HashMap, time::Duration};

use passage_config::{GeofenceRules, Site};
use passage_protocol::{FenceId, Millis, Phase, Signal, Zone};
use smallvec::SmallVec;

use super::{
    area::Grid,
    chance::Chance,
    fence::Fence,
    spots::{Spot, Spots},
    stay::{Leaving, Stay, Teller},
};

/// No fence has this number.
const NOT_DRAWN: u32 = u32::MAX;

/// Fences and rules; the same for everybody.
pub(super) struct World {
    pub(super) fences: Vec<Fence>,
    /// Which fence is drawn at a spot; [`NOT_DRAWN`] where there is none.
    drawn: Vec<u32>,
    pub(super) grid: Grid,
    pub(super) rules: GeofenceRules,
    pub(super) times: Times,
    /// Dwell marks in milliseconds, ascending.
    pub(super) marks: Vec<i64>,
    /// How often fences were drawn anew since the start, from 1.
    pub(super) drawing: u32,
    youngest: u32,
}

/// The rules' durations in milliseconds.
pub(super) struct Times {
    pub(super) silence: i64,
    pub(super) reorder: i64,
    pub(super) fresh: i64,
    pub(super) speed_within: i64,
    pub(super) cross_within: i64,
    exit_after: i64,
}

/// What is believed of one installation.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The drawing by which its last fix was decided; 0 before the first. A fence that is younger was entered before anybody looked.
    pub(super) seen: u32,
    /// One at most, most of the time, and so in the record itself.
    pub(super) stays: SmallVec<[Stay; 1]>,
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
    /// The fences of `site`; those that stood in `before` as they are now keep their age.
    pub(super) fn new(site: &Site, rules: GeofenceRules, marks: Vec<Duration>, spots: &mut Spots, before: Option<&Self>) -> Self {
        let mut fences: Vec<Fence> =
            site.geofences.values().map(|g| Fence::new(g, spots.number(&g.store, &Zone::Fence(g.id.clone())), &rules)).collect();
        let drawing = before.map_or(1, |b| b.drawing + 1);
        let known: HashMap<Spot, &Fence> = before.iter().flat_map(|b| &b.fences).map(|f| (f.spot, f)).collect();
        let mut drawn = Vec::new();
        for (i, fence) in (0..).zip(&mut fences) {
            fence.born = known.get(&fence.spot).filter(|old| old.label.print == fence.label.print).map_or(drawing, |old| old.born);
            drawn.resize(drawn.len().max(fence.spot.index() + 1), NOT_DRAWN);
            drawn[fence.spot.index()] = i;
        }
        // A fence can be entered from outside its border only where the threshold allows it.
        let margin_m = if rules.enter_p > 0.5 { 0.0 } else { 3.0 * rules.max_accuracy_m };
        let mut marks: Vec<i64> = marks.into_iter().map(millis).collect();
        marks.sort_unstable();
        marks.dedup();
        let grid = Grid::new(fences.iter().map(|f| f.area.bounds.widened(margin_m)));
        let youngest = fences.iter().map(|f| f.born).max().unwrap_or(0);
        Self { grid, fences, drawn, times: Times::of(&rules), rules, marks, drawing, youngest }
    }

    /// The fences as they were when the gateway last ran: all others are drawn anew.
    pub(super) fn stood_before(&mut self, prints: &HashMap<FenceId, String>) {
        self.drawing += 1;
        for fence in &mut self.fences {
            if prints.get(&fence.label.id) != Some(&fence.label.print) {
                fence.born = self.drawing;
                self.youngest = self.drawing;
            }
        }
    }

    /// The drawing in which the youngest fence first stood.
    pub(super) fn youngest(&self) -> u32 {
        self.youngest
    }

    /// The fence at a spot, if one is drawn there.
    pub(super) fn fence_at(&self, spot: Spot) -> Option<&Fence> {
        self.fences.get(*self.drawn.get(spot.index())? as usize)
    }

    /// Lets time pass up to `now`: stays end after silence, and after a departure that has held long enough.
    pub(super) fn expire(&self, state: &mut State, now: Millis, late: bool, teller: &mut Teller<'_>) {
        state.stays.retain(|stay| {
            let over = self.due(stay) <= now;
            if over {
                teller.exit(stay, late);
            }
            !over
        });
    }

    /// When this stay ends if nothing more is heard.
    pub(super) fn due(&self, stay: &Stay) -> Millis {
        let silent = after(stay.alive, self.times.silence);
        stay.leaving.map_or(silent, |l| silent.min(after(l.since, self.times.exit_after)))
    }

    /// Takes one fix: first who left, then who stays, then who came.
    pub(super) fn observe(&self, state: &mut State, fix: &Observed, teller: &mut Teller<'_>) {
        if !state.stays.is_empty() {
            self.expire(state, fix.at, fix.late, teller);
            self.judge_stays(state, fix, teller);
        }
        if !fix.fast {
            self.enter(state, fix, teller);
        }
        state.seen = self.drawing;
    }

    fn judge_stays(&self, state: &mut State, fix: &Observed, teller: &mut Teller<'_>) {
        let mut dwells = Vec::new();
        state.stays.retain(|stay| {
            // A fence that is no longer drawn gets no more evidence; silence ends the stay.
            let Some(chance) = self.fence_at(stay.spot).and_then(|f| f.chance(fix.lat, fix.lon, fix.accuracy_m)) else { return true };
            if self.has_left(stay, fix, chance) {
                teller.exit(stay, fix.late);
                return false;
            }
            if chance.stay >= self.rules.enter_p && note(stay, fix, chance.stay, &self.marks) {
                dwells.push(*stay);
            }
            true
        });
        for stay in dwells {
            teller.tell(&stay, Phase::Dwell, fix.at, fix.late);
        }
    }

    fn enter(&self, state: &mut State, fix: &Observed, teller: &mut Teller<'_>) {
        for fence in self.grid.near(fix.lat, fix.lon).map(|i| &self.fences[i]) {
            if state.stays.iter().any(|stay| stay.spot == fence.spot) {
                continue;
            }
            let Some(p) = fence.enters(fix.lat, fix.lon, fix.accuracy_m, self.rules.enter_p) else { continue };
            let mut stay = Stay::begin(fence.spot, Signal::Position, fix.at);
            stay.initial = state.seen < fence.born && !fix.from_afar;
            note(&mut stay, fix, p, &self.marks);
            teller.tell(&stay, Phase::Enter, fix.at, fix.late);
            state.stays.push(stay);
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
        leaving.fixes >= self.rules.exit_fixes.max(1) || fix.at.since(leaving.since) >= self.times.exit_after
    }
}

impl Times {
    fn of(rules: &GeofenceRules) -> Self {
        Self {
            silence: millis(rules.silence),
            reorder: millis(rules.reorder),
            fresh: millis(rules.fresh),
            speed_within: millis(rules.speed_within),
            cross_within: millis(rules.cross_within),
            exit_after: millis(rules.exit_after),
        }
    }
}

/// Evidence inside; true if a new dwell mark was passed.
#[expect(clippy::cast_possible_truncation, reason = "a probability and some metres need no more digits")]
fn note(stay: &mut Stay, fix: &Observed, p: f64, marks: &[i64]) -> bool {
    stay.p = p as f32;
    stay.accuracy_m = fix.accuracy_m as f32;
    stay.extend(fix.at, marks)
}

/// `ms` milliseconds later.
pub(super) fn after(at: Millis, ms: i64) -> Millis {
    Millis(at.0.saturating_add(ms))
}

pub(super) fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
