//! A geofence made ready for many questions: metres instead of degrees, box, area.

use geo::{Area, Distance, Haversine, MultiPolygon, Point};
use passage_config::{Geofence, Shape};
use passage_protocol::{FenceId, StoreId};

use super::chance::Chance;

/// Metres per degree of latitude on a sphere of 6,371,008.8 m.
pub(super) const METRES_PER_DEGREE: f64 = 111_195.08;
/// A fix that is coarser than this many equivalent radii of a fence decides nothing about it.
const COARSEST: f64 = 2.0;

/// A prepared geofence.
pub(super) struct Fence {
    pub(super) id: FenceId,
    pub(super) store: StoreId,
    pub(super) bounds: Bounds,
    outline: Outline,
    area_m2: f64,
    /// Radius of the circle with the same area.
    radius_m: f64,
}

/// A box in degrees.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) south: f64,
    pub(super) north: f64,
    pub(super) west: f64,
    pub(super) east: f64,
}

enum Outline {
    Circle { centre: Point<f64>, radius_m: f64 },
    Rings { plane: Plane, rings: Vec<Vec<[f64; 2]>> },
}

/// A flat map around one point: exact enough over the few kilometres of a fence.
struct Plane {
    lon: f64,
    lat: f64,
    metres_per_lon: f64,
}

impl Fence {
    pub(super) fn new(fence: &Geofence, margin_m: f64) -> Self {
        let (outline, bounds, area_m2) = match &fence.shape {
            Shape::Circle { centre, radius_m } => circle(*centre, *radius_m),
            Shape::Area(area) => rings(area),
        };
        Self {
            id: fence.id.clone(),
            store: fence.store.clone(),
            bounds: bounds.widened(margin_m),
            outline,
            area_m2,
            radius_m: (area_m2 / std::f64::consts::PI).sqrt(),
        }
    }

    /// How likely a phone at this place is inside; `None` when the fix is too coarse to say anything about this fence.
    pub(super) fn chance(&self, lat: f64, lon: f64, accuracy_m: f64) -> Option<Chance> {
        (accuracy_m <= COARSEST * self.radius_m).then(|| Chance::of(self.inside_m(lat, lon), accuracy_m, self.area_m2))
    }

    /// Metres to the border; positive inside.
    fn inside_m(&self, lat: f64, lon: f64) -> f64 {
        match &self.outline {
            Outline::Circle { centre, radius_m } => radius_m - Haversine.distance(*centre, Point::new(lon, lat)),
            Outline::Rings { plane, rings } => signed_distance(rings, plane.to_metres(lon, lat)),
        }
    }
}

fn circle(centre: Point<f64>, radius_m: f64) -> (Outline, Bounds, f64) {
    let bounds = Bounds { south: centre.y(), north: centre.y(), west: centre.x(), east: centre.x() }.widened(radius_m);
    (Outline::Circle { centre, radius_m }, bounds, std::f64::consts::PI * radius_m * radius_m)
}

fn rings(area: &MultiPolygon<f64>) -> (Outline, Bounds, f64) {
    let all = || area.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    let mut bounds = Bounds { south: 90.0, north: -90.0, west: 180.0, east: -180.0 };
    for c in all().flat_map(|ring| ring.coords()) {
        bounds =
            Bounds { south: bounds.south.min(c.y), north: bounds.north.max(c.y), west: bounds.west.min(c.x), east: bounds.east.max(c.x) };
    }
    let lat = f64::midpoint(bounds.south, bounds.north);
    let lon = f64::midpoint(bounds.west, bounds.east);
    let plane = Plane { lon, lat, metres_per_lon: METRES_PER_DEGREE * lat.to_radians().cos() };
    let rings = all().map(|ring| ring.coords().map(|c| plane.to_metres(c.x, c.y)).collect()).collect();
    let area_m2 = area.unsigned_area() * METRES_PER_DEGREE * plane.metres_per_lon;
    (Outline::Rings { plane, rings }, bounds, area_m2)
}

impl Plane {
    fn to_metres(&self, lon: f64, lat: f64) -> [f64; 2] {
        [(lon - self.lon) * self.metres_per_lon, (lat - self.lat) * METRES_PER_DEGREE]
    }
}

impl Bounds {
    /// The box with `metres` more on every side, plus a hair.
    fn widened(self, metres: f64) -> Self {
        let dlat = metres / METRES_PER_DEGREE + 1e-6;
        let widest = self.south.abs().max(self.north.abs()).min(89.0);
        let dlon = dlat / widest.to_radians().cos();
        Self { south: self.south - dlat, north: self.north + dlat, west: self.west - dlon, east: self.east + dlon }
    }

    pub(super) fn contains(&self, lat: f64, lon: f64) -> bool {
        lat >= self.south && lat <= self.north && lon >= self.west && lon <= self.east
    }
}

