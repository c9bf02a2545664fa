//! `check` of both binaries on the demo's files and on a broken copy of them.

mod support;

use std::{fmt::Write as _, fs, path::Path};

use support::{binary, scene};

fn demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    scene::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/demo"), folder.path());
    folder
}

/// Exit code and everything that was said, with paths as seen from the folder.
fn said(folder: &Path, program: &str, command: &str, file: &str) -> (i32, String) {
    let config = folder.join(file).display().to_string();
    let output = binary::run(program, &[command, "--config", &config]);
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
    (output.status.code().unwrap(), text.replace(&format!("{}/", folder.display()), ""))
}

/// Replaces a text that must be there.
fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    assert!(text.contains(from), "{file} does not hold {from:?}");
    fs::write(folder.join(file), text.replacen(from, to, 1)).unwrap();
}

/// Each mistake as `file:line:column` with the text above its caret. Fails when one has no caret, no words beside it, or no mend.
fn places(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in text.split("\n\n").filter(|b| b.contains("error[")) {
        let lines: Vec<&str> = block.lines().skip_while(|l| !l.starts_with("error[")).collect();
        let [head, place, source, caret, mend, ..] = lines.as_slice() else { panic!("a mistake is not told in full:\n{block}") };
        assert!(head.len() > "error[P000]: ".len(), "{block}");
        let place = place.trim_start().strip_prefix("--> ").unwrap_or_else(|| panic!("no place in:\n{block}"));
        assert!(caret.contains('^') && !caret.trim_end().ends_with('^'), "no caret with words in:\n{block}");
        assert!(mend.trim_start().starts_with("= mend: ") && mend.len() > 15, "no mend in:\n{block}");
        let (from, length) = (caret.find('^').unwrap(), caret.matches('^').count());
        let marked: String = source.chars().skip(caret[..from].chars().count()).take(length).collect();
        let mut place = place.to_owned();
        write!(place, " {marked}").unwrap();
        found.push(place);
    }
    found.sort();
    found
}

/// Where a text stands for the `nth` time (from 0) in a file, in the form of [`places`].
fn place_of(folder: &Path, file: &str, marked: &str, nth: usize) -> String {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let (at, _) = text.match_indices(marked).nth(nth).unwrap_or_else(|| panic!("{file} does not hold {marked:?}"));
    let before = &text[..at];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{}:{column} {marked}", before.matches('\n').count() + 1)
}

#[test]
fn the_files_of_the_demo_are_in_order() {
    let folder = demo();
    let (code, text) = said(folder.path(), "passage-hub", "check", "hub.toml");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("hub.toml is in order: 3 stores, 6 geofences, 3 offers"), "{text}");
    for gateway in ["lyon", "paris", "lille", "position"] {
        let (code, text) = said(folder.path(), "passage-gateway", "check", &format!("gateway-{gateway}.toml"));
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with(&format!("ok: gateway gw-{gateway}, 3 stores, 6 geofences")), "{text}");
    }
}

/// Mistakes in seven files, as they happen to people.
fn broken() -> tempfile::TempDir {
    let folder = demo();
    let at = folder.path();
    edit(at, "hub.toml", "phone_region", "phone_regoin");
    edit(at, "hub.toml", "k = 20", "k = \"twenty\"");
    edit(at, "brands/maison-aubrac.toml", "name = \"MAISONAUBRA\"", "name = \"Maison Aubrac\"");
    edit(at, "stores/lyon-bellecour.toml", "Europe/Paris", "Europe/Lyon");
    edit(at, "stores/lyon-bellecour.toml", "Mo-Sa 10:00-19:30", "Mo-Sa 10h00-19h30");
    edit(at, "offers/coat-size.toml", "{{ product.size }}", "{{ product.sise }}");
    edit(at, "offers/fitting-room.toml", " {{ stop }}", "");
    edit(at, "offers/come-and-see.toml", "campaign = \"social-coats\"     #", "campaign = \"social-coat\"     #");
    edit(at, "geofences/paris-marais.geojson", "\"radius_m\": 250", "\"radius_m\": \"250 m\"");
    edit(at, "gateway-lyon.toml", "enter_dbm = -75, leave_dbm = -83", "enter_dbm = -83, leave_dbm = -75");
    edit(at, "gateway-lyon.toml", "store = \"lyon-bellecour\"", "store = \"lyon-belcour\"");
    folder
}

#[test]
fn a_broken_copy_is_told_in_full_by_the_hub() {
    let folder = broken();
    let (code, text) = said(folder.path(), "passage-hub", "check", "hub.toml");
    assert_eq!(code, 1, "{text}");
    let mut expected = [
        ("brands/maison-aubrac.toml", "\"Maison Aubrac\"", 1),
        ("geofences/paris-marais.geojson", "\"250 m\"", 0),
        ("hub.toml", "phone_regoin", 0),
        ("hub.toml", "\"twenty\"", 0),
        ("offers/coat-size.toml", "product.sise", 0),
        ("offers/come-and-see.toml", "\"social-coat\"", 0),
        (
            "offers/fitting-room.toml",
            "\"{{ brand }} : une cabine vous attend chez {{ store.name }}, demandez conseil à nos vendeuses.\"",
            0,
        ),
        ("stores/lyon-bellecour.toml", "\"Mo-Sa 10h00-19h30\"", 0),
        ("stores/lyon-bellecour.toml", "\"Europe/Lyon\"", 0),
    ]
    .map(|(file, marked, nth)| place_of(folder.path(), file, marked, nth));
    expected.sort();
    assert_eq!(places(&text), expected, "{text}");
    assert!(text.contains("9 errors"), "{text}");
    assert!(text.contains("did you mean `phone_region`?"), "the misspelt key gets a suggestion: {text}");

    // `run` says the same and does not start.
    let (code, again) = said(folder.path(), "passage-hub", "run", "hub.toml");
    assert_eq!((code, again), (1, text));
    assert!(!folder.path().join("data/hub.db").exists());
}

#[test]
fn a_broken_copy_is_told_in_full_by_the_gateway() {
    let folder = broken();
    let (code, text) = said(folder.path(), "passage-gateway", "check", "gateway-lyon.toml");
    assert_eq!(code, 1, "{text}");
    let places = places(&text);
    let own: Vec<&str> = places.iter().map(String::as_str).filter(|p| p.starts_with("gateway-lyon.toml")).collect();
    let mut expected =
        ["\"lyon-belcour\"", "{ enter_dbm = -83, leave_dbm = -75 }"].map(|marked| place_of(folder.path(), "gateway-lyon.toml", marked, 0));
    expected.sort();
    assert_eq!(own, expected, "{text}");
    // The site beside it is read as well, so its mistakes are told too.
    assert!(places.iter().any(|p| p.ends_with("\"Europe/Lyon\"")), "{text}");
    assert!(text.contains(&format!("{} errors", places.len())), "{text}");

    let (code, again) = said(folder.path(), "passage-gateway", "run", "gateway-lyon.toml");
    assert_eq!((code, again), (1, text));
    assert!(!folder.path().join("data/gw-lyon").exists());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["passage-hub", "passage-gateway"] {
        let (code, text) = said(folder.path(), program, "check", "nowhere.toml");
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("nowhere.toml") && text.contains("= mend: "), "{text}");
    }
}
