//! The machine by examples; [`property`] has what holds for any evidence.

use std::time::Duration;

use passage_config::{FenceKind, PresenceRules, VisitRules};
use passage_protocol::Strength;
use proptest::prelude::*;

use super::*;
use crate::visit::{Confidence, Figures, Weight, weigh};

mod proof;
mod property;
mod revision;

const MIN: i64 = 60_000;

fn visit_rules() -> VisitRules {
    let minutes = |m: u64| Duration::from_secs(m * 60);
    VisitRules {
        min_dwell_beacon: minutes(2),
        min_dwell_position: minutes(5),
        gap_counted: minutes(15),
        gap_joined: minutes(30),
        max_visit: minutes(240),
        hours_grace: minutes(15),
        ..VisitRules::default()
    }
}

/// Open from 60 to 600 minutes.
fn open(at: Millis) -> bool {
    (60 * MIN..600 * MIN).contains(&at.0)
}

fn with_rules<T>(marks: &[Duration], f: impl FnOnce(&Rules<'_>) -> T) -> T {
    f(&Rules { visit: &visit_rules(), marks, open: &open })
}

fn evidence(kind: u8, first: i64, last: i64) -> Evidence {
    let fence = |id: &str| Zone::Fence(id.parse().unwrap());
    let (zone, fence_kind, signal) = match kind {
        0 => (Zone::In, None, Signal::Beacon),
        1 => (Zone::In, None, Signal::App),
        2 => (fence("shop"), Some(FenceKind::Store), Signal::Position),
        3 => (Zone::Front, None, Signal::Beacon),
        _ => (fence("around"), Some(FenceKind::Nearby), Signal::Position),
    };
    let strength = match signal {
        Signal::Beacon => Strength::Radio { rssi: -64, count: 9 },
        Signal::App => Strength::App,
        Signal::Position => Strength::Position { p: 0.9, accuracy_m: 12.0 },
    };
    Evidence {
        weight: weigh(&strength, &PresenceRules::default(), Some(30.0)),
        source: Source::Gateway { gateway: "gw-1".parse().unwrap(), zone, fence_kind, signal, strength },
        phase: Phase::Dwell,
        first: Millis(first),
        last: Millis(last),
        initial: false,
        late: false,
    }
}

fn ids() -> impl FnMut() -> Uuid {
    let mut n = 0_u128;
    move || {
        n += 1;
        Uuid::from_u128(n)
    }
}

/// Applies all at once; the figures in order of time, and what was told.
fn play(all: &[Evidence], marks: &[Duration]) -> (Vec<Figures>, Vec<Change>) {
    with_rules(marks, |rules| {
        let (mut machine, mut ids, mut told) = (Machine::default(), ids(), Vec::new());
        for e in all {
            told.extend(machine.apply(e, rules, &mut ids).into_iter().map(|c| c.what));
        }
        (figures(machine.stays(), rules), told)
    })
}

fn figures(stays: &[Stay], rules: &Rules<'_>) -> Vec<Figures> {
    let mut out: Vec<Figures> = stays.iter().map(|s| s.figures(rules)).collect();
    out.sort_by_key(|f| (f.span, f.dwell_ms));
    out
}

fn one(all: &[Evidence]) -> Figures {
    let (figures, _) = play(all, &[]);
    assert_eq!(figures.len(), 1, "{figures:?}");
    figures[0].clone()
}

#[test]
fn two_minutes_by_beacon_are_a_visit_and_two_minutes_by_position_are_not() {
    assert_eq!(one(&[evidence(0, 100 * MIN, 102 * MIN)]).label, Label::Qualified);
    assert_eq!(one(&[evidence(0, 100 * MIN, 102 * MIN - 1)]).label, Label::PasserBy);
    assert_eq!(one(&[evidence(2, 100 * MIN, 104 * MIN)]).label, Label::PasserBy);
    assert_eq!(one(&[evidence(2, 100 * MIN, 105 * MIN)]).label, Label::Qualified);
}

#[test]
fn segments_of_a_rotating_id_are_one_visit_and_its_gaps_count_up_to_a_quarter_of_an_hour() {
    let f = one(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 113 * MIN, 120 * MIN), evidence(0, 135 * MIN, 140 * MIN)]);
    assert_eq!((f.span, f.dwell_ms), (Span(Millis(100 * MIN), Millis(140 * MIN)), 40 * MIN));
    // 20 minutes belong to the visit without counting.
    let f = one(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 130 * MIN, 140 * MIN)]);
    assert_eq!((f.span, f.dwell_ms), (Span(Millis(100 * MIN), Millis(140 * MIN)), 20 * MIN));
    // 31 minutes make two visits.
    assert_eq!(play(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 141 * MIN, 150 * MIN)], &[]).0.len(), 2);
}

