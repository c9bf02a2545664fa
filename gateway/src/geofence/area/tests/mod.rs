use geo::{Coord, Intersects, LineString, MultiLineString, MultiPolygon, Polygon};
use proptest::prelude::*;

use super::*;

const LAT: f64 = 45.76;
const LON: f64 = 4.83;

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

fn polygon(rings: Vec<Vec<(f64, f64)>>) -> Polygon<f64> {
    let mut rings = rings.into_iter().map(LineString::from);
    Polygon::new(rings.next().unwrap(), rings.collect())
}

fn at(area: &Area, east: f64, north: f64) -> f64 {
    area.inside_m(LAT + north / METRES_PER_DEGREE, LON + east / (METRES_PER_DEGREE * LAT.to_radians().cos()))
}

#[test]
fn a_circle_measures_along_the_earth() {
    let area = Area::new(&Shape::Circle { centre: Point::new(LON, LAT), radius_m: 100.0 });
    for (east, north, want) in [(0.0, 0.0, 100.0), (60.0, 0.0, 40.0), (0.0, 130.0, -30.0)] {
        assert!((at(&area, east, north) - want).abs() < 0.1, "{east} {north}: {}", at(&area, east, north));
    }
    assert!(area.bounds.contains(LAT, LON) && !area.bounds.contains(LAT + 0.001, LON));
}

#[test]
fn a_polygon_gives_the_distance_to_its_border_in_metres() {
    let area = Area::new(&Shape::Area(MultiPolygon(vec![Polygon::new(square(50.0, 0.0, 0.0), vec![])])));
    for (east, north, want) in [(0.0, 0.0, 50.0), (40.0, 0.0, 10.0), (80.0, 0.0, -30.0), (53.0, 54.0, -5.0)] {
        assert!((at(&area, east, north) - want).abs() < 0.05, "{east} {north}: {}", at(&area, east, north));
    }
    assert!((area.area_m2 - 10_000.0).abs() < 1.0, "{}", area.area_m2);
}

#[test]
fn a_hole_is_outside_and_its_border_is_inside() {
    let area = Area::new(&Shape::Area(MultiPolygon(vec![polygon(vec![
        vec![(4.0, 45.0), (4.004, 45.0), (4.004, 45.004), (4.0, 45.004), (4.0, 45.0)],
        vec![(4.001, 45.001), (4.003, 45.001), (4.003, 45.003), (4.001, 45.003), (4.001, 45.001)],
    ])])));
    assert!(!area.holds(45.002, 4.002) && area.inside_m(45.002, 4.002) < -70.0);
    assert!(area.holds(45.0005, 4.002) && area.inside_m(45.0005, 4.002) > 50.0);
    for (lat, lon) in [(45.001, 4.002), (45.003, 4.003), (45.002, 4.001), (45.0, 4.0), (45.0, 4.002), (45.004, 4.001)] {
        assert!(area.holds(lat, lon), "{lat} {lon}");
    }
}

#[test]
fn every_part_of_a_multipolygon_counts() {
    let parts = vec![Polygon::new(square(50.0, 0.0, 0.0), vec![]), Polygon::new(square(30.0, 200.0, 0.0), vec![])];
    let area = Area::new(&Shape::Area(MultiPolygon(parts)));
    assert!((at(&area, 0.0, 0.0) - 50.0).abs() < 0.05);
    assert!((at(&area, 200.0, 0.0) - 30.0).abs() < 0.05);
    assert!((at(&area, 100.0, 0.0) + 50.0).abs() < 0.05);
}

#[test]
fn a_corridor_is_what_lies_near_its_line() {
    let line = LineString::from(vec![(LON, LAT), (LON, LAT + 0.01), (LON + 0.01, LAT + 0.01)]);
    let area = Area::new(&Shape::Corridor { lines: MultiLineString(vec![line]), buffer_m: 40.0 });
    assert!((at(&area, 30.0, 500.0) - 10.0).abs() < 0.1 && (at(&area, 0.0, -60.0) + 20.0).abs() < 0.1);
    assert!(area.holds(LAT + 0.01, LON + 0.005) && !area.holds(LAT + 0.005, LON + 0.005));
}

