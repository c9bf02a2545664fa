use passage_protocol::Rid;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

pub(super) fn machine() -> Presence {
    machine_with(PresenceRules::default())
}

pub(super) fn machine_with(rules: PresenceRules) -> Presence {
    let marks = [600, 120, 300].map(Duration::from_secs).to_vec();
    Presence::new("lyon-1".parse().unwrap(), rules, marks)
}

pub(super) fn who(n: u8) -> Subject {
    Subject::Rid { rid: Rid([n; 8]), hint: n & 0x0f }
}

pub(super) fn seen(n: u8, at: Millis, rssi: i8) -> Sighting {
    Sighting { at, subject: who(n), rssi, tx_power: -59 }
}

/// Plays sightings of one subject, given in seconds, then lets time pass until `until`; gives each change as one line.
fn play(sightings: impl IntoIterator<Item = (i64, i8)>, until: i64) -> Vec<String> {
    play_with(PresenceRules::default(), sightings, until)
}

fn play_with(rules: PresenceRules, sightings: impl IntoIterator<Item = (i64, i8)>, until: i64) -> Vec<String> {
    let mut presence = machine_with(rules);
    let mut changes = Vec::new();
    for (at, rssi) in sightings {
        presence.advance(Millis::from_secs(at), &mut changes);
        presence.sight(&seen(1, Millis::from_secs(at), rssi), &mut changes);
    }
    presence.advance(Millis::from_secs(until), &mut changes);
    changes.iter().map(line).collect()
}

fn line(change: &Change) -> String {
    let phase = match change.phase {
        Phase::Enter => "enter",
        Phase::Dwell => "dwell",
        Phase::Exit => "exit",
    };
    format!("{phase} {} at {} ({}-{})", change.zone, change.at.secs(), change.first.secs(), change.last.secs())
}

fn every(step: i64, from: i64, to: i64, rssi: i8) -> impl Iterator<Item = (i64, i8)> + Clone {
    (from..=to).step_by(usize::try_from(step).unwrap()).map(move |at| (at, rssi))
}

#[test]
fn three_strong_sightings_enter_and_silence_leaves_at_the_last_evidence() {
    assert_eq!(play(every(1, 0, 60, -60), 60 + 179), ["enter in at 2 (0-2)"]);
    assert_eq!(play(every(1, 0, 60, -60), 60 + 180), ["enter in at 2 (0-2)", "exit in at 60 (0-60)"]);
}

