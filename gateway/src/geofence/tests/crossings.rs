//! Fences between two fixes: noted, and never more than that.

use geo::{LineString, MultiPolygon, Polygon};
use proptest::prelude::*;

use super::*;

/// A fix so many metres east and north of the middle.
fn at(seconds: i64, east: f64, north: f64, accuracy_m: f64) -> Fix {
    Fix { lon: LON + east / (area::METRES_PER_DEGREE * LAT.to_radians().cos()), ..fix(seconds, north, accuracy_m) }
}

/// The probabilities of what is crossed on the way from one fix to another.
fn crossed(walk: &mut Walk, from: &Fix, to: &Fix) -> Vec<f64> {
    walk.at(from.at.since(t(0)) / 1000, from);
    walk.at(to.at.since(t(0)) / 1000, to);
    walk.machine.crossed().iter().map(|crossing| crossing.p).collect()
}

#[test]
fn a_fence_that_was_walked_through_unseen_is_noted_and_nobody_was_in_it() {
    let mut walk = Walk::new();
    assert_eq!(crossed(&mut walk, &fix(0, 400.0, 10.0), &fix(300, -400.0, 10.0)).len(), 1);
    let expected = Crossing { fence: "lyon-shop".parse().unwrap(), from: t(0), to: t(300), p: 1.0, accuracy_m: 50.0_f64.sqrt() };
    let told = &walk.machine.crossed()[0];
    assert_eq!((&told.fence, told.from, told.to), (&expected.fence, expected.from, expected.to));
    assert!((told.p - 1.0).abs() < 1e-3 && (told.accuracy_m - expected.accuracy_m).abs() < 0.1, "{told:?}");
    walk.advance(10_000);
    assert!(walk.told().is_empty());
    walk.at(10_001, &fix(10_001, -401.0, 10.0));
    assert!(walk.machine.crossed().is_empty(), "told once");
    assert_eq!(walk.machine.crossings(), 1);
}

#[test]
fn what_leaves_a_doubt_is_not_noted() {
    let far = fix(0, 400.0, 10.0);
    for (why, from, to) in [
        ("too long between them", far.clone(), fix(301, -400.0, 10.0)),
        ("past it by 20 m", at(0, 120.0, 400.0, 5.0), at(60, 120.0, -400.0, 5.0)),
        ("at its edge, by places that are not exact enough", at(0, 90.0, 400.0, 40.0), at(60, 90.0, -400.0, 40.0)),
        ("not past it", far.clone(), fix(60, 150.0, 10.0)),
        ("perhaps still in it", far.clone(), fix(60, -110.0, 50.0)),
        ("no place at all", far.clone(), fix(60, -400.0, 150.0)),
        ("a jump", far.clone(), fix(60, -40_000.0, 10.0)),
        ("older than what is known", far, fix(-60, -400.0, 10.0)),
    ] {
        assert!(crossed(&mut Walk::new(), &from, &to).is_empty(), "{why}");
    }
}

#[test]
fn the_edge_of_a_fence_is_crossed_by_those_whose_places_are_exact() {
    let p = |accuracy_m| crossed(&mut Walk::new(), &at(0, 90.0, 400.0, accuracy_m), &at(60, 90.0, -400.0, accuracy_m));
    assert_eq!((p(5.0).len(), p(40.0).len()), (1, 0));
}

#[test]
fn who_was_in_a_stay_has_not_crossed_it() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.live(60, 250.0, 10.0);
    walk.live(100, -250.0, 10.0);
    assert_eq!((walk.told(), walk.machine.crossings()), (vec!["enter 0".to_owned(), "exit 0".to_owned()], 0));
    walk.live(160, 250.0, 10.0);
    assert_eq!(walk.machine.crossings(), 1, "it has ended");
}

#[test]
fn each_of_nested_fences_is_told_and_the_one_that_is_occupied_is_not() {
    let fences = [("lyon-shop", FenceKind::Store, 60.0), ("lyon-street", FenceKind::Nearby, 300.0)];
    let mut walk = Walk::with(&fences);
    assert_eq!(crossed(&mut walk, &fix(0, 500.0, 10.0), &fix(300, -500.0, 10.0)).len(), 2);
    let mut walk = Walk::with(&fences);
    walk.live(-900, 900.0, 10.0);
    assert_eq!(crossed(&mut walk, &fix(0, 200.0, 10.0), &fix(120, -200.0, 10.0)).len(), 1, "of the shop, from within the street");
    assert_eq!(walk.told(), ["enter 0", "dwell 120"]);
}

#[test]
fn no_way_leads_over_a_restart() {
    let mut walk = Walk::new();
    walk.live(0, 400.0, 10.0);
    walk.restart(&[("lyon-shop", FenceKind::Store, 100.0)]);
    walk.live(60, -400.0, 10.0);
    assert_eq!(walk.machine.crossings(), 0, "the place before it was on no disk");
}

