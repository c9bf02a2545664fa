//! Restarts, cold starts, clocks that are set, and floods.

use super::{
    tests::{machine, machine_with, seen, who},
    *,
};
use crate::change::SavedState;

/// A subject that is heard once a second.
fn hear(presence: &mut Presence, n: u8, seconds: std::ops::RangeInclusive<i64>, rssi: i8) -> Vec<Change> {
    let mut changes = Vec::new();
    for at in seconds.map(Millis::from_secs) {
        presence.advance(at, &mut changes);
        presence.sight(&seen(n, at, rssi), &mut changes);
    }
    changes
}

fn advance(presence: &mut Presence, at: i64) -> Vec<Change> {
    let mut changes = Vec::new();
    presence.advance(Millis::from_secs(at), &mut changes);
    changes
}

fn phases(changes: &[Change]) -> Vec<(Phase, bool)> {
    changes.iter().filter(|c| c.zone == Zone::In && c.phase != Phase::Dwell).map(|c| (c.phase, c.initial)).collect()
}

fn restarted(saved: &[SavedState]) -> Presence {
    let mut presence = machine();
    for state in saved {
        if let Some(value) = &state.value {
            presence.restore(&state.key, value).unwrap();
        }
    }
    presence
}

const NEW: (Phase, bool) = (Phase::Enter, false);
const INITIAL: (Phase, bool) = (Phase::Enter, true);

#[test]
fn who_is_inside_when_the_gateway_starts_is_initial_and_who_comes_later_is_new() {
    let mut presence = machine();
    let changes = hear(&mut presence, 1, 1_000..=1_200, -60);
    assert_eq!(phases(&changes), [INITIAL]);
    assert!(changes.iter().all(|c| c.initial), "her dwell triggers nothing either");
    assert_eq!(phases(&hear(&mut presence, 2, 1_200..=1_210, -60)), [NEW]);
    let changes = [advance(&mut presence, 2_000), hear(&mut presence, 1, 2_000..=2_010, -60)].concat();
    assert_eq!(phases(&changes), [(Phase::Exit, true), (Phase::Exit, false), NEW], "who left and comes back is seen coming");
}

#[test]
fn who_is_seen_coming_through_the_front_is_not_initial_even_right_after_the_start() {
    let mut presence = machine();
    assert!(phases(&hear(&mut presence, 1, 0..=50, -80)).is_empty());
    assert_eq!(phases(&hear(&mut presence, 1, 51..=90, -60)), [NEW]);
}

#[test]
fn after_a_short_stop_nobody_is_taken_for_initial_and_after_a_crash_or_a_long_stop_everybody_new_is() {
    let run = || {
        let mut presence = machine();
        hear(&mut presence, 1, 0..=500, -60);
        presence
    };
    let orderly = run().rest();
    assert_eq!(phases(&hear(&mut restarted(&orderly), 2, 510..=520, -60)), [NEW]);
    assert_eq!(phases(&hear(&mut restarted(&orderly), 2, 2_000..=2_010, -60))[1..], [INITIAL]);
    let crashed = run().take_saved(false);
    assert_eq!(phases(&hear(&mut restarted(&crashed), 2, 510..=520, -60)), [INITIAL]);
}

#[test]
fn a_restart_in_the_middle_of_a_stay_is_no_second_enter() {
    let stops: [fn(&mut Presence) -> Vec<SavedState>; 2] = [Presence::rest, |presence| presence.take_saved(false)];
    for stop in stops {
        let mut presence = machine();
        advance(&mut presence, -100);
        assert_eq!(phases(&hear(&mut presence, 1, 0..=40, -60)), [NEW]);
        let mut after = restarted(&stop(&mut presence));
        let changes = [hear(&mut after, 1, 100..=100, -60), advance(&mut after, 1_000)].concat();
        assert_eq!(phases(&changes), [(Phase::Exit, false)], "still the same stay");
        assert_eq!((changes[0].first, changes[0].last), (Millis(0), Millis::from_secs(100)));
    }
}

#[test]
fn who_left_while_the_gateway_was_off_left_at_the_last_evidence() {
    let mut presence = machine();
    hear(&mut presence, 1, 0..=40, -60);
    let changes = advance(&mut restarted(&presence.rest()), 5_000);
    assert_eq!((changes.len(), changes[0].phase, changes[0].at), (1, Phase::Exit, Millis::from_secs(40)));
}

#[test]
fn when_the_clock_is_set_stays_move_with_it_and_nobody_leaves() {
    for hours in [3, -3, 200_000] {
        let step = hours * 3_600_000;
        let mut presence = machine();
        advance(&mut presence, 1_000_000);
        hear(&mut presence, 1, 1_000_100..=1_000_200, -60);
        presence.set_clock(step);
        let from = 1_000_201 + hours * 3_600;
        let changes = [hear(&mut presence, 1, from..=from + 200, -60), advance(&mut presence, from + 1_000)].concat();
        let told: Vec<_> = changes.iter().map(|c| (c.phase, c.last.since(c.first) / 1000)).collect();
        assert_eq!(told, [(Phase::Dwell, 120), (Phase::Dwell, 300), (Phase::Exit, 301)], "{hours} h");
        assert_eq!(changes[2].at, Millis::from_secs(from + 200));
        assert_eq!(presence.subjects(), 0);
    }
}

