//! What phones are given to watch, and the circles that stand for outlines.

use geo::{LineString, MultiLineString, MultiPolygon, Polygon};
use passage_config::{FenceKind, Shape};

use super::{outline::METRES_PER_DEGREE, *};

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