#[test]
fn what_crosses_longitude_180_is_whole_on_both_sides() {
    // A square of 0.2 degrees off Fiji, cut as RFC 7946 wants it.
    let east = polygon(vec![vec![(179.9, -16.6), (180.0, -16.6), (180.0, -16.4), (179.9, -16.4), (179.9, -16.6)]]);
    let west = polygon(vec![vec![(-180.0, -16.6), (-179.9, -16.6), (-179.9, -16.4), (-180.0, -16.4), (-180.0, -16.6)]]);
    let shapes = [
        Shape::Area(MultiPolygon(vec![east, west])),
        Shape::Circle { centre: Point::new(180.0, -16.5), radius_m: 9000.0 },
        Shape::Circle { centre: Point::new(-179.99, -16.5), radius_m: 9000.0 },
        Shape::Corridor {
            lines: MultiLineString(vec![
                LineString::from(vec![(179.95, -16.5), (180.0, -16.5)]),
                LineString::from(vec![(-180.0, -16.5), (-179.95, -16.5)]),
            ]),
            buffer_m: 5000.0,
        },
    ];
    let index = super::super::Containment::new(&shapes);
    for lon in [179.95, 180.0, -180.0, -179.95] {
        assert_eq!(index.holders(-16.5, lon).collect::<Vec<_>>(), [0, 1, 2, 3], "{lon}");
    }
    for lon in [0.0, 179.8, -179.8, 90.0] {
        assert_eq!(index.holders(-16.5, lon).count(), 0, "{lon}");
    }
    // The cut is no border: in the middle, the way out is to the sides.
    for lon in [180.0, -180.0, 179.999, -179.999] {
        assert!(Area::new(&shapes[0]).inside_m(-16.5, lon) > 10_000.0, "{lon}");
    }
}

#[test]
fn a_corridor_beside_longitude_180_is_whole_whatever_its_width() {
    for side in [1.0, -1.0] {
        let line = LineString::from(vec![(side * 179.99, 48.0), (side * 179.98, 48.0)]);
        for buffer_m in [50.0, 500.0, 2000.0] {
            let shape = Shape::Corridor { lines: MultiLineString(vec![line.clone()]), buffer_m };
            let index = super::super::Containment::new([&shape]);
            for lon in [179.99, 179.985, 179.98] {
                assert_eq!(index.holders(48.0, side * lon).count(), 1, "{buffer_m} m around {}", side * lon);
                assert!((Area::new(&shape).inside_m(48.0, side * lon) - buffer_m).abs() < 0.1);
            }
            // 0.005 degrees beyond 180, 1,116 m from the end of the line.
            assert_eq!(index.holders(48.0, side * -179.995).count(), usize::from(buffer_m > 1200.0), "{buffer_m} m");
        }
    }
}

#[test]
fn what_ends_at_longitude_180_holds_it_under_both_names() {
    let east = polygon(vec![vec![(179.9, 48.0), (180.0, 48.0), (180.0, 48.1), (179.9, 48.1), (179.9, 48.0)]]);
    let west = polygon(vec![vec![(-180.0, 48.0), (-179.9, 48.0), (-179.9, 48.1), (-180.0, 48.1), (-180.0, 48.0)]]);
    let shapes = [Shape::Area(MultiPolygon(vec![east])), Shape::Area(MultiPolygon(vec![west]))];
    let index = super::super::Containment::new(&shapes);
    for (lon, held) in [(180.0, &[0, 1][..]), (-180.0, &[0, 1]), (179.95, &[0]), (-179.95, &[1]), (0.0, &[])] {
        let mut found: Vec<usize> = index.holders(48.05, lon).collect();
        found.sort_unstable();
        assert_eq!(found, held, "{lon}");
    }
}

#[test]
fn a_circle_around_a_pole_reaches_all_longitudes() {
    let shapes = [Shape::Circle { centre: Point::new(10.0, 89.999), radius_m: 500.0 }];
    let index = super::super::Containment::new(&shapes);
    for lon in [-170.0, 0.0, 10.0, 100.0, 180.0] {
        assert_eq!(index.holders(89.999, lon).count(), 1, "{lon}");
    }
}

/// Corners and places on one coarse grid, so that places on borders and corners are common.
fn ring() -> impl Strategy<Value = Vec<(f64, f64)>> {
    proptest::collection::vec((-8_i32..9, -8_i32..9), 3..90).prop_map(|corners| {
        let mut ring: Vec<(f64, f64)> = corners.into_iter().map(|(x, y)| (f64::from(x) * 0.1, f64::from(y) * 0.1)).collect();
        ring.push(ring[0]);
        ring
    })
}

