//! One installation: puts its fixes into order.

mod past;
mod rerun;

use std::collections::HashSet;

use passage_protocol::Millis;

use self::past::{MOST_STEPS, Past, What, kept_from};
use super::{
    Crossing, Outcome,
    gate::{JumpGate, Place, Way},
    spots::Spot,
    stay::Teller,
    world::{Observed, State, World, after},
};
use crate::position::Fix;

/// A queue is over when nothing has arrived for so long.
const QUEUE_GAP_MS: i64 = 30_000;
/// How long "far from every store" is remembered.
const AFAR_MS: i64 = 24 * 3_600_000;

/// The belief about one installation with its recent past. No Debug: it holds places.
#[derive(Default)]
pub(super) struct Track {
    pub(super) state: State,
    /// The newest fix that was decided.
    pub(super) last: Option<Millis>,
    /// When the last fix arrived, however old it was.
    pub(super) heard: Millis,
    place: Option<Place>,
    gate: JumpGate,
    past: Past,
    /// Nothing before this can be amended: the belief from then is all that is left.
    floor: Option<Millis>,
}

impl Track {
    /// The belief after a restart: without a past, so fixes older than it can amend nothing.
    pub(super) fn restored(state: State, last: Option<Millis>, heard: Millis) -> Self {
        Self { state, last, heard, floor: last, ..Self::default() }
    }

    /// Another gateway looked after this installation meanwhile: whoever is inside now was inside already. A stay that we opened goes on, so that it
    /// is ended by us too.
    fn begin_anew(&mut self) {
        let stays = std::mem::take(&mut self.state.stays);
        *self = Self { state: State { seen: 0, stays }, heard: self.heard, ..Self::default() };
    }

    /// Takes a fix, in whatever order it comes. The fences that lay on the way to it go to `crossed`.
    pub(super) fn fix(&mut self, world: &World, fix: &Fix, now: Millis, teller: &mut Teller<'_>, crossed: &mut Vec<Crossing>) -> Outcome {
        if fix.fresh {
            self.begin_anew();
        }
        let accuracy_m = fix.accuracy_m.filter(|a| *a > 0.0).unwrap_or(world.rules.untold_accuracy_m);
        if !(fix.lat.is_finite() && fix.lon.is_finite()) || accuracy_m > world.rules.max_accuracy_m {
            return Outcome::Coarse;
        }
        let observed = Observed {
            at: fix.at,
            lat: fix.lat,
            lon: fix.lon,
            accuracy_m,
            fast: false,
            from_afar: fix.away.is_some_and(|away| away <= fix.at && fix.at.since(away) <= AFAR_MS),
            late: now.since(fix.at) > world.times.fresh,
        };
        self.heard = self.heard.max(now);
        if self.is_newer(fix.at) {
            self.newest(world, observed, fix.speed_kmh, teller, crossed)
        } else {
            self.older(world, observed, fix.speed_kmh, teller)
        }
    }

    /// Lets time pass; not while a queue of old fixes is still coming in, because its next fix may carry the stay on.
    pub(super) fn advance(&mut self, world: &World, now: Millis, teller: &mut Teller<'_>) {
        if self.due(world).is_some_and(|due| due <= now) {
            self.past.push(What::Time(now), &self.state);
            world.expire(&mut self.state, now, false, teller);
            self.trim(world);
        }
    }

    /// Ends the stays in zones that are there no more. What was believed before cannot be amended then: it would bring them back.
    pub(super) fn end_in(&mut self, gone: &HashSet<Spot>, teller: &mut Teller<'_>) {
        let before = self.state.stays.len();
        self.state.stays.retain(|stay| {
            let over = gone.contains(&stay.spot);
            if over {
                teller.exit(stay, false);
            }
            !over
        });
        if self.state.stays.len() < before {
            self.past = Past::default();
            self.floor = self.last;
        }
    }

    /// Reads a little of what stands in the record.
    pub(super) fn call_for_record(&self) -> u64 {
        u64::from(self.state.seen) ^ u64::from(self.floor.is_some()) ^ u64::from(self.place.is_some()) ^ self.past.call_for_steps()
    }

