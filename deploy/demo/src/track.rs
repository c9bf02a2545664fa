//! The steps of somebody who walks up to a shop, stays, and walks away, as a phone's position service reports them.

use geo_math::offset;
use passage_protocol::Millis;

use crate::day::{Outing, Where};

/// One measured position.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// When.
    pub at: Millis,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
}

/// Walking pace in metres a second.
const PACE: f64 = 1.3;
/// Seconds between two fixes.
const EVERY: i64 = 30;
/// Metres from which somebody comes and to which she goes.
const FAR: f64 = 560.0;

/// All fixes of one way to a shop at `lat`, `lon`.
pub fn steps(outing: &Outing, lat: f64, lon: f64) -> Vec<Step> {
    let near = match outing.place {
        Where::In => 4.0,
        Where::Front => 40.0,
        Where::Near => 110.0,
    };
    // Everybody comes from another side, the same one on every run.
    #[expect(clippy::cast_precision_loss, reason = "a bearing")]
    let bearing = (outing.at.0 / 1000 % 360) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "some minutes")]
    let walk = ((FAR - near) / PACE) as i64;
    let arrives = outing.at.secs();
    let leaves = arrives + outing.minutes * 60;
    let distance = |t: i64| {
        let away = (arrives - t).max(t - leaves).max(0);
        #[expect(clippy::cast_precision_loss, reason = "some minutes")]
        let walked = near + away as f64 * PACE;
        walked
    };
    (arrives - walk..=leaves + walk)
        .step_by(usize::try_from(EVERY).unwrap_or(30))
        .map(|t| {
            let (lat, lon) = offset(lat, lon, bearing, distance(t));
            Step { at: Millis::from_secs(t), lat, lon }
        })
        .collect()
}

mod geo_math {
    /// The point `metres` from (`lat`, `lon`) towards `bearing` degrees; right to some centimetres within a town.
    pub fn offset(lat: f64, lon: f64, bearing: f64, metres: f64) -> (f64, f64) {
        const METRES_PER_DEGREE: f64 = 111_320.0;
        let (sin, cos) = bearing.to_radians().sin_cos();
        (lat + metres * cos / METRES_PER_DEGREE, lon + metres * sin / (METRES_PER_DEGREE * lat.to_radians().cos()))
    }
}
