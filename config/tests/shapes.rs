//! Shapes that map tools really write are understood.

use std::{fs, path::Path};

use geo::{Area, Contains, Point, Validation};
use passage_config::{Shape, load_fences, load_site};

/// The shape that a file gives by itself.
fn plain(geometry: &str, properties: &str) -> Shape {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drawn.geojson");
    let feature = format!(r#"{{ "type": "Feature", "id": 7, "properties": {properties}, "geometry": {geometry} }}"#);
    fs::write(&file, format!(r#"{{ "type": "FeatureCollection", "features": [{feature}] }}"#)).unwrap();
    let read = load_fences(&file).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(read.fences[0].id, "7");
    read.fences[0].shape.clone()
}

fn area(geometry: &str) -> geo::MultiPolygon<f64> {
    let Shape::Area(area) = plain(geometry, "{}") else { panic!("no area") };
    assert!(area.is_valid() && area.signed_area() > 0.0);
    area
}

#[test]
fn a_clockwise_ring_is_turned_round() {
    let area = area(r#"{ "type": "Polygon", "coordinates": [[[4.0, 45.0], [4.0, 45.01], [4.01, 45.01], [4.01, 45.0], [4.0, 45.0]]] }"#);
    assert!(area.contains(&Point::new(4.005, 45.005)) && !area.contains(&Point::new(4.02, 45.005)));
}

#[test]
fn holes_heights_and_repeated_corners_are_understood() {
    let area = area(
        r#"{ "type": "MultiPolygon", "coordinates": [[
            [[4.0, 45.0, 170], [4.01, 45.0, 170], [4.01, 45.0, 170], [4.01, 45.01, 171], [4.0, 45.01, 171], [4.0, 45.0, 170]],
            [[4.004, 45.004], [4.004, 45.006], [4.006, 45.006], [4.006, 45.004], [4.004, 45.004]]
        ]] }"#,
    );
    assert!(area.contains(&Point::new(4.002, 45.002)) && !area.contains(&Point::new(4.005, 45.005)));
}

#[test]
fn what_spans_more_than_half_the_earth_goes_the_short_way_and_is_cut_at_180() {
    let drawn = [
        // one ring over the line, with a hole on the far side
        r#"{ "type": "Polygon", "coordinates": [
            [[179.9, -16.6], [-179.9, -16.6], [-179.9, -16.4], [179.9, -16.4], [179.9, -16.6]],
            [[-179.97, -16.52], [-179.96, -16.52], [-179.96, -16.51], [-179.97, -16.51], [-179.97, -16.52]]] }"#,
        // cut already
        r#"{ "type": "MultiPolygon", "coordinates": [
            [[[179.9, -16.6], [180, -16.6], [180, -16.4], [179.9, -16.4], [179.9, -16.6]]],
            [[[-180, -16.6], [-179.9, -16.6], [-179.9, -16.4], [-180, -16.4], [-180, -16.6]]]] }"#,
    ];
    for geometry in drawn {
        let area = area(geometry);
        assert_eq!(area.0.len(), 2, "{geometry}");
        for (lon, inside) in [(179.95, true), (-179.95, true), (179.8, false), (-179.8, false), (0.0, false)] {
            assert_eq!(area.contains(&Point::new(lon, -16.5)), inside, "{lon} in {geometry}");
        }
        assert!((area.unsigned_area() - 0.04).abs() < 0.000_2, "{}", area.unsigned_area());
    }
    let Shape::Corridor { lines, .. } = plain(
        r#"{ "type": "LineString", "coordinates": [[179.99, -16.5], [-179.99, -16.4]] }"#,
        r#"{ "buffer_m": 100, "any_size": true }"#,
    ) else {
        panic!("no corridor");
    };
    assert_eq!(lines.0.len(), 2);
    assert!(lines.0.iter().flat_map(|l| l.coords()).all(|c| c.x.abs() <= 180.0));
}

