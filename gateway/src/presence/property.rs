//! What holds for every sequence of sightings and times.

use std::collections::HashMap;

use passage_config::RadioZone;
use proptest::prelude::*;

use super::{
    tests::{machine, seen},
    *,
};

#[derive(Debug, Clone)]
enum Step {
    Sight { who: u8, after_ms: i64, rssi: i8 },
    Advance { after_ms: i64 },
}

/// Few subjects, so that stays happen; times mostly forward, sometimes a little or far back.
fn steps(back: bool) -> impl Strategy<Value = Vec<Step>> {
    let after = if back {
        prop_oneof![8 => 0..12_000i64, 1 => 100_000..400_000i64, 1 => -10_000..0i64, 1 => -500_000..-40_000i64].boxed()
    } else {
        prop_oneof![8 => 0..12_000i64, 1 => 100_000..400_000i64].boxed()
    };
    let step = prop_oneof![
        9 => (0..3u8, after.clone(), prop_oneof![-70..-50i8, -100..-60i8, any::<i8>()])
            .prop_map(|(who, after_ms, rssi)| Step::Sight { who, after_ms, rssi }),
        1 => after.prop_map(|after_ms| Step::Advance { after_ms }),
    ];
    prop::collection::vec(step, 0..150)
}

fn do_step(presence: &mut Presence, step: &Step, now: &mut Millis, changes: &mut Vec<Change>) {
    match *step {
        Step::Sight { who, after_ms, rssi } => {
            now.0 += after_ms;
            presence.sight(&seen(who, *now, rssi), changes);
        }
        Step::Advance { after_ms } => {
            now.0 += after_ms;
            presence.advance(*now, changes);
        }
    }
}

const START: Millis = Millis(1_700_000_000_000);

/// A machine that has listened for a while.
fn begun() -> Presence {
    let mut presence = machine();
    presence.advance(START, &mut Vec::new());
    presence
}

fn run(steps: &[Step]) -> Vec<Change> {
    let (mut presence, mut now, mut changes) = (begun(), START, Vec::new());
    let mut latest = now;
    for step in steps {
        do_step(&mut presence, step, &mut now, &mut changes);
        latest = latest.max(now);
    }
    presence.advance(latest + Duration::from_secs(1000), &mut changes);
    changes
}

/// Groups the changes by zone and subject.
fn by_stay_owner(changes: &[Change]) -> HashMap<(Zone, Subject), Vec<&Change>> {
    let mut groups: HashMap<_, Vec<_>> = HashMap::new();
    for change in changes {
        groups.entry((change.zone.clone(), change.subject.clone())).or_default().push(change);
    }
    groups
}

