//! Fences that lay on the way from one fix to the next. Nobody was seen in them, so this is noted and counts for nothing: no enter, no visit, no message.
//!
//! Who goes straight is, after a share `t` of the way, at `(1 - t) a + t b`. The errors of both fixes are independent of each other, so the accuracy
//! there is `sqrt(((1 - t) r)^2 + (t s)^2)`, and how likely the phone was inside at that moment follows as it does for a fix. A fence was crossed when
//! that is enough to come in, somewhere on the way, while both fixes are as far outside as it takes to leave.

use passage_protocol::{FenceId, Millis};

use super::{
    chance::Chance,
    fence::Fence,
    gate::Place,
    world::{State, World},
};

/// Points of the way that are looked at in the box of one fence, at most.
const STEPS: f64 = 128.0;

/// A fence that somebody has crossed between two fixes, as far as a straight way tells. It holds no place.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Which fence.
    pub fence: FenceId,
    /// Time of the fix before it.
    pub from: Millis,
    /// Time of the fix behind it.
    pub to: Millis,
    /// Probability of having been inside, where it is highest.
    pub p: f64,
    /// 68 % radius of the place there, metres.
    pub accuracy_m: f64,
}

/// The straight way between two fixes.
struct Leg {
    /// Latitude and longitude of its beginning.
    from: (f64, f64),
    /// Degrees to its end, the short way around the Earth.
    by: (f64, f64),
    metres: f64,
    /// Of its beginning and its end, metres.
    accuracy_m: (f64, f64),
}

/// How likely somebody was inside at one point of a way.
#[derive(Clone, Copy)]
struct Inside {
    p: f64,
    accuracy_m: f64,
}

impl World {
    /// Tells the fences that lay between two places. `state` is the belief before the second one: who was in a stay is spoken of there.
    #[cold]
    pub(super) fn cross(&self, state: &State, (from, to): (&Place, &Place), out: &mut Vec<Crossing>) {
        let Some(leg) = Leg::between(from, to) else { return };
        for fence in self.grid.along(leg.from, leg.by).into_iter().map(|i| &self.fences[i]) {
            let stayed = state.stays.iter().any(|stay| stay.spot == fence.spot);
            if stayed || !self.is_outside(fence, from) || !self.is_outside(fence, to) {
                continue;
            }
            if let Some(Inside { p, accuracy_m }) = leg.likeliest_in(fence).filter(|inside| inside.p >= self.rules.enter_p) {
                out.push(Crossing { fence: fence.label.id.clone(), from: from.at, to: to.at, p, accuracy_m });
            }
        }
    }

    /// As far outside as it takes to leave. A fix that is too coarse for the fence says nothing.
    fn is_outside(&self, fence: &Fence, place: &Place) -> bool {
        fence.chance(place.point.y(), place.point.x(), place.accuracy_m).is_some_and(|chance| chance.stay <= self.rules.exit_p)
    }
}

impl Leg {
    /// `None` when an end is no place on Earth.
    fn between(from: &Place, to: &Place) -> Option<Self> {
        let is_place = |p: &Place| p.point.y().abs() <= 90.0 && p.point.x().abs() <= 180.0;
        if !(is_place(from) && is_place(to)) {
            return None;
        }
        let mut east = to.point.x() - from.point.x();
        if east.abs() > 180.0 {
            east -= 360.0_f64.copysign(east);
        }
        Some(Self {
            from: (from.point.y(), from.point.x()),
            by: (to.point.y() - from.point.y(), east),
            metres: super::area::metres(from.point, to.point),
            accuracy_m: (from.accuracy_m, to.accuracy_m),
        })
    }

    /// The point of the way that is most likely in the fence; `None` when it misses it. Outside, no border is nearer than the distance to it, so a
    /// thin fence is not stepped over; inside, the steps are small.
    fn likeliest_in(&self, fence: &Fence) -> Option<Inside> {
        let (mut t, end) = fence.area.bounds.part_of(self.from, self.by)?;
        let step = ((end - t) / STEPS).max(1e-6);
        let mut best: Option<Inside> = None;
        while t <= end {
            let inside_m = fence.area.inside_m(self.from.0 + t * self.by.0, self.from.1 + t * self.by.1);
            if inside_m >= 0.0 {
                let accuracy_m = self.accuracy_at(t);
                let p = Chance::of(inside_m, accuracy_m, fence.area.area_m2).enter;
                best = best.filter(|best| best.p >= p).or(Some(Inside { p, accuracy_m }));
            }
            // A hundredth less, because degrees are not quite metres.
            t += step.max(-0.99 * inside_m / self.metres);
        }
        best
    }

    fn accuracy_at(&self, t: f64) -> f64 {
        ((1.0 - t) * self.accuracy_m.0).hypot(t * self.accuracy_m.1)
    }
}