#[test]
fn what_qgis_and_geojson_io_add_is_not_in_the_way() {
    let dir = demo();
    fs::write(
        dir.path().join("geofences/qgis.geojson"),
        r#"{ "type": "FeatureCollection", "name": "layer", "xy_coordinate_resolution": 1e-06,
            "crs": { "type": "name", "properties": { "name": "urn:ogc:def:crs:OGC:1.3:CRS84" } },
            "features": [
            { "type": "Feature", "id": 0, "properties": { "fid": 1, "id": "lyon-way", "store": "lyon-bellecour", "kind": "nearby", "radius_m": null, "buffer_m": 30.0 },
              "geometry": { "type": "MultiLineString", "coordinates": [[[4.8343, 45.7588], [4.8360, 45.7600]]] } },
            { "type": "Feature", "properties": { "id": "lyon-drawn", "store": "lyon-bellecour", "kind": "nearby", "stroke": "grey", "fill-opacity": 0.5 },
              "geometry": { "type": "Polygon", "coordinates": [[[4.833, 45.758], [4.836, 45.758], [4.836, 45.760], [4.833, 45.758]]] } } ] }"#,
    )
    .unwrap();
    let site = load_site(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(matches!(site.geofences[&"lyon-way".parse().unwrap()].shape, Shape::Corridor { buffer_m, .. } if buffer_m == 30.0));
    assert!(site.geofences.contains_key(&"lyon-drawn".parse().unwrap()));
}

