//! Damaged files: whatever stands in them, the answer is a valid configuration or a list of mistakes with good places, never a panic.

use std::{fs, path::Path};

use passage_config::{Diagnostics, load_gateway, load_hub};
use proptest::prelude::*;

const FILES: [&str; 15] = [
    "hub.toml",
    "gateway-lyon.toml",
    "gateway-position.toml",
    "visit.toml",
    "tracking.toml",
    "channels.toml",
    "campaigns/flyer-lyon.toml",
    "products.csv",
    "brands/maison-aubrac.toml",
    "stores/lyon-bellecour.toml",
    "campaigns/social-coats.toml",
    "offers/coat-size.toml",
    "offers/fitting-room.toml",
    "geofences/lyon-bellecour.geojson",
    "geofences/lille-grand-place.geojson",
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize, usize),
    Insert(usize, &'static str),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>().prop_map(|i| i.index(4096));
    let token = prop::sample::select(vec![
        "\"", "'", "[", "]", "{", "}", "{{", "}}", "{%", "=", ",", "\n", "\r", "#", "-", "1e999", "nan", "inf", "null", "é", "\u{feff}",
        "\0", "\\u0000", "\"\"\"", "[[", "0", "-180", "90",
    ]);
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        (at.clone(), 1usize..200).prop_map(|(i, n)| Damage::Cut(i, n)),
        (at.clone(), token).prop_map(|(i, t)| Damage::Insert(i, t)),
        (at, 1usize..200).prop_map(|(i, n)| Damage::Repeat(i, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let place = |i: usize| i % (bytes.len().max(1));
    match *damage {
        Damage::Set(i, b) if !bytes.is_empty() => {
            let i = place(i);
            bytes[i] = b;
        }
        Damage::Cut(i, n) if !bytes.is_empty() => {
            let i = place(i);
            bytes.drain(i..(i + n).min(bytes.len()));
        }
        Damage::Insert(i, token) => {
            let i = place(i).min(bytes.len());
            bytes.splice(i..i, token.bytes());
        }
        Damage::Repeat(i, n) if !bytes.is_empty() => {
            let i = place(i);
            let part = bytes[i..(i + n).min(bytes.len())].to_vec();
            bytes.splice(i..i, part);
        }
        _ => {}
    }
}

/// Every mistake has its words and a place that an editor can jump to.
fn sound(errors: &Diagnostics) -> Result<(), TestCaseError> {
    prop_assert!(!errors.0.is_empty());
    for d in &errors.0 {
        prop_assert!(d.code != "P000" && !d.message.is_empty() && !d.mend.is_empty(), "{d}");
        if d.line > 0 {
            let text = String::from_utf8_lossy(&fs::read(&d.file).unwrap()).into_owned();
            prop_assert!(d.line <= text.matches('\n').count() + 1, "{d}");
            // Of a long line only a part is shown, and the place is in it.
            let shown = d.skipped + 1..=d.skipped + d.source.chars().count() + 1;
            prop_assert!(d.length >= 1 && shown.contains(&d.column), "{d}");
        }
    }
    let last = if errors.0.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.0.len()) };
    prop_assert!(errors.to_string().ends_with(&last));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_make_it_panic(file in 0..FILES.len(), damages in prop::collection::vec(damage(), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"), dir.path());
        let path = dir.path().join(FILES[file]);
        let mut bytes = fs::read(&path).unwrap();
        for d in &damages {
            apply(&mut bytes, d);
        }
        fs::write(&path, bytes).unwrap();
        if let Err(errors) = load_hub(&dir.path().join("hub.toml")) {
            sound(&errors)?;
        }
        let gateway = if FILES[file] == "gateway-position.toml" { FILES[file] } else { "gateway-lyon.toml" };
        if let Err(errors) = load_gateway(&dir.path().join(gateway)) {
            sound(&errors)?;
        }
    }

    #[test]
    fn no_ring_makes_it_panic(corners in prop::collection::vec((-6i32..7, -6i32..7), 0..12), hole in prop::collection::vec((-6i32..7, -6i32..7), 0..6), close in any::<bool>()) {
        let ring = |corners: &[(i32, i32)]| {
            let mut list: Vec<[f64; 2]> = corners.iter().map(|(x, y)| [4.8343 + f64::from(*x) * 1e-4, 45.7588 + f64::from(*y) * 1e-4]).collect();
            if close && let Some(first) = list.first().copied() {
                list.push(first);
            }
            format!("{list:?}")
        };
        let rings = if hole.is_empty() { ring(&corners) } else { format!("{}, {}", ring(&corners), ring(&hole)) };
        let text = format!(r#"{{"type": "Feature", "properties": {{"id": "any-shape", "store": "lyon-bellecour", "kind": "store"}}, "geometry": {{"type": "Polygon", "coordinates": [{rings}]}}}}"#);
        let dir = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"), dir.path());
        fs::write(dir.path().join("geofences/any.geojson"), text).unwrap();
        match passage_config::load_site(dir.path()) {
            Err(errors) => sound(&errors)?,
            Ok(site) => {
                use geo::{Area, Contains, Validation};
                let passage_config::Shape::Area(area) = &site.geofences[&"any-shape".parse().unwrap()].shape else { panic!() };
                // What passes the checks is an area that geo, too, calls valid, and turns the right way.
                prop_assert!(area.is_valid() && area.signed_area() > 0.0);
                prop_assert!(!area.contains(&geo::Point::new(0.0, 0.0)));
            }
        }
    }
}
