//! One installation: puts its fixes into order, and tells what changed when an older one arrives.

use std::{collections::VecDeque, time::Duration};

use passage_protocol::{FenceId, InstallationId, Millis, Phase, Zone};

use super::{
    Counts,
    gate::{JumpGate, Place},
    stay::Stay,
    world::{Observed, State, World, millis},
};
use crate::{Change, position::Fix};

/// Steps that are kept for re-running; more fixes than this within the reorder time are rare.
const MOST_STEPS: usize = 48;
/// Accuracy of a fix that does not tell its own.
const UNTOLD_ACCURACY_M: f64 = 65.0;
/// Evidence older than this on arrival never triggers anything.
const FRESH_MS: i64 = 180_000;
/// A queue is over when nothing has arrived for so long.
const QUEUE_GAP: Duration = Duration::from_secs(30);
/// How long "far from every store" is remembered.
const AFAR_MS: i64 = 24 * 3_600_000;

/// What happened to the belief, and the belief before it.
#[derive(Clone)]
struct Step {
    before: State,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Fix(Observed),
    /// Time alone ended a stay.
    Time(Millis),
}

/// The belief about one installation with its recent past. No Debug: it holds places.
#[derive(Default)]
pub(super) struct Track {
    pub(super) state: State,
    /// The newest fix that was decided.
    pub(super) last: Option<Millis>,
    place: Option<Place>,
    gate: JumpGate,
    /// When the last fix arrived, however old it was.
    pub(super) heard: Millis,
    steps: VecDeque<Step>,
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
        *self = Self { state: State { known: false, stays }, heard: self.heard, ..Self::default() };
    }

    /// Takes a fix, in whatever order it comes.
    pub(super) fn fix(&mut self, world: &World, fix: &Fix, now: Millis, counts: &mut Counts, out: &mut Vec<Change>) {
        if fix.fresh {
            self.begin_anew();
        }
        let accuracy_m = fix.accuracy_m.filter(|a| *a > 0.0).unwrap_or(UNTOLD_ACCURACY_M);
        if !(fix.lat.is_finite() && fix.lon.is_finite()) || accuracy_m > world.rules.max_accuracy_m {
            counts.coarse += 1;
            return;
        }
        let mut observed = Observed {
            at: fix.at,
            lat: fix.lat,
            lon: fix.lon,
            accuracy_m,
            fast: false,
            from_afar: fix.away.is_some_and(|away| away <= fix.at && fix.at.since(away) <= AFAR_MS),
            late: now.since(fix.at) > FRESH_MS,
        };
        self.heard = self.heard.max(now);
        let index = self.steps.iter().rposition(|s| s.at() <= fix.at && s.is_fix()).map_or(0, |i| i + 1);
        let earlier = self.steps.range(..index).rev().filter(|s| s.at() < fix.at);
        let previous = earlier.filter_map(Step::place).next().or(self.place.filter(|_| self.is_newer(fix.at)));
        observed.fast = Place::is_fast(previous.as_ref(), &observed, fix.speed_kmh);
        if self.is_newer(fix.at) {
            self.newest(world, &fix.installation, observed, counts, out);
        } else if self.same_time(index, fix.at) {
            self.replace(world, &fix.installation, index - 1, observed, counts, out);
        } else if self.can_amend(world, fix.at) && !previous.is_some_and(|p| p.is_jump_to(&observed)) {
            observed.late = true;
            counts.amended += 1;
            self.rerun(world, &fix.installation, out, true, |steps| {
                steps.insert(index, Step { before: State::default(), what: What::Fix(observed) });
                index
            });
        } else {
            counts.late += 1;
        }
    }

    /// Lets time pass; not while a queue of old fixes is still coming in, because its next fix may carry the stay on.
    pub(super) fn advance(&mut self, world: &World, who: &InstallationId, now: Millis, out: &mut Vec<Change>) {
        if self.due(world).is_some_and(|due| due <= now) {
            let step = Step { before: self.state.clone(), what: What::Time(now) };
            world.expire(who, &mut self.state, now, false, out);
            self.remember(world, step);
        }
    }

    /// When time alone will end a stay.
    pub(super) fn due(&self, world: &World) -> Option<Millis> {
        let first = self.state.stays.values().map(|stay| world.due(stay)).min();
        first.map(|due| due.max(self.heard + QUEUE_GAP))
    }

    fn is_newer(&self, at: Millis) -> bool {
        self.last.is_none_or(|last| at > last)
    }

    fn newest(&mut self, world: &World, who: &InstallationId, fix: Observed, counts: &mut Counts, out: &mut Vec<Change>) {
        if !self.gate.passes(self.place.as_ref(), &fix) {
            counts.jumps += 1;
            return;
        }
        let step = Step { before: self.state.clone(), what: What::Fix(fix) };
        world.observe(who, &mut self.state, &fix, out);
        self.last = Some(fix.at);
        self.place = Some(Place::of(&fix));
        self.remember(world, step);
    }

    /// Several places for one time: the one with the best accuracy counts.
    fn replace(&mut self, world: &World, who: &InstallationId, index: usize, fix: Observed, counts: &mut Counts, out: &mut Vec<Change>) {
        let What::Fix(known) = self.steps[index].what else { return };
        let before = self.steps.range(..index).rev().find_map(Step::place);
        if fix.accuracy_m >= known.accuracy_m || before.is_some_and(|b| b.is_jump_to(&fix)) {
            counts.duplicates += 1;
            return;
        }
        let newest = self.last == Some(fix.at);
        if newest {
            self.place = Some(Place::of(&fix));
        }
        self.rerun(world, who, out, !newest || fix.late, |steps| {
            steps[index].what = What::Fix(fix);
            index
        });
    }

    /// Changes the past and tells the difference. What was told is never taken back; both sides alternate, so only the tail can be missing.
    fn rerun(
        &mut self,
        world: &World,
        who: &InstallationId,
        out: &mut Vec<Change>,
        late: bool,
        edit: impl FnOnce(&mut VecDeque<Step>) -> usize,
    ) {
        let steps_before = self.steps.clone();
        let told_state = std::mem::take(&mut self.state);
        let from = edit(&mut self.steps);
        let start = steps_before.get(from).map_or_else(|| told_state.clone(), |s| s.before.clone());
        let (_, told) = replay(world, who, start.clone(), steps_before.range(from..).cloned());
        let (state, new) = self.replay_and_store(world, who, start, from);
        self.state = state;
        difference(world, who, (&told_state, &told), (&mut self.state, new), late, out);
        self.trim(world);
    }

    fn replay_and_store(&mut self, world: &World, who: &InstallationId, start: State, from: usize) -> (State, Vec<Change>) {
        let (mut state, mut out) = (start, Vec::new());
        for step in self.steps.range_mut(from..) {
            step.before = state.clone();
            step.what.apply(world, who, &mut state, &mut out);
        }
        (state, out)
    }

    fn same_time(&self, index: usize, at: Millis) -> bool {
        index > 0 && self.steps[index - 1].at() == at
    }

    /// An older fix fits in only where the belief before it is still known.
    fn can_amend(&self, world: &World, at: Millis) -> bool {
        let Some(oldest) = self.steps.iter().find(|s| s.is_fix()).map(Step::at) else { return false };
        let in_time = self.last.is_some_and(|last| last.since(at) <= millis(world.rules.reorder));
        let above_floor = self.floor.is_none_or(|floor| at > floor);
        in_time && above_floor && (self.steps.len() < MOST_STEPS || at > oldest)
    }

    fn remember(&mut self, world: &World, step: Step) {
        self.steps.push_back(step);
        self.trim(world);
    }

    fn trim(&mut self, world: &World) {
        let Some(last) = self.last else { return };
        let kept_from = last - world.rules.reorder;
        while self.steps.len() > MOST_STEPS || (self.steps.len() > 1 && self.steps.front().is_some_and(|s| s.at() < kept_from)) {
            self.steps.pop_front();
        }
    }
}