#[test]
fn a_hundred_thousand_subjects_have_a_bound_and_a_hundred_thousand_others_need_no_more() {
    const MOST: u32 = 100_000;
    let mut presence = machine_with(PresenceRules { max_subjects: MOST, ..PresenceRules::default() });
    let mut changes = Vec::new();
    let mut pass = |presence: &mut Presence, crowd: u64| {
        for round in 0..3 {
            let at = Millis::from_secs(i64::try_from(crowd).unwrap() * 60 + round * 2);
            for n in 0..u64::from(MOST) {
                let rid = Rid((crowd * 1_000_000 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                let subject = Subject::Rid { rid, hint: 3 };
                presence
                    .sight(&Sighting { at, subject, rssi: [-62, -84, -97][usize::try_from(n % 3).unwrap()], tx_power: -59 }, &mut changes);
                presence.take_saved(false);
                changes.clear();
            }
        }
        presence.bytes()
    };
    let bytes = [0, 1, 2].map(|crowd| {
        let bytes = pass(&mut presence, crowd);
        assert_eq!(presence.subjects(), MOST as usize);
        println!("{} bytes for each of {MOST} subjects", bytes / MOST as usize);
        bytes
    });
    assert!(bytes.iter().all(|bytes| *bytes <= 72 << 20), "{bytes:?}");
    // The table doubles once when subjects come and go, and never again.
    assert!(bytes[2] <= bytes[1], "{bytes:?}");
    assert!(presence.counts() != Counts::default(), "who had to go is counted");
}

#[test]
fn a_chip_that_reports_once_per_scan_round_still_enters() {
    assert_eq!(play([(0, -60), (10, -60), (21, -60)], 30), ["enter in at 21 (0-21)"]);
}

#[test]
fn two_sightings_or_three_in_more_than_the_window_do_not_enter() {
    assert!(play([(0, -60), (1, -60)], 1000).is_empty());
    assert!(play([(0, -60), (17, -60), (34, -60)], 1000).is_empty());
}

#[test]
fn a_passer_by_reaches_the_front_and_never_the_inside() {
    assert_eq!(play(every(1, 0, 20, -80), 500), ["enter front at 2 (0-2)", "exit front at 20 (0-20)"]);
    assert!(play(every(1, 0, 600, -88), 1000).is_empty());
}

#[test]
fn who_walks_straight_in_has_one_stay() {
    assert_eq!(play(every(5, 0, 100, -55), 400), ["enter in at 10 (0-10)", "exit in at 100 (0-100)"]);
}

#[test]
fn who_comes_through_the_front_keeps_that_stay_around_the_inner_one() {
    let walk = every(1, 0, 40, -81).chain(every(1, 41, 130, -60)).chain(every(1, 131, 220, -95));
    assert_eq!(
        play(walk, 1000),
        [
            "enter front at 2 (0-2)",
            "enter in at 57 (41-57)",
            "dwell front at 120 (0-120)",
            "exit in at 130 (41-130)",
            "exit front at 130 (0-130)",
        ]
    );
}

#[test]
fn who_steps_back_out_of_the_door_comes_into_the_front() {
    let walk = every(1, 0, 60, -60).chain(every(1, 61, 140, -84));
    assert_eq!(
        play(walk, 1000),
        ["enter in at 2 (0-2)", "enter front at 93 (61-93)", "exit in at 60 (0-60)", "exit front at 140 (61-140)"]
    );
}

#[test]
fn a_dwell_is_reported_by_evidence_at_each_mark_once() {
    assert_eq!(
        play(every(50, 0, 20, -60).chain(every(10, 10, 310, -60)), 1000),
        ["enter in at 20 (0-20)", "dwell in at 120 (0-120)", "dwell in at 300 (0-300)", "exit in at 310 (0-310)"]
    );
    assert_eq!(
        play([(0, -60), (1, -60), (2, -60), (181, -60), (360, -60)], 360),
        ["enter in at 2 (0-2)", "dwell in at 181 (0-181)", "dwell in at 360 (0-360)"]
    );
    assert_eq!(play([(0, -60), (1, -60), (2, -60)], 170), ["enter in at 2 (0-2)"], "no evidence, no dwell");
}

#[test]
fn a_single_weak_sighting_after_a_gap_neither_ends_nor_prolongs_a_stay() {
    let walk = every(1, 0, 10, -60).chain([(100, -95)]);
    assert_eq!(play(walk.clone(), 279), ["enter in at 2 (0-2)"]);
    assert_eq!(
        play(walk, 280),
        ["enter in at 2 (0-2)", "exit in at 10 (0-10)"],
        "gone when she was not heard any more, where she was last"
    );
}

#[test]
fn who_is_heard_but_only_weakly_leaves_when_that_has_held_at_the_last_evidence() {
    let walk = every(1, 0, 60, -60).chain(every(1, 61, 1000, -86));
    assert_eq!(play(walk.clone(), 1000), ["enter in at 2 (0-2)", "exit in at 60 (0-60)"]);
    assert_eq!(play(walk.clone().take_while(|(at, _)| *at <= 659), 659), ["enter in at 2 (0-2)"]);
    assert_eq!(play(walk.take_while(|(at, _)| *at <= 660), 660).len(), 2);
    let turned = every(1, 0, 60, -65).chain(every(1, 61, 400, -86)).chain(every(1, 401, 500, -65));
    assert_eq!(
        play(turned, 500),
        ["enter in at 2 (0-2)", "dwell in at 417 (0-417)"],
        "five minutes behind somebody's back are no reason to leave"
    );
}

#[test]
fn who_left_about_the_border_comes_back_only_clearly() {
    let left = every(5, 0, 60, -65).chain(every(5, 65, 700, -86));
    let back = |rssi| play(left.clone().chain(every(5, 705, 760, rssi)), 760).iter().filter(|line| line.starts_with("enter in")).count();
    assert_eq!((back(-73), back(-71)), (1, 2));
    let gone = every(5, 0, 60, -65).chain(every(5, 705, 760, -73));
    assert_eq!(play(gone, 760).iter().filter(|line| line.starts_with("enter in")).count(), 2, "who was not heard any more is new");
}

#[test]
fn each_zone_can_have_its_own_number_window_and_silence() {
    let mut rules = PresenceRules::default();
    rules.inside.enter_sightings = 1;
    rules.inside.silence = Duration::from_secs(300);
    rules.front.enter_sightings = 5;
    rules.front.window = Duration::from_secs(10);
    rules.front.silence = Duration::from_secs(20);
    assert_eq!(play_with(rules, [(0, -60)], 299), ["enter in at 0 (0-0)"]);
    assert_eq!(play_with(rules, [(0, -60)], 300), ["enter in at 0 (0-0)", "exit in at 0 (0-0)"]);
    assert!(play_with(rules, every(3, 0, 100, -80), 100).is_empty(), "four in 10 s");
    assert_eq!(play_with(rules, every(2, 0, 30, -80), 50), ["enter front at 8 (0-8)", "exit front at 30 (0-30)"]);
}

#[test]
fn coming_back_after_the_silence_is_a_new_stay() {
    assert_eq!(
        play(every(1, 0, 5, -60).chain(every(1, 185, 190, -60)), 200),
        ["enter in at 2 (0-2)", "exit in at 5 (0-5)", "enter in at 187 (185-187)"]
    );
}

#[test]
fn one_deep_fade_does_not_end_a_stay() {
    let walk = every(1, 0, 100, -65).map(|(at, rssi)| if at % 3 == 0 { (at, -95) } else { (at, rssi) });
    assert_eq!(play(walk, 100).len(), 1);
}

/// Approximately normal noise with a standard deviation of `sd` dB.
fn noise(rng: &mut ChaCha8Rng, sd: f64) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>().mul_add(sd, -6.0 * sd)
}

#[test]
fn a_phone_that_stands_still_anywhere_never_flaps() {
    for seed in 0..3 {
        for mean in -100..-50 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            #[expect(clippy::cast_possible_truncation, reason = "a strength in dBm")]
            let walk: Vec<_> = (0..1200).map(|at| (at, (f64::from(mean) + noise(&mut rng, 4.0)).round() as i8)).collect();
            let lines = play(walk, 1200);
            for zone in ["in", "front"] {
                let transitions: Vec<_> = lines.iter().filter(|l| !l.starts_with("dwell") && l.contains(&format!(" {zone} at"))).collect();
                assert!(transitions.len() <= 1, "seed {seed}, {mean} dBm: {transitions:?}");
            }
        }
    }
}

#[test]
fn other_rules_lose_no_stay_and_count_from_the_moment_that_they_are_there() {
    let mut presence = machine();
    let mut changes = Vec::new();
    for at in 0..=60 {
        presence.sight(&seen(1, Millis::from_secs(at), -60), &mut changes);
    }
    let mut rules = PresenceRules::default();
    for zone in [&mut rules.inside, &mut rules.front] {
        (zone.silence, zone.enter_dbm, zone.leave_dbm) = (Duration::from_secs(60), -50, -55);
    }
    presence.reload(rules, &[Duration::from_secs(90)]);
    presence.advance(Millis::from_secs(61), &mut changes);
    assert_eq!(changes.iter().map(line).collect::<Vec<_>>(), ["enter in at 2 (0-2)"], "who is inside stays");
    // The new mark and the shorter silence count for the stay that was there before.
    presence.sight(&seen(1, Millis::from_secs(95), -50), &mut changes);
    presence.advance(Millis::from_secs(155), &mut changes);
    assert_eq!(changes[1..].iter().map(line).collect::<Vec<_>>(), ["dwell in at 95 (0-95)", "exit in at 95 (0-95)"]);
}
