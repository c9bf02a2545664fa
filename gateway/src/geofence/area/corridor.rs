//! Corridors: everything near a way.

use geo::{Coord, MultiLineString};

use super::{Bounds, Plane, squared_distance};

/// A way with a width to both sides.
pub(super) struct Corridor {
    plane: Plane,
    /// Stretches in metres.
    sides: Vec<[[f64; 2]; 2]>,
    buffer_m: f64,
}

impl Corridor {
    /// The corridor, the box around it, and its area in square metres (bends are counted twice).
    pub(super) fn new(lines: &MultiLineString<f64>, buffer_m: f64) -> (Self, Bounds, f64) {
        let all = || lines.iter().flat_map(|line| line.coords());
        let empty = Bounds { south: 0.0, north: 0.0, west: 0.0, east: 0.0 };
        let flat = Bounds::around(all().copied()).unwrap_or(empty);
        let joined = flat.east - flat.west > 180.0;
        let turn = |c: &Coord<f64>| if joined && c.x < 0.0 { Coord { x: c.x + 360.0, y: c.y } } else { *c };
        let tight = Bounds::around(all().map(turn)).unwrap_or(empty);
        // Places are asked for in the frame of the widened box, which may be a turn further on.
        let bounds = tight.widened(buffer_m);
        let plane = Plane::around(f64::midpoint(tight.south, tight.north), bounds.frame(f64::midpoint(tight.west, tight.east)));
        let side = |w: &[Coord<f64>]| [w[0], w[1]].map(|c| plane.to_metres(c.y, bounds.frame(c.x)));
        let sides: Vec<[[f64; 2]; 2]> = lines.iter().flat_map(|line| line.0.windows(2).map(side)).collect();
        let length: f64 = sides.iter().map(|[a, b]| (b[0] - a[0]).hypot(b[1] - a[1])).sum();
        let area_m2 = 2.0 * length * buffer_m + std::f64::consts::PI * buffer_m * buffer_m;
        (Self { plane, sides, buffer_m }, bounds, area_m2)
    }

    /// Metres to the border; positive inside.
    pub(super) fn inside_m(&self, lat: f64, lon: f64) -> f64 {
        let at = self.plane.to_metres(lat, lon);
        let nearest = self.sides.iter().map(|[a, b]| squared_distance(*a, *b, at)).fold(f64::INFINITY, f64::min);
        self.buffer_m - nearest.sqrt()
    }
}
