//! What comes in on a connection, and what it changes. Nothing here publishes; the session's pump does.

use std::{sync::atomic::Ordering, time::Duration};

use passage_protocol::{Ack, GatewayState, HubId, HubState, Topic};

use super::{
    link::{LinkEvent, Outcome, Token},
    session::{Flying, Phase, Session, WINDOW},
    window::Window,
};
use crate::outbox::{AckEffect, Verdict};

/// Facts that are not older than this when a connection opens are live.
const LIVE: Duration = Duration::from_secs(120);

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
            LinkEvent::Message { topic, payload } => match topic.parse() {
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
        self.answers.extend(gone);
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
                self.answers.clear();
                self.phase = Phase::Hello { said: None };
            }
            // The writer is busy with a failing disk, or gone; the hub repeats itself.
            Err(e) => tracing::debug!("an ack could not be applied: {e}"),
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
            Ok(state) if state.hub == id => self.hubs.insert(id, state.online),
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
