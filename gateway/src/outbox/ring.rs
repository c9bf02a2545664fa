//! Rows that have their seqs but are not on the disk, because it refuses. They are sent from here, and written when the disk is well again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use passage_protocol::{Event, Millis, Phase, Seq, SeqRange, SeqSet};

/// A held event with what decides about its fate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub seq: Seq,
    pub at: Millis,
    /// What is superseded by a later event of the same stay goes first when there is no room.
    pub is_superseded: bool,
    /// Somebody vouched for the clock that stamped it.
    pub synced: bool,
    /// The boot of the machine in which it was stamped.
    pub boot: Arc<str>,
    pub json: Vec<u8>,
}

impl Row {
    /// The row of an event, which gets its seq here.
    pub fn new(event: &Event, seq: Seq, synced: bool, boot: &Arc<str>) -> Self {
        let event = Event { seq, ..event.clone() };
        Self {
            seq,
            at: event.at,
            is_superseded: event.phase == Phase::Dwell,
            synced,
            boot: Arc::clone(boot),
            json: serde_json::to_vec(&event).unwrap_or_default(),
        }
    }
}

/// The rows in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring(Arc<Mutex<BTreeMap<Seq, Row>>>);

impl Ring {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Seq, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.rows().len()
    }

    pub fn push(&self, row: Row) {
        self.rows().insert(row.seq, row);
    }

    /// All rows, in their order.
    pub fn all(&self) -> Vec<Row> {
        self.rows().values().cloned().collect()
    }

    pub fn clear(&self) {
        self.rows().clear();
    }

    /// The rows of these ranges, at most `limit`.
    pub fn within(&self, ranges: &[SeqRange], limit: usize) -> Vec<Row> {
        let rows = self.rows();
        ranges.iter().flat_map(|r| rows.range(r.from..=r.to)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// Forgets the rows of these ranges and tells which there were.
    pub fn remove(&self, ranges: &[SeqRange]) -> SeqSet {
        let mut rows = self.rows();
        let there: SeqSet = ranges.iter().flat_map(|r| rows.range(r.from..=r.to)).map(|(seq, _)| *seq).collect();
        for range in there.ranges() {
            rows.retain(|seq, _| !range.contains(*seq));
        }
        there
    }

    /// The seq of the row that goes first when there is no room.
    pub fn first_to_go(&self) -> Option<Seq> {
        let rows = self.rows();
        rows.values().find(|row| row.is_superseded).or_else(|| rows.values().next()).map(|row| row.seq)
    }
}
