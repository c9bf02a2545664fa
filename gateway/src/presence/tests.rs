use passage_protocol::Rid;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

pub(super) fn machine() -> Presence {
    let marks = [600, 120, 300].map(Duration::from_secs).to_vec();
    Presence::new("lyon-1".parse().unwrap(), PresenceRules::default(), marks)
}

pub(super) fn who(n: u8) -> Subject {
    Subject::Rid { rid: Rid([n; 8]), hint: n & 0x0f }
}

pub(super) fn seen(n: u8, at: Millis, rssi: i8) -> Sighting {
    Sighting { at, subject: who(n), rssi, tx_power: -59 }
}

/// Plays sightings of one subject, given in seconds, then lets time pass until `until`; gives each change as one line.
fn play(sightings: impl IntoIterator<Item = (i64, i8)>, until: i64) -> Vec<String> {
    let mut presence = machine();
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
    let walk = every(1, 0, 40, -81).chain(every(1, 41, 110, -60)).chain(every(1, 111, 200, -95));
    assert_eq!(
        play(walk, 1000),
        [
            "enter front at 2 (0-2)",
            "enter in at 57 (41-57)",
            "dwell front at 120 (0-120)",
            "exit in at 126 (41-126)",
            "exit front at 126 (0-126)",
        ]
    );
}

#[test]
fn who_steps_back_out_of_the_door_comes_into_the_front() {
    let walk = every(1, 0, 60, -60).chain(every(1, 61, 140, -84));
    let lines = play(walk, 1000);
    assert_eq!(lines[..3], ["enter in at 2 (0-2)", "exit in at 76 (0-76)", "enter front at 77 (45-77)"]);
    assert_eq!(lines[3..], ["exit front at 140 (45-140)"]);
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
    assert_eq!(play(walk.clone(), 189), ["enter in at 2 (0-2)"]);
    assert_eq!(play(walk, 190), ["enter in at 2 (0-2)", "exit in at 10 (0-10)"]);
}

#[test]
fn coming_back_after_the_silence_is_a_new_stay() {
    assert_eq!(
        play(every(1, 0, 5, -60).chain(every(1, 185, 190, -60)), 200),
        ["enter in at 2 (0-2)", "exit in at 5 (0-5)", "enter in at 187 (185-187)"]
    );
}

#[test]
fn a_clock_that_is_set_back_closes_the_stay_and_opens_a_new_one() {
    assert_eq!(
        play(every(1, 10_000, 10_010, -60).chain(every(1, 5_000, 5_010, -60)), 6_000),
        [
            "enter in at 10002 (10000-10002)",
            "exit in at 10010 (10000-10010)",
            "enter in at 5002 (5000-5002)",
            "exit in at 5010 (5000-5010)"
        ]
    );
}

#[test]
fn a_subject_that_is_silent_when_the_clock_is_set_back_is_not_kept_for_ever() {
    assert_eq!(play(every(1, 10_000, 10_010, -60).chain([(5_000, -60)]), 5_001).len(), 2);
    let mut presence = machine();
    let mut changes = Vec::new();
    for at in 10_000..10_010 {
        presence.sight(&seen(1, Millis::from_secs(at), -60), &mut changes);
    }
    presence.advance(Millis::from_secs(10_010), &mut changes);
    presence.advance(Millis::from_secs(5_000), &mut changes);
    assert_eq!(changes.iter().map(|change| change.phase).collect::<Vec<_>>(), [Phase::Enter, Phase::Exit]);
    assert_eq!(presence.next_due(), None);
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
fn a_flood_of_ids_in_our_namespace_costs_bounded_memory_and_loses_no_exit() {
    let mut presence = machine();
    presence.capacity = 10;
    let mut changes = Vec::new();
    for at in 0..3 {
        presence.sight(&seen(255, Millis(at), -60), &mut changes);
    }
    for n in 0..100 {
        presence.sight(&seen(n, Millis(10), -60), &mut changes);
    }
    assert_eq!((presence.tracks.len(), presence.due.len()), (10, 10));
    assert_eq!(presence.inside(), 1, "who is in the shop outlasts who was heard once");
    for n in 0..10 {
        for _ in 0..3 {
            presence.sight(&seen(n, Millis(20), -60), &mut changes);
        }
    }
    assert_eq!(changes.last().map(line).as_deref(), Some("enter in at 0 (0-0)"));
    assert!(changes.iter().any(|c| c.subject == who(255) && c.phase == Phase::Exit && c.at == Millis(2)));
}

#[test]
fn only_who_is_in_a_zone_is_saved_and_not_at_every_sighting() {
    let mut presence = machine();
    let mut changes = Vec::new();
    let mut saves = Vec::new();
    for at in 0..=60 {
        presence.sight(&seen(1, Millis::from_secs(at), -60), &mut changes);
        presence.sight(&seen(2, Millis::from_secs(at), -99), &mut changes);
        for state in presence.take_saved(false) {
            assert_eq!(state.key, serde_json::to_vec(&who(1)).unwrap());
            assert!(state.value.is_some());
            saves.push(at);
        }
    }
    assert_eq!(saves, [2, 32]);
    let rest = presence.take_saved(true);
    assert_eq!(rest.len(), 1, "an orderly stop saves what a lazy save left out");
    let mut after = machine();
    after.restore(&rest[0].key, rest[0].value.as_ref().unwrap()).unwrap();
    assert_eq!(after.next_due(), Some(Millis::from_secs(60 + 180)));
    presence.advance(Millis::from_secs(1000), &mut changes);
    let last = presence.take_saved(false);
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].value, None);
    assert_eq!(presence.tracks.len(), 0);
}

#[test]
fn a_live_restart_keeps_the_stay_and_closes_it_when_the_subject_left_meanwhile() {
    let mut presence = machine();
    let mut changes = Vec::new();
    for at in 0..40 {
        presence.sight(&seen(1, Millis::from_secs(at), -60), &mut changes);
    }
    let saved = presence.take_saved(false);
    let mut after = machine();
    after.restore(&saved[0].key, saved[0].value.as_ref().unwrap()).unwrap();
    changes.clear();
    after.sight(&seen(1, Millis::from_secs(100), -60), &mut changes);
    assert!(changes.is_empty(), "still the same stay");
    after.advance(Millis::from_secs(1000), &mut changes);
    assert_eq!(changes.iter().map(line).collect::<Vec<_>>(), ["exit in at 100 (0-100)"]);
}

#[test]
fn a_saved_state_that_is_broken_is_refused_and_not_quoted() {
    let error = machine().restore(b"{\"rid\":{\"rid\":\"0102030405060708\",\"hint\":1}}", b"{").unwrap_err();
    assert!(!error.to_string().contains("0102"));
    assert_eq!(machine().restore(b"x", b"{}"), Err(RestoreError));
}
