//! The public holidays of France, by rule and not by list, so that they never run out.
//!
//! The eleven days of article L3133-1 of the Code du travail. Alsace-Moselle has two more (Good Friday, 26 December); a shop there writes them
//! into its own opening hours: `easter -2 days off; Dec 26 off`.

use chrono::{Datelike, Days, NaiveDate};

/// True if `day` is a public holiday in all of France.
pub fn is_holiday(day: NaiveDate) -> bool {
    in_year(day.year()).contains(&day)
}

/// The public holidays of `year` in the order of the calendar's rules; empty outside the years that the calendar knows.
pub fn in_year(year: i32) -> Vec<NaiveDate> {
    const FIXED: [(u32, u32); 8] = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)];
    // Days after Easter Sunday: Easter Monday, Ascension, Whit Monday.
    const MOVING: [u64; 3] = [1, 39, 50];
    let fixed = FIXED.iter().filter_map(|&(month, day)| NaiveDate::from_ymd_opt(year, month, day));
    let moving = easter(year).into_iter().flat_map(|sunday| MOVING.iter().filter_map(move |&n| sunday.checked_add_days(Days::new(n))));
    fixed.chain(moving).collect()
}

/// Easter Sunday of the Gregorian calendar, by the computus of Meeus, Jones and Butcher.
fn easter(year: i32) -> Option<NaiveDate> {
    let (a, b, c) = (year.rem_euclid(19), year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b.div_euclid(4), b.rem_euclid(4));
    let g = (8 * b + 13).div_euclid(25);
    let h = (19 * a + b - d - g + 15).rem_euclid(30);
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k).rem_euclid(7);
    let m = (a + 11 * h + 22 * l).div_euclid(451);
    let n = h + l - 7 * m + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(n / 31).ok()?, u32::try_from(n % 31 + 1).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ymd(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    #[test]
    fn easter_falls_where_the_almanac_says() {
        for (y, m, d) in [
            (2020, 4, 12),
            (2021, 4, 4),
            (2022, 4, 17),
            (2023, 4, 9),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2028, 4, 16),
            (2029, 4, 1),
            (2030, 4, 21),
            (2035, 3, 25),
            (2038, 4, 25),
            (2040, 4, 1),
        ] {
            assert_eq!(easter(y), Some(ymd(y, m, d)));
        }
    }

    #[test]
    fn the_moving_holidays_of_2026_are_where_they_are() {
        for (m, d) in [(4, 6), (5, 14), (5, 25)] {
            assert!(is_holiday(ymd(2026, m, d)), "{m}-{d}");
        }
        assert!(!is_holiday(ymd(2026, 11, 20)));
        // Good Friday is one in Alsace-Moselle alone.
        assert!(!is_holiday(ymd(2026, 4, 3)));
    }

    #[test]
    fn each_year_from_2020_to_2040_has_eleven_different_holidays() {
        for year in 2020..=2040 {
            let days: std::collections::BTreeSet<_> = in_year(year).into_iter().collect();
            assert_eq!(days.len(), 11, "{year}");
            assert!(days.iter().all(|d| d.year() == year && is_holiday(*d)));
        }
    }

    #[test]
    fn two_holidays_may_fall_together() {
        // Ascension on the first of May.
        assert_eq!(in_year(2008).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 10);
    }
}
