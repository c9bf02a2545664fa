//! Polygons with holes: a crossing test that is exact on the border, and the distance to it.

use geo::{
    Area as _, Coord, MultiPolygon,
    kernels::{Kernel, Orientation, RobustKernel},
};

use super::{Bounds, Plane, squared_distance};

/// All rings of a geofence. A place is inside when an odd number of them surrounds it, which respects holes and parts.
///
/// Corners of all rings stand in two blocks of memory, longitudes and latitudes apart, because most sides are judged by their latitudes alone.
pub(super) struct Rings {
    lons: Box<[f64]>,
    lats: Box<[f64]>,
    /// Behind the last corner of each ring.
    ends: Box<[u32]>,
    plane: Plane,
    /// Parts on both sides of longitude 180 were brought together: where the shape was cut there is no border.
    joined: bool,
}

/// One closed ring.
#[derive(Clone, Copy)]
struct Ring<'a> {
    lons: &'a [f64],
    lats: &'a [f64],
}

/// Where a place is, seen from one ring.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Inside,
    Outside,
    Border,
}

impl Rings {
    /// The rings, the box around them, and their area in square metres.
    pub(super) fn new(area: &MultiPolygon<f64>) -> (Self, Bounds, f64) {
        let all = || area.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
        let empty = Bounds { south: 0.0, north: 0.0, west: 0.0, east: 0.0 };
        let flat = Bounds::around(all().flat_map(|ring| ring.coords().copied())).unwrap_or(empty);
        // Parts on both sides of longitude 180 are brought together on one.
        let joined = flat.east - flat.west > 180.0;
        let turn = |c: &Coord<f64>| if joined && c.x < 0.0 { Coord { x: c.x + 360.0, y: c.y } } else { *c };
        let bounds = Bounds::around(all().flat_map(|ring| ring.coords().map(turn))).unwrap_or(empty);
        let plane = Plane::around(f64::midpoint(bounds.south, bounds.north), f64::midpoint(bounds.west, bounds.east));
        let corners = || all().flat_map(|ring| ring.coords().map(turn));
        let (lons, lats) = (corners().map(|c| c.x).collect(), corners().map(|c| c.y).collect());
        let lengths = all().map(|ring| u32::try_from(ring.0.len()).unwrap_or(u32::MAX));
        let ends = lengths.scan(0_u32, |end, length| {
            *end = end.saturating_add(length);
            Some(*end)
        });
        let ends = ends.collect();
        let area_m2 = area.unsigned_area() * super::METRES_PER_DEGREE * plane.metres_per_lon;
        (Self { lons, lats, ends, plane, joined }, bounds, area_m2)
    }

    /// True inside and on the border of the shape or of a hole.
    #[inline]
    pub(super) fn holds(&self, lat: f64, lon: f64) -> bool {
        let mut inside = false;
        for ring in self.rings() {
            match ring.sees(lat, lon) {
                Seen::Border => return true,
                Seen::Inside => inside = !inside,
                Seen::Outside => {}
            }
        }
        inside
    }

    /// Reads the first corner of each line of the processor's cache, but no more than a drawing made by hand has.
    pub(super) fn call_for(&self) -> u64 {
        let corners = self.lats.iter().zip(&self.lons).take(64).step_by(8);
        corners.fold(0, |sum, (lat, lon)| sum ^ lat.to_bits() ^ lon.to_bits())
    }

    /// Metres to the nearest border, on either side of it.
    pub(super) fn border_m(&self, lat: f64, lon: f64) -> f64 {
        let at = self.plane.to_metres(lat, lon);
        self.rings().map(|ring| self.nearest(ring, at)).fold(f64::INFINITY, f64::min).sqrt()
    }

    /// The squared distance to the nearest side of a ring.
    #[inline]
    fn nearest(&self, ring: Ring<'_>, at: [f64; 2]) -> f64 {
        let mut corners = ring.lats.iter().zip(ring.lons).map(|(lat, lon)| (*lon, self.plane.to_metres(*lat, *lon)));
        let Some(mut from) = corners.next() else { return f64::INFINITY };
        let mut nearest = f64::INFINITY;
        for to in corners {
            if !(self.joined && from.0 == 180.0 && to.0 == 180.0) {
                nearest = nearest.min(squared_distance(from.1, to.1, at));
            }
            from = to;
        }
        nearest
    }

    #[inline]
    fn rings(&self) -> impl Iterator<Item = Ring<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| *end as usize));
        starts.zip(&self.ends).map(|(start, end)| Ring { lons: &self.lons[start..*end as usize], lats: &self.lats[start..*end as usize] })
    }

    /// Metres to the border; positive inside. `near`: the place is in the box around the rings.
    pub(super) fn inside_m(&self, lat: f64, lon: f64, near: bool) -> f64 {
        let nearest = self.border_m(lat, lon);
        if near && self.holds(lat, lon) { nearest } else { -nearest }
    }
}

impl Ring<'_> {
    /// Counts the sides that a ray to the east meets. Sides are told apart by one bit a corner, so that nearly all cost no branch.
    #[inline]
    fn sees(&self, lat: f64, lon: f64) -> Seen {
        let mut inside = false;
        let mut from = 0;
        while from + 1 < self.lats.len() {
            let to = (from + 64).min(self.lats.len());
            let (mut above, mut level) = (0_u64, false);
            for (i, y) in self.lats[from..to].iter().enumerate() {
                above |= u64::from(*y > lat) << i;
                level |= *y == lat;
            }
            if level && self.touches(from, to, lat, lon) {
                return Seen::Border;
            }
            let sides = to - from - 1;
            let mut meets = (above ^ (above >> 1)) & (u64::MAX >> (64 - sides));
            while meets != 0 {
                let i = from + meets.trailing_zeros() as usize;
                meets &= meets - 1;
                match self.turn(i, lat, lon) {
                    Orientation::Collinear => return Seen::Border,
                    turn => inside ^= (turn == Orientation::CounterClockwise) == (self.lats[i + 1] > self.lats[i]),
                }
            }
            from = to - 1;
        }
        if inside { Seen::Inside } else { Seen::Outside }
    }

    /// True if the place is a corner, or on a side that runs straight to the east or the west.
    #[cold]
    fn touches(&self, from: usize, to: usize, lat: f64, lon: f64) -> bool {
        (from..to).any(|i| {
            let next = (i + 1).min(self.lats.len() - 1);
            let (west, east) = (self.lons[i].min(self.lons[next]), self.lons[i].max(self.lons[next]));
            self.lats[i] == lat && (self.lons[i] == lon || (self.lats[next] == lat && (west..=east).contains(&lon)))
        })
    }

    /// On which side of side `i` the place is. The plain product decides when it is clearly not zero (Shewchuk 1997, bound A), else exactly.
    #[inline]
    fn turn(&self, i: usize, lat: f64, lon: f64) -> Orientation {
        const BOUND: f64 = 3.330_669_073_875_472e-16;
        let (ax, ay, bx, by) = (self.lons[i], self.lats[i], self.lons[i + 1], self.lats[i + 1]);
        let (left, right) = ((ax - lon) * (by - lat), (ay - lat) * (bx - lon));
        let det = left - right;
        if det.abs() > BOUND * (left.abs() + right.abs()) {
            return if det > 0.0 { Orientation::CounterClockwise } else { Orientation::Clockwise };
        }
        RobustKernel::orient2d(Coord { x: ax, y: ay }, Coord { x: bx, y: by }, Coord { x: lon, y: lat })
    }
}
