//! One circle for the outline of a geofence, whatever its shape.

use geo::{Area, BoundingRect, Contains, Coord, Distance, Euclidean, Length, LineString, MapCoords, MultiLineString, Point, Polygon};
use passage_config::{FenceKind, Geofence, Shape};

/// Metres per degree of latitude on a sphere of 6,371,008.8 m.
pub(super) const METRES_PER_DEGREE: f64 = 111_195.08;

/// The circle that stands for a geofence; `None` for a shape without an inside.
pub(super) fn circle_of(fence: &Geofence) -> Option<(Point<f64>, f64)> {
    match &fence.shape {
        Shape::Circle { centre, radius_m } => Some((*centre, *radius_m)),
        Shape::Area(area) => {
            let plane = Plane::under(area.iter().flat_map(|p| p.exterior().coords().copied()))?;
            let flat = area.map_coords(|c| plane.flat(c));
            let (middle, radius_m) = match fence.kind {
                FenceKind::Store => largest_inside(flat.0.iter().max_by(|a, b| a.unsigned_area().total_cmp(&b.unsigned_area()))?),
                FenceKind::Nearby => around(flat.iter().flat_map(|p| p.exterior().points())),
            }?;
            Some((plane.degrees(middle), radius_m))
        }
        Shape::Corridor { lines, buffer_m } => {
            let plane = Plane::under(lines.iter().flat_map(|line| line.coords().copied()))?;
            let flat = lines.map_coords(|c| plane.flat(c));
            let (middle, radius_m) = match fence.kind {
                FenceKind::Store => (halfway(&flat)?, 0.0),
                FenceKind::Nearby => around(flat.iter().flat_map(|line| line.points()))?,
            };
            Some((plane.degrees(middle), radius_m + buffer_m))
        }
    }
}

/// A flat map in metres around the middle of an area, which may lie across the antimeridian.
struct Plane {
    lon: f64,
    lat: f64,
    metres_per_lon: f64,
    across: bool,
}

impl Plane {
    fn under(places: impl Iterator<Item = Coord<f64>>) -> Option<Self> {
        let places: LineString<f64> = places.collect();
        let raw = places.bounding_rect()?;
        let across = raw.width() > 180.0;
        let bounds = if across { places.map_coords(|c| eastward(c, true)).bounding_rect()? } else { raw };
        let middle = bounds.center();
        Some(Self { lon: middle.x, lat: middle.y, metres_per_lon: METRES_PER_DEGREE * middle.y.to_radians().cos(), across })
    }

    fn flat(&self, c: Coord<f64>) -> Coord<f64> {
        let c = eastward(c, self.across);
        Coord { x: (c.x - self.lon) * self.metres_per_lon, y: (c.y - self.lat) * METRES_PER_DEGREE }
    }

    fn degrees(&self, at: Point<f64>) -> Point<f64> {
        let lon = self.lon + at.x() / self.metres_per_lon;
        Point::new(if lon > 180.0 { lon - 360.0 } else { lon }, self.lat + at.y() / METRES_PER_DEGREE)
    }
}

fn eastward(c: Coord<f64>, across: bool) -> Coord<f64> {
    if across && c.x < 0.0 { Coord { x: c.x + 360.0, y: c.y } } else { c }
}

/// The circle around the middle of the box through the farthest corner.
fn around(corners: impl Iterator<Item = Point<f64>>) -> Option<(Point<f64>, f64)> {
    let corners: LineString<f64> = corners.collect();
    let middle = Point::from(corners.bounding_rect()?.center());
    corners.points().map(|corner| Euclidean.distance(middle, corner)).max_by(f64::total_cmp).map(|radius| (middle, radius))
}

/// The place halfway along the longest of the lines.
fn halfway(lines: &MultiLineString<f64>) -> Option<Point<f64>> {
    let longest = lines.iter().max_by(|a, b| Euclidean.length(*a).total_cmp(&Euclidean.length(*b)))?;
    let mut left = Euclidean.length(longest) / 2.0;
    for side in longest.lines() {
        let length = Euclidean.length(&side);
        if length > 0.0 && left <= length {
            return Some(side.start_point() + (side.end_point() - side.start_point()) * (left / length));
        }
        left -= length;
    }
    longest.points().next()
}

/// The largest circle inside, to about a hundredth of the box: the best of a net of places, and of finer nets around it.
fn largest_inside(polygon: &Polygon<f64>) -> Option<(Point<f64>, f64)> {
    let bounds = polygon.bounding_rect()?;
    let mut best = best_of(polygon, Point::from(bounds.center()), bounds.width() / 2.0, bounds.height() / 2.0, 8);
    let (mut width, mut height) = (bounds.width() / 16.0, bounds.height() / 16.0);
    for _ in 0..3 {
        let middle = best?.0;
        best = best_of(polygon, middle, width, height, 3);
        (width, height) = (width / 3.0, height / 3.0);
    }
    best
}

/// The place that is farthest from every border, among (2n + 1)^2 around `middle`.
fn best_of(polygon: &Polygon<f64>, middle: Point<f64>, width: f64, height: f64, n: i32) -> Option<(Point<f64>, f64)> {
    let net = (-n..=n).flat_map(|i| (-n..=n).map(move |j| (f64::from(i) / f64::from(n), f64::from(j) / f64::from(n))));
    let places = net.map(|(i, j)| Point::new(middle.x() + i * width, middle.y() + j * height));
    let border = |at: &Point<f64>| {
        let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
        rings.map(|ring| Euclidean.distance(at, ring)).fold(f64::INFINITY, f64::min)
    };
    let inside = places.filter(|at| polygon.contains(at)).map(|at| (at, border(&at)));
    inside.max_by(|a, b| a.1.total_cmp(&b.1))
}
