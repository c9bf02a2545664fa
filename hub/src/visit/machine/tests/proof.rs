//! By what a visit is known, and how well.

use super::*;

/// Heard by the radio so much louder than where a stay begins, dB.
pub(super) fn heard(first: i64, last: i64, phase: Phase, above_db: i8) -> Evidence {
    Evidence { phase, weight: Weight { above_db: Some(above_db), fine: false }, ..evidence(0, first, last) }
}

/// Told by the app, which heard the beacon in `count` words.
pub(super) fn told(first: i64, last: i64, phase: Phase, count: u32, above_db: i8) -> Evidence {
    let mut heard = Evidence { phase, weight: Weight { above_db: Some(above_db), fine: false }, ..evidence(1, first, last) };
    if let Source::Gateway { strength, .. } = &mut heard.source {
        *strength = Strength::Radio { rssi: -75 + above_db, count };
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
    let coarse = Evidence { weight: Weight::default(), ..position.clone() };
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
    let marks = [(20, 1), (120, -6), (300, -6), (600, -6), (1_200, 2)];
    let mut wall: Vec<Evidence> = marks.map(|(s, db)| heard(100 * MIN, 100 * MIN + s * 1_000, Phase::Dwell, db)).into();
    wall.push(heard(100 * MIN, 131 * MIN, Phase::Exit, -6));
    assert_eq!(proof(&wall).2, [Reason::Weak]);
    assert_eq!(one(&wall).label, Label::PasserBy);
    // A visitor is heard clearly at the marks, and faintly at the door.
    let visit = [(100, Phase::Enter, 11), (102, Phase::Dwell, 11), (103, Phase::Exit, -9)];
    assert_eq!(proof(&visit.map(|(last, phase, db)| heard(100 * MIN, last * MIN, phase, db))).2, []);
}

#[test]
fn the_reasons_of_an_excluded_stay_are_all_kept() {
    assert_eq!(proof(&[evidence(0, 700 * MIN, 701 * MIN)]).2, [Reason::Short, Reason::Closed]);
    assert_eq!(proof(&[evidence(3, 100 * MIN, 101 * MIN)]).2, [Reason::Outside]);
    assert_eq!(proof(&[evidence(0, 100 * MIN, 400 * MIN)]).2, [Reason::TooLong]);
}

#[test]
fn an_app_that_heard_the_beacon_faintly_all_the_time_was_not_inside() {
    let once = told(100 * MIN, 100 * MIN, Phase::Enter, 1, 11);
    let (faint, loud) =
        (|count| told(100 * MIN, 110 * MIN, Phase::Exit, count, -9), |count| told(100 * MIN, 110 * MIN, Phase::Exit, count, 11));
    assert_eq!(proof(&[once.clone(), faint(4)]).2, [Reason::Weak]);
    assert_eq!(proof(&[once.clone(), loud(4)]).2, []);
    // Whichever comes first: the one that rests on more words counts.
    assert_eq!(proof(&[faint(4), once]).2, [Reason::Weak]);
    // An app that does not say how loud is believed, as long as nothing else is known.
    assert_eq!(proof(&[evidence(1, 100 * MIN, 110 * MIN)]).2, []);
}

/// What the radio tells at the marks of ten minutes, so much louder than where a stay begins.
fn levels(all: [i8; 4]) -> Vec<Evidence> {
    [100, 102, 105, 110].into_iter().zip(all).map(|(last, db)| heard(100 * MIN, last * MIN, Phase::Dwell, db)).collect()
}

#[test]
fn a_body_in_between_does_not_undo_what_was_loud_and_lingering_about_the_border_proves_nothing() {
    assert_eq!(proof(&levels([1, -2, -6, -2])).2, [Reason::Weak]);
    assert_eq!(proof(&levels([1, 9, -6, -1])).2, []);
    assert_eq!(proof(&levels([2, 1, 1, -1])).2, []);
    assert_eq!(proof(&levels([-4, -4, 9, -4])).2, [Reason::Weak], "one loud moment of many is chance");
}

#[test]
fn what_the_radio_hears_about_the_border_counts_while_a_position_says_inside_too() {
    let border = &levels([1, -2, -2, -1])[..3];
    let (here, elsewhen) = (evidence(2, 101 * MIN, 102 * MIN), evidence(2, 105 * MIN + 10_000, 105 * MIN + 30_000));
    assert_eq!(proof(border).2, [Reason::Weak]);
    assert_eq!(proof(&[border, std::slice::from_ref(&here)].concat()).2, []);
    assert_ne!(proof(&[border, &[elsewhen]].concat()).2, [], "it must be at the same time");
    // A wall that takes 20 dB is not outweighed.
    let wall = &levels([1, -15, -15, -15])[..3];
    assert_eq!(proof(&[wall, &[here]].concat()).2, [Reason::Weak]);
}

#[test]
fn radio_and_app_weigh_against_each_other() {
    let app = |above_db| told(100 * MIN, 110 * MIN, Phase::Dwell, 4, above_db);
    let (quiet, loud) = (levels([-1, -1, 0, 0]), levels([9, 8, 9, 9]));
    assert_eq!(proof(&[&quiet[..], &[app(6)]].concat()).2, [], "the radio is unsure, the app is not");
    assert_eq!(proof(&[&quiet[..], &[app(1)]].concat()).2, [Reason::Weak]);
    assert_eq!(proof(&[&loud[..], &[app(1)]].concat()).2, []);
}
