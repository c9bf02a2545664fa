//! Fixes that cannot be believed, or not quite: coarse, fast, far, double.

use super::*;

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
