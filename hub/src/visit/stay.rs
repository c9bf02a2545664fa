//! One visit in the making: the evidence that belongs together, and what was already said about it.

use std::{collections::BTreeMap, time::Duration};

use passage_config::VisitRules;
use passage_protocol::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::visit::{
    Label,
    span::{Span, Spans},
};

/// How long after a dwell mark its event may still be on the way.
const MARK_DELAY: Duration = Duration::from_secs(300);

/// What the machine needs to know of a store.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// When a stay is a visit.
    pub visit: &'a VisitRules,
    /// Dwell marks that are worth a change, ascending.
    pub marks: &'a [Duration],
    /// True if the store is open at a point of business time.
    pub open: &'a (dyn Fn(Millis) -> bool + Sync),
}

/// Evidence of one member in one store that belongs together. Written as JSON into the row of the visit, because later evidence may still amend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Id of the visit.
    pub id: Uuid,
    /// Inside by beacon or by the app's word.
    pub precise: Spans,
    /// Inside by position.
    pub position: Spans,
    /// In front of the store or in a geofence of kind `nearby`.
    pub outside: Spans,
    /// More evidence may still come.
    pub open: bool,
    /// `Passing` was told.
    pub passing: bool,
    /// `Opened` was told.
    pub opened: bool,
    /// `Near` was told.
    pub near: bool,
    /// The longest dwell whose marks were told, in milliseconds.
    pub reached_ms: i64,
    /// `Qualified` was told.
    pub qualified: bool,
    /// Stays inside whose gateways have not told an end yet, with their evidence so far.
    #[serde(default)]
    pub watched: BTreeMap<String, Span>,
}

/// What the evidence amounts to. It depends on the evidence alone, never on the order in which it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// First to last evidence inside; of a member who was only ever in front, first to last evidence there.
    pub span: Span,
    /// Last minus first evidence inside less the gaps that do not count, in milliseconds.
    pub dwell_ms: i64,
    /// What it is.
    pub label: Label,
}

impl Stay {
    /// A stay without evidence.
    pub fn new(id: Uuid) -> Self {
        let none = Spans::default();
        Self {
            id,
            precise: none.clone(),
            position: none.clone(),
            outside: none,
            open: true,
            passing: false,
            opened: false,
            near: false,
            reached_ms: 0,
            qualified: false,
            watched: BTreeMap::new(),
        }
    }

    /// All evidence inside, with the gaps closed that count as dwell.
    pub fn inside(&self, rules: &VisitRules) -> Spans {
        let mut all = self.precise.joined(rules.gap_counted);
        all.insert_all(&self.position, rules.gap_counted);
        all
    }

    /// True if the member was ever inside.
    pub fn was_inside(&self) -> bool {
        !(self.precise.is_empty() && self.position.is_empty())
    }

    /// First to last evidence of any kind, by which the row is found again; `None` without evidence.
    pub fn hull(&self) -> Option<Span> {
        [&self.precise, &self.position, &self.outside].into_iter().filter_map(Spans::hull).reduce(Span::hull)
    }

    /// Start, end, dwell and label of the evidence so far.
    pub fn figures(&self, rules: &Rules<'_>) -> Figures {
        let inside = self.inside(rules.visit);
        let Some(span) = inside.hull() else {
            let span = self.outside.hull().unwrap_or(Span(Millis(0), Millis(0)));
            return Figures { span, dwell_ms: 0, label: Label::PasserBy };
        };
        let dwell_ms = inside.length();
        Figures { span, dwell_ms, label: self.label(span, dwell_ms, rules) }
    }

    fn label(&self, span: Span, dwell_ms: i64, rules: &Rules<'_>) -> Label {
        let long_enough = dwell_ms >= millis(rules.visit.min_dwell_position)
            || self.precise.joined(rules.visit.gap_counted).length() >= millis(rules.visit.min_dwell_beacon);
        if !long_enough {
            Label::PasserBy
        } else if span.length() > millis(rules.visit.max_visit) {
            Label::Suspect
        } else if !overlaps_opening(span, rules) {
            Label::OutOfHours
        } else {
            Label::Qualified
        }
    }

    /// When the stay is over if nothing more is heard. A gateway that has not told an end speaks again when the dwell has doubled, so after
    /// that time at the latest; it may have died.
    pub fn closes_at(&self, rules: &Rules<'_>) -> Millis {
        let silent = self.figures(rules).span.1 + rules.visit.gap_joined;
        self.next_signs().fold(silent, Millis::max)
    }

    /// True if a gateway that has not told an end may still hear her at `at`.
    pub fn is_watched(&self, at: Millis) -> bool {
        self.next_signs().any(|sign| at <= sign)
    }

    fn next_signs(&self) -> impl Iterator<Item = Millis> {
        self.watched.values().map(|seen| Millis(seen.1.0.saturating_add(seen.length())) + MARK_DELAY)
    }
}

/// True if the store is open at any moment of `span`, widened by the grace on both sides. Opening hours have edges of whole minutes, mostly of
/// quarters of an hour; a look every minute misses none.
fn overlaps_opening(span: Span, rules: &Rules<'_>) -> bool {
    let widened = Span(span.0 - rules.visit.hours_grace, span.1 + rules.visit.hours_grace);
    // Nearly every visit is settled by its first or last moment.
    (rules.open)(span.0) || (rules.open)(span.1) || minutes(widened).any(|at| (rules.open)(at))
}

fn minutes(span: Span) -> impl Iterator<Item = Millis> {
    let mut at = span.0;
    std::iter::from_fn(move || {
        let now = at;
        at = (at + Duration::from_secs(60)).min(span.1.max(Millis(now.0 + 1)));
        (now <= span.1).then_some(now)
    })
}

/// Milliseconds of a duration.
pub fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_look_at_the_hours_begins_at_the_start_and_ends_at_the_end() {
        let looks: Vec<i64> = minutes(Span(Millis(0), Millis(150_000))).map(|m| m.0).collect();
        assert_eq!(looks, [0, 60_000, 120_000, 150_000]);
        assert_eq!(minutes(Span(Millis(7), Millis(7))).count(), 1);
    }
}
