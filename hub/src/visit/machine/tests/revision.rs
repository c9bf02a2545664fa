//! What is told again about a closed visit, and how often.

use super::*;

fn regular() -> BTreeSet<Reason> {
    [Reason::StaffLearned].into()
}

#[test]
fn late_evidence_revises_a_closed_visit_once_when_it_is_closed_again() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        assert_eq!(machine.due(Millis(140 * MIN), rules)[0].what, Change::Closed(Label::Qualified));
        machine.apply(&evidence(0, 112 * MIN, 118 * MIN), rules, &mut ids);
        machine.apply(&evidence(0, 119 * MIN, 120 * MIN), rules, &mut ids);
        let told = machine.due(Millis(160 * MIN), rules);
        assert_eq!(told[0].what, Change::Revised(1, RevisedBecause::LateEvidence));
        assert_eq!(told[0].cause, None, "a revision triggers nothing");
        assert!(machine.due(Millis(999 * MIN), rules).is_empty());
        assert_eq!((machine.stays()[0].revision, machine.stays()[0].revised), (1, Some(RevisedBecause::LateEvidence)));
    });
}

#[test]
fn late_evidence_that_changes_no_figure_is_no_revision() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        machine.due(Millis(140 * MIN), rules);
        machine.apply(&evidence(2, 102 * MIN, 109 * MIN), rules, &mut ids);
        assert!(machine.due(Millis(200 * MIN), rules).is_empty());
        assert_eq!(machine.stays()[0].revision, 0);
    });
}

#[test]
fn late_evidence_within_the_stay_still_counts_what_was_a_gap() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        machine.apply(&evidence(0, 130 * MIN, 140 * MIN), rules, &mut ids);
        machine.due(Millis(170 * MIN), rules);
        assert_eq!(machine.stays()[0].figures(rules).dwell_ms, 20 * MIN);
        machine.apply(&evidence(0, 115 * MIN, 125 * MIN), rules, &mut ids);
        assert_eq!(machine.due(Millis(200 * MIN), rules)[0].what, Change::Revised(1, RevisedBecause::LateEvidence));
        assert_eq!(machine.stays()[0].figures(rules).dwell_ms, 40 * MIN);
    });
}

#[test]
fn who_turns_out_to_work_there_had_no_visit() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        machine.due(Millis(140 * MIN), rules);
        let id = machine.stays()[0].id;
        let mut note = |reasons: &BTreeSet<Reason>| {
            machine.note(id, Reason::is_regular, reasons, RevisedBecause::Regular, rules).map(|change| change.what)
        };
        assert_eq!(note(&regular()), Some(Change::Revised(1, RevisedBecause::Regular)));
        assert_eq!(note(&regular()), None, "told once");
        assert_eq!(
            note(&BTreeSet::new()),
            Some(Change::Revised(2, RevisedBecause::Regular)),
            "and taken back when it is not true any more"
        );
        assert_eq!(machine.stays()[0].figures(rules).label, Label::Qualified);
    });
}

#[test]
fn what_is_known_before_the_visit_closes_is_no_revision() {
    with_rules(&[], |rules| {
        let (mut machine, mut ids) = (Machine::default(), ids());
        machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
        let id = machine.stays()[0].id;
        assert_eq!(machine.note(id, Reason::is_regular, &regular(), RevisedBecause::Regular, rules), None);
        assert_eq!(machine.due(Millis(140 * MIN), rules)[0].what, Change::Closed(Label::Staff));
    });
}
