//! Coming in, staying and going.

use super::*;

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
fn overlapping_fences_are_all_told_and_exits_come_before_enters() {
    let mut walk = Walk::with(&[("lyon-near", FenceKind::Nearby, 300.0), ("lyon-shop", FenceKind::Store, 100.0)]);
    walk.live(-900, 900.0, 10.0);
    walk.live(0, 200.0, 10.0);
    walk.live(300, 0.0, 10.0);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.at.since(t(0)) / 1000)).collect();
    assert_eq!(zones, ["Enter lyon-near 0", "Dwell lyon-near 300", "Enter lyon-shop 300"]);
}