#[test]
fn a_clock_that_runs_back_without_a_word_ends_nothing_and_makes_no_dwell_negative() {
    let mut presence = machine();
    advance(&mut presence, 9_000);
    hear(&mut presence, 1, 10_000..=10_010, -60);
    let changes = [hear(&mut presence, 1, 5_000..=5_010, -60), advance(&mut presence, 6_000)].concat();
    assert_eq!(phases(&changes), [(Phase::Exit, false)]);
    assert_eq!((changes[0].first, changes[0].last), (Millis::from_secs(4_990), Millis::from_secs(5_010)));
    assert_eq!(presence.counts().clock_steps, 1);
}

#[test]
fn an_advert_that_is_a_little_late_counts_as_now() {
    let mut presence = machine();
    advance(&mut presence, 0);
    hear(&mut presence, 1, 100..=110, -60);
    let changes = [hear(&mut presence, 1, 95..=95, -60), advance(&mut presence, 1_000)].concat();
    assert_eq!(changes.last().map(|c| (c.phase, c.last)), Some((Phase::Exit, Millis::from_secs(110))));
    assert_eq!(presence.counts().clock_steps, 0);
}

#[test]
fn a_saved_stay_outlives_the_step_from_the_time_before_the_network_was_there() {
    let mut presence = machine();
    hear(&mut presence, 1, 100_000..=100_040, -60);
    let mut after = restarted(&presence.rest());
    // A board without a battery comes up an hour behind, hears somebody else, and gets the time.
    assert_eq!(phases(&hear(&mut after, 2, 96_400..=96_410, -60)), [INITIAL]);
    after.set_clock(3_700_000);
    let changes = hear(&mut after, 1, 100_111..=100_119, -60);
    assert!(changes.is_empty(), "still the same stay: {changes:?}");
}

#[test]
fn a_clock_that_went_back_while_the_gateway_was_off_ends_the_old_stay_and_triggers_nothing() {
    let mut presence = machine();
    hear(&mut presence, 1, 100_000..=100_040, -60);
    let mut after = restarted(&presence.rest());
    let changes = hear(&mut after, 1, 50_000..=50_010, -60);
    assert_eq!(phases(&changes), [(Phase::Exit, true), INITIAL]);
    assert_eq!(changes[0].at, Millis::from_secs(100_040));
}

#[test]
fn only_who_is_in_a_zone_is_saved_and_not_at_every_sighting() {
    let mut presence = machine();
    let (mut changes, mut saves) = (Vec::new(), Vec::new());
    let of = |state: &SavedState, n: u8| state.key == serde_json::to_vec(&who(n)).unwrap();
    assert!(presence.take_saved(false).is_empty(), "nothing has begun");
    for at in 0..=60 {
        presence.sight(&seen(1, Millis::from_secs(at), -60), &mut changes);
        presence.sight(&seen(2, Millis::from_secs(at), -99), &mut changes);
        for state in presence.take_saved(false) {
            assert!(state.value.is_some() && !of(&state, 2));
            saves.push((at, of(&state, 1)));
        }
    }
    assert_eq!(saves, [(0, false), (2, true), (32, true)]);
    let rest = presence.rest();
    assert_eq!(rest.len(), 3, "an orderly stop saves what a lazy save left out");
    assert_eq!(restarted(&rest).next_due(), Some(Millis(60_000 + 32_001)));
    presence.advance(Millis::from_secs(1000), &mut changes);
    let last = presence.take_saved(false);
    assert!(last.len() == 2 && last.iter().all(|state| state.value.is_none()));
    assert_eq!(presence.subjects(), 0);
}

#[test]
fn a_saved_state_that_is_broken_is_refused_and_not_quoted() {
    let error = machine().restore(b"{\"rid\":{\"rid\":\"0102030405060708\",\"hint\":1}}", b"{").unwrap_err();
    assert!(!error.to_string().contains("0102"));
    for key in [&b"x"[..], b"start"] {
        assert_eq!(machine().restore(key, b"{}"), Err(RestoreError));
    }
}

#[test]
fn a_flood_of_ids_forgets_who_never_came_in_first_and_loses_no_exit() {
    let mut presence = machine_with(PresenceRules { max_subjects: 10, ..PresenceRules::default() });
    hear(&mut presence, 255, 0..=2, -60);
    let mut changes = Vec::new();
    for n in 0..100 {
        presence.sight(&seen(n, Millis(3_000 + i64::from(n)), -60), &mut changes);
        assert!(presence.subjects() <= 10 && presence.queues.len() == presence.subjects());
    }
    assert_eq!((presence.inside(), presence.is_full(false)), (1, true), "who is in the shop outlasts who was heard once");
    assert_eq!(presence.counts(), Counts { candidates_dropped: 91, ..Counts::default() });
    assert!(presence.tracks.contains_key(&who(99)) && !presence.tracks.contains_key(&who(90)), "the longest unheard go first");
    for n in 0..10 {
        for _ in 0..3 {
            presence.sight(&seen(n, Millis(20_000), -60), &mut changes);
        }
    }
    assert_eq!((presence.inside(), presence.counts().stays_cut), (10, 1), "only among people who are all inside somebody has to go");
    assert!(changes.iter().any(|c| c.subject == who(255) && c.phase == Phase::Exit && c.at == Millis(2_000)));
    advance(&mut presence, 10_000);
    assert!(!presence.is_full(true));
}
