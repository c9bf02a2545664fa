//! The app's own word.

use super::*;

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
fn an_enter_that_its_own_exit_has_overtaken_begins_no_stay() {
    let mut walk = Walk::new();
    walk.word(600, Phase::Exit, 500);
    walk.word(601, Phase::Enter, 100);
    assert!(walk.told().is_empty());
    walk.word(900, Phase::Enter, 510);
    assert_eq!(walk.told(), ["enter 510 late"]);
}

#[test]
fn a_leave_in_the_same_whole_second_as_the_arrival_ends_the_stay() {
    let mut walk = Walk::new();
    // The shop's beacon was heard half a second later than the app's whole seconds can say.
    walk.word_at(600, Phase::Enter, t(600) + Duration::from_millis(500));
    walk.word(601, Phase::Exit, 600);
    assert_eq!(walk.told(), ["enter 600", "exit 600"]);
    // The same enter once more is the old one.
    walk.word_at(602, Phase::Enter, t(600) + Duration::from_millis(500));
    assert_eq!(walk.told().len(), 2);
    walk.word_at(700, Phase::Enter, t(700) + Duration::from_millis(500));
    walk.word(701, Phase::Exit, 699);
    assert_eq!(walk.told()[2..], ["enter 700"], "a leave of the second before belongs to an earlier stay");
    walk.word_at(702, Phase::Exit, t(700) + Duration::from_millis(499));
    assert_eq!(walk.told()[2..], ["enter 700"], "and so does one that is told to the millisecond");
}

#[test]
fn how_loud_an_app_heard_the_beacon_goes_with_its_word_as_the_mean_of_all_also_over_a_restart() {
    let mut walk = Walk::new();
    walk.heard_at(0, Phase::Enter, t(0), Some(-60));
    walk.heard_at(130, Phase::Enter, t(130), Some(-70));
    walk.restart(&[("shop", FenceKind::Store, 50.0)]);
    walk.heard_at(140, Phase::Enter, t(140), None);
    walk.heard_at(310, Phase::Enter, t(310), Some(-80));
    walk.heard_at(400, Phase::Exit, t(400), None);
    let told: Vec<Strength> = walk.out.iter().map(|c| c.strength).collect();
    let means = [(-60, 1), (-65, 2), (-70, 3), (-70, 3)].map(|(rssi, count)| Strength::Radio { rssi, count });
    assert_eq!(told, means);
}
