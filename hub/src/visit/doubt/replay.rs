//! One rotating id in two places at once: somebody copied it from the air and plays it again elsewhere. Pure.
//!
//! Nobody can tell which of the two was her phone, so what either place heard proves no visit and triggers nothing.

use std::time::Duration;

use passage_config::ContradictionRules;
use passage_protocol::{StoreId, rid::WINDOW_SECS};

use super::{kmh, metres};
use crate::visit::{span::Span, stay::millis};

/// A phone sends an id for one window; one that sleeps changes it late, by less than another window.
const LIFE: Duration = Duration::from_secs(2 * WINDOW_SECS.unsigned_abs());

/// A rotating id in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Keyed hash of the id.
    pub mark: i64,
    /// Where.
    pub store: StoreId,
    /// First to last evidence.
    pub span: Span,
    /// Its gateways trusted their clocks. The times of one that did not are worth nothing here.
    pub is_sure: bool,
}

/// An id that was replayed: the two stores, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The first.
    pub one: Heard,
    /// The other.
    pub other: Heard,
}

impl Replay {
    /// From the first to the last evidence in either store.
    pub fn span(&self) -> Span {
        self.one.span.hull(self.other.span)
    }

    /// True if the replay is about what was heard in `store` during `span`.
    pub fn touches(&self, store: &StoreId, span: Span) -> bool {
        [&self.one, &self.other].into_iter().any(|heard| heard.store == *store && heard.span.0 <= span.1 && span.0 <= heard.span.1)
    }
}

/// The ids that cannot have been in all the places where they were heard. `place` gives latitude and longitude of a store in degrees; a store that
/// has none says nothing.
pub fn replays(heard: &[Heard], place: impl Fn(&StoreId) -> Option<(f64, f64)>, rules: &ContradictionRules) -> Vec<Replay> {
    let mut found = Vec::new();
    for (i, a) in heard.iter().enumerate() {
        for b in heard.iter().skip(i + 1).filter(|b| b.mark == a.mark && b.store != a.store) {
            let (one, other) = if a.store <= b.store { (a, b) } else { (b, a) };
            let apart = place(&one.store).zip(place(&other.store)).map(|(a, b)| metres(a, b));
            if apart.is_some_and(|metres| is_out_of_reach(metres, one, other, rules)) {
                found.push(Replay { one: one.clone(), other: other.clone() });
            }
        }
    }
    found
}

/// True if no phone travels so far while it sends one id. Between gateways that trust their clocks by what they say, else in all the time that an
/// id lives: what lies farther apart is a clock that is wrong, or an id that was kept, and never a longer way.
fn is_out_of_reach(metres: f64, one: &Heard, other: &Heard, rules: &ContradictionRules) -> bool {
    if metres <= f64::from(rules.distant_m) {
        return false;
    }
    let between = other.span.0.since(one.span.1).max(one.span.0.since(other.span.1)).max(0) + millis(rules.clocks);
    let time = if one.is_sure && other.is_sure { between.min(millis(LIFE)) } else { millis(LIFE) };
    kmh(metres, time) > f64::from(rules.fastest_kmh)
}

#[cfg(test)]
mod tests;
