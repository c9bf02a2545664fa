//! One phone around one shop, told by theme.

mod crossings;
mod doubt;
mod order;
mod pinned;
mod property;
mod restart;
mod stays;
mod words;

use std::time::Duration;

use geo::Point;
use passage_config::{FenceKind, Geofence, GeofenceRules, Shape, Site};
use passage_protocol::{Phase, Signal, StoreId, Strength, Zone};

use super::*;

const LAT: f64 = 45.761_93;
const LON: f64 = 4.836_04;
const START: i64 = 1_795_168_800;

fn site(fences: &[(&str, FenceKind, f64)]) -> Site {
    let fences = fences.iter().map(|(id, kind, radius_m)| Geofence {
        id: id.parse().unwrap(),
        store: "lyon".parse().unwrap(),
        kind: *kind,
        shape: Shape::Circle { centre: Point::new(LON, LAT), radius_m: *radius_m },
    });
    Site { geofences: fences.map(|f| (f.id.clone(), f)).collect(), ..Site::default() }
}

/// A machine around one fence of 100 m, fed at its own pace.
struct Walk {
    machine: Geofences,
    out: Vec<Change>,
}

/// Seconds after the start of a test.
fn t(seconds: i64) -> Millis {
    Millis::from_secs(START + seconds)
}

fn who() -> InstallationId {
    "phone-of-camille".parse().unwrap()
}

/// A fix `north` metres from the middle, measured at `seconds`.
fn fix(seconds: i64, north: f64, accuracy_m: f64) -> Fix {
    let lat = LAT + north / area::METRES_PER_DEGREE;
    Fix {
        installation: who(),
        at: t(seconds),
        ahead_ms: 0,
        lat,
        lon: LON,
        accuracy_m: Some(accuracy_m),
        speed_kmh: None,
        away: None,
        fresh: false,
    }
}

impl Walk {
    fn new() -> Self {
        Self::with(&[("lyon-shop", FenceKind::Store, 100.0)])
    }

    fn with(fences: &[(&str, FenceKind, f64)]) -> Self {
        let marks: Vec<Duration> = [120, 300, 600, 1200].map(Duration::from_secs).into();
        Self { machine: Geofences::new(&site(fences), GeofenceRules::default(), marks), out: Vec::new() }
    }

    /// Seen outside before, so that an enter is one.
    fn known() -> Self {
        let mut walk = Self::new();
        walk.live(-900, 600.0, 10.0);
        walk
    }

    fn at(&mut self, now: i64, fix: &Fix) {
        self.machine.advance(t(now), &mut self.out);
        self.machine.fix(fix, t(now), &mut self.out);
    }

    fn live(&mut self, seconds: i64, north: f64, accuracy_m: f64) {
        self.at(seconds, &fix(seconds, north, accuracy_m));
    }

    fn advance(&mut self, seconds: i64) {
        self.machine.advance(t(seconds), &mut self.out);
    }

    fn word(&mut self, now: i64, phase: Phase, seconds: i64) {
        self.word_at(now, phase, t(seconds));
    }

    fn word_at(&mut self, now: i64, phase: Phase, at: Millis) {
        self.heard_at(now, phase, at, None);
    }

    fn heard_at(&mut self, now: i64, phase: Phase, at: Millis, rssi: Option<i8>) {
        let event = AppEvent { installation: who(), store: "lyon".parse().unwrap(), zone: Zone::In, phase, at, rssi };
        self.machine.advance(t(now), &mut self.out);
        self.machine.app(&event, t(now), &mut self.out);
    }

    /// What was told so far: phase, second, and `i`nitial or `l`ate.
    fn told(&self) -> Vec<String> {
        let word = |c: &Change| {
            let phase = match c.phase {
                Phase::Enter => "enter",
                Phase::Dwell => "dwell",
                Phase::Exit => "exit",
            };
            let flags = format!("{}{}", if c.initial { " initial" } else { "" }, if c.late { " late" } else { "" });
            format!("{phase} {}{flags}", c.at.since(t(0)) / 1000)
        };
        self.out.iter().map(word).collect()
    }

    /// Last evidence of each open stay.
    fn open(&mut self) -> Vec<Millis> {
        let Some(slot) = self.machine.people.find(&who()) else { return Vec::new() };
        self.machine.people.get(slot).unwrap().track.state.stays.iter().map(|s| s.last).collect()
    }

    /// The same machine after a crash, from what was saved.
    fn restart(&mut self, fences: &[(&str, FenceKind, f64)]) {
        let saved = self.machine.take_saved(true);
        let mut fresh = Self::with(fences);
        for piece in saved {
            fresh.machine.restore(&piece.key, &piece.value.unwrap()).unwrap();
        }
        self.machine = fresh.machine;
    }
}
