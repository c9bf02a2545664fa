//! What holds for any evidence in any order.

use super::{
    proof::{heard, told},
    *,
};

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let phases = prop_oneof![Just(Phase::Enter), Just(Phase::Dwell), Just(Phase::Exit)];
    (0_u8..10, 0_i64..700, 0_i64..25, phases).prop_map(|(kind, at, length, phase)| match kind {
        5 => heard(at * MIN, (at + length) * MIN, phase, -6),
        6 => Evidence::counter(Kind::Till, Millis(at * MIN)),
        7 => Evidence::counter(Kind::Pickup, Millis(at * MIN)),
        8 => told(at * MIN, (at + length) * MIN, phase, 1 + u32::try_from(length).unwrap(), -9),
        9 => told(at * MIN, (at + length) * MIN, phase, 1 + u32::try_from(length).unwrap(), 11),
        _ => Evidence { phase, ..evidence(kind, at * MIN, (at + length) * MIN) },
    })
}

proptest! {
    #[test]
    fn the_visits_do_not_depend_on_the_order_of_arrival(
        all in prop::collection::vec(any_evidence(), 1..14).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        repeated in 0_usize..14, closing in 0_usize..14,
    ) {
        let (mut ordered, shuffled) = all;
        ordered.sort_by_key(|e| e.last);
        let expected = play(&ordered, &[]).0;
        with_rules(&[], |rules| {
            // The second time through rows: only those within reach are loaded, as JSON; one is repeated; visits are closed in between.
            let (mut rows, mut ids) = (Vec::<String>::new(), ids());
            let again = shuffled[repeated % shuffled.len()].clone();
            for (i, e) in shuffled.iter().chain([&again]).enumerate() {
                let stays: Vec<Stay> = rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
                let (near, far): (Vec<Stay>, Vec<Stay>) =
                    stays.into_iter().partition(|s| s.hull().unwrap().near(e.span(), rules.visit.gap_joined));
                let mut machine = Machine::new(near);
                machine.apply(e, rules, &mut ids);
                if i >= closing {
                    machine.due(Millis(i64::MAX), rules);
                }
                rows = far.iter().chain(machine.stays()).map(|s| serde_json::to_string(s).unwrap()).collect();
            }
            let stays: Vec<Stay> = rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
            let ids: std::collections::BTreeSet<Uuid> = stays.iter().map(|s| s.id).collect();
            prop_assert_eq!(ids.len(), stays.len(), "every visit has its own id");
            prop_assert_eq!(figures(&stays, rules), expected);
            Ok(())
        })?;
    }

    #[test]
    fn dwell_is_the_union_of_evidence_and_counted_gaps_and_never_exceeds_the_stay(all in prop::collection::vec(any_evidence(), 1..14)) {
        let got = play(&all, &[]).0;
        for f in &got {
            prop_assert!(0 <= f.dwell_ms && f.dwell_ms <= f.span.length());
        }
        // Oracle: walk over all inside evidence in order of its begin.
        let mut inside: Vec<Span> = all.iter().filter(|e| matches!(e.place(), Some(Place::Inside(_)))).map(Evidence::span).collect();
        inside.sort();
        let mut expected: Vec<(Span, i64)> = Vec::new();
        for s in inside {
            match expected.last_mut().filter(|(v, _)| s.0.since(v.1) <= 30 * MIN) {
                Some((v, dwell)) => {
                    let gap = s.0.since(v.1);
                    *dwell += (s.1.since(v.1)).max(0) - if gap > 15 * MIN { gap } else { 0 };
                    *v = v.hull(s);
                }
                None => expected.push((s, s.length())),
            }
        }
        let visits: Vec<(Span, i64)> = with_rules(&[], |rules| {
            let (mut machine, mut ids) = (Machine::default(), ids());
            all.iter().for_each(|e| { machine.apply(e, rules, &mut ids); });
            let mut v: Vec<(Span, i64)> = machine.stays().iter().filter(|s| s.was_inside())
                .map(|s| s.figures(rules)).map(|f| (f.span, f.dwell_ms)).collect();
            v.sort();
            v
        });
        prop_assert_eq!(visits, expected);
    }

    #[test]
    fn a_change_is_told_at_most_once_per_visit(all in prop::collection::vec(any_evidence(), 1..14)) {
        let marks = [Duration::from_secs(180), Duration::from_secs(600)];
        with_rules(&marks, |rules| {
            let (mut machine, mut ids) = (Machine::default(), ids());
            let told: Vec<(Uuid, Change)> =
                all.iter().flat_map(|e| machine.apply(e, rules, &mut ids)).map(|c| (c.visit, c.what)).collect();
            for (i, change) in told.iter().enumerate() {
                prop_assert!(!told[..i].contains(change), "{:?} twice", change);
            }
            Ok(())
        })?;
    }
}
