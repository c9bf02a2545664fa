//! What users of other geofences complained about, and the properties that hold for any walk.

use std::time::Duration;

use geo::Point;
use passage_config::{FenceKind, Geofence, GeofenceRules, Shape, Site};
use passage_protocol::{Phase, Signal, StoreId, Strength, Zone};
use proptest::prelude::*;

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
    let lat = LAT + north / shape::METRES_PER_DEGREE;
    Fix { installation: who(), at: t(seconds), lat, lon: LON, accuracy_m: Some(accuracy_m), speed_kmh: None, away: None, fresh: false }
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
        let event = AppEvent { installation: who(), store: "lyon".parse().unwrap(), zone: Zone::In, phase, at: t(seconds) };
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

#[test]
fn somebody_who_walks_in_stays_and_walks_out_is_told_as_such() {
    let mut walk = Walk::known();
    walk.live(0, 20.0, 15.0);
    for minute in 1..=11 {
        walk.live(minute * 60, 30.0, 15.0);
    }
    walk.live(720, 250.0, 15.0);
    walk.live(740, 300.0, 15.0);
    assert_eq!(walk.told(), ["enter 0", "dwell 120", "dwell 300", "dwell 600", "exit 660"]);
    let exit = walk.out.last().unwrap();
    assert_eq!((exit.first, exit.last), (t(0), t(660)));
    assert!(matches!(exit.strength, Strength::Position { p, accuracy_m } if p > 0.75 && (accuracy_m - 15.0).abs() < 0.1));
    assert_eq!(exit.signal, Signal::Position);
    assert_eq!(exit.zone, Zone::Fence("lyon-shop".parse().unwrap()));
}

#[test]
fn a_subway_fix_of_2_km_accuracy_never_enters_a_fence_of_100_m() {
    let mut walk = Walk::known();
    for minute in 0..30 {
        walk.live(minute * 60, 0.0, 2000.0);
    }
    assert!(walk.told().is_empty());
    assert_eq!(walk.machine.counts().coarse, 30);
}

#[test]
fn a_fix_of_17_km_accuracy_while_at_rest_ends_no_stay() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 15.0);
    walk.live(60, 5000.0, 17_000.0);
    walk.live(70, 1200.0, 1414.0);
    walk.live(100, 0.0, 15.0);
    assert_eq!(walk.told(), ["enter 0"]);
}

#[test]
fn a_phone_at_rest_never_flaps() {
    // A desk 20 m inside the border; what the phone says moves by tens of metres and its accuracy by more.
    let mut walk = Walk::known();
    let drift = [0.0, 25.0, -30.0, 40.0, 10.0, -15.0, 30.0, 5.0];
    let accuracy = [12.0, 40.0, 65.0, 48.0, 20.0, 35.0, 90.0];
    for (i, second) in (0..36_000).step_by(45).enumerate() {
        walk.live(second, 80.0 + drift[i % drift.len()], accuracy[i % accuracy.len()]);
    }
    let moves = walk.out.iter().filter(|c| c.phase != Phase::Dwell).count();
    assert_eq!(moves, 1, "{:?}", walk.told());
}

#[test]
fn on_the_border_the_state_stays() {
    let mut inside = Walk::known();
    inside.live(0, 0.0, 10.0);
    let mut outside = Walk::known();
    for second in (10..600).step_by(20) {
        inside.live(second, 100.0 + f64::from(u8::try_from(second % 3).unwrap()), 20.0);
        outside.live(second, 100.0 - f64::from(u8::try_from(second % 3).unwrap()), 20.0);
    }
    assert_eq!(inside.told(), ["enter 0"]);
    assert!(outside.told().is_empty());
}

#[test]
fn first_seen_inside_is_initial_and_so_is_all_of_that_stay() {
    let mut walk = Walk::new();
    walk.live(0, 0.0, 15.0);
    walk.live(150, 0.0, 15.0);
    walk.live(300, 400.0, 15.0);
    walk.advance(400);
    walk.live(900, 0.0, 15.0);
    assert_eq!(walk.told(), ["enter 0 initial", "dwell 150 initial", "exit 150 initial", "enter 900"]);
}

#[test]
fn somebody_who_came_from_afar_was_not_inside_already() {
    let mut walk = Walk::new();
    walk.at(0, &Fix { away: Some(t(-1200)), ..fix(0, 0.0, 15.0) });
    assert_eq!(walk.told(), ["enter 0"]);
    let mut long_ago = Walk::new();
    long_ago.at(0, &Fix { away: Some(t(-2 * 86_400)), ..fix(0, 0.0, 15.0) });
    assert_eq!(long_ago.told(), ["enter 0 initial"]);
}