/// A machine with one fence anywhere.
fn around(shape: Shape) -> Geofences {
    let id: passage_protocol::FenceId = "anywhere".parse().unwrap();
    let fence = Geofence { id: id.clone(), store: "lyon".parse().unwrap(), kind: FenceKind::Store, shape };
    Geofences::new(&Site { geofences: [(id, fence)].into(), ..Site::default() }, GeofenceRules::default(), Vec::new())
}

fn count(machine: &mut Geofences, (lat, lon): (f64, f64), (to_lat, to_lon): (f64, f64)) -> u64 {
    for (seconds, lat, lon) in [(0, lat, lon), (60, to_lat, to_lon)] {
        let fix = Fix { lat, lon, ..fix(seconds, 0.0, 5.0) };
        machine.fix(&fix, fix.at, &mut Vec::new());
    }
    machine.crossings()
}

#[test]
fn a_thin_fence_is_not_stepped_over_and_longitude_180_is_no_wall() {
    let strip = |west: f64, east: f64| {
        let ring = LineString::from(vec![(west, -16.6), (east, -16.6), (east, -16.4), (west, -16.4), (west, -16.6)]);
        Shape::Area(MultiPolygon(vec![Polygon::new(ring, vec![])]))
    };
    // 20 m wide and 22 km long.
    assert_eq!(count(&mut around(strip(4.0, 4.0002)), (-16.5, 3.99), (-16.49, 4.01)), 1);
    for (middle, from, to) in [(180.0, 179.99, -179.99), (-179.995, 179.999, -179.985), (179.995, -179.999, 179.985)] {
        let circle = Shape::Circle { centre: Point::new(middle, -16.5), radius_m: 100.0 };
        assert_eq!(count(&mut around(circle), (-16.5, from), (-16.5, to)), 1, "{middle}");
    }
}

proptest! {
    /// Against many points of the way, each taken for a fix of its own.
    #[test]
    fn the_deepest_point_is_found(radius in 20.0..200.0_f64, from in (-400.0..400.0_f64, 210.0..700.0_f64), to in (-400.0..400.0_f64, -700.0..-210.0_f64), accuracy in (3.0..80.0_f64, 3.0..80.0_f64)) {
        let mut walk = Walk::with(&[("lyon-shop", FenceKind::Store, radius)]);
        let ends = (at(0, from.0, from.1, accuracy.0), at(60, to.0, to.1, accuracy.1));
        let told = crossed(&mut walk, &ends.0, &ends.1);
        let fence = &walk.machine.world.fences[0];
        let chance = |i: u32| {
            let t = f64::from(i) / 4000.0;
            let accuracy_m = ((1.0 - t) * accuracy.0).hypot(t * accuracy.1);
            let (lat, lon) = (ends.0.lat + t * (ends.1.lat - ends.0.lat), ends.0.lon + t * (ends.1.lon - ends.0.lon));
            chance::Chance::of(fence.area.inside_m(lat, lon), accuracy_m, fence.area.area_m2).enter
        };
        let best = (0..=4000).map(chance).fold(0.0, f64::max);
        let is_outside = [&ends.0, &ends.1].into_iter().all(|end| {
            fence.chance(end.lat, end.lon, end.accuracy_m.unwrap()).is_some_and(|chance| chance.stay <= 0.25)
        });
        match told.first() {
            Some(p) => prop_assert!(is_outside && (*p - best).abs() < 0.02, "{p} {best}"),
            None => prop_assert!(!is_outside || best < 0.77, "{best}"),
        }
    }

    /// They are noted beside the decisions, which are the same whether anybody looks for them or not.
    #[test]
    fn no_crossing_changes_a_decision(steps in proptest::collection::vec((1_i64..120, -400.0..400.0_f64, -300.0..300.0_f64, 3.0..60.0_f64), 1..80)) {
        let rules = |seconds| GeofenceRules { cross_within: Duration::from_secs(seconds), ..GeofenceRules::default() };
        let marks = vec![Duration::from_secs(120)];
        let one = site(&[("lyon-shop", FenceKind::Store, 80.0)]);
        let (mut with, mut without) = (Geofences::new(&one, rules(3600), marks.clone()), Geofences::new(&one, rules(0), marks));
        let (mut told, mut told_without, mut now) = (Vec::new(), Vec::new(), 0);
        for (wait, east, north, accuracy) in steps {
            now += wait;
            let fix = at(now, east, north, accuracy);
            let before = told.len();
            with.advance(fix.at, &mut told);
            with.fix(&fix, fix.at, &mut told);
            without.advance(fix.at, &mut told_without);
            without.fix(&fix, fix.at, &mut told_without);
            for crossing in with.crossed() {
                prop_assert!(crossing.from < crossing.to && crossing.to == fix.at && crossing.p >= 0.75 && crossing.p <= 1.0);
                prop_assert!(told[before..].iter().all(|change| change.phase == Phase::Exit), "nobody is in what they have crossed");
            }
        }
        prop_assert_eq!(told, told_without);
        prop_assert_eq!(without.crossings(), 0);
    }
}