#[test]
fn circles_can_be_written_without_a_map_tool() {
    let dir = demo();
    let text = r#"
        [lyon-around]
        store = "lyon-bellecour"
        kind = "nearby"
        radius_m = 400

        [lyon-corner]
        store = "lyon-bellecour"
        kind = "store"
        at = { lat = 45.7590, lon = 4.8350 }
        radius_m = 15
        any_size = true
    "#;
    fs::write(dir.path().join("geofences/lyon-circles.toml"), text).unwrap();
    let site = load_site(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let circle = |id: &str| match site.geofences[&id.parse().unwrap()].shape {
        Shape::Circle { centre, radius_m } => (centre.y(), centre.x(), radius_m),
        _ => panic!("no circle"),
    };
    // Without a place of its own, a circle lies around its store.
    assert_eq!(circle("lyon-around"), (45.7588, 4.8343, 400.0));
    assert_eq!(circle("lyon-corner"), (45.7590, 4.8350, 15.0));
}

#[test]
fn a_file_by_itself_tells_what_is_probably_not_meant() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cities.geojson");
    let circle = |lon: f64, lat: f64, radius: f64| {
        format!(
            r#"{{ "type": "Feature", "properties": {{ "radius_m": {radius} }}, "geometry": {{ "type": "Point", "coordinates": [{lon}, {lat}] }} }}"#
        )
    };
    let all = [
        circle(4.83, 45.76, 100.0),
        circle(4.85, 45.75, 100.0),
        circle(4.86, 45.74, 100.0),
        circle(45.77, 4.84, 100.0),
        circle(4.9, 45.7, 9000.0),
    ];
    fs::write(&file, format!(r#"{{ "type": "FeatureCollection", "features": [{}] }}"#, all.join(",\n"))).unwrap();
    let read = load_fences(&file).unwrap();
    assert_eq!(read.fences.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    let notes: Vec<(&str, usize)> = read.notes.0.iter().map(|d| (d.code, d.line)).collect();
    assert_eq!(notes, [("P050", 4), ("P064", 5)]);
}

/// What is said of a file by itself: mistakes, or else remarks.
fn told(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drawn.geojson");
    fs::write(&file, text).unwrap();
    let said = load_fences(&file).map_or_else(|errors| errors, |read| read.notes);
    said.to_string().replace(&format!("{}/", dir.path().display()), "")
}

fn collection(more: &str, features: &[String]) -> String {
    format!(r#"{{"type":"FeatureCollection",{more}"features":[{}]}}"#, features.join(","))
}

fn feature(properties: &str, geometry: &str) -> String {
    format!(r#"{{"type":"Feature","properties":{properties},"geometry":{geometry}}}"#)
}

#[test]
fn a_file_in_metres_is_told_in_a_few_lines_that_say_how_to_mend_it() {
    let corners: Vec<String> = (0..1500).map(|i| format!("[{}.25,{}.5]", 842_000 + i, 6_519_000 + i * i % 97)).collect();
    let ring = format!(r#"{{"type":"Polygon","coordinates":[[{},{}]]}}"#, corners.join(","), corners[0]);
    let text = told(&collection("", &[feature("{}", &ring), feature("{}", &ring)]));
    assert!(text.len() < 1500, "{} bytes", text.len());
    assert!(text.ends_with("2 errors") && text.matches("error[P057]").count() == 2, "{text}");
    assert!(text.contains("these are metres, not degrees (and 1500 more here)") && text.contains("EPSG:4326"), "{text}");
    let line = text.lines().find(|line| line.starts_with("1 | ")).unwrap();
    let mark = text.lines().find(|line| line.contains('^')).unwrap();
    assert_eq!(&line[mark.find('^').unwrap()..=mark.rfind('^').unwrap()], "[842000.25,6519000.5]");
}

#[test]
fn a_file_that_names_another_coordinate_system_is_refused_once() {
    let circle = || feature(r#"{"radius_m":300}"#, r#"{"type":"Point","coordinates":[4.83,45.76]}"#);
    let crs = |name: &str| collection(&format!(r#""crs":{{"type":"name","properties":{{"name":"{name}"}}}},"#), &[circle(), circle()]);
    let lambert = told(&crs("urn:ogc:def:crs:EPSG::2154"));
    assert!(lambert.contains("error[P057]") && lambert.contains("EPSG:4326") && lambert.ends_with("1 error"), "{lambert}");
    for name in ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4258", "http://www.opengis.net/def/crs/EPSG/0/4326"] {
        assert!(!told(&crs(name)).contains("P057"), "{name}");
    }
    assert!(!told(&collection(r#""crs":null,"#, &[circle()])).contains("error["));
}

#[test]
fn members_and_columns_that_others_add_are_not_in_the_way_but_a_slip_of_the_pen_is_told() {
    let point = r#"{"type":"Point","coordinates":[4.8343,45.7588],"crs":{"type":"name"}}"#;
    let said = |columns: &str| format!(r#"{{"id":"lyon-drawn","store":"lyon-bellecour","kind":"nearby",{columns}}}"#);
    let added = r#""metadata":{"licence":"ODbL"},"copyright":"somebody","#;
    let load = |columns: &str| {
        let dir = demo();
        let one = feature(&said(columns), point).replacen('{', r#"{"tippecanoe":{"layer":"x"},"#, 1);
        fs::write(dir.path().join("geofences/added.geojson"), collection(added, &[one])).unwrap();
        load_site(dir.path()).map(|site| site.geofences.contains_key(&"lyon-drawn".parse().unwrap()))
    };
    assert_eq!(load(r#""radius_m":300,"gid":4,"fid":2,"commune":"Lyon 2e","insee":"69382","radius_km":0.3,"note":null"#), Ok(true));
    for slip in ["raduis_m", "radius-m", "Radius_m"] {
        let errors = load(&format!(r#""{slip}":300"#)).unwrap_err().to_string();
        assert!(errors.contains("error[P005]") && errors.contains("did you mean `radius"), "{slip}: {errors}");
    }
}

#[test]
fn what_is_no_shape_and_ids_given_twice_are_told_as_what_they_are() {
    let circle = |id: &str| feature(&format!(r#"{{"id":"{id}","radius_m":300}}"#), r#"{"type":"Point","coordinates":[4.83,45.76]}"#);
    let text = told(&collection("", &[circle("a"), circle("b"), circle("a")]));
    assert!(
        text.contains("error[P056]: two geofences have the id \"a\"") && text.contains("number 1 of") && text.ends_with("1 error"),
        "{text}"
    );
    let text = told(&collection("", &[feature("{}", r#"{"type":"GeometryCollection","geometries":[]}"#)]));
    assert!(text.contains("a geofence cannot be a GeometryCollection") && text.ends_with("1 error"), "{text}");
    let text = told(&collection("", &[feature("{}", "null")]));
    assert!(text.contains("error[P058]: this feature has no shape") && text.ends_with("1 error"), "{text}");
}

fn demo() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() { copy(&entry.path(), &target) } else { fs::copy(entry.path(), &target).map(drop).unwrap() }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"), dir.path());
    dir
}
