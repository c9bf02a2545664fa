//! The bounds that the files have too, for numbers that come from elsewhere.

use std::{ops::RangeInclusive, time::Duration};

use super::BadBundle;
use crate::model::{GeofenceRules, PresenceRules, RadioZone};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// More marks than anybody has offers that wait for a dwell.
const MOST_MARKS: usize = 1_000;
/// Farther than any geofence reaches, metres.
const FARTHEST: f64 = 100_000.0;

/// A radius or a buffer in metres.
pub(super) fn reach(metres: f64) -> Result<f64, BadBundle> {
    if metres > 0.0 && metres <= FARTHEST { Ok(metres) } else { Err(BadBundle::Wrong("geofences")) }
}

pub(super) fn presence(rules: &PresenceRules) -> Result<(), BadBundle> {
    let farther = rules.front.enter_dbm <= rules.inside.enter_dbm && rules.front.leave_dbm <= rules.inside.leave_dbm;
    let good = farther && zone(&rules.inside) && zone(&rules.front) && rules.settle <= HOUR;
    if good && (1_000..=10_000_000).contains(&rules.max_subjects) { Ok(()) } else { Err(BadBundle::Wrong("presence rules")) }
}

fn zone(z: &RadioZone) -> bool {
    let is_time = |d: &Duration| (Duration::from_secs(1)..=HOUR).contains(d);
    let strengths = (-120..=0).contains(&z.enter_dbm) && (-120..=z.enter_dbm).contains(&z.leave_dbm);
    let waits = z.silence >= z.window && z.hold >= z.window;
    strengths && waits && (1..=100).contains(&z.enter_sightings) && [z.window, z.silence, z.hold].iter().all(is_time)
}

pub(super) fn position(r: &GeofenceRules) -> Result<(), BadBundle> {
    let shares = (0.0..=1.0).contains(&r.enter_p) && (0.0..=1.0).contains(&r.exit_p) && r.exit_p < r.enter_p;
    let counts = [r.exit_fixes, r.jump_fixes].iter().all(|n| (1..=100).contains(n));
    let within = |n: f64, range: RangeInclusive<f64>| range.contains(&n);
    let numbers = within(r.max_accuracy_m, 1.0..=5000.0)
        && within(r.untold_accuracy_m, 1.0..=5000.0)
        && within(r.coarsest_radii, 0.1..=100.0)
        && within(r.max_speed_kmh, 1.0..=1000.0)
        && within(r.jump_m, 10.0..=1_000_000.0)
        && within(r.jump_kmh, 10.0..=10_000.0)
        && within(r.far_m, 10.0..=100_000.0);
    let times = [r.exit_after, r.speed_within, r.cross_within, r.fresh, r.reorder].iter().all(|d| *d <= HOUR)
        && r.silence <= DAY
        && r.around_hours <= DAY;
    if shares && counts && numbers && times { Ok(()) } else { Err(BadBundle::Wrong("geofence rules")) }
}

pub(super) fn dwell_marks(seconds: &[u64]) -> Result<(), BadBundle> {
    let ascend = seconds.windows(2).all(|pair| pair[0] < pair[1]);
    let good = ascend
        && seconds.len() <= MOST_MARKS
        && seconds.first().is_none_or(|s| *s > 0)
        && seconds.last().is_none_or(|s| *s <= DAY.as_secs());
    if good { Ok(()) } else { Err(BadBundle::Wrong("dwell marks")) }
}
