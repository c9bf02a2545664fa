//! The recent past of one installation: what happened, and the belief before it.
//!
//! A fix of one of 100,000 phones finds nothing of it in the processor's cache, so it is small: steps in one ring, and the stays before them, of which
//! there are none most of the time, in another.

use std::collections::VecDeque;

use passage_protocol::Millis;

use crate::geofence::{
    gate::Place,
    stay::{Stay, Teller},
    world::{Observed, State, World, after},
};

/// Steps that are kept for re-running; more fixes than this within the reorder time are rare.
pub(super) const MOST_STEPS: usize = 48;

/// What happened to the belief.
#[derive(Clone, Copy)]
pub(super) enum What {
    Fix(Observed),
    /// Time alone ended a stay.
    Time(Millis),
}

/// What happened, and of the belief before it what is not in [`Past::stays`].
#[derive(Clone, Copy)]
struct Step {
    what: What,
    seen: u32,
    /// So many of the stays belong to it.
    stays: u32,
}

/// The steps that can be played again. No Debug: it holds places.
#[derive(Default)]
pub(super) struct Past {
    steps: VecDeque<Step>,
    /// The stays before the first step, before the second, and so on.
    stays: VecDeque<Stay>,
}

impl Past {
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Notes what is about to happen to `before`.
    pub(super) fn push(&mut self, what: What, before: &State) {
        let stays = u32::try_from(before.stays.len()).unwrap_or(u32::MAX);
        self.steps.push_back(Step { what, seen: before.seen, stays });
        self.stays.extend(&before.stays);
    }

    /// What happened at a position.
    pub(super) fn what(&self, index: usize) -> Option<What> {
        self.steps.get(index).map(|s| s.what)
    }

    /// What happened, oldest first.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = What> + ExactSizeIterator {
        self.steps.iter().map(|s| s.what)
    }

    /// Takes out the steps from a position on: the belief before them, and what happened. `present` is the belief after the last.
    pub(super) fn cut(&mut self, index: usize, present: &State) -> (State, Vec<What>) {
        let Some(first) = self.steps.get(index).copied() else { return (present.clone(), Vec::new()) };
        let kept: usize = self.steps.range(..index).map(|s| s.stays as usize).sum();
        let before = self.stays.range(kept..kept + first.stays as usize).copied().collect();
        self.stays.truncate(kept);
        let steps = self.steps.drain(index..).map(|s| s.what).collect();
        (State { seen: first.seen, stays: before }, steps)
    }

    /// Forgets what is older than `kept_from` or too much; the newest step stays.
    pub(super) fn trim(&mut self, kept_from: Millis) {
        while self.len() > MOST_STEPS || (self.len() > 1 && self.steps.front().is_some_and(|s| s.what.at() < kept_from)) {
            let gone = self.steps.pop_front().map_or(0, |s| s.stays as usize);
            if gone > 0 {
                self.stays.drain(..gone);
            }
        }
    }
}

impl What {
    pub(super) fn at(&self) -> Millis {
        match self {
            Self::Fix(fix) => fix.at,
            Self::Time(at) => *at,
        }
    }

    pub(super) fn is_fix(&self) -> bool {
        matches!(self, Self::Fix(_))
    }

    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::Fix(fix) => Some(Place::of(fix)),
            Self::Time(_) => None,
        }
    }

    pub(super) fn apply(&self, world: &World, state: &mut State, teller: &mut Teller<'_>) {
        match self {
            Self::Fix(fix) => world.observe(state, fix, teller),
            Self::Time(now) => world.expire(state, *now, false, teller),
        }
    }
}

/// From when on a past is kept whose newest fix was at `last`.
pub(super) fn kept_from(last: Millis, world: &World) -> Millis {
    after(last, -world.times.reorder)
}

#[cfg(test)]
mod tests {
    use passage_protocol::Signal;
    use proptest::prelude::*;

    use super::*;
    use crate::geofence::spots::Spots;

    /// The belief number `n`, with so many stays.
    fn belief(n: u32, stays: usize) -> State {
        let mut spots = Spots::default();
        let spot = spots.number(&"lyon".parse().unwrap(), &passage_protocol::Zone::In);
        State { seen: n, stays: vec![Stay::begin(spot, Signal::Position, Millis(n.into())); stays] }
    }

    fn told(state: &State) -> (u32, Vec<Millis>) {
        (state.seen, state.stays.iter().map(|s| s.first).collect())
    }

    proptest! {
        /// Against the plain way, which keeps a whole belief with each step.
        #[test]
        fn every_belief_comes_back_as_it_was(steps in proptest::collection::vec((0_u32..4, 0_usize..4, 0_usize..60), 1..200)) {
            let (mut past, mut plain) = (Past::default(), Vec::<(State, Millis)>::new());
            let present = belief(1_000_000, 2);
            for (n, (what, stays, index)) in (0_u32..).zip(steps) {
                match what {
                    0 => {
                        let (before, cut) = past.cut(index, &present);
                        let want = plain.get(index).map_or(told(&present), |(state, _)| told(state));
                        prop_assert_eq!(told(&before), want);
                        let gone: Vec<Millis> = plain.drain(index.min(plain.len())..).map(|(_, at)| at).collect();
                        prop_assert_eq!(cut.iter().map(What::at).collect::<Vec<_>>(), gone);
                    }
                    1 => {
                        let from = Millis((n.saturating_sub(u32::try_from(index).unwrap())).into());
                        past.trim(from);
                        while plain.len() > MOST_STEPS || (plain.len() > 1 && plain[0].1 < from) {
                            plain.remove(0);
                        }
                    }
                    _ => {
                        past.push(What::Time(Millis(n.into())), &belief(n, stays));
                        plain.push((belief(n, stays), Millis(n.into())));
                    }
                }
                prop_assert_eq!(past.all().map(|w| w.at()).collect::<Vec<_>>(), plain.iter().map(|(_, at)| *at).collect::<Vec<_>>());
            }
        }
    }
}
