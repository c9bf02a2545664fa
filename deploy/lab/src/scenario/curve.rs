//! Strength over time.

use std::time::Duration;

/// Points in time with a strength in dBm: straight lines between them, level before the first and after the last. Never without a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<(Duration, f64)>,
}

impl Curve {
    /// Takes points in the order of time. The error says what is wrong with them.
    pub fn new(points: Vec<(Duration, f64)>) -> Result<Self, String> {
        if points.is_empty() {
            return Err("a curve has at least one point, such as [[0, -60]]".to_owned());
        }
        if !points.iter().all(|(_, dbm)| (-127.0..=20.0).contains(dbm)) {
            return Err("a strength lies between -127 and 20 dBm".to_owned());
        }
        if !points.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("each point of a curve is later than the one before".to_owned());
        }
        Ok(Self { points })
    }

    /// The strength at a time, dBm.
    pub fn at(&self, time: Duration) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= time);
        let before = after.checked_sub(1).and_then(|n| self.points.get(n));
        match (before, self.points.get(after)) {
            (Some((t0, a)), Some((t1, b))) => a + (b - a) * (time - *t0).as_secs_f64() / (*t1 - *t0).as_secs_f64(),
            (Some((_, level)), None) | (None, Some((_, level))) => *level,
            (None, None) => -60.0,
        }
    }
}

impl Default for Curve {
    /// A steady -60 dBm.
    fn default() -> Self {
        Self { points: vec![(Duration::ZERO, -60.0)] }
    }
}
