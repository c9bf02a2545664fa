//! Inside, or behind the wall? A score in log-odds of what radio, app and positions say: above 0 she was rather inside. Each way of knowing adds its
//! part, so two that are unsure may do together what neither does alone, and one may outweigh another.
//!
//! A wall takes 18 dB and more, a body 10 dB for some seconds, and a stay is heard some dB louder or quieter than others as a whole. So what counts is the
//! mean of all that was told of the stay, against the `enter_dbm` of the gateway; single loud or faint moments come by chance. The figures are
//! those of [`ScoreRules`], tuned on the worlds of `passage-hub city`.

use std::time::Duration;

use passage_config::ScoreRules;

use crate::visit::{
    span::{Span, Spans},
    stay::{Stay, Word},
};

impl Stay {
    /// The log-odds that she was inside, of radio and app, and of positions at the same time; 0 without any of them.
    pub fn score(&self, rules: &ScoreRules) -> f64 {
        self.radio_part(rules) + self.app_part(rules) + self.position_part(rules)
    }

    pub(super) fn radio_part(&self, rules: &ScoreRules) -> f64 {
        mean(self.levels.values().map(|level| (*level, 1))).map_or(0.0, |db| part(db - rules.radio_above_db, rules))
    }

    pub(super) fn app_part(&self, rules: &ScoreRules) -> f64 {
        match mean(self.words.values().map(|word| (word.above_db, word.count))) {
            Some(db) => part(db - rules.app_above_db, rules),
            None if self.app.is_empty() => 0.0,
            None => rules.app_unmeasured,
        }
    }

    /// A wall may deceive the radio, or the satellites; hardly both at once.
    fn position_part(&self, rules: &ScoreRules) -> f64 {
        if self.position.common(&self.heard(rules)).is_empty() { 0.0 } else { rules.position }
    }

    /// When radio or app heard her, without the words of the app that were too faint.
    pub(crate) fn heard(&self, rules: &ScoreRules) -> Spans {
        let mut heard = self.beacon.clone();
        heard.insert_all(&self.told(rules), Duration::ZERO);
        heard
    }

    /// The app's word, without the stays in which it heard the beacon too faintly for somebody inside.
    fn told(&self, rules: &ScoreRules) -> Spans {
        let is_faint = |word: &Word| f64::from(word.above_db) < rules.app_above_db;
        let has_faint = |span: &Span| self.words.range(span.0..=span.1).any(|(_, word)| is_faint(word));
        let mut told: Spans = self.app.iter().filter(|span| !has_faint(span)).collect();
        for (first, word) in self.words.iter().filter(|(_, word)| !is_faint(word)) {
            told.insert(Span(*first, word.until), Duration::ZERO);
        }
        told
    }
}

/// Log-odds of so many dB above where either is as likely.
fn part(db: f64, rules: &ScoreRules) -> f64 {
    (db * rules.per_db).clamp(-rules.most, rules.most)
}

/// The mean of levels, each with its weight; `None` without any.
fn mean(levels: impl Iterator<Item = (i8, u32)>) -> Option<f64> {
    let add = |(sum, weights), (level, weight): (i8, u32)| (sum + f64::from(level) * f64::from(weight), weights + f64::from(weight));
    let (sum, weights): (f64, f64) = levels.fold((0.0, 0.0), add);
    (weights > 0.0).then(|| sum / weights)
}