#[test]
fn nothing_is_left_that_was_never_entered() {
    let mut walk = Walk::known();
    walk.live(0, 500.0, 10.0);
    walk.live(60, 700.0, 10.0);
    walk.word(70, Phase::Exit, 70);
    walk.advance(10_000);
    assert!(walk.told().is_empty());
}

#[test]
fn one_fix_outside_ends_a_stay_only_when_it_holds_for_a_minute() {
    let mut held = Walk::known();
    held.live(0, 0.0, 10.0);
    held.live(30, 0.0, 10.0);
    held.live(60, 300.0, 10.0);
    held.advance(119);
    assert_eq!(held.told(), ["enter 0"]);
    held.advance(120);
    assert_eq!(held.told(), ["enter 0", "exit 30"]);

    let mut taken_back = Walk::known();
    taken_back.live(0, 0.0, 10.0);
    taken_back.live(60, 300.0, 10.0);
    taken_back.live(90, 40.0, 10.0);
    taken_back.live(119, 300.0, 10.0);
    taken_back.live(130, 40.0, 10.0);
    taken_back.advance(400);
    assert_eq!(taken_back.told(), ["enter 0", "dwell 130"]);
}

#[test]
fn a_dead_battery_inside_closes_the_stay_at_its_last_evidence_and_the_next_day_enters() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 15.0);
    walk.live(90, 0.0, 15.0);
    assert_eq!(walk.machine.next_due(), Some(t(90 + 3600)));
    walk.advance(90 + 3600);
    walk.live(86_400, 0.0, 15.0);
    assert_eq!(walk.told(), ["enter 0", "exit 90", "enter 86400"]);
}

#[test]
fn somebody_who_drives_by_does_not_enter() {
    let mut told_speed = Walk::known();
    told_speed.at(0, &Fix { speed_kmh: Some(38.0), ..fix(0, 0.0, 10.0) });
    assert!(told_speed.told().is_empty());

    let mut implied = Walk::known();
    for (second, north) in [(0, 600.0), (30, 300.0), (60, 0.0), (90, -300.0), (120, -600.0)] {
        implied.live(second, north, 8.0);
    }
    assert!(implied.told().is_empty());

    let mut walks = Walk::known();
    for (second, north) in [(0, 150.0), (60, 80.0), (120, 10.0)] {
        walks.live(second, north, 8.0);
    }
    assert_eq!(walks.told(), ["enter 60"]);
}

#[test]
fn a_jump_between_cities_is_held_until_two_more_fixes_agree() {
    let mut glitch = Walk::known();
    glitch.live(0, 300_000.0, 10.0);
    glitch.live(60, 0.0, 10.0);
    glitch.live(120, 300_000.0, 10.0);
    glitch.live(180, 0.0, 10.0);
    assert_eq!(glitch.told(), ["enter 60", "dwell 180"]);
    assert_eq!(glitch.machine.counts().jumps, 2);

    let mut mocked = Walk::new();
    mocked.live(-60, 400_000.0, 10.0);
    mocked.live(0, 0.0, 10.0);
    mocked.live(60, 0.0, 10.0);
    assert!(mocked.told().is_empty());
    mocked.live(120, 0.0, 10.0);
    assert_eq!(mocked.told(), ["enter 120"]);
}

#[test]
fn a_missing_accuracy_is_taken_as_65_m() {
    let mut small = Walk::with(&[("lyon-shop", FenceKind::Store, 50.0)]);
    small.live(-900, 600.0, 10.0);
    small.at(0, &Fix { accuracy_m: None, ..fix(0, 0.0, 0.0) });
    assert!(small.told().is_empty());
    let mut wide = Walk::known();
    wide.at(0, &Fix { accuracy_m: None, ..fix(0, 0.0, 0.0) });
    assert_eq!(wide.told(), ["enter 0"]);
}

#[test]
fn of_ten_places_at_one_time_the_best_accuracy_counts() {
    let mut walk = Walk::known();
    walk.live(0, 400.0, 60.0);
    for (i, accuracy) in [55.0, 50.0, 45.0, 44.0, 43.0].into_iter().enumerate() {
        walk.live(0, 300.0 + 10.0 * f64::from(u8::try_from(i).unwrap()), accuracy);
    }
    walk.live(0, 0.0, 5.0);
    walk.live(0, 400.0, 20.0);
    walk.live(0, 500.0, 5.0);
    assert_eq!(walk.told(), ["enter 0"]);
    assert_eq!(walk.machine.counts().duplicates, 2);
    // The coarse place that came first has left no trace in the next decision.
    walk.live(60, 0.0, 5.0);
    assert_eq!(walk.told(), ["enter 0"]);
}

