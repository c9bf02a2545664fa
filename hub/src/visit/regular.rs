//! Who works or lives in a store, by her stays there over the last weeks. Pure: the stays go in, a label comes out, and nothing of the pattern is
//! kept.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;
use passage_config::RegularRules;
use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

use crate::visit::{Reason, span::Span, stay::millis};

/// Hours are looked at in steps of this.
const STEP_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;

/// What is kept of somebody who works or lives in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regular {
    /// [`Reason::StaffLearned`] or [`Reason::ResidentLearned`].
    pub reason: Reason,
    /// Stays from here on are those of a regular.
    pub since: Millis,
    /// Until here.
    pub until: Millis,
}

impl Regular {
    /// The reason that it gives to a stay that began at `at`.
    pub fn reason_at(&self, at: Millis) -> Option<Reason> {
        (self.since <= at && at <= self.until).then_some(self.reason)
    }
}

/// One stay inside, of any label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// First to last evidence inside.
    pub span: Span,
    /// Counted milliseconds.
    pub dwell_ms: i64,
}

/// What is known of a store.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where its days begin.
    pub timezone: Tz,
    /// True if the store is open, or was or will be so within the grace of visits.
    pub open: &'a (dyn Fn(Millis) -> bool + Sync),
}

/// What somebody did on one local day.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    inside_ms: i64,
    stays: u32,
    closed_ms: i64,
}

/// Whether the stays of the window before `now` are those of somebody who works or lives in the store.
pub fn learn(history: &[Past], now: Millis, place: Place<'_>, rules: &RegularRules) -> Option<Regular> {
    let begin = now - rules.window;
    let stays: Vec<Past> = history.iter().copied().filter(|past| past.span.1 >= begin && past.span.0 <= now).collect();
    let reason = if lives_there(&stays, place, rules) {
        Reason::ResidentLearned
    } else if works_there(&stays, place, rules) {
        Reason::StaffLearned
    } else {
        return None;
    };
    let last = stays.iter().map(|past| past.span.1).max()?;
    Some(Regular { reason, since: begin, until: last + rules.holds })
}

fn lives_there(stays: &[Past], place: Place<'_>, rules: &RegularRules) -> bool {
    let days = days(stays, place);
    let at_home = |(date, day): (&i64, &Day)| {
        day.inside_ms >= millis(rules.resident_day)
            || (day.closed_ms >= millis(rules.closed_least) && {
                let closed = closed_ms(*date, place);
                day.closed_ms * 100 >= closed * i64::from(rules.resident_percent)
            })
    };
    at_least(rules.resident_days, days.iter().filter(|day| at_home(*day)).count())
}

fn works_there(stays: &[Past], place: Place<'_>, rules: &RegularRules) -> bool {
    let days = days(stays, place);
    let closed = days.values().filter(|day| day.closed_ms >= millis(rules.closed_least)).count();
    let busy = days.values().filter(|day| day.stays > rules.stays_a_day).count();
    at_least(rules.closed_days, closed) || at_least(rules.busy_days, busy) || days.keys().any(|first| is_working_week(&days, *first, rules))
}

/// True if the seven days from `first` on are those of somebody who works there.
fn is_working_week(days: &BTreeMap<i64, Day>, first: i64, rules: &RegularRules) -> bool {
    let week = || days.range(first..first + 7).map(|(_, day)| day.inside_ms);
    let long = week().filter(|ms| *ms >= millis(rules.staff_day)).count();
    at_least(rules.staff_days, long) || week().sum::<i64>() >= millis(rules.staff_week)
}

fn at_least(least: u32, count: usize) -> bool {
    count >= usize::try_from(least).unwrap_or(usize::MAX)
}

/// The days of stays by local date. A stay over midnight counts to each day with its share.
fn days(stays: &[Past], place: Place<'_>) -> BTreeMap<i64, Day> {
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    for past in stays {
        let first = date(past.span.0, place.timezone);
        let day = days.entry(first).or_default();
        day.stays += 1;
        if date(past.span.1, place.timezone) == first {
            day.inside_ms += past.dwell_ms;
        }
        for at in steps(past.span) {
            let today = date(at, place.timezone);
            let day = days.entry(today).or_default();
            if date(past.span.1, place.timezone) != first {
                day.inside_ms += STEP_MS;
            }
            if !(place.open)(at) {
                day.closed_ms += STEP_MS;
            }
        }
    }
    days
}

/// The closed hours of a local day.
fn closed_ms(date: i64, place: Place<'_>) -> i64 {
    let noon = Millis(date * DAY_MS + DAY_MS / 2);
    // Around local noon of that date lies all of the day, wherever it begins.
    let around = Span(noon - Duration::from_secs(86_400), noon + Duration::from_secs(86_400));
    let closed = steps(around).filter(|at| self::date(*at, place.timezone) == date && !(place.open)(*at)).count();
    i64::try_from(closed).unwrap_or(i64::MAX) * STEP_MS
}

/// The quarters of an hour in a span.
fn steps(span: Span) -> impl Iterator<Item = Millis> {
    let first = span.0.0.div_euclid(STEP_MS) + 1;
    (first..=span.1.0.div_euclid(STEP_MS)).map(|n| Millis(n * STEP_MS))
}

/// Days since 1970 of the local date.
fn date(at: Millis, timezone: Tz) -> i64 {
    let local = DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&timezone).date_naive();
    i64::from(local.num_days_from_ce()) - 719_163
}

#[cfg(test)]
mod tests;