proptest! {
    #[test]
    fn enters_and_exits_alternate_and_no_stay_is_left_open(steps in steps(true)) {
        for group in by_stay_owner(&run(&steps)).values() {
            let mut open: Option<Millis> = None;
            for change in group {
                match change.phase {
                    Phase::Enter => {
                        prop_assert!(open.is_none(), "entered twice");
                        open = Some(change.first);
                    }
                    Phase::Dwell => prop_assert!(open.is_some(), "dwells without having entered"),
                    Phase::Exit => prop_assert!(open.take().is_some(), "left twice"),
                }
            }
            prop_assert!(open.is_none(), "never left");
        }
    }

    /// Also on a clock that runs back.
    #[test]
    fn dwell_only_grows_and_is_never_negative(steps in steps(true)) {
        for group in by_stay_owner(&run(&steps)).values() {
            let mut dwell = 0;
            for change in group {
                if change.phase == Phase::Enter {
                    dwell = 0;
                }
                prop_assert!(change.at == change.last);
                prop_assert!(change.last.since(change.first) >= dwell, "dwell shrank");
                dwell = change.last.since(change.first);
            }
        }
    }

    #[test]
    fn nothing_is_told_before_its_evidence_and_all_evidence_is_a_sighting(steps in steps(false)) {
        let (mut presence, mut now, mut changes) = (machine(), START, Vec::new());
        let mut sighted = std::collections::HashSet::new();
        for step in &steps {
            do_step(&mut presence, step, &mut now, &mut changes);
            if let Step::Sight { who, .. } = step {
                sighted.insert((super::tests::who(*who), now));
            }
            for change in changes.drain(..) {
                for at in [change.first, change.last, change.at] {
                    prop_assert!(sighted.contains(&(change.subject.clone(), at)));
                }
            }
        }
    }

    /// Stays on a clock that is set at any moment, forward or back, are as long as without, and there are as many.
    #[test]
    fn a_clock_that_is_set_changes_no_stay_but_its_time(
        steps in steps(false), sets in prop::collection::btree_map(0usize..150, -100_000_000_000i64..100_000_000_000, 0..4),
    ) {
        let (mut presence, mut now, mut changes) = (begun(), START, Vec::new());
        for (at, step) in steps.iter().enumerate() {
            if let Some(&by) = sets.get(&at) {
                presence.set_clock(by);
                now.0 += by;
            }
            do_step(&mut presence, step, &mut now, &mut changes);
        }
        presence.advance(now + Duration::from_secs(1000), &mut changes);
        let lengths = |changes: &[Change]| -> Vec<_> {
            changes.iter().map(|c| (c.zone.clone(), c.subject.clone(), c.phase, c.last.since(c.first), c.initial)).collect()
        };
        prop_assert_eq!(lengths(&changes), lengths(&run(&steps)));
    }

    #[test]
    fn memory_stays_within_its_bound(steps in steps(true), most in 1..4u32) {
        let mut presence = super::tests::machine_with(PresenceRules { max_subjects: most, ..PresenceRules::default() });
        let (mut now, mut changes) = (START, Vec::new());
        for step in &steps {
            do_step(&mut presence, step, &mut now, &mut changes);
            prop_assert!(presence.subjects() <= most as usize);
            prop_assert_eq!(presence.queues.len(), presence.subjects(), "everybody waits in one queue, once");
            prop_assert!(presence.tracks.values().all(|track| track.heap_bytes() <= 1024));
            presence.take_saved(false);
        }
        prop_assert!(presence.tracks.is_empty() || presence.next_due().is_some());
    }

    #[test]
    fn with_a_clock_that_only_goes_forward_stays_do_not_overlap(steps in steps(false)) {
        for group in by_stay_owner(&run(&steps)).values() {
            let mut left = Millis(i64::MIN);
            for change in group {
                prop_assert!(change.first > left);
                if change.phase == Phase::Exit {
                    left = change.last;
                }
            }
        }
    }

    /// Each step is committed with its changes; after any of them the gateway dies and plays the rest again.
    #[test]
    fn a_restart_at_any_point_changes_nothing(steps in steps(false), stops in prop::collection::btree_set(0usize..150, 0..6)) {
        let (mut presence, mut now, mut changes) = (begun(), START, Vec::new());
        let mut disk: HashMap<Vec<u8>, Vec<u8>> =
            presence.take_saved(true).into_iter().filter_map(|state| Some((state.key, state.value?))).collect();
        for (at, step) in steps.iter().enumerate() {
            if stops.contains(&at) {
                presence = machine();
                for (key, value) in &disk {
                    presence.restore(key, value).unwrap();
                }
            }
            do_step(&mut presence, step, &mut now, &mut changes);
            for state in presence.take_saved(true) {
                match state.value {
                    Some(value) => disk.insert(state.key, value),
                    None => disk.remove(&state.key),
                };
            }
            prop_assert_eq!(disk.len(), presence.tracks.len() + 1, "everybody, and since when it listens");
        }
        presence.advance(now + Duration::from_secs(1000), &mut changes);
        prop_assert_eq!(changes, run(&steps));
    }

    /// How often time is let pass between the sightings has no influence on what happened, only on when it is noticed.
    #[test]
    fn more_frequent_advances_change_nothing(steps in steps(false)) {
        let (mut presence, mut now, mut often) = (begun(), START, Vec::new());
        for step in &steps {
            let (Step::Sight { after_ms, .. } | Step::Advance { after_ms }) = *step;
            for quarter in 1..4 {
                presence.advance(Millis(now.0 + after_ms * quarter / 4), &mut often);
            }
            do_step(&mut presence, step, &mut now, &mut often);
        }
        presence.advance(now + Duration::from_secs(1000), &mut often);
        let seldom = run(&steps);
        prop_assert_eq!(by_stay_owner(&often), by_stay_owner(&seldom));
    }

    #[test]
    fn extreme_times_and_rules_do_not_panic(
        times in prop::collection::vec((prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()], any::<i8>()), 0..40),
        window in any::<u64>(), silence in any::<u64>(), needed in any::<u32>(),
    ) {
        let zone = RadioZone {
            enter_sightings: needed,
            window: Duration::from_millis(window),
            silence: Duration::from_millis(silence),
            hold: Duration::from_millis(silence / 2),
            ..RadioZone::between(-75, -83)
        };
        let rules = PresenceRules { inside: zone, front: zone, ..PresenceRules::default() };
        let mut presence = Presence::new("lyon-1".parse().unwrap(), rules, vec![Duration::MAX, Duration::ZERO]);
        let mut changes = Vec::new();
        for (at, rssi) in times {
            presence.sight(&seen(1, Millis(at), rssi), &mut changes);
            presence.advance(Millis(at), &mut changes);
            presence.set_clock(at);
        }
    }
}