#[test]
fn the_same_report_51_times_is_one() {
    let mut walk = Walk::known();
    for i in 0..51 {
        walk.at(i, &fix(0, 0.0, 10.0));
    }
    assert_eq!(walk.told(), ["enter 0"]);
    assert_eq!(walk.machine.counts().duplicates, 50);
}

#[test]
fn buffered_late_fixes_are_recorded_and_never_trigger() {
    // Offline for an hour, then the queue is flushed in order.
    let mut walk = Walk::known();
    for minute in 0..20 {
        walk.at(3600, &fix(minute * 60, 0.0, 15.0));
    }
    walk.at(3600, &fix(1260, 400.0, 15.0));
    walk.at(3600, &fix(1320, 400.0, 15.0));
    assert_eq!(walk.told(), ["enter 0 late", "dwell 120 late", "dwell 300 late", "dwell 600 late", "exit 1140 late"]);
}

#[test]
fn an_older_fix_amends_the_record_and_never_triggers() {
    let mut walk = Walk::known();
    walk.live(0, 150.0, 10.0);
    walk.live(100, 160.0, 10.0);
    walk.at(101, &fix(50, 0.0, 10.0));
    walk.at(102, &fix(70, 0.0, 10.0));
    assert_eq!(walk.told(), ["enter 50 late"]);
    walk.live(110, 170.0, 10.0);
    assert_eq!(walk.told(), ["enter 50 late", "exit 70"]);
    assert_eq!(walk.machine.counts().amended, 2);
}

#[test]
fn an_older_fix_inside_takes_a_departure_back_as_a_late_enter() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.live(40, 250.0, 10.0);
    walk.live(80, 250.0, 10.0);
    assert_eq!(walk.told(), ["enter 0", "exit 0"]);
    walk.at(81, &fix(60, 0.0, 10.0));
    assert_eq!(walk.told(), ["enter 0", "exit 0", "enter 60 late"]);
    walk.live(90, 250.0, 10.0);
    assert_eq!(walk.told(), ["enter 0", "exit 0", "enter 60 late", "exit 60"]);
}

#[test]
fn buffered_points_mixed_with_live_ones_make_no_fast_pairs() {
    let mut walk = Walk::known();
    // Live inside, while an old queue from outside the shop drips in.
    walk.live(0, 0.0, 10.0);
    for i in 1..20 {
        walk.live(i * 20, 0.0, 10.0);
        walk.at(i * 20 + 1, &fix(-800 + i * 20, 400.0, 10.0));
    }
    let moves: Vec<_> = walk.told().into_iter().filter(|s| !s.starts_with("dwell")).collect();
    assert_eq!(moves, ["enter 0"]);
}

#[test]
fn a_restart_does_not_enter_again_and_does_not_forget_the_way_out() {
    let fences = [("lyon-shop", FenceKind::Store, 100.0)];
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.restart(&fences);
    walk.live(150, 0.0, 10.0);
    walk.restart(&fences);
    walk.live(200, 300.0, 10.0);
    walk.restart(&fences);
    walk.live(210, 300.0, 10.0);
    walk.restart(&fences);
    walk.live(900, 0.0, 10.0);
    assert_eq!(walk.told(), ["enter 0", "dwell 150", "exit 150", "enter 900"]);
}

#[test]
fn a_fence_that_is_no_longer_drawn_ends_its_stays_by_silence() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.restart(&[("other-shop", FenceKind::Store, 30.0)]);
    walk.live(60, 0.0, 10.0);
    walk.advance(4000);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {}", c.phase, c.zone)).collect();
    assert_eq!(zones, ["Enter lyon-shop", "Enter other-shop", "Exit lyon-shop", "Exit other-shop"]);
}

#[test]
fn a_restart_before_the_first_known_fix_leaves_older_ones_out() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.restart(&[("lyon-shop", FenceKind::Store, 100.0)]);
    walk.at(10, &fix(-20, 400.0, 10.0));
    walk.live(30, 0.0, 10.0);
    walk.at(31, &fix(20, 400.0, 10.0));
    assert_eq!(walk.told(), ["enter 0"]);
    assert_eq!(walk.machine.counts().late, 1);
}

#[test]
fn overlapping_fences_are_all_told_and_exits_come_before_enters() {
    let mut walk = Walk::with(&[("lyon-near", FenceKind::Nearby, 300.0), ("lyon-shop", FenceKind::Store, 100.0)]);
    walk.live(-900, 900.0, 10.0);
    walk.live(0, 200.0, 10.0);
    walk.live(300, 0.0, 10.0);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.at.since(t(0)) / 1000)).collect();
    assert_eq!(zones, ["Enter lyon-near 0", "Dwell lyon-near 300", "Enter lyon-shop 300"]);
}

