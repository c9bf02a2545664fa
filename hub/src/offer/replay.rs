//! Notices rotating ids that are in two places at once, under the lock of the member's shard, so several hubs agree.

use std::collections::BTreeMap;

use passage_protocol::StoreId;
use tracing::warn;

use crate::{
    identity::MemberId,
    offer::step::{Step, new_id},
    store::{StoreError, Tx, replay},
    visit::{
        Stay,
        doubt::replay::{Heard, replays},
    },
};

impl Step<'_> {
    /// Notes where ids of the member were heard, before anything is said of her visits, and records those that were copied.
    pub(super) async fn note_heard<'h>(
        &mut self,
        tx: &mut Tx,
        member: MemberId,
        heard: impl Iterator<Item = &'h Heard>,
    ) -> Result<(), StoreError> {
        self.replays.clear();
        let new = united(heard);
        if new.is_empty() {
            return Ok(());
        }
        replay::note(tx, member, &new).await?;
        let mut all = replay::heard(tx, member).await?;
        all.retain(|h| new.iter().any(|n| n.mark == h.mark));
        let place = |store: &StoreId| self.config.site.stores.get(store).map(|s| (s.at.y(), s.at.x()));
        self.replays = replays(&all, place, &self.config.visit.contradictions);
        for found in &self.replays {
            if replay::record(tx, member, found, new_id(self.now), self.now).await? {
                let (one, other) = (&found.one.store, &found.other.store);
                warn!(%one, %other, "a rotating id was heard in two stores too far apart for one phone; neither proves a visit");
            }
        }
        Ok(())
    }

    /// True if what proves the stay was copied.
    pub(super) fn is_replayed(&self, store: &StoreId, stay: &Stay) -> bool {
        stay.hull().is_some_and(|span| self.replays.iter().any(|replay| replay.touches(store, span)))
    }
}

/// One for each id and store.
fn united<'h>(heard: impl Iterator<Item = &'h Heard>) -> Vec<Heard> {
    let mut all: BTreeMap<(i64, &StoreId), Heard> = BTreeMap::new();
    for h in heard {
        let known = all.entry((h.mark, &h.store)).or_insert_with(|| h.clone());
        known.span = known.span.hull(h.span);
        known.is_sure &= h.is_sure;
    }
    all.into_values().collect()
}
