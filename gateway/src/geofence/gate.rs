//! What a phone cannot have done: drive into a shop, or jump between cities.

use geo::Point;
use passage_config::GeofenceRules;
use passage_protocol::Millis;

use super::{
    area::metres,
    world::{Observed, World},
};

/// Where the last fix of an installation was. Memory only; no Debug.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: Millis,
    pub(super) point: Point<f64>,
    pub(super) accuracy_m: f64,
}

/// The way from one fix to another.
#[derive(Clone, Copy)]
pub(super) struct Way {
    metres: f64,
    /// The least way that the accuracies of both ends allow.
    least_m: f64,
    ms: i64,
}

impl Place {
    pub(super) fn of(fix: &Observed) -> Self {
        Self { at: fix.at, point: Point::new(fix.lon, fix.lat), accuracy_m: fix.accuracy_m }
    }

    pub(super) fn way_to(&self, fix: &Observed) -> Way {
        let metres = metres(self.point, Point::new(fix.lon, fix.lat));
        Way { metres, least_m: metres - self.accuracy_m - fix.accuracy_m, ms: fix.at.since(self.at) }
    }
}

impl Way {
    /// True if the phone moves too fast to begin a stay at its end: by its own word, else by the least way.
    pub(super) fn is_fast(way: Option<Self>, speed_kmh: Option<f64>, world: &World) -> bool {
        let implied = || way.filter(|w| w.ms.abs() <= world.times.speed_within).map(|w| kmh(w.least_m, w.ms));
        speed_kmh.or_else(implied).is_some_and(|speed| speed > world.rules.max_speed_kmh)
    }

    /// True if the fences between its ends are worth a look: the accuracies leave no doubt that it was gone, and in a short time.
    pub(super) fn may_cross(self, world: &World) -> bool {
        self.least_m > 0.0 && self.ms <= world.times.cross_within
    }

    /// True if nobody gets that far in that time.
    pub(super) fn is_jump(self, rules: &GeofenceRules) -> bool {
        self.metres > rules.jump_m && kmh(self.metres, self.ms) > rules.jump_kmh
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time between two fixes")]
fn kmh(metres: f64, ms: i64) -> f64 {
    metres / (ms.abs().max(1) as f64) * 3600.0
}

/// Holds the newest fixes back while they stand at a place that the phone cannot have reached.
#[derive(Default)]
pub(super) struct JumpGate {
    /// Rare, so it takes no room in those who have none.
    held: Option<Box<(Place, u32)>>,
}

impl JumpGate {
    /// True if `fix`, newer than all before, may be decided on; `way` leads to it from the last fix that was.
    pub(super) fn passes(&mut self, way: Option<Way>, fix: &Observed, rules: &GeofenceRules) -> bool {
        if !way.is_some_and(|w| w.is_jump(rules)) {
            self.held = None;
            return true;
        }
        let agreed = match self.held.as_deref() {
            Some((place, _)) if fix.at <= place.at => return false,
            Some((place, agreed)) if !place.way_to(fix).is_jump(rules) => agreed + 1,
            _ => 0,
        };
        self.held = (agreed < rules.jump_fixes).then(|| Box::new((Place::of(fix), agreed)));
        self.held.is_none()
    }
}