/// Metres from `at` to the nearest edge of any ring; positive when an odd number of rings surrounds it, which respects holes and parts.
fn signed_distance(rings: &[Vec<[f64; 2]>], at: [f64; 2]) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut inside = false;
    for edge in rings.iter().flat_map(|ring| ring.windows(2)) {
        let (a, b) = (edge[0], edge[1]);
        nearest = nearest.min(squared_distance(a, b, at));
        if (a[1] > at[1]) != (b[1] > at[1]) && at[0] < (b[0] - a[0]) * (at[1] - a[1]) / (b[1] - a[1]) + a[0] {
            inside = !inside;
        }
    }
    if inside { nearest.sqrt() } else { -nearest.sqrt() }
}

fn squared_distance(a: [f64; 2], b: [f64; 2], at: [f64; 2]) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((at[0] - a[0]) * dx + (at[1] - a[1]) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (a[0] + along * dx - at[0], a[1] + along * dy - at[1]);
    x * x + y * y
}

#[cfg(test)]
mod tests {
    use geo::{LineString, Polygon};
    use passage_config::FenceKind;

    use super::*;

    const LAT: f64 = 45.76;
    const LON: f64 = 4.83;

    fn fence(shape: Shape) -> Fence {
        Fence::new(&Geofence { id: "lyon-shop".parse().unwrap(), store: "lyon".parse().unwrap(), kind: FenceKind::Store, shape }, 0.0)
    }

    /// A square ring of side `2 * half` metres around a place `east` and `north` metres from the middle of the tests.
    fn square(half: f64, east: f64, north: f64) -> LineString<f64> {
        let lon = |m: f64| LON + (east + m) / (METRES_PER_DEGREE * LAT.to_radians().cos());
        let lat = |m: f64| LAT + (north + m) / METRES_PER_DEGREE;
        LineString::from(vec![
            (lon(-half), lat(-half)),
            (lon(half), lat(-half)),
            (lon(half), lat(half)),
            (lon(-half), lat(half)),
            (lon(-half), lat(-half)),
        ])
    }

    fn at(f: &Fence, east: f64, north: f64) -> f64 {
        f.inside_m(LAT + north / METRES_PER_DEGREE, LON + east / (METRES_PER_DEGREE * LAT.to_radians().cos()))
    }

    #[test]
    fn a_circle_measures_along_the_sphere() {
        let f = fence(Shape::Circle { centre: Point::new(LON, LAT), radius_m: 100.0 });
        for (east, north, want) in [(0.0, 0.0, 100.0), (60.0, 0.0, 40.0), (0.0, 130.0, -30.0)] {
            assert!((at(&f, east, north) - want).abs() < 0.1, "{east} {north}: {}", at(&f, east, north));
        }
        assert!(f.bounds.contains(LAT, LON) && !f.bounds.contains(LAT + 0.001, LON));
    }

    #[test]
    fn a_polygon_gives_the_distance_to_its_border_in_metres() {
        let f = fence(Shape::Area(MultiPolygon(vec![Polygon::new(square(50.0, 0.0, 0.0), vec![])])));
        for (east, north, want) in [(0.0, 0.0, 50.0), (40.0, 0.0, 10.0), (80.0, 0.0, -30.0), (53.0, 54.0, -5.0)] {
            assert!((at(&f, east, north) - want).abs() < 0.05, "{east} {north}: {}", at(&f, east, north));
        }
        assert!((f.area_m2 - 10_000.0).abs() < 1.0, "{}", f.area_m2);
    }

    #[test]
    fn a_hole_is_outside() {
        let f = fence(Shape::Area(MultiPolygon(vec![Polygon::new(square(50.0, 0.0, 0.0), vec![square(20.0, 0.0, 0.0)])])));
        assert!((at(&f, 0.0, 0.0) + 20.0).abs() < 0.05);
        assert!((at(&f, 30.0, 0.0) - 10.0).abs() < 0.05);
        assert!((f.area_m2 - 8_400.0).abs() < 1.0);
    }

    #[test]
    fn every_part_of_a_multipolygon_counts() {
        let parts = vec![Polygon::new(square(50.0, 0.0, 0.0), vec![]), Polygon::new(square(30.0, 200.0, 0.0), vec![])];
        let f = fence(Shape::Area(MultiPolygon(parts)));
        assert!((at(&f, 0.0, 0.0) - 50.0).abs() < 0.05);
        assert!((at(&f, 200.0, 0.0) - 30.0).abs() < 0.05);
        assert!((at(&f, 100.0, 0.0) + 50.0).abs() < 0.05);
    }

    #[test]
    fn a_fix_coarser_than_two_radii_says_nothing() {
        let f = fence(Shape::Circle { centre: Point::new(LON, LAT), radius_m: 40.0 });
        assert!(f.chance(LAT, LON, 81.0).is_none());
        assert!(f.chance(LAT, LON, 79.0).is_some());
    }
}