#[test]
fn the_apps_own_word_is_an_event_in_the_shop() {
    let mut walk = Walk::new();
    walk.word(0, Phase::Enter, 0);
    walk.word(130, Phase::Enter, 130);
    walk.word(400, Phase::Exit, 400);
    assert_eq!(walk.told(), ["enter 0", "dwell 130", "exit 400"]);
    assert!(walk.out.iter().all(|c| c.signal == Signal::App && c.zone == Zone::In && c.strength == Strength::App));
    assert_eq!(walk.out[2].store, "lyon".parse::<StoreId>().unwrap());
}

#[test]
fn an_app_that_falls_silent_has_left_at_its_last_word() {
    let mut walk = Walk::new();
    walk.word(0, Phase::Enter, 0);
    walk.word(60, Phase::Enter, 60);
    walk.advance(60 + 3600);
    walk.word(9000, Phase::Enter, 9000);
    assert_eq!(walk.told(), ["enter 0", "exit 60", "enter 9000"]);
}

#[test]
fn words_that_come_late_and_together_still_make_one_stay() {
    let mut walk = Walk::new();
    walk.word(9000, Phase::Enter, 0);
    walk.word(9001, Phase::Exit, 1500);
    assert_eq!(walk.told(), ["enter 0 late", "exit 1500 late"]);
}

#[test]
fn other_fences_can_be_drawn_while_people_are_inside() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    let wider = site(&[("lyon-shop", FenceKind::Store, 400.0), ("lyon-near", FenceKind::Nearby, 600.0)]);
    walk.machine.reload(&wider, GeofenceRules::default(), vec![Duration::from_secs(60)]);
    walk.live(130, 250.0, 10.0);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.initial)).collect();
    assert_eq!(zones, ["Enter lyon-shop false", "Dwell lyon-shop false", "Enter lyon-near false"]);
}

#[test]
fn an_enter_that_its_own_exit_has_overtaken_begins_no_stay() {
    let mut walk = Walk::new();
    walk.word(600, Phase::Exit, 500);
    walk.word(601, Phase::Enter, 100);
    assert!(walk.told().is_empty());
    walk.word(900, Phase::Enter, 510);
    assert_eq!(walk.told(), ["enter 510 late"]);
}

#[test]
fn mere_evidence_is_saved_now_and_then_and_transitions_at_once() {
    let mut walk = Walk::known();
    assert_eq!(walk.machine.take_saved(false).len(), 1, "first seen");
    walk.live(0, 0.0, 10.0);
    assert_eq!(walk.machine.take_saved(false).len(), 1, "entered");
    walk.live(10, 0.0, 10.0);
    assert_eq!(walk.machine.take_saved(false).len(), 0, "evidence");
    assert_eq!(walk.machine.take_saved(true).len(), 1, "all of it when asked");
    walk.live(20, 0.0, 10.0);
    assert_eq!(walk.machine.take_saved(false).len(), 0);
    walk.live(41, 0.0, 10.0);
    assert_eq!(walk.machine.take_saved(false).len(), 1, "half a minute later");
}

#[test]
fn who_is_not_heard_for_a_day_is_forgotten() {
    let mut walk = Walk::known();
    walk.machine.take_saved(true);
    walk.advance(2 * 86_400);
    let saved = walk.machine.take_saved(false);
    assert_eq!(saved.len(), 1);
    assert!(saved[0].value.is_none());
}

#[test]
fn what_is_saved_or_printed_holds_no_coordinate() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.live(200, 0.0, 10.0);
    let fix = fix(210, 0.0, 10.0);
    let mut seen = format!("{:?} {:?} {:?}", walk.machine, walk.out, fix);
    for piece in walk.machine.take_saved(true) {
        seen.push_str(&String::from_utf8(piece.value.clone().unwrap()).unwrap());
        seen.push_str(&format!("{piece:?}"));
    }
    assert!(!seen.contains("45.76") && !seen.contains("4.836"), "{seen}");
}

#[test]
fn saved_bytes_that_nobody_wrote_are_refused_and_harm_nothing() {
    let mut walk = Walk::new();
    for (key, value) in [(&b"phone-of-camille"[..], &b"{"[..]), (b"\xff", b"{}"), (b"phone-of-camille", b"{\"state\":{\"stays\":3}}")] {
        assert_eq!(walk.machine.restore(key, value), Err(BadState));
    }
    walk.live(0, 0.0, 10.0);
    assert_eq!(walk.told(), ["enter 0 initial"]);
}

