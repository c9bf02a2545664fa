//! What is known of a visit besides its own evidence: who works or lives there, and what stays in other stores say against it.

use std::{collections::BTreeSet, time::Duration};

use passage_config::Store;
use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::{
    identity::MemberId,
    offer::step::Step,
    store::{StoreError, Tx, regular, visit},
    visit::{
        Change, Machine, Reason, RevisedBecause, Rules, Stay, VisitChange,
        doubt::{Placed, Proof, doubts},
        regular::{Place, Regular, learn},
        span::Span,
    },
};

/// Stays farther apart in time than this say nothing against each other.
const APART: Duration = Duration::from_secs(12 * 3600);
/// What was learned is looked at again after this.
const RENEW: Duration = Duration::from_secs(86_400);

impl Step<'_> {
    /// Tells the machine who she is in this store, before anything is written.
    pub(super) async fn note_regular(
        &self,
        tx: &mut Tx,
        member: MemberId,
        store: &Store,
        machine: &mut Machine,
        rules: &Rules<'_>,
    ) -> Result<Vec<VisitChange>, StoreError> {
        let learned = regular::get(tx, member, &store.id, self.now).await?;
        let stays: Vec<(Uuid, BTreeSet<Reason>)> =
            machine.stays().iter().map(|stay| (stay.id, self.regular_reasons(member, store, learned, stay))).collect();
        let note = |(id, reasons)| machine.note(id, Reason::is_regular, &reasons, RevisedBecause::Regular, rules);
        Ok(stays.into_iter().filter_map(note).collect())
    }

    fn regular_reasons(&self, member: MemberId, store: &Store, learned: Option<Regular>, stay: &Stay) -> BTreeSet<Reason> {
        let listed = self.config.site.staff.get(&store.id).is_some_and(|codes| codes.contains(&member.code()));
        let at = stay.hull().map(|hull| hull.0);
        let learned = learned.zip(at).and_then(|(regular, at)| regular.reason_at(at));
        // What was learned of this stay before stays true after the label has ended.
        let before = stay.known.iter().copied().filter(|r| r.is_regular() && *r != Reason::StaffListed);
        listed.then_some(Reason::StaffListed).into_iter().chain(learned.or_else(|| before.max())).collect()
    }

    /// After a stay inside was closed: learns from the stays of the last weeks. Closed visits of somebody who turns out to work or live there are
    /// revised. Nothing but the label and its end is kept.
    pub(super) async fn learn_regular(
        &self,
        tx: &mut Tx,
        member: MemberId,
        store: &Store,
        changes: &[VisitChange],
        rules: &Rules<'_>,
    ) -> Result<Vec<VisitChange>, StoreError> {
        if !changes.iter().any(|c| matches!(c.what, Change::Closed(_) | Change::Revised(..))) {
            return Ok(Vec::new());
        }
        let known = regular::get(tx, member, &store.id, self.now).await?;
        let holds = rules.visit.regulars.holds;
        if known.is_some_and(|r| r.until + RENEW >= self.now + holds) {
            return Ok(Vec::new());
        }
        let history = regular::history(tx, member, &store.id, self.now - rules.visit.regulars.window).await?;
        let grace = rules.visit.hours_grace;
        let open = |at: Millis| [at, at + grace, at - grace].into_iter().any(|at| (rules.open)(at));
        let place = Place { timezone: store.timezone, open: &open };
        let Some(learned) = learn(&history, self.now, place, &rules.visit.regulars) else { return Ok(Vec::new()) };
        regular::save(tx, member, &store.id, &learned).await?;
        let mut machine = Machine::new(visit::within(tx, member, &store.id, Span(learned.since, learned.until)).await?);
        let revised = self.note_regular(tx, member, store, &mut machine, rules).await?;
        self.save_all(tx, member, store, &machine, rules).await?;
        Ok(revised)
    }

    /// Holds the stays that just changed against those in other stores around the same time. Revisions of other stores are written, and told
    /// to nobody: no offer depends on them.
    pub(super) async fn note_doubts(
        &self,
        tx: &mut Tx,
        member: MemberId,
        store: &Store,
        machine: &Machine,
    ) -> Result<Vec<VisitChange>, StoreError> {
        let around = machine.stays().iter().filter(|s| s.was_inside()).filter_map(Stay::hull).reduce(Span::hull);
        let Some(around) = around.map(|span| Span(span.0 - APART, span.1 + APART)) else { return Ok(Vec::new()) };
        let stays = visit::inside_anywhere(tx, member, around).await?;
        if stays.iter().all(|(at, _)| *at == store.id) && self.replays.is_empty() {
            return Ok(Vec::new());
        }
        let placed: Vec<Placed<'_>> = stays.iter().filter_map(|(at, stay)| self.placed(at, stay)).collect();
        let found = doubts(&placed, &self.config.visit.contradictions);
        let mut changes = Vec::new();
        for (at, stay) in &stays {
            let before: BTreeSet<Reason> = stay.known.iter().copied().filter(|r| r.is_contradiction()).collect();
            let mut reasons = found.get(&stay.id).cloned().unwrap_or_default();
            if before.contains(&Reason::Replay) || self.is_replayed(at, stay) {
                reasons.insert(Reason::Replay);
            }
            if reasons != before {
                changes.extend(self.note_doubt(tx, member, at, stay, &reasons).await?);
            }
        }
        Ok(changes)
    }

    async fn note_doubt(
        &self,
        tx: &mut Tx,
        member: MemberId,
        at: &StoreId,
        stay: &Stay,
        reasons: &BTreeSet<Reason>,
    ) -> Result<Option<VisitChange>, StoreError> {
        let Some(store) = self.config.site.stores.get(at) else { return Ok(None) };
        let open = |at| store.hours.is_open(at, store.timezone);
        let rules = Rules { visit: &self.config.visit, marks: &[], open: &open };
        let mut machine = Machine::new(vec![stay.clone()]);
        let change = machine.note(stay.id, Reason::is_contradiction, reasons, RevisedBecause::Contradiction, &rules);
        self.save_all(tx, member, store, &machine, &rules).await?;
        Ok(change)
    }

    fn placed<'a>(&self, store: &'a StoreId, stay: &Stay) -> Option<Placed<'a>> {
        let at = self.config.site.stores.get(store)?.at;
        let span = stay.inside(&self.config.visit).hull()?;
        Some(Placed { id: stay.id, store, at: (at.y(), at.x()), span, proof: Proof::of(stay) })
    }
}
