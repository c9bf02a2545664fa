//! By what a visit is known, and how well.

use super::*;

/// Heard by the radio as if through the wall.
pub(super) fn quiet(first: i64, last: i64, phase: Phase) -> Evidence {
    let mut heard = Evidence { phase, grade: Grade::Weak, ..evidence(0, first, last) };
    if let Source::Gateway { strength, .. } = &mut heard.source {
        *strength = Strength::Radio { rssi: -81, count: 9 };
    }
    heard
}

/// Told by the app, which heard the beacon in `count` words.
pub(super) fn told(first: i64, last: i64, phase: Phase, count: u32, grade: Grade) -> Evidence {
    let mut heard = Evidence { phase, grade, ..evidence(1, first, last) };
    if let Source::Gateway { strength, .. } = &mut heard.source {
        *strength = Strength::Radio { rssi: if grade == Grade::Weak { -84 } else { -64 }, count };
    }
    heard
}

fn ticket(at: i64) -> Evidence {
    Evidence::counter(Kind::Till, Millis(at))
}

fn proof(all: &[Evidence]) -> (Vec<Kind>, Confidence, Vec<Reason>) {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        all.iter().for_each(|e| {
            machine.apply(e, rules, &mut ids);
        });
        assert_eq!(machine.stays().len(), 1);
        let figures = machine.stays()[0].figures(rules);
        (machine.stays()[0].kinds(), figures.confidence, figures.reasons.into_iter().collect())
    })
}

#[test]
fn the_radio_proves_more_than_positions_and_two_ways_of_knowing_more_than_one() {
    let (radio, position) = (evidence(0, 100 * MIN, 110 * MIN), evidence(2, 100 * MIN, 110 * MIN));
    assert_eq!(proof(std::slice::from_ref(&radio)), (vec![Kind::Beacon], Confidence::High, vec![]));
    assert_eq!(proof(std::slice::from_ref(&position)), (vec![Kind::Position], Confidence::Medium, vec![]));
    let coarse = Evidence { grade: Grade::Weak, ..position.clone() };
    assert_eq!(proof(std::slice::from_ref(&coarse)), (vec![Kind::Position], Confidence::Low, vec![]));
    let short = evidence(0, 101 * MIN, 102 * MIN);
    assert_eq!(proof(&[coarse, short]), (vec![Kind::Beacon, Kind::Position], Confidence::High, vec![]));
}

#[test]
fn a_ticket_alone_is_a_visit_and_confirms_one_that_was_too_short() {
    assert_eq!(proof(&[ticket(100 * MIN)]), (vec![Kind::Till], Confidence::Medium, vec![]));
    assert_eq!(one(&[ticket(100 * MIN)]).dwell_ms, 0);
    let short = evidence(0, 100 * MIN, 101 * MIN);
    assert_eq!(proof(std::slice::from_ref(&short)).2, [Reason::Short]);
    assert_eq!(proof(&[short, ticket(104 * MIN)]), (vec![Kind::Beacon, Kind::Till], Confidence::High, vec![]));
}

#[test]
fn a_ticket_extends_the_stay_and_opens_nothing_for_offers() {
    let f = one(&[evidence(0, 100 * MIN, 110 * MIN), ticket(118 * MIN)]);
    assert_eq!((f.span, f.dwell_ms), (Span(Millis(100 * MIN), Millis(118 * MIN)), 18 * MIN));
    let (_, told) = play(&[ticket(118 * MIN), evidence(0, 119 * MIN, 119 * MIN)], &[]);
    assert_eq!(told, [Change::Qualified, Change::Opened], "the phone opens the visit, whatever the till knew before");
}

