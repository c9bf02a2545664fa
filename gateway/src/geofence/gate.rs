//! What a phone cannot have done: drive into a shop, or jump between cities.

use geo::{Distance, Haversine, Point};
use passage_protocol::Millis;

use super::world::Observed;

/// Faster than this, nobody begins a stay.
const DRIVES_KMH: f64 = 15.0;
/// Two fixes say something about the speed between them only when they are this close in time.
const SPEED_WITHIN_MS: i64 = 120_000;
/// A jump is farther than this ...
const JUMP_M: f64 = 1000.0;
/// ... and faster than this.
const JUMP_KMH: f64 = 300.0;
/// A jump is believed when so many later fixes agree with it.
const JUMP_AGREE: u8 = 2;

/// Where the last fix of an installation was. Memory only; no Debug.
#[derive(Clone, Copy)]
pub(super) struct Place {
    at: Millis,
    point: Point<f64>,
    accuracy_m: f64,
}

impl Place {
    pub(super) fn of(fix: &Observed) -> Self {
        Self { at: fix.at, point: Point::new(fix.lon, fix.lat), accuracy_m: fix.accuracy_m }
    }

    /// True if the phone moves too fast at `fix` to begin a stay there: by its own word, else by the least way between the two fixes.
    pub(super) fn is_fast(before: Option<&Self>, fix: &Observed, speed_kmh: Option<f64>) -> bool {
        if let Some(speed) = speed_kmh {
            return speed > DRIVES_KMH;
        }
        before.filter(|b| fix.at.since(b.at).abs() <= SPEED_WITHIN_MS).is_some_and(|b| {
            let least_m = b.metres_to(fix) - b.accuracy_m - fix.accuracy_m;
            kmh(least_m, fix.at.since(b.at)) > DRIVES_KMH
        })
    }

    /// True if nobody gets from here to `fix` in that time.
    pub(super) fn is_jump_to(&self, fix: &Observed) -> bool {
        let way_m = self.metres_to(fix);
        way_m > JUMP_M && kmh(way_m, fix.at.since(self.at)) > JUMP_KMH
    }

    fn metres_to(&self, fix: &Observed) -> f64 {
        Haversine.distance(self.point, Point::new(fix.lon, fix.lat))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time between two fixes")]
fn kmh(metres: f64, ms: i64) -> f64 {
    metres / (ms.abs().max(1) as f64) * 3600.0
}

/// Holds the newest fixes back while they stand at a place that the phone cannot have reached.
#[derive(Clone, Default)]
pub(super) struct JumpGate {
    held: Option<(Place, u8)>,
}

impl JumpGate {
    /// True if `fix`, newer than all before, may be decided on; `last` is the last fix that was.
    pub(super) fn passes(&mut self, last: Option<&Place>, fix: &Observed) -> bool {
        if !last.is_some_and(|l| l.is_jump_to(fix)) {
            self.held = None;
            return true;
        }
        let agreed = match &self.held {
            Some((place, _)) if fix.at <= place.at => return false,
            Some((place, agreed)) if !place.is_jump_to(fix) => agreed + 1,
            _ => 0,
        };
        self.held = (agreed < JUMP_AGREE).then(|| (Place::of(fix), agreed));
        self.held.is_none()
    }
}
