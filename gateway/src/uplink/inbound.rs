//! What comes in on a connection, and what it changes. Nothing here publishes; the session's pump does.

use std::{sync::atomic::Ordering, time::Duration};

use passage_protocol::{Ack, GatewayState, HubId, HubState, Topic};

use super::{
    link::{LinkEvent, Outcome, Token},
    session::{Flying, Phase, Session, WINDOW},
    window::Window,
};
use crate::outbox::{AckEffect, MAX_ANSWERS, Verdict};

/// Facts that are not older than this when a connection opens are live.
const LIVE: Duration = Duration::from_secs(120);
/// Hubs that are kept apart; whoever may write to the broker could name any number of them.
const MAX_HUBS: usize = 64;

impl Session<'_> {
    pub(super) async fn handle(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected { window, max_packet } => {
                self.up.health.connections.fetch_add(1, Ordering::Relaxed);
                self.window = window.min(WINDOW);
                self.max_packet = max_packet;
            }
            LinkEvent::Subscribed => {
                tracing::info!("connected to the broker");
                self.phase = Phase::Hello { said: None };
                self.state_due = self.up.now();
            }
            LinkEvent::Answered(token, outcome) => self.answered(token, outcome),
            LinkEvent::Message { topic, payload, .. } => match topic.parse() {
                Ok(Topic::Ack(id)) if id == self.up.id => self.ack(&payload).await,
                Ok(Topic::HubState(id)) => self.hub_state(id, &payload),
                Ok(Topic::State(id)) if id == self.up.id => self.own_state(&payload),
                _ => {}
            },
            LinkEvent::Lost(_) => {}
        }
    }

    /// The broker's answer: it only tells whether to slow down.
    fn answered(&mut self, token: Token, outcome: Outcome) {
        let now = self.up.now();
        self.last_answer = now;
        let Some(Flying::Envelope { seqs, gone }) = self.flying.remove(&token) else { return };
        self.envelopes_flying -= 1;
        let pause = match outcome {
            Outcome::Taken => return,
            Outcome::Nobody => Duration::from_millis(500),
            Outcome::Refused => {
                tracing::warn!(
                    "the broker refuses our events. Mend: allow this gateway to publish to its event topic, or raise the broker's quota"
                );
                Duration::from_secs(5)
            }
        };
        self.not_before = now + pause;
        let room = MAX_ANSWERS.saturating_sub(self.answers.len());
        self.answers.extend(gone.into_iter().take(room));
        if let Phase::Open(window) = &mut self.phase {
            window.bounced(&seqs, now);
        }
    }

    /// A hub's word. Only a verified one has any effect.
    async fn ack(&mut self, payload: &[u8]) {
        let health = &self.up.health;
        let Ok(ack) = Ack::from_slice(payload) else {
            health.forged_acks.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("something that is no ack was published to our ack topic; it is ignored");
            return;
        };
        if let Err(e) = ack.verify(&self.up.hub_keys) {
            health.forged_acks.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "an ack was ignored: {e}. Mend: if the hub is yours, put its public key into `hub_keys` of gateway.toml; if not, look who writes to the broker"
            );
            return;
        }
        if ack.gateway != self.up.id {
            health.foreign_acks.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.up.outbox.apply(ack).await {
            Ok(Verdict::Apply(effect)) => self.apply(effect).await,
            Ok(Verdict::OtherEpoch) => {
                health.foreign_acks.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Verdict::Ahead) => {
                tracing::warn!(
                    "the hub knows events of this outbox that it does not hold: it is an old copy. A new epoch begins; nothing is lost"
                );
                if let Err(e) = self.up.outbox.new_epoch().await {
                    tracing::warn!("no new epoch yet: {e}");
                }
                self.leave_epoch();
                self.phase = Phase::Hello { said: None };
            }
            // The writer is busy with a failing disk, or gone; the hub repeats itself.
            Err(e) => tracing::debug!("an ack could not be applied: {e}"),
        }
    }

    /// What is owed or under way speaks of seqs of the old epoch; in the new one the same numbers name other events.
    fn leave_epoch(&mut self) {
        self.answers.clear();
        for flying in self.flying.values_mut() {
            if let Flying::Envelope { seqs, gone } = flying {
                seqs.clear();
                gone.clear();
            }
        }
    }

    async fn apply(&mut self, effect: AckEffect) {
        let now = self.up.now();
        self.up.health.acks.fetch_add(1, Ordering::Relaxed);
        if let Phase::Hello { .. } = self.phase {
            let since = self.up.clock.now() - LIVE;
            let live_from = self.up.outbox.first_since(since).await.ok().flatten();
            let live_from = live_from.unwrap_or_else(|| self.up.outbox.ledger().next());
            self.phase = Phase::Open(Box::new(Window::new(live_from, now)));
        }
        if let Phase::Open(window) = &mut self.phase {
            window.set_backlog_rate(effect.backlog_rate);
            window.stored(&effect.delete);
            window.missing(&effect.resend, now);
        }
        self.answers = effect.answer;
    }

    /// A hub came or went. When the first one comes, it is asked anew what it has: what was sent meanwhile may have reached nobody.
    fn hub_state(&mut self, id: HubId, payload: &[u8]) {
        let before = self.hub_online();
        match HubState::from_slice(payload) {
            Ok(state) if state.hub == id && (self.hubs.len() < MAX_HUBS || self.hubs.contains_key(&id)) => {
                self.hubs.insert(id, state.online)
            }
            // An empty retained message is how a hub is removed for good.
            _ => self.hubs.remove(&id),
        };
        let after = self.hub_online();
        if before != after {
            tracing::info!("{}", if after { "a hub is online" } else { "no hub is online: events are held" });
        }
        if after && !before && !matches!(self.phase, Phase::Connecting) {
            self.phase = Phase::Hello { said: None };
        }
    }

    /// A late will, of this run or an earlier one, may say `offline` over our `online`: then we say it again.
    fn own_state(&mut self, payload: &[u8]) {
        if !GatewayState::from_slice(payload).is_ok_and(|s| s.online) {
            self.state_due = self.up.now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use passage_config::Mqtt;
    use passage_protocol::{Clock, Gone, GoneReason, Millis, SeqRange};

    use super::*;
    use crate::{health::Health, outbox::Outbox, uplink::Uplink};

    fn gone(seq: u64) -> Gone {
        Gone { range: SeqRange { from: seq, to: seq }, reason: GoneReason::Evicted }
    }

    async fn uplink(dir: &tempfile::TempDir) -> Uplink {
        let health = Arc::new(Health::default());
        let clock = Clock::stepped(Millis(0));
        let bounds = passage_config::Outbox::default();
        let (outbox, _writer) = Outbox::open(dir.path(), &bounds, clock.clone(), Arc::clone(&health)).await.unwrap();
        Uplink {
            id: "gw-lyon-1".parse().unwrap(),
            mqtt: Mqtt::plain("127.0.0.1", 1),
            hub_keys: passage_protocol::sign::Pinned::default(),
            outbox,
            clock,
            health,
            boot: "boot".into(),
            started: Instant::now(),
        }
    }

    #[tokio::test]
    async fn what_was_owed_in_an_old_epoch_is_not_said_of_the_new_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let up = uplink(&dir).await;
        let mut session = Session::new(&up);
        session.flying.insert(1, Flying::Envelope { seqs: vec![7], gone: vec![gone(7)] });
        session.envelopes_flying = 1;
        session.answers = vec![gone(8)];
        session.leave_epoch();
        session.answered(1, Outcome::Nobody);
        assert!(session.answers.is_empty(), "{:?}", session.answers);
    }

    #[tokio::test]
    async fn records_that_nobody_takes_do_not_outgrow_an_envelope() {
        let dir = tempfile::TempDir::new().unwrap();
        let up = uplink(&dir).await;
        let mut session = Session::new(&up);
        for token in 0..5 {
            session.flying.insert(token, Flying::Envelope { seqs: vec![], gone: (1..=MAX_ANSWERS as u64).map(gone).collect() });
            session.envelopes_flying += 1;
            session.answered(token, Outcome::Nobody);
        }
        assert_eq!(session.answers.len(), MAX_ANSWERS);
    }

    #[tokio::test]
    async fn states_of_ever_new_hubs_cost_bounded_memory() {
        let dir = tempfile::TempDir::new().unwrap();
        let up = uplink(&dir).await;
        let mut session = Session::new(&up);
        for n in 0..1_000 {
            let hub: HubId = format!("hub-{n}").parse().unwrap();
            let state = HubState { v: 1, hub: hub.clone(), boot: "b".into(), online: true, at: Millis(0), version: "t".into() };
            session.hub_state(hub, &state.to_vec());
        }
        assert_eq!(session.hubs.len(), MAX_HUBS);
    }
}
