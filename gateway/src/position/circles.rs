//! The circles that a phone can watch by itself: `setWaypoints` with the geofences nearest to it.
//!
//! Phones know circles only, and iOS watches 20. A polygon or corridor of kind `store` becomes the largest circle that fits into it, so that the phone
//! never says "inside" of somebody who is outside; one of kind `nearby` becomes a circle around it, so that nobody who passes by is missed. One circle
//! each, because the phone would take the way from one circle to the next for a departure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use geo::{
    Area, BoundingRect, Contains, Coord, Distance, Euclidean, Haversine, Length, LineString, MapCoords, MultiLineString, Point, Polygon,
};
use passage_config::{FenceKind, Geofence, Shape, Site};
use passage_protocol::{FenceId, InstallationId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Regions that iOS watches for one app.
const MOST: usize = 20;
/// Smaller circles are of no use to a phone.
const LEAST_RADIUS_M: f64 = 10.0;
/// The nearest circles are looked up for squares of this side, in degrees, so that they do not change with every step.
const CELL: f64 = 0.01;
/// Squares whose answer is remembered.
const MOST_CELLS: usize = 8_192;
/// Installations whose last answer is remembered.
const MOST_GIVEN: usize = 200_000;
/// Circles that are kept, those that are drawn no more among them.
const MOST_CIRCLES: usize = 100_000;
/// Metres per degree of latitude on a sphere of 6,371,008.8 m.
const METRES_PER_DEGREE: f64 = 111_195.08;

/// The circles of a site, and what was given to whom.
pub(super) struct Circles {
    all: Vec<Circle>,
    /// Which of them are still drawn.
    drawn: Vec<bool>,
    cells: Mutex<HashMap<(i32, i32), Nearest>>,
    given: Mutex<HashMap<InstallationId, Nearest>>,
}

/// Indexes of [`Circles::all`], ascending.
type Nearest = Arc<[u32]>;

/// A circle as the apps know it.
#[derive(Debug, Clone, PartialEq)]
struct Circle {
    id: FenceId,
    centre: Point<f64>,
    radius_m: f64,
    /// The name of the region for Android.
    tst: i64,
}

impl Circles {
    pub(super) fn new(site: &Site) -> Self {
        let all = circles(site);
        Self { drawn: vec![true; all.len()], all, cells: Mutex::default(), given: Mutex::default() }
    }

    /// Other geofences. Those that changed get new numbers, and the old ones are kept, so that phones are told of both: what is new, and what is to go.
    pub(super) fn reload(&mut self, site: &Site) {
        let new = circles(site);
        if self.all.len() + new.len() > MOST_CIRCLES {
            // Whoever was given circles before is given all that count now, once more.
            return *self = Self::new(site);
        }
        let mut new: HashMap<FenceId, Circle> = new.into_iter().map(|c| (c.id.clone(), c)).collect();
        for (drawn, circle) in self.drawn.iter_mut().zip(&self.all) {
            *drawn = new.get(&circle.id) == Some(circle);
            if *drawn {
                new.remove(&circle.id);
            }
        }
        let mut added: Vec<Circle> = new.into_values().collect();
        added.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.drawn.resize(self.all.len() + added.len(), true);
        self.all.extend(added);
        self.cells = Mutex::default();
    }

    /// What a phone at this place must be told, if that is another thing than last time. `removes`: the app understands that a region is to go
    /// when its coordinates are none; Android's does not.
    pub(super) fn news(&self, who: &InstallationId, lat: f64, lon: f64, removes: bool) -> Option<Value> {
        if self.all.is_empty() {
            return None;
        }
        let is_kept = |i: &u32, nearest: &Nearest| nearest.iter().any(|n| self.all[*n as usize].id == self.all[*i as usize].id);
        let nearest = self.nearest(lat, lon);
        let before = self.give(who, &nearest)?;
        let gone = before.iter().flat_map(|b| b.iter()).filter(|i| removes && !is_kept(i, &nearest));
        let kept = nearest.iter().map(|i| self.all[*i as usize].waypoint());
        let waypoints: Vec<Value> = kept.chain(gone.map(|i| self.all[*i as usize].removal())).collect();
        Some(json!({ "_type": "cmd", "action": "setWaypoints", "waypoints": { "_type": "waypoints", "waypoints": waypoints } }))
    }

    /// Notes what is given to `who`; `None` when it was given before.
    fn give(&self, who: &InstallationId, nearest: &Nearest) -> Option<Option<Nearest>> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = given.get_mut(who) {
            return (before != nearest).then(|| Some(std::mem::replace(before, Arc::clone(nearest))));
        }
        if given.len() >= MOST_GIVEN {
            given.clear();
        }
        given.insert(who.clone(), Arc::clone(nearest));
        Some(None)
    }

    #[expect(clippy::cast_possible_truncation, reason = "degrees are small, and so is the number of geofences")]
    fn nearest(&self, lat: f64, lon: f64) -> Nearest {
        let cell = ((lat / CELL).floor() as i32, (lon / CELL).floor() as i32);
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cells.get(&cell) {
            return Arc::clone(known);
        }
        let middle = Point::new((f64::from(cell.1) + 0.5) * CELL, (f64::from(cell.0) + 0.5) * CELL);
        let mut by_distance: Vec<(f64, u32)> = (0..)
            .zip(&self.all)
            .filter(|(i, _)| self.drawn[*i as usize])
            .map(|(i, c)| (Haversine.distance(c.centre, middle) - c.radius_m, i))
            .collect();
        if by_distance.len() > MOST {
            by_distance.select_nth_unstable_by(MOST, |a, b| a.0.total_cmp(&b.0));
            by_distance.truncate(MOST);
        }
        let mut nearest: Vec<u32> = by_distance.into_iter().map(|(_, i)| i).collect();
        nearest.sort_unstable();
        if cells.len() >= MOST_CELLS {
            cells.clear();
        }
        let nearest: Nearest = nearest.into();
        cells.insert(cell, Arc::clone(&nearest));
        nearest
    }
}

