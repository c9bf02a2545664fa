//! The offers that a change of a visit fires: judge them, plan the message of the one that wins, record them all.

use passage_config::{Offer, Store, Trigger};
use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    identity::page,
    notice::What,
    offer::{
        audience::History,
        decide::{Inputs, Verdict, arbitrate, decide},
        decision::{Decision, Outcome, Reason},
        local_day,
        step::{MONTH, Scene, Step, new_id, notice},
        trigger,
    },
    sms::NewMessage,
    store::{
        self, StoreError, Tx, message,
        people::{
            self,
            page::{MemberPage, Origin},
        },
    },
    visit::{Reason as Doubt, VisitChange},
};

impl Step<'_> {
    /// Decides every offer that the change fires, plans the message of the one that wins, records them all.
    pub(super) async fn offers(&mut self, tx: &mut Tx, scene: &Scene<'_>, change: &VisitChange) -> Result<(), StoreError> {
        let (config, now) = (self.config, self.now);
        let Some(cause) = &change.cause else { return Ok(()) };
        let offers = trigger::fired(&config.site, scene.store, change.what);
        if offers.is_empty() {
            return Ok(());
        }
        let past = match &scene.profile.destination {
            Some(d) => message::past(tx, scene.member, &d.key, now - MONTH).await?,
            None => Vec::new(),
        };
        let is_replayed = store::visit::get(tx, change.visit).await?.is_some_and(|found| found.stay.known.contains(&Doubt::Replay));
        let history = History { touchpoints: &scene.past.touchpoints, purchases: &scene.past.purchases };
        let judge = |offer| {
            let of = (offer, scene.brand, scene.store);
            let visit = (change.visit, is_replayed);
            (offer, decide(&Inputs::new(config, self.keyring, of, now, cause, visit, &scene.profile, history, &past)))
        };
        let mut verdicts: Vec<_> = offers.into_iter().map(judge).collect();
        arbitrate(&mut verdicts);
        let mut decisions = Vec::with_capacity(verdicts.len());
        for (offer, mut verdict) in verdicts {
            let id = new_id(now);
            if verdict.result == Outcome::Send {
                let n =
                    past.iter().filter(|m| m.offer == offer.id && m.store == scene.store.id && same_day(m.at, now, scene.store)).count();
                self.plan(tx, scene, change, offer, id, n, &mut verdict).await?;
            }
            self.notices.push(notice(now, scene, What::OfferDecided(offer.id.clone(), verdict.result.word().to_owned())));
            decisions.push(Decision {
                id,
                member: scene.member,
                brand: scene.store.brand.clone(),
                entity: scene.store.entity.clone(),
                offer: offer.id.clone(),
                store: scene.store.id.clone(),
                trigger: trigger::word(offer.on),
                visit: Some(change.visit),
                at: now,
                result: verdict.result,
                checks: verdict.checks,
                revision: config.site.revision.clone(),
            });
        }
        store::decision::insert(tx, &decisions).await
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one message")]
    async fn plan(
        &self,
        tx: &mut Tx,
        scene: &Scene<'_>,
        change: &VisitChange,
        offer: &Offer,
        decision: Uuid,
        n: usize,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let (Some(destination), Some(text)) = (&scene.profile.destination, &verdict.text) else { return Ok(()) };
        let trigger_at = change.cause.as_ref().map_or(self.now, |c| c.at);
        let day = local_day(self.now, scene.store.timezone).to_string();
        let key_of: [&[u8]; 5] =
            [offer.id.as_bytes(), &destination.key.0, scene.store.id.as_str().as_bytes(), day.as_bytes(), &(n as u64).to_be_bytes()];
        let (message_id, page) = (new_id(self.now), page::name(rand::random()));
        // A text with a link to her page gets a link of its own; it is signed when the bytes leave.
        let linked = page::named(text, &page);
        let message = NewMessage {
            id: message_id,
            send_key: self.keyring.hash("send key", &key_of),
            decision,
            member: scene.member,
            brand: scene.store.brand.clone(),
            entity: scene.store.entity.clone(),
            offer: offer.id.clone(),
            campaign: offer.campaign.clone(),
            visit: (offer.on != Trigger::Near).then_some(change.visit),
            store: scene.store.id.clone(),
            destination: destination.clone(),
            text: linked.clone().unwrap_or_else(|| text.clone()),
            sender: scene.brand.sender.name.clone(),
            trigger_at,
            planned_at: self.now,
            deadline: trigger_at + offer.deadline,
            validity_ms: crate::visit::stay::millis(offer.validity),
        };
        if !message::plan(tx, &message).await? {
            verdict.refuse(Reason::AlreadySent, "the same message is planned or sent already".to_owned());
        } else if linked.is_some() {
            let (brand, entity) = (scene.store.brand.clone(), scene.store.entity.clone());
            let (origin, expires_at) = (Origin::Sms, self.now + self.config.page.life);
            let made =
                MemberPage { id: page, member: scene.member, brand, entity, origin, message: Some(message_id.to_string()), expires_at };
            people::page::insert(tx, &made, self.now).await?;
        }
        Ok(())
    }
}

fn same_day(a: Millis, b: Millis, store: &Store) -> bool {
    local_day(a, store.timezone) == local_day(b, store.timezone)
}
