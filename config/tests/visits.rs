//! When a stay is a visit, who works where, and made-up cities.

use std::{fs, path::Path, time::Duration};

use passage_config::{ContradictionRules, RegularRules, ScoreRules, load_site, load_world, read_world};
use passage_protocol::StoreId;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the demo's files with one more or another one.
fn with(file: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"), dir.path());
    fs::write(dir.path().join(file), text).unwrap();
    dir
}

fn refused(file: &str, text: &str) -> String {
    load_site(with(file, text).path()).unwrap_err().to_string()
}

#[test]
fn the_demo_writes_the_defaults_of_score_regulars_and_contradictions() {
    let rules = load_site(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")).unwrap().visit;
    assert_eq!(
        (rules.score, rules.regulars, rules.contradictions),
        (ScoreRules::default(), RegularRules::default(), ContradictionRules::default())
    );
}

#[test]
fn each_rule_can_be_written_and_what_cannot_be_is_refused() {
    let text =
        "[regulars]\nwindow = \"14 days\"\nstaff_days = 4\nresident_percent = 50\n[contradictions]\nclocks = \"1 min\"\nnext_door_db = 9\n";
    let rules = load_site(with("visit.toml", text).path()).unwrap().visit;
    assert_eq!((rules.regulars.window, rules.regulars.staff_days), (Duration::from_secs(14 * 86_400), 4));
    assert_eq!((rules.regulars.resident_percent, rules.contradictions.next_door_db), (50, 9));
    assert!(refused("visit.toml", "[regulars]\nstaff_days = 8\n").contains("between 1 and 7"));
    let mall = load_site(with("visit.toml", "[score]\nradio_above_db = 1\n").path()).unwrap().visit.score;
    assert_eq!(mall, ScoreRules { radio_above_db: 1.0, ..ScoreRules::default() });
    assert!(refused("visit.toml", "[score]\nper_db = 0\n").contains("per_db"));
    let slow = load_site(with("visit.toml", "[score]\nhalf_life_radio = \"4 min\"\nhalf_life_position = \"15 min\"\n").path()).unwrap();
    let (radio, position) = (slow.visit.score.half_life_radio, slow.visit.score.half_life_position);
    assert_eq!((radio, position), (Duration::from_secs(240), Duration::from_secs(900)));
    assert!(refused("visit.toml", "[score]\nhalf_life_radio = \"0 s\"\n").contains("half_life_radio"));
    assert!(refused("visit.toml", "[contradictions]\nfastest_kph = 9\n").contains("did you mean `fastest_kmh`"));
}

#[test]
fn staff_is_listed_by_the_codes_of_members_and_by_nothing_personal() {
    let site = load_site(with("staff.toml", "lyon-bellecour = [\"k7q2-m9xa\"]\n").path()).unwrap();
    let lyon: StoreId = "lyon-bellecour".parse().unwrap();
    assert!(site.staff[&lyon].contains("K7Q2-M9XA"));
    assert!(refused("staff.toml", "lyon-belcour = [\"K7Q2-M9XA\"]\n").contains("there is no store"));
    assert!(refused("staff.toml", "lyon-bellecour = [\"lina@example.fr\"]\n").contains("not the code of a member"));
}

#[test]
fn a_world_has_a_default_for_every_key_and_the_usual_one_writes_them() {
    let worlds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/worlds");
    let (usual, none) = (load_world(&worlds.join("usual.toml")).unwrap(), read_world("").unwrap());
    assert_eq!((usual.people, usual.phones, usual.radio), (none.people, none.phones, none.radio));
    assert_eq!((usual.gateways, usual.counter, usual.members), (none.gateways, none.counter, none.members));
    for file in fs::read_dir(worlds).unwrap().map(|e| e.unwrap().path()) {
        load_world(&file).unwrap_or_else(|e| panic!("{e}"));
    }
    assert!(read_world("[phones]\niphones = 2\n").unwrap_err().to_string().contains("between 0 and 1"));
    assert!(read_world("[phones]\nandroid = 1\n").unwrap_err().to_string().contains("not a key"));
}