fn circles(site: &Site) -> Vec<Circle> {
    let tst = times(site);
    let circle = |fence: &Geofence| {
        let (centre, radius_m) = circle_of(fence)?;
        Some(Circle { id: fence.id.clone(), centre, radius_m, tst: *tst.get(&fence.id)? })
    };
    site.geofences.values().filter_map(circle).filter(|c| c.radius_m >= LEAST_RADIUS_M).collect()
}

impl Circle {
    fn waypoint(&self) -> Value {
        let degrees = |d: f64| (d * 1e6).round() / 1e6;
        let (lat, lon) = (degrees(self.centre.y()), degrees(self.centre.x()));
        #[expect(clippy::cast_possible_truncation, reason = "at most 50 km")]
        let rad = self.radius_m.floor() as i64;
        json!({ "_type": "waypoint", "desc": self.id, "rid": self.id, "lat": lat, "lon": lon, "rad": rad, "tst": self.tst })
    }

    /// Coordinates that no place has take the region out of an iPhone.
    fn removal(&self) -> Value {
        json!({ "_type": "waypoint", "desc": self.id, "rid": self.id, "lat": -1_000_000, "lon": -1_000_000, "rad": 0, "tst": self.tst })
    }
}

/// The `tst` under which Android knows each geofence: made of its id, so that it stays the same when others come and go.
pub(super) fn times(site: &Site) -> BTreeMap<FenceId, i64> {
    let mut taken = BTreeSet::new();
    let time = |id: &FenceId| {
        let digest = Sha256::digest(id.as_str().as_bytes());
        let number = digest.iter().take(4).fold(0, |all, byte| (all << 8) | i64::from(*byte));
        let mut tst = 1_000_000_000 + number % 700_000_000;
        while !taken.insert(tst) {
            tst += 1;
        }
        (id.clone(), tst)
    };
    site.geofences.keys().map(time).collect()
}

