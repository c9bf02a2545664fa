//! What users of other geofences complained about, one trace each: `tests/fixtures/geofence/*.trace`, named after the threads.
//!
//! A trace is a list of OwnTracks lines in the order in which they arrived. Between them stand `geofences NAME` (draws them, again if need be),
//! `restart`, and `silence` (nothing more comes). `=>` begins what was decided there, in seconds since 10:00 of the day, and `!` what was said of
//! the geofences. `BLESS=1` writes the answers anew, to be read before they are committed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use passage_config::{GeofenceRules, PlainFences, Site, load_fences};
use serde_json::Value;

use super::fixes::{Player, site};
use crate::geofence::Geofences;

/// 2026-11-20 10:00 in Paris.
const START: i64 = 1_795_168_800;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geofence")
}

fn drawn(name: &str, text: &mut String) -> PlainFences {
    let fences = load_fences(&folder().join(format!("{name}.geojson"))).unwrap();
    for note in &fences.notes.0 {
        text.push_str(&format!("! {} line {}: {}\n", note.code, note.line, note.message));
    }
    fences
}

/// A player that can be killed and started again.
struct Gateway {
    player: Player,
    site: Site,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Gateway {
    fn new(fences: &PlainFences) -> Self {
        let (site, _) = site(fences).unwrap();
        Self { player: Player::new(fences, GeofenceRules::default()).unwrap(), site, disk: BTreeMap::new() }
    }

    /// Other fences from now on; those that keep their place in the file keep their id.
    fn redraw(&mut self, fences: &PlainFences) {
        let (site, names) = site(fences).unwrap();
        self.player.machine.reload(&site, GeofenceRules::default(), site.dwell_marks(), &mut Vec::new());
        self.player.fences = names;
        self.site = site;
    }

    /// The same machine after a crash, from what was saved.
    fn restart(&mut self) {
        for piece in self.player.machine.take_saved(true) {
            match piece.value {
                Some(value) => self.disk.insert(piece.key, value),
                None => self.disk.remove(&piece.key),
            };
        }
        self.player.machine = Geofences::new(&self.site, GeofenceRules::default(), self.site.dwell_marks());
        for (key, value) in &self.disk {
            self.player.machine.restore(key, value).unwrap();
        }
    }
}

/// A decision in a few words.
fn told(line: &str) -> String {
    let d: Value = serde_json::from_str(line).unwrap();
    let since = |key: &str| d[key].as_i64().unwrap() - START;
    let flag = |key: &str| if d[key] == true { format!(" {key}") } else { String::new() };
    let phase = d["phase"].as_str().unwrap();
    if phase == "cross" {
        let (who, fence) = (d["installation"].as_str().unwrap(), d["fence"].as_str().unwrap());
        let (p, accuracy_m) = (d["p"].as_f64().unwrap(), d["accuracy_m"].as_f64().unwrap());
        return format!("=> {who} cross {fence} between {} and {}, p {p:.2} by {accuracy_m:.1} m\n", since("first"), since("last"));
    }
    let extent = if phase == "enter" { String::new() } else { format!(" after {} s", d["dwell_s"]) };
    format!(
        "=> {} {phase} {} at {}{extent}, p {:.2} by {} m{}{}\n",
        d["installation"].as_str().unwrap(),
        d["fence"].as_str().unwrap(),
        since("at"),
        d["p"].as_f64().unwrap(),
        d["accuracy_m"],
        flag("initial"),
        flag("late"),
    )
}

/// The trace with what was decided at each of its lines.
fn play(trace: &str) -> String {
    let mut text = String::new();
    let mut gateway: Option<Gateway> = None;
    for line in trace.lines().filter(|l| !l.starts_with("=>") && !l.starts_with('!') && !l.starts_with("= ")) {
        text.push_str(line);
        text.push('\n');
        let mut out = Vec::new();
        match (line.split_once(' '), &mut gateway) {
            (Some(("geofences", name)), None) => gateway = Some(Gateway::new(&drawn(name, &mut text))),
            (Some(("geofences", name)), Some(g)) => g.redraw(&drawn(name, &mut text)),
            _ if line.starts_with('#') => {}
            (_, Some(g)) if line == "restart" => g.restart(),
            (_, Some(g)) if line == "silence" => g.player.finish(&mut out).unwrap(),
            (_, Some(g)) => g.player.line(line.as_bytes(), false, &mut out).unwrap(),
            (_, None) => panic!("a fix before any geofence: {line}"),
        }
        String::from_utf8(out).unwrap().lines().for_each(|line| text.push_str(&told(line)));
    }
    text.push_str(&format!("= {}\n", gateway.unwrap().player.summary()));
    text
}

#[test]
fn every_complaint_about_other_geofences_is_answered_as_written_in_its_trace() {
    let files = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path());
    let mut traces: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "trace")).collect();
    traces.sort();
    assert_eq!(traces.len(), 22);
    let mut wrong = Vec::new();
    for file in traces {
        let expected = fs::read_to_string(&file).unwrap();
        let answer = play(&expected);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &answer).unwrap();
        } else if answer != expected {
            wrong.push(format!("{}\n{answer}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
