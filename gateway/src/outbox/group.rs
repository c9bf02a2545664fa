//! What waits for the next commit.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use passage_protocol::{Event, Millis, Seq};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Batch, ring::Row};
use crate::{Change, SavedState};

/// A decision with its id and the state of the clock, before it has a seq.
#[derive(Debug)]
pub(super) struct Noted {
    pub event: Event,
    pub synced: bool,
    pub boot: Arc<str>,
}

impl Noted {
    pub fn row(&self, seq: Seq) -> Row {
        Row::new(&self.event, seq, self.synced, &self.boot)
    }

    /// The decision in a row that loses its seq.
    pub fn of_row(row: &Row) -> Option<Self> {
        let event = serde_json::from_slice(&row.json).ok()?;
        Some(Self { event, synced: row.synced, boot: Arc::clone(&row.boot) })
    }
}

/// What waits for the next commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub events: VecDeque<Noted>,
    pub saved: HashMap<(&'static str, Vec<u8>), SavedState>,
    /// States from a damaged file.
    pub salvaged: Vec<(String, Vec<u8>, Vec<u8>)>,
    pub replay: Option<u64>,
    pub waiting: Vec<oneshot::Sender<()>>,
    pub flush: bool,
}

impl Group {
    pub fn add(&mut self, batch: Batch, flush: bool, done: Option<oneshot::Sender<()>>, note: impl Fn(&Change) -> Noted) {
        self.events.extend(batch.changes.iter().map(note));
        self.saved.extend(batch.saved.into_iter().map(|s| ((s.machine, s.key.clone()), s)));
        self.replay = batch.replay_position.or(self.replay);
        self.waiting.extend(done);
        self.flush |= flush;
    }

    /// Puts earlier events before those that wait.
    pub fn put_first(&mut self, earlier: Vec<Noted>) {
        for noted in earlier.into_iter().rev() {
            self.events.push_front(noted);
        }
    }

    /// Tells everybody who waits for the commit.
    pub fn answer(&mut self) {
        self.flush = false;
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
    }

    /// An app that was not answered in time sends again.
    pub fn forget_who_gave_up(&mut self) {
        self.waiting.retain(|done| !done.is_closed());
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.saved.is_empty() && self.salvaged.is_empty() && self.replay.is_none()
    }
}

/// Makes the event: an id from its own time, and the monotonic time at which its fact was true. The seq comes later.
pub(super) fn event(change: &Change, now: Millis, mono: i64) -> Event {
    Event {
        id: event_id(change.at),
        seq: 0,
        store: change.store.clone(),
        zone: change.zone.clone(),
        subject: change.subject.clone(),
        signal: change.signal,
        phase: change.phase,
        at: change.at,
        mono: mono.saturating_sub(now.since(change.at)),
        first: change.first,
        last: change.last,
        strength: change.strength,
        initial: change.initial,
        late: change.late,
    }
}

fn event_id(at: Millis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &rand::random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_time_and_tells_the_monotonic_time_of_the_fact() {
        let id = event_id(Millis(1_795_000_000_000));
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_795_000_000);
    }
}