/// A wild phone: any place near the shop, any accuracy, delays up to ten minutes, now and then only time passing.
fn wild() -> impl Strategy<Value = Vec<(i64, i64, f64, f64)>> {
    proptest::collection::vec((1_i64..90, prop_oneof![3 => Just(0_i64), 1 => 0_i64..600], -250.0..250.0_f64, 3.0..130.0_f64), 1..80)
}

fn play(walk: &mut Walk, steps: &[(i64, i64, f64, f64)], mut each: impl FnMut(&mut Walk, usize)) {
    let mut now = 0;
    for (i, (wait, delay, north, accuracy)) in steps.iter().enumerate() {
        now += wait;
        walk.at(now, &fix(now - delay, *north, *accuracy));
        each(walk, i);
    }
    walk.advance(now + 100_000);
}

proptest! {
    #[test]
    fn enter_and_exit_alternate_and_every_stay_ends(steps in wild()) {
        let mut walk = Walk::new();
        play(&mut walk, &steps, |_, _| {});
        let mut inside = false;
        for change in &walk.out {
            match change.phase {
                Phase::Enter => { prop_assert!(!inside); inside = true; }
                Phase::Dwell => prop_assert!(inside),
                Phase::Exit => { prop_assert!(inside); inside = false; }
            }
        }
        prop_assert!(!inside);
    }

    #[test]
    fn nothing_is_told_before_or_without_its_evidence(steps in wild()) {
        let mut walk = Walk::new();
        let mut evidence = std::collections::BTreeSet::new();
        let mut now = 0;
        for (wait, delay, north, accuracy) in steps {
            now += wait;
            let told = walk.out.len();
            evidence.insert(t(now - delay));
            walk.at(now, &fix(now - delay, north, accuracy));
            for change in &walk.out[told..] {
                prop_assert!(evidence.contains(&change.at), "{change:?}");
                prop_assert!(change.first <= change.at && change.at <= change.last);
                if change.phase == Phase::Enter && !change.late {
                    prop_assert!(change.at == t(now - delay) && delay <= 180);
                }
            }
        }
    }

    #[test]
    fn a_restart_at_any_moment_changes_nothing(steps in proptest::collection::vec((125_i64..900, -250.0..250.0_f64, 3.0..130.0_f64), 1..40), cuts in proptest::collection::vec(any::<bool>(), 40)) {
        let steps: Vec<_> = steps.into_iter().map(|(wait, north, accuracy)| (wait, 0, north, accuracy)).collect();
        let mut whole = Walk::new();
        play(&mut whole, &steps, |_, _| {});
        let mut cut = Walk::new();
        play(&mut cut, &steps, |walk, i| if cuts[i] { walk.restart(&[("lyon-shop", FenceKind::Store, 100.0)]) });
        prop_assert_eq!(whole.out, cut.out);
    }

    #[test]
    fn the_order_of_arrival_does_not_change_the_belief(steps in proptest::collection::vec((5_i64..40, 0_i64..100, -250.0..250.0_f64, 3.0..100.0_f64), 1..60)) {
        let mut now = 0;
        let mut fixes = std::collections::BTreeMap::new();
        let mut mixed = Walk::new();
        for (wait, delay, north, accuracy) in steps {
            now += wait;
            // Slow by its own word, so that the speed gate has no opinion of the neighbours in time.
            let slow = Fix { speed_kmh: Some(2.0), ..fix(now - delay, north, accuracy) };
            if let std::collections::btree_map::Entry::Vacant(free) = fixes.entry(slow.at) {
                mixed.machine.fix(free.insert(slow), t(now), &mut mixed.out);
            }
        }
        let mut sorted = Walk::new();
        for fix in fixes.values() {
            sorted.machine.fix(fix, fix.at, &mut sorted.out);
        }
        let inside = |walk: &Walk| walk.machine.people.get(&who()).map(|p| p.track.state.stays.values().map(|s| s.last).collect::<Vec<_>>());
        prop_assert_eq!(inside(&mixed), inside(&sorted));
    }

    #[test]
    fn any_number_in_a_fix_is_survived(lat in any::<f64>(), lon in any::<f64>(), accuracy in any::<f64>(), at in any::<i64>(), now in any::<i64>()) {
        let mut walk = Walk::known();
        let wild = Fix { installation: who(), at: Millis(at), lat, lon, accuracy_m: Some(accuracy), speed_kmh: None, away: None, fresh: false };
        walk.machine.fix(&wild, Millis(now), &mut walk.out);
        walk.machine.advance(Millis(now), &mut walk.out);
    }
}