proptest! {
    #[test]
    fn it_answers_as_geo_does_also_on_the_border(ring in ring(), x in -90_i32..91, y in -90_i32..91) {
        use geo::{CoordinatePosition, coordinate_position::CoordPos};
        let polygon = polygon(vec![ring]);
        let place = Coord { x: f64::from(x) * 0.01, y: f64::from(y) * 0.01 };
        let area = Area::new(&Shape::Area(MultiPolygon(vec![polygon.clone()])));
        // Rings that cross themselves are told as geo tells them only as far as both count crossings: on the border, and outside the hull.
        match polygon.exterior().coordinate_position(&place) {
            CoordPos::Inside => prop_assert!(area.holds(place.y, place.x)),
            _ if polygon.exterior().lines().any(|l| l.intersects(&place)) => prop_assert!(area.holds(place.y, place.x)),
            _ => {}
        }
    }

    #[test]
    fn the_depth_is_the_distance_to_the_border_bit_for_bit_and_none_outside(ring in ring(), x in -90_i32..91, y in -90_i32..91, radius_m in 10.0..90_000.0_f64) {
        let (lat, lon) = (f64::from(y) * 0.01, f64::from(x) * 0.01);
        let line = LineString::from(ring.clone());
        let shapes = [
            Shape::Area(MultiPolygon(vec![polygon(vec![ring])])),
            Shape::Circle { centre: Point::new(0.1, 0.2), radius_m },
            Shape::Corridor { lines: MultiLineString(vec![line]), buffer_m: radius_m / 10.0 },
        ];
        for area in shapes.iter().map(Area::new) {
            let want = area.holds(lat, lon).then(|| area.inside_m(lat, lon).to_bits());
            prop_assert_eq!(area.depth_m(lat, lon).map(f64::to_bits), want);
        }
    }

    #[test]
    fn the_grid_forgets_no_outline(circles in proptest::collection::vec((-180.0..180.0_f64, -80.0..80.0_f64, 10.0..60_000.0_f64), 1..30), places in proptest::collection::vec((-180.0..180.0_f64, -80.0..80.0_f64), 30)) {
        let shapes: Vec<Shape> = circles.iter().map(|(x, y, r)| Shape::Circle { centre: Point::new(*x, *y), radius_m: *r }).collect();
        let index = super::super::Containment::new(&shapes);
        let near = circles.iter().map(|(x, y, r)| (x + r / 200_000.0, y - r / 200_000.0)).map(|(x, y)| (if x > 180.0 { x - 360.0 } else { x }, y));
        for (lon, lat) in places.iter().copied().chain(near) {
            let mut found: Vec<usize> = index.holders(lat, lon).collect();
            found.sort_unstable();
            let all: Vec<usize> = (0..shapes.len()).filter(|i| index.areas_hold(*i, lat, lon)).collect();
            prop_assert_eq!(found, all);
        }
    }
}

proptest! {
    #[test]
    fn a_way_finds_every_box_that_one_of_its_places_would_find(
        boxes in prop::collection::vec((-1.5..1.5_f64, -1.5..1.5_f64, 0.0..0.2_f64), 1..20),
        middle in prop_oneof![Just(180.0), Just(4.8)],
        from in (-1.5..1.5_f64, -1.5..1.5_f64),
        by in (prop_oneof![Just(0.0), -0.5..0.5_f64], prop_oneof![Just(0.0), -0.5..0.5_f64]),
    ) {
        let turned = |lon: f64| if lon > 180.0 { lon - 360.0 } else { lon };
        let bounds = boxes.into_iter().map(|(lat, lon, size)| {
            let west = turned(middle + lon);
            Bounds { south: lat, north: lat + size, west, east: west + size }
        });
        let grid = Grid::new(bounds);
        let start = (from.0, turned(middle + from.1));
        let along = grid.along(start, by);
        for i in 0..=500 {
            let t = f64::from(i) / 500.0;
            let (lat, lon) = (start.0 + t * by.0, start.1 + t * by.1);
            let lon = if lon < -180.0 { lon + 360.0 } else { turned(lon) };
            for found in grid.near(lat, lon) {
                prop_assert!(along.contains(&found), "{lat} {lon}");
            }
        }
    }
}
