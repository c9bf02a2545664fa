//! The recent past of one installation: what happened, and the belief before it.
//!
//! A fix of one of 100,000 phones finds nothing of it in the processor's cache, so it is small: the few steps of a phone that reports every half minute
//! stand in its record, and the stays before them, of which there are none most of the time, in one ring.

use std::collections::VecDeque;

use passage_protocol::Millis;
use smallvec::SmallVec;

use crate::geofence::{
    gate::Place,
    stay::{Stay, Teller},
    world::{Observed, State, World, after},
};

/// Steps that are kept for re-running; more fixes than this within the reorder time are rare.
pub(super) const MOST_STEPS: usize = 48;
/// Steps that stand in the record itself: as many as two minutes have of half minutes, and one that is about to go.
const NEAR_STEPS: usize = 6;

/// What happened to the belief.
#[derive(Clone, Copy)]
pub(super) enum What {
    Fix(Observed),
    /// Time alone ended a stay.
    Time(Millis),
}

/// What happened, and of the belief before it what is not in [`Past::stays`]. Without a gap, because there are six of it for each phone.
#[derive(Clone, Copy)]
struct Step {
    at: Millis,
    lat: f64,
    lon: f64,
    accuracy_m: f64,
    seen: u32,
    /// So many of the stays belong to it.
    stays: u16,
    kind: Kind,
}

/// Bits that tell what a step was; without [`Kind::FIX`], time alone.
#[derive(Clone, Copy)]
struct Kind(u8);

/// The steps that can be played again. No Debug: it holds places.
#[derive(Default)]
pub(super) struct Past {
    steps: SmallVec<[Step; NEAR_STEPS]>,
    /// The stays before the first step, before the second, and so on.
    stays: VecDeque<Stay>,
}

impl Past {
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Notes what is about to happen to `before`.
    pub(super) fn push(&mut self, what: What, before: &State) {
        let stays = u16::try_from(before.stays.len()).unwrap_or(u16::MAX);
        self.steps.push(Step::new(what, before.seen, stays));
        self.stays.extend(before.stays.iter().take(stays.into()));
    }

    /// What happened at a position.
    pub(super) fn what(&self, index: usize) -> Option<What> {
        self.steps.get(index).map(Step::what)
    }

    /// What happened, oldest first.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = What> + ExactSizeIterator {
        self.steps.iter().map(Step::what)
    }

    /// Takes out the steps from a position on: the belief before them, and what happened. `present` is the belief after the last.
    pub(super) fn cut(&mut self, index: usize, present: &State) -> (State, Vec<What>) {
        let Some(first) = self.steps.get(index).copied() else { return (present.clone(), Vec::new()) };
        let kept: usize = self.steps[..index].iter().map(|s| usize::from(s.stays)).sum();
        let before = self.stays.range(kept..kept + usize::from(first.stays)).copied().collect();
        self.stays.truncate(kept);
        let steps = self.steps.drain(index..).map(|s| s.what()).collect();
        (State { seen: first.seen, stays: before }, steps)
    }

    /// Forgets what is older than `kept_from` or too much; the newest step stays.
    pub(super) fn trim(&mut self, kept_from: Millis) {
        let too_many = self.len().saturating_sub(MOST_STEPS);
        let but_the_newest = self.len().saturating_sub(1);
        let old = self.steps[..but_the_newest].iter().skip(too_many).take_while(|s| s.at < kept_from).count();
        if too_many + old == 0 {
            return;
        }
        let stays: usize = self.steps.drain(..too_many + old).map(|s| usize::from(s.stays)).sum();
        self.stays.drain(..stays);
    }

    /// Reads a little of the steps, which [`Self::trim`] will move.
    pub(super) fn call_for_steps(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum ^ u64::from(step.seen))
    }

    /// Reads a little of the stays before them.
    pub(super) fn call_for(&self) -> u64 {
        self.stays.back().map_or(0, |stay| u64::from(stay.marks))
    }
}

impl Step {
    fn new(what: What, seen: u32, stays: u16) -> Self {
        match what {
            What::Fix(Observed { at, lat, lon, accuracy_m, fast, from_afar, late }) => {
                Self { at, lat, lon, accuracy_m, seen, stays, kind: Kind::of_fix(fast, from_afar, late) }
            }
            What::Time(at) => Self { at, lat: 0.0, lon: 0.0, accuracy_m: 0.0, seen, stays, kind: Kind(0) },
        }
    }

    fn what(&self) -> What {
        let Self { at, lat, lon, accuracy_m, kind, .. } = *self;
        if kind.has(Kind::FIX) {
            let (fast, from_afar, late) = (kind.has(Kind::FAST), kind.has(Kind::FROM_AFAR), kind.has(Kind::LATE));
            What::Fix(Observed { at, lat, lon, accuracy_m, fast, from_afar, late })
        } else {
            What::Time(at)
        }
    }
}

impl Kind {
    const FIX: u8 = 1;
    const FAST: u8 = 2;
    const FROM_AFAR: u8 = 4;
    const LATE: u8 = 8;

    fn of_fix(fast: bool, from_afar: bool, late: bool) -> Self {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        Self(Self::FIX | bit(fast, Self::FAST) | bit(from_afar, Self::FROM_AFAR) | bit(late, Self::LATE))
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
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
        State { seen: n, stays: std::iter::repeat_n(Stay::begin(spot, Signal::Position, Millis(n.into())), stays).collect() }
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
