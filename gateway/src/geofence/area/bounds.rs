//! A box in degrees that may reach over longitude 180.

use geo::Coord;

use super::METRES_PER_DEGREE;

/// A box in degrees. `west` is at least -180; `east` is above 180 where the box reaches over that meridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::geofence) struct Bounds {
    pub(in crate::geofence) south: f64,
    pub(in crate::geofence) north: f64,
    pub(in crate::geofence) west: f64,
    pub(in crate::geofence) east: f64,
}

impl Bounds {
    /// The box around these places; `None` if there are none.
    pub(super) fn around(mut places: impl Iterator<Item = Coord<f64>>) -> Option<Self> {
        let first = places.next()?;
        let one = Self { south: first.y, north: first.y, west: first.x, east: first.x };
        Some(places.fold(one, |b, c| Self {
            south: b.south.min(c.y),
            north: b.north.max(c.y),
            west: b.west.min(c.x),
            east: b.east.max(c.x),
        }))
    }

    /// The box with `metres` more on every side, plus a hair.
    pub(in crate::geofence) fn widened(self, metres: f64) -> Self {
        let dlat = metres / METRES_PER_DEGREE + 1e-9;
        let (south, north) = (self.south - dlat, self.north + dlat);
        if south <= -90.0 || north >= 90.0 {
            return Self { south: south.max(-90.0), north: north.min(90.0), west: -180.0, east: 180.0 };
        }
        // The widest parallel that a circle of this radius touches lies nearer to the pole than its middle.
        let narrow = south.abs().max(north.abs()).to_radians().cos();
        let dlon = dlat / narrow;
        if self.east - self.west + 2.0 * dlon >= 360.0 {
            return Self { south, north, west: -180.0, east: 180.0 };
        }
        let (west, east) = (self.west - dlon, self.east + dlon);
        let turn = if west < -180.0 { 360.0 } else { 0.0 };
        Self { south, north, west: west + turn, east: east + turn }
    }

    /// `lon`, or the same meridian one turn on or back: whichever is nearest to the box.
    #[inline]
    pub(in crate::geofence) fn frame(&self, lon: f64) -> f64 {
        let from_middle = lon - f64::midpoint(self.west, self.east);
        if from_middle < -180.0 {
            lon + 360.0
        } else if from_middle > 180.0 {
            lon - 360.0
        } else {
            lon
        }
    }

    /// The part of a straight way that lies in the box, as shares of its length. It begins at latitude and longitude `from` and goes `by` so many degrees.
    pub(in crate::geofence) fn part_of(&self, from: (f64, f64), by: (f64, f64)) -> Option<(f64, f64)> {
        let up = share(from.0, by.0, (self.south, self.north))?;
        let along = share(self.frame(from.1), by.1, (self.west, self.east))?;
        let (first, last) = (up.0.max(along.0), up.1.min(along.1));
        (first <= last).then_some((first, last))
    }

    /// True inside and on the border; `lon` in the frame of the box.
    #[inline]
    pub(in crate::geofence) fn contains(&self, lat: f64, lon: f64) -> bool {
        lat >= self.south && lat <= self.north && lon >= self.west && lon <= self.east
    }

    /// The same box as one or two that lie between -180 and 180. What ends on that meridian holds it under both of its names.
    pub(super) fn parts(self) -> impl Iterator<Item = Self> {
        let first = Self { east: self.east.min(180.0), ..self };
        let all_around = self.east - self.west >= 360.0;
        let second = if all_around {
            None
        } else if self.east >= 180.0 {
            Some(Self { west: -180.0, east: self.east - 360.0, ..self })
        } else {
            (self.west <= -180.0).then_some(Self { west: 180.0, east: 180.0, ..self })
        };
        std::iter::once(first).chain(second)
    }
}

/// The part of a way along one axis that lies between two bounds, as shares of its length.
pub(super) fn share(from: f64, by: f64, (least, most): (f64, f64)) -> Option<(f64, f64)> {
    if by == 0.0 {
        return (least..=most).contains(&from).then_some((0.0, 1.0));
    }
    let (a, b) = ((least - from) / by, (most - from) / by);
    let (first, last) = (a.min(b).max(0.0), a.max(b).min(1.0));
    (first <= last).then_some((first, last))
}
