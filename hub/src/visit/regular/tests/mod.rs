use chrono_tz::Europe::Paris;

use super::*;

const HOUR: i64 = 3_600_000;

/// Open from 10 to 19 local time, which is 9 to 18 in UTC in winter.
fn open(at: Millis) -> bool {
    (9 * HOUR..18 * HOUR).contains(&at.0.rem_euclid(DAY_MS))
}

/// A stay on day `day`, from and to UTC hours.
fn stay(day: i64, from: f64, to: f64) -> Past {
    #[expect(clippy::cast_possible_truncation, reason = "hours of a day")]
    let at = |hour: f64| Millis((20_000 + day) * DAY_MS + (hour * 3_600_000.0) as i64);
    Past { span: Span(at(from), at(to)), dwell_ms: at(to).since(at(from)) }
}

fn learned(stays: &[Past]) -> Option<Reason> {
    let now = stay(28, 0.0, 0.0).span.0;
    learn(stays, now, Place { timezone: Paris, open: &open }, &RegularRules::default()).map(|r| r.reason)
}

#[test]
fn three_days_of_work_in_a_week_are_staff() {
    let shifts: Vec<Past> = [1, 3, 5].map(|d| stay(d, 10.0, 13.5)).into();
    assert_eq!(learned(&shifts), Some(Reason::StaffLearned));
    assert_eq!(learned(&shifts[..2]), None, "two long afternoons are not");
    assert_eq!(learned(&[1, 9, 17].map(|d| stay(d, 10.0, 13.5))), None, "nor three in a month");
    assert_eq!(learned(&[2, 6].map(|d| stay(d, 10.0, 15.5))), Some(Reason::StaffLearned), "eleven hours in a week are");
}

#[test]
fn who_is_inside_before_opening_works_there_and_who_is_there_at_night_lives_there() {
    assert_eq!(learned(&[stay(1, 8.0, 9.5), stay(9, 8.0, 9.5)]), Some(Reason::StaffLearned));
    assert_eq!(learned(&[stay(1, 8.0, 9.5)]), None);
    assert_eq!(learned(&[1, 4, 9].map(|d| stay(d, 17.0, 33.0))), Some(Reason::ResidentLearned));
    assert_eq!(learned(&[stay(1, 0.0, 96.0)]), Some(Reason::ResidentLearned), "a till tablet");
}

#[test]
fn a_good_customer_is_neither() {
    let visits: Vec<Past> = (0..28).map(|d| stay(d, 11.0, 11.5)).collect();
    assert_eq!(learned(&visits), None);
}

#[test]
fn the_label_begins_with_the_window_and_ends_after_the_last_stay() {
    let shifts: Vec<Past> = [20, 21, 22].map(|d| stay(d, 10.0, 14.0)).into();
    let now = stay(23, 0.0, 0.0).span.0;
    let rules = RegularRules::default();
    let got = learn(&shifts, now, Place { timezone: Paris, open: &open }, &rules).unwrap();
    assert_eq!((got.since, got.until), (now - rules.window, shifts[2].span.1 + rules.holds));
    assert_eq!(got.reason_at(shifts[0].span.0), Some(Reason::StaffLearned));
    assert_eq!(got.reason_at(got.until + Duration::from_millis(1)), None);
    let much_later = now + Duration::from_secs(86_400 * 40);
    assert_eq!(learn(&shifts, much_later, Place { timezone: Paris, open: &open }, &rules), None, "stays before the window are forgotten");
}