/// The circle that stands for a geofence; `None` for a shape without an inside.
fn circle_of(fence: &Geofence) -> Option<(Point<f64>, f64)> {
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

#[cfg(test)]
mod tests {
    use geo::MultiPolygon;

    use super::*;

    const LAT: f64 = 48.85;
    const LON: f64 = 2.35;

    fn fence(id: &str, kind: FenceKind, shape: Shape) -> Geofence {
        Geofence { id: id.parse().unwrap(), store: "paris-rivoli".parse().unwrap(), kind, shape }
    }

    /// A polygon of corners in metres east and north of a place.
    fn area(lat: f64, lon: f64, corners: &[(f64, f64)]) -> Shape {
        let to = |(x, y): &(f64, f64)| {
            let east = lon + x / (METRES_PER_DEGREE * lat.to_radians().cos());
            (if east > 180.0 { east - 360.0 } else { east }, lat + y / METRES_PER_DEGREE)
        };
        let ring: Vec<(f64, f64)> = corners.iter().chain(corners.first()).map(to).collect();
        Shape::Area(MultiPolygon(vec![Polygon::new(LineString::from(ring), vec![])]))
    }

    /// An L of two arms of 40 m by 200 m.
    const L: [(f64, f64); 6] = [(0.0, 0.0), (200.0, 0.0), (200.0, 40.0), (40.0, 40.0), (40.0, 200.0), (0.0, 200.0)];

    #[test]
    fn a_store_becomes_the_largest_circle_inside_and_nearby_one_around() {
        let (centre, radius) = circle_of(&fence("rivoli-in", FenceKind::Store, area(LAT, LON, &L))).unwrap();
        // The corner of the L holds a circle of 4 - 2*sqrt(2) arms' widths through the inner corner: 23.4 m.
        assert!((radius - 23.4).abs() < 1.0, "{radius}");
        let (x, y) = ((centre.x() - LON) * METRES_PER_DEGREE * LAT.to_radians().cos(), (centre.y() - LAT) * METRES_PER_DEGREE);
        assert!((x - 23.4).abs() < 2.0 && (y - 23.4).abs() < 2.0, "{x} {y}");
        let (centre, radius) = circle_of(&fence("rivoli-near", FenceKind::Nearby, area(LAT, LON, &L))).unwrap();
        assert!((radius - 141.4).abs() < 0.5, "{radius}");
        assert!((centre.x() - LON) * METRES_PER_DEGREE * LAT.to_radians().cos() - 100.0 < 0.5);
    }

    #[test]
    fn an_area_across_the_antimeridian_is_one_circle() {
        let shape = area(-16.5, 179.999, &[(0.0, 0.0), (400.0, 0.0), (400.0, 400.0), (0.0, 400.0)]);
        let (centre, radius) = circle_of(&fence("fiji-near", FenceKind::Nearby, shape)).unwrap();
        assert!((radius - 282.8).abs() < 1.0, "{radius}");
        assert!(centre.x().abs() > 179.99 && centre.x().abs() <= 180.0, "{centre:?}");
    }

    #[test]
    fn a_corridor_becomes_a_circle_inside_or_around_it() {
        let east = |m: f64| LON + m / (METRES_PER_DEGREE * LAT.to_radians().cos());
        let line = LineString::from(vec![(east(0.0), LAT), (east(300.0), LAT), (east(400.0), LAT)]);
        let corridor = || Shape::Corridor { lines: MultiLineString(vec![line.clone()]), buffer_m: 30.0 };
        for (kind, want) in [(FenceKind::Store, 30.0), (FenceKind::Nearby, 230.0)] {
            let (centre, radius) = circle_of(&fence("rivoli-way", kind, corridor())).unwrap();
            assert!((radius - want).abs() < 0.5, "{radius}");
            assert!((centre.x() - east(200.0)).abs() < 1e-6 && (centre.y() - LAT).abs() < 1e-6, "{centre:?}");
        }
    }

    fn site(n: usize) -> Site {
        let circle = |i: usize| {
            let centre = Point::new(LON, LAT + 0.002 * f64::from(u32::try_from(i).unwrap()));
            fence(&format!("fence-{i:03}"), FenceKind::Store, Shape::Circle { centre, radius_m: 60.0 })
        };
        Site { geofences: (0..n).map(circle).map(|f| (f.id.clone(), f)).collect(), ..Site::default() }
    }

    fn ids(news: &Value) -> Vec<String> {
        let list = news["waypoints"]["waypoints"].as_array().unwrap();
        list.iter().map(|w| w["desc"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_nearest_twenty_are_told_once_and_again_when_they_change() {
        let circles = Circles::new(&site(100));
        let who = "phone-of-camille".parse().unwrap();
        let first = circles.news(&who, LAT, LON, true).unwrap();
        assert_eq!(ids(&first), (0..20).map(|i| format!("fence-{i:03}")).collect::<Vec<_>>());
        assert_eq!((&first["_type"], &first["action"]), (&json!("cmd"), &json!("setWaypoints")));
        let waypoint = &first["waypoints"]["waypoints"][0];
        assert_eq!((&waypoint["rad"], &waypoint["lat"], &waypoint["rid"]), (&json!(60), &json!(LAT), &json!("fence-000")));
        assert_eq!(circles.news(&who, LAT + 0.0001, LON, true), None);
        let second = circles.news(&who, LAT + 0.2, LON, true).unwrap();
        assert_eq!(ids(&second).len(), 40, "the new ones, and the old ones to be taken out");
        assert_eq!(second["waypoints"]["waypoints"][39]["lat"], json!(-1_000_000));
        let third = circles.news(&who, LAT, LON, false).unwrap();
        assert_eq!(ids(&third).len(), 20, "an app that does not know how to take out is not asked to");
    }

    #[test]
    fn when_geofences_change_phones_hear_of_the_new_ones_and_of_those_that_are_to_go() {
        let who = "phone-of-camille".parse().unwrap();
        let mut circles = Circles::new(&site(3));
        circles.news(&who, LAT, LON, true).unwrap();
        circles.reload(&site(3));
        assert_eq!(circles.news(&who, LAT, LON, true), None, "the same ones");
        let mut moved = site(2);
        let fence = moved.geofences.get_mut(&"fence-001".parse().unwrap()).unwrap();
        fence.shape = Shape::Circle { centre: Point::new(LON, LAT), radius_m: 90.0 };
        circles.reload(&moved);
        let news = circles.news(&who, LAT, LON, true).unwrap();
        assert_eq!(ids(&news), ["fence-000", "fence-001", "fence-002"], "the first two to watch, the last to forget");
        let waypoints = &news["waypoints"]["waypoints"];
        assert_eq!((&waypoints[1]["rad"], &waypoints[2]["lat"]), (&json!(90), &json!(-1_000_000)));
        assert_eq!(circles.news(&who, LAT, LON, true), None);
    }

    #[test]
    fn without_geofences_nothing_is_told() {
        assert_eq!(Circles::new(&Site::default()).news(&"phone-of-camille".parse().unwrap(), LAT, LON, true), None);
    }

    #[test]
    fn the_name_of_a_region_does_not_change_when_others_come() {
        let (few, many) = (times(&site(3)), times(&site(300)));
        assert!(few.iter().all(|(id, tst)| many[id] == *tst));
        assert_eq!(many.values().collect::<BTreeSet<_>>().len(), 300);
    }
}
