use super::*;

#[test]
fn the_look_at_the_hours_begins_at_the_start_and_ends_at_the_end() {
    let looks: Vec<i64> = minutes(Span(Millis(0), Millis(150_000))).map(|m| m.0).collect();
    assert_eq!(looks, [0, 60_000, 120_000, 150_000]);
    assert_eq!(minutes(Span(Millis(7), Millis(7))).count(), 1);
}

#[test]
fn the_label_is_that_of_the_gravest_reason() {
    let of = |reasons: &[Reason]| label(&reasons.iter().copied().collect());
    assert_eq!(of(&[]), Label::Qualified);
    assert_eq!(of(&[Reason::Closed, Reason::TooLong]), Label::Suspect);
    assert_eq!(of(&[Reason::Short, Reason::TooLong]), Label::PasserBy);
    assert_eq!(of(&[Reason::StaffListed, Reason::Short]), Label::Staff);
    assert_eq!(of(&[Reason::StaffLearned, Reason::ResidentLearned]), Label::Resident);
}
