//! Broken files and what is said about them, word for word. Each folder of `tests/broken` is laid over a copy of the demo's files;
//! `expected.txt` in it is the whole answer. `BLESS=1` writes it anew, to be read before it is committed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use passage_config::{Diagnostics, load_gateway, load_hub, load_site};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

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

/// A copy of the demo's files.
fn demo() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&here("demo"), dir.path());
    dir
}

fn told(dir: &Path, result: Result<(), Diagnostics>) -> String {
    let folder = format!("{}/", dir.display());
    result.unwrap_err().to_string().replace(&folder, "")
}

fn check(case: &str) {
    let dir = demo();
    let case = here("tests/broken").join(case);
    copy(&case, dir.path());
    let mut text = String::new();
    if case.join("gateway-lyon.toml").exists() {
        for name in ["gateway-lyon.toml", "gateway-paris.toml"] {
            text += &told(dir.path(), load_gateway(&dir.path().join(name)).map(drop));
            text += "\n\n";
        }
    } else {
        text = told(dir.path(), load_hub(&dir.path().join("hub.toml")).map(drop)) + "\n";
    }
    let expected = case.join("expected.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&expected).unwrap_or_default(), "{}", expected.display());
}

macro_rules! cases {
    ($($name:ident: $folder:literal;)*) => {
        $(#[test] fn $name() { check($folder); })*

        #[test]
        fn every_folder_of_broken_files_has_its_test() {
            let mut folders: Vec<_> = fs::read_dir(here("tests/broken")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            folders.sort();
            let mut named = vec![$($folder),*];
            named.sort_unstable();
            assert_eq!(folders, named);
        }
    };
}

cases! {
    what_is_not_toml_or_json_is_told_for_each_file: "syntax";
    wrong_keys_and_values_are_all_told_at_once: "keys";
    what_refers_to_nothing_gets_a_suggestion: "references";
    the_members_page_needs_a_short_safe_address: "page";
    a_text_that_names_the_page_needs_its_address: "no-page";
    texts_that_must_never_be_sent_are_refused: "texts";
    secrets_in_files_are_refused_and_not_shown: "secrets";
    nothing_reaches_beyond_this_machine_by_mistake: "outside";
    positions_without_secret_or_group_are_told: "positions";
    wake_beacons_without_shop_uuid_or_key_are_told: "wake";
    files_that_contradict_each_other_are_refused: "conflicts";
    geofences_fall_into_no_known_trap: "geofences";
    each_trap_of_a_drawn_shape_is_told_with_place_and_mend: "shapes";
    articles_are_checked_line_by_line: "products";
    article_columns_are_checked: "columns";
    gateway_files_are_checked: "gateway";
    the_way_to_the_broker_is_checked: "mqtt";
    the_way_of_hubs_to_the_broker_is_checked: "mqtt-hub";
    gateways_that_get_their_site_from_the_hub_hang_in_one_shop_or_see_all: "gateways";
    who_is_who_has_limits_and_kinds: "identity";
    what_is_said_of_touchpoints_is_checked: "touchpoints";
    what_comes_from_the_hub_does_not_stand_in_the_file_too: "from-hub";
}

#[test]
fn a_folder_without_anything_says_what_belongs_there() {
    let dir = tempfile::tempdir().unwrap();
    let text = told(dir.path(), load_site(dir.path()).map(drop));
    assert!(text.contains("there is no brand here") && text.contains("there is no store here") && text.ends_with("2 errors"), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let text = load_hub(Path::new("no-such-file.toml")).unwrap_err().to_string();
    assert!(text.contains("no-such-file.toml") && text.contains("it does not exist"), "{text}");
}

#[test]
fn a_file_name_that_cannot_be_an_id_is_told() {
    let dir = demo();
    fs::rename(dir.path().join("offers/coat-size.toml"), dir.path().join("offers/Coat Size.toml")).unwrap();
    let text = told(dir.path(), load_site(dir.path()).map(drop));
    assert!(text.contains("error[P010]") && text.contains("rename the file") && text.ends_with("1 error"), "{text}");
}

#[test]
fn a_file_in_another_encoding_is_told_with_its_place() {
    let dir = demo();
    fs::write(dir.path().join("offers/coat-size.toml"), b"name = \"x\"\ntext = \"\xe9t\xe9\"\n").unwrap();
    let errors = load_site(dir.path()).unwrap_err();
    assert_eq!((errors.0[0].code, errors.0[0].line, errors.0[0].column), ("P002", 2, 9));
}

#[test]
fn copies_that_editors_leave_are_not_read_but_a_byte_order_mark_is_no_mistake() {
    let dir = demo();
    for name in ["offers/.coat-size.toml.swp", "offers/coat-size.toml~", "offers/.#coat-size.toml"] {
        fs::write(dir.path().join(name), "nonsense").unwrap();
    }
    let store = dir.path().join("stores/lyon-bellecour.toml");
    fs::write(&store, format!("\u{feff}{}", fs::read_to_string(&store).unwrap().replace('\n', "\r\n"))).unwrap();
    assert!(load_site(dir.path()).is_ok());
}

#[test]
fn the_revision_changes_with_every_file_and_with_nothing_else() {
    let dir = demo();
    let before = load_site(dir.path()).unwrap().revision;
    fs::write(dir.path().join("notes.txt"), "not read").unwrap();
    assert_eq!(load_site(dir.path()).unwrap().revision, before);
    for name in ["offers/coat-size.toml", "brands/maison-aubrac.toml", "products.csv", "visit.toml"] {
        let file = dir.path().join(name);
        let old = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{old}# a comment\n")).unwrap();
        assert_ne!(load_site(dir.path()).unwrap().revision, before, "{name}");
        fs::write(&file, old).unwrap();
    }
    assert_eq!(load_site(dir.path()).unwrap().revision, before);
}

#[test]
fn articles_may_come_from_a_french_spreadsheet() {
    let dir = demo();
    fs::write(dir.path().join("products.csv"), "sku;name;category;price\r\nMA-COAT-01;\"manteau; Aubrac\";coats;289,00\r\n").unwrap();
    let site = load_site(dir.path()).unwrap();
    assert_eq!((site.products["MA-COAT-01"].name.as_str(), site.products["MA-COAT-01"].price_cents), ("manteau; Aubrac", 28900));
}

#[test]
fn a_secret_without_quotes_is_not_shown() {
    let dir = demo();
    for text in ["[mqtt]\npassword = hunter2", "[api_tokens]\nshop-site = hunter2"] {
        fs::write(dir.path().join("hub.toml"), text).unwrap();
        let text = told(dir.path(), load_hub(&dir.path().join("hub.toml")).map(drop));
        assert!(text.contains("error[P003]") && !text.contains("hunter2"), "{text}");
    }
}

/// All codes that the crate's own source names.
fn codes() -> std::collections::BTreeSet<String> {
    fn walk(dir: &Path, text: &mut String) {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, text);
            } else {
                *text += &fs::read_to_string(entry).unwrap();
            }
        }
    }
    let mut text = String::new();
    walk(&here("src"), &mut text);
    text.split('"')
        .filter(|t| t.len() == 4 && t.starts_with('P') && t[1..].bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readme_explains_every_code_and_the_examples_show_nearly_all() {
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let mut shown = String::new();
    for folder in fs::read_dir(here("tests/broken")).unwrap() {
        shown += &fs::read_to_string(folder.unwrap().path().join("expected.txt")).unwrap();
    }
    // No such mistake, unreadable, other encodings, folders that lack files: these have tests of their own.
    let apart = ["P000", "P001", "P002", "P037"];
    for code in codes() {
        assert!(code == "P000" || readme.contains(&format!("| {code} |")), "{code} is not in the README");
        assert!(apart.contains(&code.as_str()) || shown.contains(&code), "{code} is in no example");
    }
}

#[test]
fn a_store_whose_file_name_is_wrong_makes_only_the_mistakes_that_follow_from_it() {
    let dir = demo();
    fs::rename(dir.path().join("stores/lyon-bellecour.toml"), dir.path().join("stores/Lyon.toml")).unwrap();
    let errors = load_site(dir.path()).unwrap_err();
    let codes: Vec<_> = errors.0.iter().map(|d| d.code).collect();
    // The file itself, its gateway, its two geofences, and the offer that names it.
    assert_eq!(codes, ["P022", "P022", "P022", "P022", "P010"], "{errors}");
}
