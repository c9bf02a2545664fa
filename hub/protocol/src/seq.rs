//! Sequence numbers of a gateway's events, and sets of them as ranges.

use serde::{Deserialize, Serialize};

/// The number of an event inside one epoch of one gateway, from 1.
pub type Seq = u64;

/// All seqs from `from` to `to`, both included. Written `[from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(Seq, Seq)", into = "(Seq, Seq)")]
pub struct SeqRange {
    /// First seq.
    pub from: Seq,
    /// Last seq.
    pub to: Seq,
}

impl SeqRange {
    /// The range from `from` to `to`; `None` when it would be empty.
    pub fn new(from: Seq, to: Seq) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// True if `seq` lies inside.
    pub fn contains(&self, seq: Seq) -> bool {
        (self.from..=self.to).contains(&seq)
    }

    /// How many seqs the range holds.
    pub fn count(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }
}

impl From<(Seq, Seq)> for SeqRange {
    /// A pair in the wrong order is turned round, so that no reader can meet an empty range.
    fn from((a, b): (Seq, Seq)) -> Self {
        Self { from: a.min(b), to: a.max(b) }
    }
}

impl From<SeqRange> for (Seq, Seq) {
    fn from(r: SeqRange) -> Self {
        (r.from, r.to)
    }
}

/// A set of seqs kept as sorted ranges with a gap between each two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeqSet(Vec<SeqRange>);

impl SeqSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; neighbours are joined.
    pub fn insert(&mut self, range: SeqRange) {
        let start = self.0.partition_point(|r| r.to.saturating_add(1) < range.from);
        let end = self.0.partition_point(|r| r.from <= range.to.saturating_add(1));
        let mut joined = range;
        for r in &self.0[start..end] {
            joined = SeqRange { from: joined.from.min(r.from), to: joined.to.max(r.to) };
        }
        self.0.splice(start..end, [joined]);
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: SeqRange) {
        let start = self.0.partition_point(|r| r.to < range.from);
        let end = self.0.partition_point(|r| r.from <= range.to);
        let mut rest = Vec::new();
        for r in &self.0[start..end] {
            rest.extend(SeqRange::new(r.from, range.from.saturating_sub(1)).filter(|_| r.from < range.from));
            rest.extend(SeqRange::new(range.to.saturating_add(1), r.to).filter(|_| r.to > range.to));
        }
        self.0.splice(start..end, rest);
    }

    /// What the set holds of `range`, in ascending order.
    pub fn within(&self, range: SeqRange) -> impl Iterator<Item = SeqRange> + '_ {
        let start = self.0.partition_point(|r| r.to < range.from);
        self.0[start..]
            .iter()
            .take_while(move |r| r.from <= range.to)
            .map(move |r| SeqRange { from: r.from.max(range.from), to: r.to.min(range.to) })
    }

    /// True if the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `seq` is in the set.
    pub fn contains(&self, seq: Seq) -> bool {
        let i = self.0.partition_point(|r| r.to < seq);
        self.0.get(i).is_some_and(|r| r.contains(seq))
    }

    /// The ranges in ascending order.
    pub fn ranges(&self) -> &[SeqRange] {
        &self.0
    }

    /// How many seqs the set holds.
    pub fn count(&self) -> u64 {
        self.0.iter().map(SeqRange::count).sum()
    }

    /// The ranges of `1..=max` that the set does not hold, in ascending order.
    pub fn missing_up_to(&self, max: Seq) -> Vec<SeqRange> {
        let mut next = 1;
        let mut out = Vec::new();
        for r in &self.0 {
            if r.from > max {
                break;
            }
            out.extend(SeqRange::new(next, r.from.saturating_sub(1)));
            let Some(after) = r.to.checked_add(1) else { return out };
            next = after;
        }
        out.extend(SeqRange::new(next, max));
        out
    }
}

impl FromIterator<SeqRange> for SeqSet {
    fn from_iter<I: IntoIterator<Item = SeqRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

impl FromIterator<Seq> for SeqSet {
    fn from_iter<I: IntoIterator<Item = Seq>>(seqs: I) -> Self {
        let mut set = Self::new();
        for seq in seqs {
            set.insert(SeqRange { from: seq, to: seq });
        }
        set
    }
}
