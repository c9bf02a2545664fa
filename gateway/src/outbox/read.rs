//! What is read of the outbox while it is written: rows to send, states to restore. Nothing here changes anything, but for a row that is no event.

use std::collections::BTreeMap;

use passage_protocol::{Event, MAX_EVENTS, Millis, Seq, SeqRange};

use super::{Outbox, OutboxError, Picked, Saved, ring, rows};

impl Outbox {
    /// States to restore at a start: machine, key, value. None while the file is not open.
    pub async fn saved_states(&self) -> Result<Vec<Saved>, OutboxError> {
        if !self.salvaged.is_empty() {
            return Ok(self.salvaged.to_vec());
        }
        match self.store.get() {
            Some(store) => Ok(rows::saved(&store.read).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The lowest held seq whose fact is not older than `at`.
    pub async fn first_since(&self, at: Millis) -> Result<Option<Seq>, OutboxError> {
        match self.store.get() {
            Some(store) => Ok(rows::first_since(&store.read, at).await?),
            None => Ok(None),
        }
    }

    /// When the oldest held event happened.
    pub async fn oldest(&self) -> Result<Option<Millis>, OutboxError> {
        let in_memory = self.ring.within(&[SeqRange { from: 1, to: Seq::MAX }], 1).first().map(|row| row.at);
        match self.store.get() {
            Some(store) => Ok(rows::oldest(&store.read, 1).await?.first().map(|r| r.1).or(in_memory)),
            None => Ok(in_memory),
        }
    }

    /// Reads the held events of `ranges` that may share an envelope: at most [`MAX_EVENTS`], at most `max_bytes` of JSON (but always one), and all
    /// from a clock that was trusted or all from one that was not. A row that is no event becomes a dead letter.
    pub async fn read(&self, ranges: &[SeqRange], max_bytes: usize) -> Result<Picked, OutboxError> {
        let mut picked = Picked::default();
        let mut bytes = 0;
        for row in self.rows(ranges).await? {
            bytes += row.json.len() + 1;
            let is_full = bytes > max_bytes || picked.events.len() == MAX_EVENTS || row.synced != picked.synced;
            if !picked.events.is_empty() && is_full {
                break;
            }
            let seq = row.seq;
            match self.event(row) {
                Some((event, synced)) => {
                    picked.synced = synced;
                    picked.events.push(event);
                }
                None => {
                    tracing::error!("row {seq} of the outbox is not an event; it becomes a dead letter and is reported to the hub");
                    self.bury(SeqRange { from: seq, to: seq }, "not an event").await?;
                }
            }
        }
        Ok(picked)
    }

    /// The rows of these ranges from memory and file, in ascending order. Memory first: what is written meanwhile is then found in the file.
    async fn rows(&self, ranges: &[SeqRange]) -> Result<impl Iterator<Item = ring::Row>, OutboxError> {
        let mut rows: BTreeMap<Seq, ring::Row> = self.ring.within(ranges, MAX_EVENTS).into_iter().map(|row| (row.seq, row)).collect();
        if let Some(store) = self.store.get() {
            for range in ranges {
                match rows::within(&store.read, *range).await {
                    Ok(more) => rows.extend(more.into_iter().map(|row| (row.seq, row))),
                    Err(e) if rows.is_empty() => return Err(e.into()),
                    Err(e) => tracing::debug!("the file cannot be read ({e}); what is in memory is sent"),
                }
            }
        }
        Ok(rows.into_values())
    }

    /// The event of a row. The monotonic time of another boot says nothing in this one: it is told by the age on the wall clock.
    fn event(&self, row: ring::Row) -> Option<(Event, bool)> {
        let event: Event = serde_json::from_slice(&row.json).ok()?;
        let mut event = Event { seq: row.seq, ..event };
        event.check().ok()?;
        if !row.synced && row.boot != self.boot {
            event.mono = self.mono().saturating_sub(self.keeper.clock().now().since(event.at));
        }
        Some((event, row.synced))
    }
}
