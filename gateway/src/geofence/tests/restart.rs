//! Restarts, other fences, and what is on the disk.

use super::*;

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
fn a_fence_that_was_drawn_during_a_restart_is_one_that_was_drawn_around_people() {
    let mut walk = Walk::known();
    walk.live(0, 150.0, 10.0);
    walk.restart(&[("lyon-shop", FenceKind::Store, 100.0), ("lyon-near", FenceKind::Nearby, 300.0)]);
    walk.live(60, 150.0, 10.0);
    walk.live(200, 50.0, 10.0);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.initial)).collect();
    assert_eq!(zones, ["Enter lyon-near true", "Dwell lyon-near true", "Enter lyon-shop false"]);
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
fn other_fences_can_be_drawn_while_people_are_inside() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    let wider = site(&[("lyon-shop", FenceKind::Store, 400.0), ("lyon-near", FenceKind::Nearby, 600.0)]);
    walk.machine.reload(&wider, GeofenceRules::default(), vec![Duration::from_secs(60)], &mut walk.out);
    walk.live(130, 250.0, 10.0);
    let zones: Vec<String> = walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.initial)).collect();
    // They have not come into the new fence: it was drawn around them.
    assert_eq!(zones, ["Enter lyon-shop false", "Dwell lyon-shop false", "Enter lyon-near true"]);
}

#[test]
fn a_stay_in_a_fence_that_is_drawn_no_more_ends_at_its_last_evidence_and_stays_ended() {
    let mut walk = Walk::known();
    walk.live(0, 0.0, 10.0);
    walk.live(30, 0.0, 10.0);
    let other = site(&[("lyon-near", FenceKind::Nearby, 600.0)]);
    walk.machine.reload(&other, GeofenceRules::default(), vec![Duration::from_secs(60)], &mut walk.out);
    let told = |walk: &Walk| walk.out.iter().map(|c| format!("{:?} {} {}", c.phase, c.zone, c.last.since(c.first))).collect::<Vec<_>>();
    assert_eq!(told(&walk), ["Enter lyon-shop 0", "Exit lyon-shop 30000"]);
    // Neither a late fix nor the fence's return brings the old stay back.
    walk.at(40, &fix(15, 0.0, 10.0));
    let back = site(&[("lyon-shop", FenceKind::Store, 100.0), ("lyon-near", FenceKind::Nearby, 600.0)]);
    walk.machine.reload(&back, GeofenceRules::default(), vec![Duration::from_secs(60)], &mut walk.out);
    walk.live(100, 0.0, 10.0);
    assert_eq!(told(&walk)[2..], ["Enter lyon-near 0", "Enter lyon-shop 0"]);
    assert!(walk.out[2].initial && walk.out[3].initial);
}

#[test]
fn mere_evidence_is_saved_now_and_then_and_transitions_at_once() {
    let mut walk = Walk::known();
    assert_eq!(walk.machine.take_saved(false).len(), 2, "first seen, and the fences once");
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
