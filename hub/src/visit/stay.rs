//! One visit in the making: the evidence that belongs together, and what was already said about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use passage_config::VisitRules;
use passage_protocol::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::visit::{
    Kind, Label, Reason, RevisedBecause,
    judge::Figures,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stay {
    /// Id of the visit.
    pub id: Uuid,
    /// Inside by the shop's radio.
    #[serde(alias = "precise")]
    pub beacon: Spans,
    /// Inside by the app's word.
    #[serde(default)]
    pub app: Spans,
    /// How loud the app heard the shop's beacon, by the begin of each of its stays.
    #[serde(default)]
    pub words: BTreeMap<Millis, Word>,
    /// Inside by position.
    pub position: Spans,
    /// How much louder than where a stay begins the radio heard her when it told that she came and is there, dB, by the time of the last evidence.
    #[serde(default)]
    pub levels: BTreeMap<Millis, i8>,
    /// Moments at the counter.
    #[serde(default)]
    pub moments: BTreeSet<(Millis, Kind)>,
    /// In front of the store or in a geofence of kind `nearby`.
    pub outside: Spans,
    /// A position was finer than half the geofence.
    #[serde(default)]
    pub fine: bool,
    /// The best 68 % radius of a position, in metres.
    #[serde(default)]
    pub accuracy_m: Option<f32>,
    /// The loudest median of the radio, dBm.
    #[serde(default)]
    pub rssi: Option<i8>,
    /// What else is known: of the member, or from other stores.
    #[serde(default)]
    pub known: BTreeSet<Reason>,
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
    /// What was told when it was last closed.
    #[serde(default)]
    pub told: Option<Told>,
    /// How often it was told again with other figures.
    #[serde(default)]
    pub revision: u32,
    /// Why the last time.
    #[serde(default)]
    pub revised: Option<RevisedBecause>,
}

/// What an app told of one of its stays, up to its latest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Word {
    /// In how many words it told how loud it heard the beacon.
    pub count: u32,
    /// Last evidence.
    pub until: Millis,
    /// How much louder than where a stay begins, all words taken together, dB.
    #[serde(default)]
    pub above_db: i8,
}

/// The figures with which a visit was last closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// First to last evidence.
    pub span: Span,
    /// Counted milliseconds.
    pub dwell_ms: i64,
    /// What it was.
    pub label: Label,
}

impl From<&Figures> for Told {
    fn from(figures: &Figures) -> Self {
        Self { span: figures.span, dwell_ms: figures.dwell_ms, label: figures.label }
    }
}

impl Stay {
    /// A stay without evidence.
    pub fn new(id: Uuid) -> Self {
        Self {
            id,
            beacon: Spans::default(),
            app: Spans::default(),
            words: BTreeMap::new(),
            position: Spans::default(),
            levels: BTreeMap::new(),
            moments: BTreeSet::new(),
            outside: Spans::default(),
            fine: false,
            accuracy_m: None,
            rssi: None,
            known: BTreeSet::new(),
            open: true,
            passing: false,
            opened: false,
            near: false,
            reached_ms: 0,
            qualified: false,
            watched: BTreeMap::new(),
            told: None,
            revision: 0,
            revised: None,
        }
    }

    /// All evidence inside, with the gaps closed that count as dwell.
    pub fn inside(&self, rules: &VisitRules) -> Spans {
        let mut all = self.beacon.joined(rules.gap_counted);
        all.insert_all(&self.app, rules.gap_counted);
        all.insert_all(&self.position, rules.gap_counted);
        for (at, _) in &self.moments {
            all.insert(Span(*at, *at), rules.gap_counted);
        }
        all
    }

    /// True if the member was ever inside.
    pub fn was_inside(&self) -> bool {
        !(self.beacon.is_empty() && self.app.is_empty() && self.position.is_empty() && self.moments.is_empty())
    }

    /// True if `other` has the same evidence inside or, if it was never inside, the same outside.
    pub(crate) fn has_evidence_of(&self, other: &Self) -> bool {
        fn inside(stay: &Stay) -> [&Spans; 3] {
            [&stay.beacon, &stay.app, &stay.position]
        }
        inside(self) == inside(other)
            && self.words == other.words
            && self.levels == other.levels
            && self.moments == other.moments
            && (self.was_inside() || self.outside == other.outside)
    }

    /// First to last evidence of any kind, by which the row is found again; `None` without evidence.
    pub fn hull(&self) -> Option<Span> {
        let counter = self.moments.first().zip(self.moments.last()).map(|(a, b)| Span(a.0, b.0));
        [&self.beacon, &self.app, &self.position, &self.outside].into_iter().filter_map(Spans::hull).chain(counter).reduce(Span::hull)
    }

    /// When the stay is over if nothing more is heard. A gateway that has not told an end speaks again when the dwell has doubled, so after
    /// that time at the latest; it may have died.
    pub fn closes_at(&self, rules: &Rules<'_>) -> Millis {
        let end = self.inside(rules.visit).hull().or_else(|| self.outside.hull()).map_or(Millis(0), |span| span.1);
        self.next_signs().fold(end + rules.visit.gap_joined, Millis::max)
    }

    /// True if a gateway that has not told an end may still hear her at `at`.
    pub fn is_watched(&self, at: Millis) -> bool {
        self.next_signs().any(|sign| at <= sign)
    }

    fn next_signs(&self) -> impl Iterator<Item = Millis> {
        self.watched.values().map(|seen| Millis(seen.1.0.saturating_add(seen.length())) + MARK_DELAY)
    }
}

/// Milliseconds of a duration.
pub fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
