//! What the evidence of a stay amounts to: times, label, reasons and confidence. It depends on the evidence alone, never on the order in which it
//! came.
//!
//! A stay is a qualified visit when one of these is true, in opening hours:
//! * radio or app heard her for `min_dwell_beacon`, and the score of all that was told says that she was inside ([`Stay::score`]);
//! * positions, and radio and app with such a score, put her there for `min_dwell_position`;
//! * somebody at the counter had her card, ticket or order in hand.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use passage_config::VisitRules;
use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

use crate::{
    identity::member::words,
    visit::{
        Kind, Label,
        span::{Span, Spans},
        stay::{Rules, Stay, millis},
    },
};

/// Counts up when the same evidence may give other figures.
pub const MACHINE: u32 = 4;

words! {
    /// How much a visit can be relied on (field/geofence.md 3).
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Confidence {
        /// Kept out of attribution by default.
        Low = "low",
        /// By positions alone that are finer than half the geofence, or by the counter alone.
        Medium = "medium",
        /// The radio proved the dwell, or two ways of knowing agree.
        High = "high",
    }
}

words! {
    /// Why a stay is no qualified visit.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Reason {
        /// The dwell is too short.
        Short = "short",
        /// She was only in front of the store, or near it.
        Outside = "outside",
        /// Long enough only with evidence that may have come through the wall.
        Weak = "weak",
        /// The neighbouring store heard her better at the same time.
        NextDoor = "next-door",
        /// The store was closed all the time.
        Closed = "closed",
        /// Longer than any visit.
        TooLong = "too-long",
        /// She was in a distant store at the same time.
        TwoStores = "two-stores",
        /// Nobody comes so fast from where she was before.
        Teleport = "teleport",
        /// The rotating id that proves it was heard in a distant store as well: it was copied.
        Replay = "replay",
        /// She is on the store's list of staff.
        StaffListed = "staff-listed",
        /// Her stays are those of somebody who works there.
        StaffLearned = "staff-learned",
        /// Her stays are those of somebody who lives there.
        ResidentLearned = "resident-learned",
    }
}

words! {
    /// Why a closed visit was told again.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    RevisedBecause {
        /// Evidence came after it was closed.
        LateEvidence = "late-evidence",
        /// She was recognised as staff or resident, or is not any more.
        Regular = "regular",
        /// Another store contradicts it.
        Contradiction = "contradiction",
    }
}

impl Reason {
    /// The label that the reason alone would give.
    pub fn label(self) -> Label {
        match self {
            Self::Short | Self::Outside | Self::Weak | Self::NextDoor => Label::PasserBy,
            Self::Closed => Label::OutOfHours,
            Self::TooLong | Self::TwoStores | Self::Teleport | Self::Replay => Label::Suspect,
            Self::StaffListed | Self::StaffLearned => Label::Staff,
            Self::ResidentLearned => Label::Resident,
        }
    }

    /// True if it is about who she is.
    pub fn is_regular(self) -> bool {
        matches!(self.label(), Label::Staff | Label::Resident)
    }

    /// True if it comes from stays in other stores.
    pub fn is_contradiction(self) -> bool {
        matches!(self, Self::NextDoor | Self::TwoStores | Self::Teleport | Self::Replay)
    }
}

/// What the evidence amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// First to last evidence inside; of a member who was only ever in front, first to last evidence there.
    pub span: Span,
    /// Last minus first evidence inside less the gaps that do not count, in milliseconds.
    pub dwell_ms: i64,
    /// What it is.
    pub label: Label,
    /// Why it is not qualified, in the order of [`Reason`].
    pub reasons: BTreeSet<Reason>,
    /// How much it can be relied on.
    pub confidence: Confidence,
}

impl Stay {
    /// Start, end, dwell, label, reasons and confidence of the evidence so far.
    pub fn figures(&self, rules: &Rules<'_>) -> Figures {
        let inside = self.inside(rules.visit);
        let Some(span) = inside.hull() else {
            let span = self.outside.hull().unwrap_or(Span(Millis(0), Millis(0)));
            let mut reasons: BTreeSet<Reason> = self.known.iter().copied().filter(|r| r.is_regular()).collect();
            reasons.insert(Reason::Outside);
            return Figures { span, dwell_ms: 0, label: Label::PasserBy, reasons, confidence: Confidence::Low };
        };
        let dwell_ms = inside.length();
        let reasons = self.reasons(span, dwell_ms, rules);
        Figures { span, dwell_ms, label: label(&reasons), reasons, confidence: self.confidence(rules.visit) }
    }

    /// By what it is known.
    pub fn kinds(&self) -> Vec<Kind> {
        let sets = [(Kind::Beacon, &self.beacon), (Kind::App, &self.app), (Kind::Position, &self.position)];
        let mut kinds: BTreeSet<Kind> = sets.into_iter().filter(|(_, set)| !set.is_empty()).map(|(kind, _)| kind).collect();
        kinds.extend(self.moments.iter().map(|(_, kind)| *kind));
        kinds.into_iter().collect()
    }

    fn reasons(&self, span: Span, dwell_ms: i64, rules: &Rules<'_>) -> BTreeSet<Reason> {
        let mut reasons = self.known.clone();
        if !self.is_long_enough(rules.visit) {
            let least = if self.position.is_empty() { rules.visit.min_dwell_beacon } else { rules.visit.min_dwell_position };
            reasons.insert(if dwell_ms < millis(least) { Reason::Short } else { Reason::Weak });
        }
        if span.length() > millis(rules.visit.max_visit) {
            reasons.insert(Reason::TooLong);
        }
        if !overlaps_opening(span, rules) {
            reasons.insert(Reason::Closed);
        }
        reasons
    }

    fn is_long_enough(&self, rules: &VisitRules) -> bool {
        !self.moments.is_empty() || self.is_proven_by_radio(rules) || self.is_proven_with_positions(rules)
    }

    fn is_proven_by_radio(&self, rules: &VisitRules) -> bool {
        self.proven(rules).length() >= millis(rules.min_dwell_beacon)
    }

    fn is_proven_with_positions(&self, rules: &VisitRules) -> bool {
        let all = united(&self.proven(rules), &self.position).joined(rules.gap_counted);
        !self.position.is_empty() && all.length() >= millis(rules.min_dwell_position)
    }

    /// When radio or app heard her; nothing, if what they heard rather came through the wall.
    fn proven(&self, rules: &VisitRules) -> Spans {
        if self.score(&rules.score) >= 0.0 { self.heard(&rules.score) } else { Spans::default() }
    }

    fn confidence(&self, rules: &VisitRules) -> Confidence {
        let by_radio = !(self.beacon.is_empty() && self.app.is_empty());
        let by_counter = !self.moments.is_empty();
        let ways = [by_radio, !self.position.is_empty(), by_counter].into_iter().filter(|way| *way).count();
        if ways > 1 || self.is_proven_by_radio(rules) {
            Confidence::High
        } else if by_counter || self.fine {
            Confidence::Medium
        } else {
            Confidence::Low
        }
    }
}

/// The label of the gravest reason: who she is, then what contradicts the stay, then how long and when it was.
fn label(reasons: &BTreeSet<Reason>) -> Label {
    let gravest = [Label::Resident, Label::Staff, Label::PasserBy, Label::Suspect, Label::OutOfHours];
    gravest.into_iter().find(|label| reasons.iter().any(|r| r.label() == *label)).unwrap_or(Label::Qualified)
}

fn united(a: &Spans, b: &Spans) -> Spans {
    let mut all = a.clone();
    all.insert_all(b, Duration::ZERO);
    all
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

#[cfg(test)]
mod tests;
