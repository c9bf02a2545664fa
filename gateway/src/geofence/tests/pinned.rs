//! Decisions that must never change by a bit, however they are computed: a hash over all of them, recorded before the state was made compact.

use geo::{LineString, MultiLineString, MultiPolygon, Polygon};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::*;

/// A place `east` and `north` metres from the middle, as longitude and latitude.
fn place(east: f64, north: f64) -> (f64, f64) {
    (LON + east / (area::METRES_PER_DEGREE * LAT.to_radians().cos()), LAT + north / area::METRES_PER_DEGREE)
}

fn ring(corners: &[(f64, f64)]) -> LineString<f64> {
    corners.iter().chain(corners.first()).map(|(x, y)| place(*x, *y)).collect()
}

/// Nested circles, a polygon with a hole, two parts, and a corridor, all in one another's way.
fn shapes() -> Vec<Shape> {
    let square = |half: f64, east: f64| ring(&[(east - half, -half), (east + half, -half), (east + half, half), (east - half, half)]);
    let circle = |east: f64, radius_m: f64| Shape::Circle { centre: Point::from(place(east, 0.0)), radius_m };
    let holed = Polygon::new(square(150.0, 300.0), vec![square(40.0, 300.0)]);
    let parts = MultiPolygon(vec![Polygon::new(square(50.0, -200.0), vec![]), Polygon::new(square(30.0, -320.0), vec![])]);
    let way = MultiLineString(vec![[(-400.0, 120.0), (0.0, 150.0), (400.0, 120.0)].map(|(x, y)| place(x, y)).to_vec().into()]);
    vec![
        circle(0.0, 60.0),
        circle(0.0, 300.0),
        circle(90.0, 80.0),
        Shape::Area(MultiPolygon(vec![holed])),
        Shape::Area(parts),
        Shape::Corridor { lines: way, buffer_m: 50.0 },
    ]
}

/// Forty phones that wander, jump, fall silent, repeat themselves, and report late or twice for one time.
fn play(rules: GeofenceRules) -> (usize, String) {
    let fences = (0..).zip(shapes()).map(|(i, shape)| {
        let id: passage_protocol::FenceId = format!("fence-{i}").parse().unwrap();
        Geofence { id, store: "lyon".parse().unwrap(), kind: FenceKind::Store, shape }
    });
    let site = Site { geofences: fences.map(|f| (f.id.clone(), f)).collect(), ..Site::default() };
    let marks = [120, 300, 600, 1200].map(Duration::from_secs).to_vec();
    let mut machine = Geofences::new(&site, rules, marks.clone());
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut phones = [(0.0_f64, 0.0_f64); 40];
    let (mut now, mut out, mut outcomes) = (0_i64, Vec::new(), Sha256::new());
    for step in 0..20_000_u32 {
        now += random.random_range(0..3);
        let phone = random.random_range(0..phones.len());
        let far = random.random_bool(0.002);
        let stride = if far { 3000.0 } else { 40.0 };
        phones[phone].0 = (phones[phone].0 + random.random_range(-stride..stride)).clamp(-4000.0, 4000.0) * 0.99;
        phones[phone].1 = (phones[phone].1 + random.random_range(-stride..stride)).clamp(-4000.0, 4000.0) * 0.97;
        let delay = if random.random_bool(0.3) { random.random_range(0..200) } else { 0 };
        let (lon, lat) = place(phones[phone].0, phones[phone].1);
        let fix = Fix {
            installation: format!("phone-{phone:02}").parse().unwrap(),
            at: t(now - delay),
            ahead_ms: 0,
            lat,
            lon,
            accuracy_m: random.random_bool(0.95).then(|| random.random_range(3.0..130.0)),
            speed_kmh: random.random_bool(0.5).then(|| random.random_range(0.0..16.0)),
            away: random.random_bool(0.05).then(|| t(now - delay - 600)),
            fresh: random.random_bool(0.002),
        };
        machine.advance(t(now), &mut out);
        outcomes.update(format!("{:?}", machine.fix(&fix, t(now), &mut out)));
        if step % 5_000 == 4_999 {
            machine.reload(&site, rules, marks.clone(), &mut out);
            now += 1_800;
        }
    }
    machine.advance(t(now + 100_000), &mut out);
    outcomes.update(format!("{out:?}{:?}", machine.counts()));
    (out.len(), hex::encode(&outcomes.finalize()[..16]))
}

#[test]
fn the_decisions_of_wild_walks_are_those_of_the_first_machine() {
    assert_eq!(play(GeofenceRules::default()), (2997, "111cea63b4d85cd19e38af82b98bc184".to_owned()));
}

#[test]
fn and_so_they_are_where_a_fence_can_be_entered_from_outside() {
    let rules = GeofenceRules { enter_p: 0.4, exit_p: 0.1, ..GeofenceRules::default() };
    assert_eq!(play(rules), (4640, "501dcbf81c408d84cf1f19545b534411".to_owned()));
}