    /// Reads a little of what the record points at.
    pub(super) fn call_for(&self) -> u64 {
        self.past.call_for() ^ self.state.stays.first().map_or(0, |stay| u64::from(stay.marks))
    }

    /// When time alone will end a stay.
    pub(super) fn due(&self, world: &World) -> Option<Millis> {
        let first = self.state.stays.iter().map(|stay| world.due(stay)).min();
        first.map(|due| due.max(after(self.heard, QUEUE_GAP_MS)))
    }

    fn is_newer(&self, at: Millis) -> bool {
        self.last.is_none_or(|last| at > last)
    }

    /// Decides at once.
    fn newest(
        &mut self,
        world: &World,
        mut fix: Observed,
        speed_kmh: Option<f64>,
        teller: &mut Teller<'_>,
        crossed: &mut Vec<Crossing>,
    ) -> Outcome {
        let way = self.place.as_ref().map(|p| p.way_to(&fix));
        fix.fast = Way::is_fast(way, speed_kmh, world);
        if !self.gate.passes(way, &fix, &world.rules) {
            return Outcome::Jump;
        }
        if let (Some(from), Some(way)) = (&self.place, way)
            && way.may_cross(world)
        {
            world.cross(&self.state, (from, &Place::of(&fix)), crossed);
        }
        self.past.push(What::Fix(fix), &self.state);
        world.observe(&mut self.state, &fix, teller);
        self.last = Some(fix.at);
        self.place = Some(Place::of(&fix));
        self.trim(world);
        Outcome::Decided
    }

    /// Puts an older fix into its place, if that is still known.
    fn older(&mut self, world: &World, mut fix: Observed, speed_kmh: Option<f64>, teller: &mut Teller<'_>) -> Outcome {
        let index = self.past.all().rposition(|w| w.at() <= fix.at && w.is_fix()).map_or(0, |i| i + 1);
        let earlier = self.past.all().take(index).rev().filter(|w| w.at() < fix.at).find_map(|w| w.place());
        let way = earlier.as_ref().map(|p| p.way_to(&fix));
        fix.fast = Way::is_fast(way, speed_kmh, world);
        if let Some(What::Fix(known)) = index.checked_sub(1).and_then(|i| self.past.what(i)).filter(|w| w.at() == fix.at) {
            return self.replace(world, index - 1, (&known, fix), teller);
        }
        if !self.can_amend(world, fix.at) {
            return Outcome::Late;
        }
        if way.is_some_and(|w| w.is_jump(&world.rules)) {
            return Outcome::Jump;
        }
        fix.late = true;
        self.rerun(world, teller, None, index, |steps| steps.insert(0, What::Fix(fix)));
        Outcome::Amended
    }

    /// Several places for one time: the one with the best accuracy counts.
    fn replace(&mut self, world: &World, index: usize, (known, fix): (&Observed, Observed), teller: &mut Teller<'_>) -> Outcome {
        let before = self.past.all().take(index).rev().find_map(|w| w.place());
        if fix.accuracy_m >= known.accuracy_m || before.is_some_and(|b| b.way_to(&fix).is_jump(&world.rules)) {
            return Outcome::Duplicate;
        }
        let newest = self.last == Some(fix.at);
        if newest {
            self.place = Some(Place::of(&fix));
        }
        self.rerun(world, teller, (newest && !fix.late).then_some(fix.at), index, |steps| steps[0] = What::Fix(fix));
        if newest { Outcome::Decided } else { Outcome::Amended }
    }

    /// An older fix fits in only where the belief before it is still known.
    fn can_amend(&self, world: &World, at: Millis) -> bool {
        let Some(oldest) = self.past.all().find(What::is_fix).map(|w| w.at()) else { return false };
        let in_time = self.last.is_some_and(|last| last.since(at) <= world.times.reorder);
        let above_floor = self.floor.is_none_or(|floor| at > floor);
        in_time && above_floor && (self.past.len() < MOST_STEPS || at > oldest)
    }

    fn trim(&mut self, world: &World) {
        if let Some(last) = self.last {
            self.past.trim(kept_from(last, world));
        }
    }
}
