//! Opening hours of stores and windows of sending, both by the store's own zone.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;
use compact_calendar::CompactCalendar;
use opening_hours::{Context, ContextHolidays, OpeningHours};
use passage_protocol::Millis;

use crate::holidays;

/// Years for which `PH` is known to the opening hours.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2100;

/// Opening hours in OSM syntax, for example `Mo-Sa 10:00-19:30; PH off`, with the French public holidays.
///
/// Hours that do not say what happens on public holidays (`PH`) are closed on them.
#[derive(Debug)]
pub struct Hours {
    text: String,
    rules: OpeningHours,
}

impl Hours {
    /// Reads OSM syntax; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let says_holidays = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "PH");
        let plain = text.trim().trim_end_matches(';');
        let full = if says_holidays { plain.to_owned() } else { format!("{plain}; PH off") };
        // The text alone first, so that an error is about what the person wrote.
        let rules = plain.parse::<OpeningHours>().and_then(|_| full.parse::<OpeningHours>()).map_err(|e| e.to_string())?;
        let public: CompactCalendar = YEARS.flat_map(holidays::in_year).collect();
        let holidays = ContextHolidays::new(Arc::new(public), Arc::default());
        Ok(Self { text: text.to_owned(), rules: rules.with_context(Context::default().with_holidays(holidays)) })
    }

    /// True if a shop with these hours in `zone` is open at `at`.
    pub fn is_open(&self, at: Millis, zone: Tz) -> bool {
        local(at, zone).is_some_and(|wall| self.rules.is_open(wall))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A daily window such as 09:00-20:00 on some weekdays; French public holidays are always closed. Written `"Mo-Sa 09:00-20:00"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayWindow {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minutes since midnight, included.
    pub from: u16,
    /// Minutes since midnight, excluded.
    pub to: u16,
}

impl DayWindow {
    /// True if `at` lies inside the window by the wall clock of `zone`.
    pub fn contains(&self, at: Millis, zone: Tz) -> bool {
        let Some(wall) = local(at, zone) else { return false };
        let minute = wall.hour() * 60 + wall.minute();
        let day_fits = self.days >> wall.weekday().num_days_from_monday() & 1 == 1;
        day_fits && (u32::from(self.from)..u32::from(self.to)).contains(&minute) && !holidays::is_holiday(wall.date())
    }

    /// True if every instant of `self` also lies in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.days & !other.days == 0 && other.from <= self.from && self.to <= other.to
    }
}

impl fmt::Display for DayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |day: usize| self.days >> day & 1 == 1;
        let mut day = 0;
        let mut first = true;
        while day < 7 {
            if !on(day) {
                day += 1;
                continue;
            }
            let start = day;
            while day < 7 && on(day) {
                day += 1;
            }
            let comma = if first { "" } else { "," };
            first = false;
            match day - start {
                1 => write!(f, "{comma}{}", DAYS[start])?,
                _ => write!(f, "{comma}{}-{}", DAYS[start], DAYS[day - 1])?,
            }
        }
        write!(f, " {:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl std::str::FromStr for DayWindow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (days, times) = text.trim().rsplit_once(' ').ok_or(BAD_WINDOW)?;
        let mut bits = 0u8;
        for part in days.split(',') {
            let (a, b) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            let (a, b) = (weekday(a)?, weekday(b)?);
            let mut day = a;
            loop {
                bits |= 1 << day;
                if day == b {
                    break;
                }
                day = (day + 1) % 7;
            }
        }
        let (from, to) = times.split_once('-').ok_or(BAD_WINDOW)?;
        let (from, to) = (minute_of_day(from)?, minute_of_day(to)?);
        if from >= to {
            return Err("the window ends before it begins");
        }
        Ok(Self { days: bits, from, to })
    }
}

const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const BAD_WINDOW: &str = "this is not a window";

fn weekday(text: &str) -> Result<usize, &'static str> {
    DAYS.iter().position(|d| *d == text).ok_or("weekdays are Mo Tu We Th Fr Sa Su")
}

fn minute_of_day(text: &str) -> Result<u16, &'static str> {
    let (h, m) = text.trim().split_once(':').ok_or(BAD_WINDOW)?;
    let digits = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u16>().ok()).flatten();
    match (digits(h), digits(m)) {
        (Some(24), Some(0)) => Ok(24 * 60),
        (Some(h @ 0..24), Some(m @ 0..60)) => Ok(h * 60 + m),
        _ => Err("times are 00:00 to 24:00"),
    }
}

/// The wall clock of `zone`; `None` for instants that no calendar knows.
fn local(at: Millis, zone: Tz) -> Option<NaiveDateTime> {
    let utc = DateTime::<Utc>::from_timestamp_millis(at.0)?;
    // Years at the rim of the calendar would overflow by the offset.
    (1..=9999).contains(&utc.year()).then(|| utc.with_timezone(&zone).naive_local())
}
