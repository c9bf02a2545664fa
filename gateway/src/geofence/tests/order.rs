//! Late fixes, old fixes, queues.

use super::*;

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
fn a_better_measure_of_the_newest_place_takes_a_departure_back_as_a_late_enter() {
    let mut walk = Walk::new();
    walk.live(0, 0.0, 3.0);
    walk.live(1, -223.0, 71.9);
    walk.advance(70);
    assert_eq!(walk.told(), ["enter 0 initial", "exit 0 initial"]);
    walk.at(70, &fix(1, -82.5, 66.6));
    assert_eq!(
        walk.told(),
        ["enter 0 initial", "exit 0 initial", "enter 0 initial late"],
        "the evidence is old, whenever it was measured better"
    );
}