impl Step {
    fn at(&self) -> Millis {
        match self.what {
            What::Fix(fix) => fix.at,
            What::Time(at) => at,
        }
    }

    fn is_fix(&self) -> bool {
        matches!(self.what, What::Fix(_))
    }

    fn place(&self) -> Option<Place> {
        match &self.what {
            What::Fix(fix) => Some(Place::of(fix)),
            What::Time(_) => None,
        }
    }
}

impl What {
    fn apply(&self, world: &World, who: &InstallationId, state: &mut State, out: &mut Vec<Change>) {
        match self {
            Self::Fix(fix) => world.observe(who, state, fix, out),
            Self::Time(now) => world.expire(who, state, *now, false, out),
        }
    }
}

fn replay(world: &World, who: &InstallationId, mut state: State, steps: impl Iterator<Item = Step>) -> (State, Vec<Change>) {
    let mut out = Vec::new();
    for step in steps {
        step.what.apply(world, who, &mut state, &mut out);
    }
    (state, out)
}

/// Tells what the new past adds to the told one, fence by fence, so that enter and exit go on alternating.
fn difference(
    world: &World,
    who: &InstallationId,
    (told_state, told): (&State, &[Change]),
    (state, new): (&mut State, Vec<Change>),
    late: bool,
    out: &mut Vec<Change>,
) {
    let mut fences: Vec<FenceId> = told.iter().chain(&new).filter_map(fence_of).collect();
    fences.extend(told_state.stays.keys().chain(state.stays.keys()).cloned());
    fences.sort_unstable();
    fences.dedup();
    for fence in fences {
        let moves = |list: &[Change]| list.iter().filter(|c| is_move_in(c, &fence)).count();
        let (old_moves, new_moves) = (moves(told), moves(&new));
        let (old_stay, new_stay) = (told_state.stays.get(&fence), state.stays.get_mut(&fence));
        if new_moves > old_moves {
            let added = new.iter().filter(|c| is_move_in(c, &fence)).skip(old_moves);
            out.extend(added.map(|c| Change { late: c.late || late, ..c.clone() }));
        } else {
            settle(world, who, old_stay, new_stay, late, out);
        }
    }
}

/// The told and the new past end differently, or with more dwell than was told.
fn settle(world: &World, who: &InstallationId, told: Option<&Stay>, new: Option<&mut Stay>, late: bool, out: &mut Vec<Change>) {
    match (told, new) {
        (None, Some(stay)) => out.push(stay.change(who, Phase::Enter, stay.last, late)),
        (Some(stay), None) => out.push(stay.exit(who, late)),
        (Some(told), Some(stay)) => {
            // What was told of this stay stays true of it.
            stay.initial = told.initial;
            stay.first = stay.first.min(told.first);
            let last = stay.last;
            stay.marks = told.marks;
            if stay.passes_mark(&world.marks) {
                out.push(stay.change(who, Phase::Dwell, last, late));
            }
        }
        (None, None) => {}
    }
}

fn fence_of(change: &Change) -> Option<FenceId> {
    match &change.zone {
        Zone::Fence(id) => Some(id.clone()),
        _ => None,
    }
}

fn is_move_in(change: &Change, fence: &FenceId) -> bool {
    change.phase != Phase::Dwell && matches!(&change.zone, Zone::Fence(id) if id == fence)
}
