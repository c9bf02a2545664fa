//! Where a stay stands at a moment. What judges a stay is all of its evidence ([`Stay::score`]); this is about now: each way of knowing loses half of its
//! part every half-life since it last spoke, and she is leaving once half of what spoke for her is gone.
//!
//! A gateway speaks at her coming, at dwell marks and at her end, so while one has not told an end its silence takes nothing away.

use std::{str::FromStr, time::Duration};

use passage_config::ScoreRules;
use passage_protocol::Millis;

use crate::{
    identity::member::words,
    visit::{
        span::Spans,
        stay::{Stay, millis},
    },
};

words! {
    /// Where a member stands with a store.
    State {
        /// No evidence at all.
        Away = "away",
        /// In front, or in a geofence of kind `nearby`.
        Nearby = "nearby",
        /// Inside, and not long or loud enough for a visit yet.
        Candidate = "candidate",
        /// A qualified visit, and she is there.
        Visiting = "visiting",
        /// Inside once, and half of what spoke for her is gone.
        Leaving = "leaving",
        /// Nothing was heard for longer than a visit may pause.
        Closed = "closed",
    }
}

impl Stay {
    /// Where she stands at `now`.
    pub fn state(&self, now: Millis, rules: &ScoreRules) -> State {
        if self.hull().is_none() {
            State::Away
        } else if !self.open {
            State::Closed
        } else if !self.was_inside() {
            State::Nearby
        } else if self.left_at(now, rules) <= 0.5 {
            State::Leaving
        } else if self.qualified {
            State::Visiting
        } else {
            State::Candidate
        }
    }

    /// The log-odds that she is inside at `now`: [`Stay::score`] with what every way of knowing has lost by its silence. A position counts by itself here,
    /// and so does the counter, as much as the loudest radio.
    pub fn score_at(&self, now: Millis, rules: &ScoreRules) -> f64 {
        self.parts(now, rules).map(|(part, left)| part * left).sum()
    }

    /// Which share of what spoke for or against her is left at `now`.
    fn left_at(&self, now: Millis, rules: &ScoreRules) -> f64 {
        // Evidence that says neither inside nor outside ages too.
        let weight = |part: f64| part.abs().max(1.0);
        let all: f64 = self.parts(now, rules).map(|(part, _)| weight(part)).sum();
        let left: f64 = self.parts(now, rules).map(|(part, left)| weight(part) * left).sum();
        if all > 0.0 { left / all } else { 0.0 }
    }

    /// The part of each way of knowing that spoke, and the share of it that is left.
    fn parts(&self, now: Millis, rules: &ScoreRules) -> impl Iterator<Item = (f64, f64)> {
        let last = |spans: &Spans| spans.hull().map(|hull| hull.1);
        let ways = [
            (self.radio_part(rules), last(&self.beacon), rules.half_life_radio),
            (self.app_part(rules), last(&self.app), rules.half_life_radio),
            (rules.position, last(&self.position), rules.half_life_position),
            (rules.most, self.moments.last().map(|(at, _)| *at), rules.half_life_radio),
        ];
        let is_watched = self.is_watched(now);
        ways.into_iter().filter_map(move |(part, last, half_life)| {
            let left = if is_watched { 1.0 } else { left(now.since(last?), half_life) };
            last.map(|_| (part, left))
        })
    }
}

/// What is left after so many milliseconds; evidence of the future has lost nothing.
#[expect(clippy::cast_precision_loss, reason = "a stay lasts hours, in milliseconds far below 2^52")]
fn left(silent_ms: i64, half_life: Duration) -> f64 {
    0.5_f64.powf(silent_ms.max(0) as f64 / millis(half_life).max(1) as f64)
}

#[cfg(test)]
mod tests;
