//! Circles on the sphere: the haversine formula without a sine, for the short ways that matter here.

use geo::Point;

use super::Bounds;

/// Mean radius of the Earth, metres.
const EARTH_M: f64 = 6_371_008.8;
/// Up to this angle, in radians, the series below are exact to the last digits (319 km).
const SHORT: f64 = 0.05;

/// A circle that knows the sine and cosine of its latitude.
pub(super) struct Circle {
    lat: f64,
    lon: f64,
    sin_lat: f64,
    cos_lat: f64,
    radius_m: f64,
    /// Haversine of the radius.
    limit: f64,
}

impl Circle {
    pub(super) fn new(centre: Point<f64>, radius_m: f64) -> Self {
        let (sin_lat, cos_lat) = centre.y().to_radians().sin_cos();
        let half = (radius_m / EARTH_M / 2.0).min(std::f64::consts::FRAC_PI_2).sin();
        Self { lat: centre.y(), lon: centre.x(), sin_lat, cos_lat, radius_m, limit: half * half }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { south: self.lat, north: self.lat, west: self.lon, east: self.lon }.widened(self.radius_m)
    }

    /// True inside and on the border. The haversine grows with the distance, so nothing has to be turned back into metres.
    #[inline]
    pub(super) fn holds(&self, lat: f64, lon: f64) -> bool {
        self.haversine(lat, lon) <= self.limit
    }

    /// Metres to the border for a place inside.
    #[inline]
    pub(super) fn depth_m(&self, lat: f64, lon: f64) -> Option<f64> {
        let haversine = self.haversine(lat, lon);
        (haversine <= self.limit).then(|| self.radius_m - to_metres(haversine))
    }

    #[inline]
    pub(super) fn inside_m(&self, lat: f64, lon: f64) -> f64 {
        self.radius_m - to_metres(self.haversine(lat, lon))
    }

    /// `sin^2(dlat / 2) + cos(lat) cos(lat') sin^2(dlon / 2)`.
    #[inline]
    fn haversine(&self, lat: f64, lon: f64) -> f64 {
        let (dlat, dlon) = ((lat - self.lat).to_radians(), (lon - self.lon).to_radians());
        if dlat.abs() > SHORT || dlon.abs() > SHORT {
            return half(dlat) + self.cos_lat * lat.to_radians().cos() * half(dlon);
        }
        let (up, along) = (short_haversine(dlat), short_haversine(dlon));
        let square = dlat * dlat;
        let sin_dlat = dlat * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)));
        // cos(a + b), with cos(b) = 1 - 2 haversine(b).
        let cos_there = self.cos_lat * (1.0 - 2.0 * up) - self.sin_lat * sin_dlat;
        up + self.cos_lat * cos_there * along
    }
}

/// Metres between two places, given as latitude and longitude.
#[inline]
pub(super) fn metres(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (dlat, dlon) = ((b.0 - a.0).to_radians(), (b.1 - a.1).to_radians());
    // cos(a) cos(b) = cos^2((a + b) / 2) - sin^2((a - b) / 2)
    let middle = f64::midpoint(a.0, b.0).to_radians().cos();
    let up = half(dlat);
    to_metres(up + (middle * middle - up) * half(dlon))
}

/// `sin^2(x / 2)`.
#[inline]
fn half(x: f64) -> f64 {
    if x.abs() <= SHORT { short_haversine(x) } else { (x / 2.0).sin().powi(2) }
}

/// `sin^2(x / 2)` as a series.
#[inline]
fn short_haversine(x: f64) -> f64 {
    let square = x * x;
    square / 4.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)))
}

#[inline]
fn to_metres(haversine: f64) -> f64 {
    let s = haversine.max(0.0).sqrt();
    let angle = if s < SHORT { s * (1.0 + haversine / 6.0 * (1.0 + haversine * 9.0 / 20.0)) } else { s.min(1.0).asin() };
    2.0 * EARTH_M * angle
}

#[cfg(test)]
mod tests {
    use geo::{Distance, Haversine};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_haversine_of_the_textbook(lat in -89.0..89.0_f64, lon in -180.0..180.0_f64, dlat in -0.5..0.5_f64, dlon in -3.0..3.0_f64) {
            let there = (lat + dlat, lon + dlon);
            let book = Haversine.distance(Point::new(lon, lat), Point::new(there.1, there.0));
            prop_assert!((metres((lat, lon), there) - book).abs() <= 1e-6 + book * 1e-8);
            let circle = Circle::new(Point::new(lon, lat), 1000.0);
            prop_assert!((1000.0 - circle.inside_m(there.0, there.1) - book).abs() <= 1e-6 + book * 1e-10);
            prop_assert_eq!(Circle::new(Point::new(lon, lat), book * (1.0 + 1e-9) + 1e-6).holds(there.0, there.1), true);
            prop_assert_eq!(Circle::new(Point::new(lon, lat), book * (1.0 - 1e-9) - 1e-6).holds(there.0, there.1), false);
        }
    }
}