#[test]
fn beacon_position_and_app_make_one_visit() {
    let f = one(&[evidence(2, 100 * MIN, 103 * MIN), evidence(0, 102 * MIN, 108 * MIN), evidence(1, 112 * MIN, 112 * MIN)]);
    assert_eq!((f.span, f.dwell_ms, f.label), (Span(Millis(100 * MIN), Millis(112 * MIN)), 12 * MIN, Label::Qualified));
}

#[test]
fn a_member_who_was_only_in_front_is_a_passer_by_and_nothing_opens() {
    let (figures, told) = play(&[evidence(3, 100 * MIN, 130 * MIN), evidence(4, 101 * MIN, 120 * MIN)], &[]);
    assert_eq!((figures.len(), figures[0].label, figures[0].dwell_ms), (1, Label::PasserBy, 0));
    assert_eq!(told, [Change::Passing, Change::Near]);
}

#[test]
fn who_passes_by_and_then_enters_keeps_the_record_and_opens_once() {
    let marks = [Duration::from_secs(120), Duration::from_secs(600)];
    let all = [
        evidence(3, 95 * MIN, 96 * MIN),
        evidence(0, 100 * MIN, 100 * MIN),
        evidence(0, 100 * MIN, 102 * MIN),
        evidence(0, 100 * MIN, 102 * MIN),
        evidence(0, 100 * MIN, 111 * MIN),
    ];
    let (figures, told) = play(&all, &marks);
    assert_eq!((figures.len(), figures[0].span.0), (1, Millis(100 * MIN)));
    assert_eq!(told, [Change::Passing, Change::Opened, Change::Reached(2 * MIN), Change::Qualified, Change::Reached(10 * MIN)]);
}

#[test]
fn hours_with_grace_and_the_longest_visit_decide_the_label() {
    assert_eq!(one(&[evidence(0, 30 * MIN, 44 * MIN)]).label, Label::OutOfHours);
    assert_eq!(one(&[evidence(0, 30 * MIN, 45 * MIN)]).label, Label::Qualified);
    assert_eq!(one(&[evidence(0, 614 * MIN, 640 * MIN)]).label, Label::Qualified);
    assert_eq!(one(&[evidence(0, 616 * MIN, 640 * MIN)]).label, Label::OutOfHours);
    assert_eq!(one(&[evidence(0, 100 * MIN, 340 * MIN)]).label, Label::Qualified);
    assert_eq!(one(&[evidence(0, 100 * MIN, 341 * MIN)]).label, Label::Suspect);
    // Open only in the middle of the stay.
    assert_eq!(one(&[evidence(2, 590 * MIN, 700 * MIN)]).label, Label::Qualified);
}

#[test]
fn a_visit_closes_when_nothing_was_heard_for_half_an_hour_and_late_evidence_amends_it_without_opening_it_again_for_offers() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        assert!(machine.due(Millis(140 * MIN - 1), rules).is_empty());
        let closed = machine.due(Millis(140 * MIN), rules);
        assert_eq!(closed[0].what, Change::Closed(Label::Qualified));
        assert!(machine.due(Millis(141 * MIN), rules).is_empty());
        let told = machine.apply(&evidence(0, 120 * MIN, 125 * MIN), rules, &mut ids);
        assert!(told.is_empty(), "{told:?}");
        assert!(machine.stays()[0].open);
        // A repetition of known evidence opens nothing.
        machine.due(Millis(160 * MIN), rules);
        machine.apply(&evidence(0, 120 * MIN, 125 * MIN), rules, &mut ids);
        assert!(!machine.stays()[0].open);
    });
}

#[test]
fn evidence_that_bridges_two_visits_makes_them_one_and_says_which_was_absorbed() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 105 * MIN), rules, &mut ids);
        machine.apply(&evidence(0, 150 * MIN, 155 * MIN), rules, &mut ids);
        assert_eq!(machine.stays().len(), 2);
        let told = machine.apply(&evidence(0, 120 * MIN, 130 * MIN), rules, &mut ids);
        assert!(told.is_empty(), "nothing is told twice: {told:?}");
        assert_eq!(machine.stays().len(), 1);
        assert_eq!(machine.absorbed(), [(Uuid::from_u128(2), Uuid::from_u128(1))]);
    });
}

#[test]
fn a_geofence_that_no_configuration_knows_is_no_evidence() {
    let mut unknown = evidence(2, 100 * MIN, 120 * MIN);
    if let Source::Gateway { fence_kind, .. } = &mut unknown.source {
        *fence_kind = None;
    }
    assert_eq!(play(&[unknown], &[]), (vec![], vec![]));
}
