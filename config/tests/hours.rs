//! Opening hours and windows of sending against the calendar: holidays, nights in which the clock is changed, and the edges of a day.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, TimeZone, Weekday};
use chrono_tz::{Europe::Paris, Tz};
use passage_config::{
    holidays,
    hours::{DayWindow, Hours},
};
use passage_protocol::Millis;
use proptest::prelude::*;

fn at(zone: Tz, wall: NaiveDateTime) -> Millis {
    Millis(zone.from_local_datetime(&wall).earliest().unwrap().timestamp_millis())
}

fn ymd(y: i32, m: u32, d: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(y, m, d).unwrap()
}

/// Minutes of the local day for which `open` holds, counted in real time.
fn open_minutes(day: NaiveDate, open: impl Fn(Millis) -> bool) -> usize {
    let start = at(Paris, day.and_hms_opt(0, 0, 0).unwrap()).0;
    let end = at(Paris, day.checked_add_days(Days::new(1)).unwrap().and_hms_opt(0, 0, 0).unwrap()).0;
    (start..end).step_by(60_000).filter(|&ms| open(Millis(ms))).count()
}

fn any_day() -> impl Strategy<Value = NaiveDate> {
    (0u64..7670).prop_map(|n| ymd(2020, 1, 1).checked_add_days(Days::new(n)).unwrap())
}

proptest! {
    #[test]
    fn a_window_is_as_long_as_it_says_on_every_day_that_it_names(day in any_day()) {
        let window: DayWindow = "Mo-Sa 09:00-20:00".parse().unwrap();
        let closed = day.weekday() == Weekday::Sun || holidays::is_holiday(day);
        prop_assert_eq!(open_minutes(day, |t| window.contains(t, Paris)), if closed { 0 } else { 660 });
    }

    #[test]
    fn hours_agree_with_the_plain_reading_on_every_day(day in any_day(), minute in 0u32..1440) {
        let hours = Hours::parse("Mo-Sa 10:00-19:30; Su 11:00-18:00").unwrap();
        let wall = day.and_hms_opt(minute / 60, minute % 60, 0).unwrap();
        // A wall time that the spring skips does not exist.
        prop_assume!(Paris.from_local_datetime(&wall).earliest().is_some());
        let span = if day.weekday() == Weekday::Sun { 660..1080 } else { 600..1170 };
        prop_assert_eq!(hours.is_open(at(Paris, wall), Paris), span.contains(&minute) && !holidays::is_holiday(day));
    }

    #[test]
    fn a_window_reads_back_as_it_is_shown(days in 1u8..128, from in 0u16..1439, length in 1u16..1440) {
        let window = DayWindow { days, from, to: (from + length).min(1440) };
        prop_assert_eq!(window.to_string().parse(), Ok(window));
    }

    #[test]
    fn no_text_and_no_instant_make_the_hours_panic(
        text in prop_oneof![".{0,30}", "(Mo|Su|PH|SH|easter|Dec 26|week 3|2026|[-,; ]|[0-9]{1,2}:[0-9]{2}|off|open|sunset|\\|\\|){1,12}"],
        ms in any::<i64>(),
    ) {
        if let Ok(hours) = Hours::parse(&text) {
            for ms in [ms, ms % 4_102_444_800_000, i64::MIN, i64::MAX] {
                hours.is_open(Millis(ms), Paris);
                DayWindow::OFFER.contains(Millis(ms), Paris);
            }
        }
    }
}

#[test]
fn shops_are_closed_on_holidays_unless_their_hours_speak_of_them() {
    let silent = Hours::parse("Mo-Su 10:00-19:30").unwrap();
    let off = Hours::parse("Mo-Su 10:00-19:30; PH off").unwrap();
    let open = Hours::parse("Mo-Su 10:00-19:30; PH 10:00-18:00").unwrap();
    for year in 2020..=2040 {
        for day in holidays::in_year(year) {
            let noon = at(Paris, day.and_hms_opt(12, 0, 0).unwrap());
            let evening = at(Paris, day.and_hms_opt(18, 30, 0).unwrap());
            assert!(!silent.is_open(noon, Paris) && !off.is_open(noon, Paris) && open.is_open(noon, Paris), "{day}");
            assert!(!open.is_open(evening, Paris), "{day}");
            assert!(!DayWindow::OFFER.contains(noon, Paris), "{day}");
        }
    }
}

#[test]
fn a_shop_in_alsace_can_write_its_two_holidays_itself() {
    let hours = Hours::parse("Mo-Sa 10:00-19:00; easter -2 days off; Dec 26 off; PH off").unwrap();
    let noon = |y, m, d| at(Paris, ymd(y, m, d).and_hms_opt(12, 0, 0).unwrap());
    // Good Friday and St Stephen's day, then the days beside them.
    assert!(!hours.is_open(noon(2026, 4, 3), Paris) && !hours.is_open(noon(2026, 12, 26), Paris));
    assert!(hours.is_open(noon(2026, 4, 2), Paris) && hours.is_open(noon(2026, 12, 24), Paris));
}

#[test]
fn hours_follow_the_wall_clock_through_the_nights_in_which_it_is_changed() {
    let night = Hours::parse("Sa 22:00-24:00; Su 00:00-05:00").unwrap();
    // From two to three o'clock nothing exists in spring, and everything twice in autumn.
    assert_eq!(open_minutes(ymd(2026, 3, 29), |t| night.is_open(t, Paris)), 240);
    assert_eq!(open_minutes(ymd(2026, 10, 25), |t| night.is_open(t, Paris)), 360);
    assert_eq!(open_minutes(ymd(2026, 11, 22), |t| night.is_open(t, Paris)), 300);
}

#[test]
fn each_store_is_open_by_its_own_clock() {
    let hours = Hours::parse("Mo-Sa 10:00-19:30").unwrap();
    let noon = at(Paris, ymd(2026, 11, 20).and_hms_opt(12, 0, 0).unwrap());
    assert!(hours.is_open(noon, Paris) && !hours.is_open(noon, "America/Martinique".parse().unwrap()));
}

#[test]
fn a_window_ends_before_its_last_minute() {
    let window: DayWindow = "Mo-Sa 09:00-20:00".parse().unwrap();
    let wall = |h, m, s| at(Paris, ymd(2026, 11, 20).and_hms_opt(h, m, s).unwrap());
    assert!(!window.contains(wall(8, 59, 59), Paris) && window.contains(wall(9, 0, 0), Paris));
    assert!(window.contains(wall(19, 59, 59), Paris) && !window.contains(wall(20, 0, 0), Paris));
}

#[test]
fn what_is_no_window_is_refused() {
    for text in
        ["", "09:00-20:00", "Mo-Sa", "Mo-Sa 9:00-20:00", "Mo-Sa 20:00-09:00", "Lu-Sa 09:00-20:00", "Mo-Sa 09:00-24:01", "Mo- 09:00-20:00"]
    {
        assert!(text.parse::<DayWindow>().is_err(), "{text}");
    }
}
