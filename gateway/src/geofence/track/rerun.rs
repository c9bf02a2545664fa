//! Changes the past and tells the difference. What was told is never taken back; both sides alternate, so only the tail can be missing.

use passage_protocol::{Millis, Phase, Zone};

use super::{Track, What};
use crate::{
    Change,
    geofence::{
        stay::{Stay, Teller},
        world::{State, World},
    },
};

impl Track {
    /// Lets `edit` change what happened from the step at `from` on, and plays it again. Everything that this adds is late, but for what rests on
    /// the `fresh` fix.
    pub(super) fn rerun(
        &mut self,
        world: &World,
        teller: &mut Teller<'_>,
        fresh: Option<Millis>,
        from: usize,
        edit: impl FnOnce(&mut Vec<What>),
    ) {
        let (start, mut steps) = self.past.cut(from, &self.state);
        let told = replay(world, teller, start.clone(), &steps);
        edit(&mut steps);
        let told_state = std::mem::replace(&mut self.state, start);
        let new = self.replay_and_store(world, teller, &steps);
        difference(world, (&told_state, &told), (&mut self.state, new), fresh, teller);
        self.trim(world);
    }

    fn replay_and_store(&mut self, world: &World, teller: &Teller<'_>, steps: &[What]) -> Vec<Change> {
        let mut out = Vec::new();
        let mut quiet = Teller { who: teller.who, spots: teller.spots, out: &mut out };
        for step in steps {
            self.past.push(*step, &self.state);
            step.apply(world, &mut self.state, &mut quiet);
        }
        out
    }
}

fn replay(world: &World, teller: &Teller<'_>, mut state: State, steps: &[What]) -> Vec<Change> {
    let mut out = Vec::new();
    let mut quiet = Teller { who: teller.who, spots: teller.spots, out: &mut out };
    for step in steps {
        step.apply(world, &mut state, &mut quiet);
    }
    out
}

/// Tells what the new past adds to the told one, fence by fence, so that enter and exit go on alternating.
fn difference(
    world: &World,
    (told_state, told): (&State, &[Change]),
    (state, new): (&mut State, Vec<Change>),
    fresh: Option<Millis>,
    teller: &mut Teller<'_>,
) {
    let mut zones: Vec<Zone> = told.iter().chain(&new).map(|c| c.zone.clone()).collect();
    zones.extend(told_state.stays.iter().chain(&state.stays).map(|stay| teller.spots.name(stay.spot).1.clone()));
    zones.sort_unstable();
    zones.dedup();
    let is_late = |c: &Change| if c.phase == Phase::Exit { fresh.is_none() } else { fresh != Some(c.at) };
    for zone in zones {
        let is_here = |stay: &Stay| teller.spots.name(stay.spot).1 == zone;
        let old_stay = told_state.stays.iter().find(|s| is_here(s));
        let new_stay = state.stays.iter_mut().find(|s| is_here(s));
        let is_move = |c: &&Change| c.phase != Phase::Dwell && c.zone == zone;
        let old_moves = told.iter().filter(is_move).count();
        let added: Vec<&Change> = new.iter().filter(is_move).skip(old_moves).collect();
        if added.is_empty() {
            settle(world, old_stay, new_stay, fresh, teller);
        } else {
            teller.out.extend(added.into_iter().map(|c| Change { late: c.late || is_late(c), ..c.clone() }));
        }
    }
}

/// The told and the new past end differently, or with more dwell than was told.
fn settle(world: &World, told: Option<&Stay>, new: Option<&mut Stay>, fresh: Option<Millis>, teller: &mut Teller<'_>) {
    let is_late = |stay: &Stay| fresh != Some(stay.last);
    match (told, new) {
        (None, Some(stay)) => teller.tell(stay, Phase::Enter, stay.last, is_late(stay)),
        (Some(stay), None) => teller.exit(stay, fresh.is_none()),
        (Some(told), Some(stay)) => {
            // What was told of this stay stays true of it.
            stay.initial = told.initial;
            stay.first = stay.first.min(told.first);
            stay.marks = told.marks;
            if stay.passes_mark(&world.marks) {
                teller.tell(stay, Phase::Dwell, stay.last, is_late(stay));
            }
        }
        (None, None) => {}
    }
}
