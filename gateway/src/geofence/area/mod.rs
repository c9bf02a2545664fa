//! The outline of a geofence made ready for many questions: is a place inside, how far is the border, how large is it.

mod bounds;
mod circle;
mod corridor;
mod grid;
mod polygon;
#[cfg(test)]
mod tests;

use geo::Point;
use passage_config::Shape;

pub(super) use self::{bounds::Bounds, grid::Grid};
use self::{circle::Circle, corridor::Corridor, polygon::Rings};

/// Metres per degree of latitude on a sphere of 6,371,008.8 m.
pub(super) const METRES_PER_DEGREE: f64 = 111_195.08;

/// A prepared outline.
pub(super) struct Area {
    outline: Outline,
    /// The box around it; its longitudes may pass 180.
    pub(super) bounds: Bounds,
    /// Square metres.
    pub(super) area_m2: f64,
}

enum Outline {
    Circle(Circle),
    Rings(Rings),
    Corridor(Corridor),
}

/// A flat map around one point, in metres: exact enough over the few kilometres of a geofence.
#[derive(Clone, Copy)]
struct Plane {
    lon: f64,
    lat: f64,
    metres_per_lon: f64,
}

impl Area {
    pub(super) fn new(shape: &Shape) -> Self {
        match shape {
            Shape::Circle { centre, radius_m } => {
                let circle = Circle::new(*centre, *radius_m);
                Self { bounds: circle.bounds(), area_m2: std::f64::consts::PI * radius_m * radius_m, outline: Outline::Circle(circle) }
            }
            Shape::Area(area) => {
                let (rings, bounds, area_m2) = Rings::new(area);
                Self { bounds, area_m2, outline: Outline::Rings(rings) }
            }
            Shape::Corridor { lines, buffer_m } => {
                let (corridor, bounds, area_m2) = Corridor::new(lines, *buffer_m);
                Self { bounds, area_m2, outline: Outline::Corridor(corridor) }
            }
        }
    }

    /// True inside and on the border. Circles and corridors measure along the Earth; polygons are planar in degrees, as map tools draw them.
    #[inline]
    pub(super) fn holds(&self, lat: f64, lon: f64) -> bool {
        let lon = self.bounds.frame(lon);
        match &self.outline {
            Outline::Circle(circle) => circle.holds(lat, lon),
            Outline::Rings(rings) => self.bounds.contains(lat, lon) && rings.holds(lat, lon),
            Outline::Corridor(corridor) => corridor.inside_m(lat, lon) >= 0.0,
        }
    }

    /// Metres to the border for a place that it holds; `None` for all others, at the price of [`Self::holds`].
    #[inline]
    pub(super) fn depth_m(&self, lat: f64, lon: f64) -> Option<f64> {
        let lon = self.bounds.frame(lon);
        match &self.outline {
            Outline::Circle(circle) => circle.depth_m(lat, lon),
            Outline::Rings(rings) => (self.bounds.contains(lat, lon) && rings.holds(lat, lon)).then(|| rings.border_m(lat, lon)),
            Outline::Corridor(corridor) => Some(corridor.inside_m(lat, lon)).filter(|m| *m >= 0.0),
        }
    }

    /// Reads a little of what the outline points at.
    pub(super) fn call_for(&self) -> u64 {
        match &self.outline {
            Outline::Rings(rings) => rings.call_for(),
            Outline::Circle(_) | Outline::Corridor(_) => 0,
        }
    }

    /// Metres to the border; positive inside.
    pub(super) fn inside_m(&self, lat: f64, lon: f64) -> f64 {
        let lon = self.bounds.frame(lon);
        match &self.outline {
            Outline::Circle(circle) => circle.inside_m(lat, lon),
            Outline::Rings(rings) => rings.inside_m(lat, lon, self.bounds.contains(lat, lon)),
            Outline::Corridor(corridor) => corridor.inside_m(lat, lon),
        }
    }
}

impl Plane {
    fn around(lat: f64, lon: f64) -> Self {
        Self { lon, lat, metres_per_lon: METRES_PER_DEGREE * lat.to_radians().cos() }
    }

    fn to_metres(self, lat: f64, lon: f64) -> [f64; 2] {
        [(lon - self.lon) * self.metres_per_lon, (lat - self.lat) * METRES_PER_DEGREE]
    }
}

/// Metres along the Earth between two places.
#[inline]
pub(super) fn metres(a: Point<f64>, b: Point<f64>) -> f64 {
    circle::metres((a.y(), a.x()), (b.y(), b.x()))
}

/// The squared distance from `at` to the side from `a` to `b`.
#[inline]
fn squared_distance(a: [f64; 2], b: [f64; 2], at: [f64; 2]) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let (px, py) = (at[0] - a[0], at[1] - a[1]);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (along * dx - px, along * dy - py);
    x * x + y * y
}
