//! Sets of time spans. A set has one form only, whatever the order in which its spans came, so everything computed from it is independent of that order.

use std::time::Duration;

use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

/// First and last evidence of something, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span(pub Millis, pub Millis);

impl Span {
    /// Milliseconds from the first to the last evidence.
    pub fn length(self) -> i64 {
        self.1.since(self.0)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.max(other.1))
    }

    /// True if at most `gap` lies between the two; overlapping spans have no gap.
    pub fn near(self, other: Self, gap: Duration) -> bool {
        self.0 <= other.1 + gap && other.0 <= self.1 + gap
    }

    /// True if `other` lies inside.
    pub fn holds(self, other: Self) -> bool {
        self.0 <= other.0 && other.1 <= self.1
    }
}

/// Spans in ascending order with more than the gap of their last insertion between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span and closes all gaps of at most `gap` that it leaves to its neighbours.
    pub fn insert(&mut self, span: Span, gap: Duration) {
        let mut grown = span;
        // What is swallowed may bring another one within reach, so look again until nothing is.
        let (mut apart, mut joined) = (Vec::with_capacity(self.0.len() + 1), true);
        let mut rest = std::mem::take(&mut self.0);
        while joined {
            joined = false;
            for old in rest.drain(..) {
                if old.near(grown, gap) {
                    grown = grown.hull(old);
                    joined = true;
                } else {
                    apart.push(old);
                }
            }
            std::mem::swap(&mut rest, &mut apart);
        }
        let at = rest.partition_point(|old| old.0 < grown.0);
        rest.insert(at, grown);
        self.0 = rest;
    }

    /// Adds all spans of another set.
    pub fn insert_all(&mut self, others: &Self, gap: Duration) {
        for span in &others.0 {
            self.insert(*span, gap);
        }
    }

    /// The same spans with gaps of at most `gap` closed.
    #[must_use]
    pub fn joined(&self, gap: Duration) -> Self {
        let mut out = Self::default();
        out.insert_all(self, gap);
        out
    }

    /// The spans that lie inside `hull`.
    #[must_use]
    pub fn within(&self, hull: Span) -> Self {
        Self(self.0.iter().copied().filter(|s| hull.holds(*s)).collect())
    }

    /// What lies in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(one), Some(two)) = (a.peek(), b.peek()) {
            let both = Span(one.0.max(two.0), one.1.min(two.1));
            if both.0 <= both.1 {
                out.push(both);
            }
            if one.1 <= two.1 {
                a.next()
            } else {
                b.next()
            };
        }
        Self(out)
    }

    /// From the first to the last evidence of all; `None` of an empty set.
    pub fn hull(&self) -> Option<Span> {
        Some(Span(self.0.first()?.0, self.0.last()?.1))
    }

    /// Milliseconds inside spans.
    pub fn length(&self) -> i64 {
        self.0.iter().map(|s| s.length()).sum()
    }

    /// True without any span.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Span> for Spans {
    /// Touching spans become one.
    fn from_iter<T: IntoIterator<Item = Span>>(spans: T) -> Self {
        let mut set = Self::default();
        spans.into_iter().for_each(|span| set.insert(span, Duration::ZERO));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(spans: &[(i64, i64)], gap: u64) -> Spans {
        let mut set = Spans::default();
        for (a, b) in spans {
            set.insert(Span(Millis(*a), Millis(*b)), Duration::from_millis(gap));
        }
        set
    }

    #[test]
    fn spans_within_the_gap_become_one_and_farther_ones_stay_apart() {
        assert_eq!(set(&[(0, 10), (15, 20)], 5), set(&[(0, 20)], 5));
        assert_eq!(set(&[(0, 10), (16, 20)], 5).iter().count(), 2);
        assert_eq!(set(&[(0, 10), (16, 20), (9, 12)], 5), set(&[(0, 20)], 5));
    }

    #[test]
    fn what_two_sets_have_in_common_lies_in_both() {
        let (a, b) = (set(&[(0, 10), (20, 30)], 0), set(&[(5, 22), (30, 40)], 0));
        assert_eq!(a.common(&b), set(&[(5, 10), (20, 22), (30, 30)], 0));
        assert_eq!(a.common(&a), a);
        assert!(a.common(&Spans::default()).is_empty());
    }

    proptest! {
        #[test]
        fn the_order_of_insertion_does_not_matter(
            spans in prop::collection::vec((0_i64..1000, 0_i64..80), 0..25), gap in 0_u64..60, shift in 0_usize..25,
        ) {
            let spans: Vec<(i64, i64)> = spans.into_iter().map(|(a, n)| (a, a + n)).collect();
            let mut other = spans.clone();
            other.rotate_left(if spans.is_empty() { 0 } else { shift % spans.len() });
            other.reverse();
            let (one, two) = (set(&spans, gap), set(&other, gap));
            prop_assert_eq!(&one, &two);
            // Ascending, with more than the gap between any two.
            for (a, b) in one.iter().zip(one.iter().skip(1)) {
                prop_assert!(b.0.since(a.1) > i64::try_from(gap).unwrap());
            }
        }

        #[test]
        fn the_length_is_that_of_a_painted_line(spans in prop::collection::vec((0_i64..300, 0_i64..40), 1..15), gap in 0_u64..20) {
            let spans: Vec<(i64, i64)> = spans.into_iter().map(|(a, n)| (a, a + n)).collect();
            let got = set(&spans, gap);
            // Oracle: paint every step between two neighbouring points of evidence, then every unpainted run that is short enough.
            let mut painted = vec![false; 400];
            for (a, b) in &spans {
                for t in *a..*b { painted[usize::try_from(t).unwrap()] = true; }
            }
            let evidence = |t: i64| spans.iter().any(|(a, b)| *a <= t && t <= *b);
            let points: Vec<i64> = (0..400).filter(|t| evidence(*t)).collect();
            for pair in points.windows(2) {
                if pair[1] - pair[0] <= i64::try_from(gap).unwrap() {
                    for t in pair[0]..pair[1] { painted[usize::try_from(t).unwrap()] = true; }
                }
            }
            prop_assert_eq!(got.length(), i64::try_from(painted.iter().filter(|p| **p).count()).unwrap());
        }
    }
}