#[test]
fn who_is_heard_through_the_wall_for_an_hour_was_not_inside() {
    let wall = [
        evidence(0, 100 * MIN, 100 * MIN + 20_000),
        quiet(100 * MIN, 102 * MIN, Phase::Dwell),
        quiet(100 * MIN, 105 * MIN, Phase::Dwell),
        quiet(100 * MIN, 110 * MIN, Phase::Dwell),
        quiet(100 * MIN, 120 * MIN, Phase::Dwell),
        quiet(100 * MIN, 131 * MIN, Phase::Exit),
    ];
    assert_eq!(proof(&wall).2, [Reason::Weak]);
    assert_eq!(one(&wall).label, Label::PasserBy);
    // A visitor is heard clearly at the marks, and faintly at the door.
    let visit = [evidence(0, 100 * MIN, 100 * MIN + 20_000), evidence(0, 100 * MIN, 102 * MIN), quiet(100 * MIN, 103 * MIN, Phase::Exit)];
    assert_eq!(proof(&visit).2, []);
}

#[test]
fn the_reasons_of_an_excluded_stay_are_all_kept() {
    assert_eq!(proof(&[evidence(0, 700 * MIN, 701 * MIN)]).2, [Reason::Short, Reason::Closed]);
    assert_eq!(proof(&[evidence(3, 100 * MIN, 101 * MIN)]).2, [Reason::Outside]);
    assert_eq!(proof(&[evidence(0, 100 * MIN, 400 * MIN)]).2, [Reason::TooLong]);
}

#[test]
fn an_app_that_heard_the_beacon_faintly_all_the_time_was_not_inside() {
    let once = told(100 * MIN, 100 * MIN, Phase::Enter, 1, Grade::Strong);
    let (faint, loud) = (
        |count| told(100 * MIN, 110 * MIN, Phase::Exit, count, Grade::Weak),
        |count| told(100 * MIN, 110 * MIN, Phase::Exit, count, Grade::Strong),
    );
    assert_eq!(proof(&[once.clone(), faint(4)]).2, [Reason::Weak]);
    assert_eq!(proof(&[once.clone(), loud(4)]).2, []);
    // Whichever comes first: the one that rests on more words counts.
    assert_eq!(proof(&[faint(4), once]).2, [Reason::Weak]);
    // An app that does not say how loud is believed, as long as nothing else is known.
    assert_eq!(proof(&[evidence(1, 100 * MIN, 110 * MIN)]).2, []);
}

#[test]
fn a_body_in_between_does_not_undo_what_was_loud_and_lingering_about_the_border_proves_nothing() {
    let heard = |last: i64, grade| Evidence { grade, ..evidence(0, 100 * MIN, last * MIN) };
    let border = [heard(100, Grade::Strong), heard(102, Grade::Plain), heard(105, Grade::Weak), heard(110, Grade::Plain)];
    assert_eq!(proof(&border).2, [Reason::Weak]);
    let behind_a_body = [heard(100, Grade::Strong), heard(102, Grade::Loud), heard(105, Grade::Weak), heard(110, Grade::Plain)];
    assert_eq!(proof(&behind_a_body).2, []);
    let steady = [heard(100, Grade::Strong), heard(102, Grade::Strong), heard(105, Grade::Plain)];
    assert_eq!(proof(&steady).2, []);
    // One loud moment of many is chance.
    let an_hour = [100, 102, 105, 110, 120, 140].map(|last| heard(last, if last == 105 { Grade::Loud } else { Grade::Plain }));
    assert_eq!(proof(&an_hour).2, [Reason::Weak]);
}

#[test]
fn what_the_radio_hears_about_the_border_counts_while_a_position_says_inside_too() {
    let heard = |last: i64, grade| Evidence { grade, ..evidence(0, 100 * MIN, last * MIN) };
    let border = [heard(100, Grade::Strong), heard(102, Grade::Plain), heard(104, Grade::Plain)];
    let (here, elsewhen) = (evidence(2, 101 * MIN, 102 * MIN), evidence(2, 104 * MIN + 10_000, 104 * MIN + 30_000));
    assert_eq!(proof(&border).2, [Reason::Weak]);
    assert_eq!(proof(&[&border[..], &[here]].concat()).2, []);
    assert_ne!(proof(&[&border[..], &[elsewhen]].concat()).2, [], "it must be at the same time");
}
