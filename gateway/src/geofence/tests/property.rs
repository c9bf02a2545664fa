//! What holds for any walk.

use proptest::prelude::*;

use super::*;

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
        prop_assert_eq!(mixed.open(), sorted.open());
    }

    #[test]
    fn any_number_in_a_fix_is_survived(lat in any::<f64>(), lon in any::<f64>(), accuracy in any::<f64>(), at in any::<i64>(), now in any::<i64>()) {
        let mut walk = Walk::known();
        let wild = Fix { installation: who(), at: Millis(at), ahead_ms: 0, lat, lon, accuracy_m: Some(accuracy), speed_kmh: None, away: None, fresh: false };
        walk.machine.fix(&wild, Millis(now), &mut walk.out);
        walk.machine.advance(Millis(now), &mut walk.out);
    }
}
