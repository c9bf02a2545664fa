//! What comes in on a connection, and what it changes. Nothing here publishes; the session's pump does.

use std::{sync::atomic::Ordering, time::Duration};

use passage_protocol::{Ack, GatewayState, HubId, HubState, MAX_EVENTS, SeqRange, Topic};

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
                self.phase = Phase::Greeting { said: None };
                self.state_due = self.up.now();
            }
            LinkEvent::Answered(token, outcome) => self.answered(token, outcome),
            LinkEvent::Message { topic, payload, .. } => match topic.parse() {
                Ok(Topic::Ack(id)) if id == self.up.id => self.ack(&payload).await,
                Ok(Topic::HubState(id)) => self.hub_state(id, &payload),
                Ok(Topic::State(id)) if id == self.up.id => self.own_state(&payload),
                Ok(topic @ (Topic::SiteManifest(_) | Topic::SitePart(..) | Topic::Command(_))) => {
                    self.up.down.hand_on(topic, payload).await
                }
                _ => {}
            },
            LinkEvent::Lost(_) => {}
        }
    }

    /// The broker's answer: it only tells whether to slow down.
    fn answered(&mut self, token: Token, outcome: Outcome) {
        let now = self.up.now();
        self.last_answer = now;
        let Some(Flying::Envelope { seqs, gone }) = self.flying.remove(&token) else {
            self.others_taken += 1;
            return;
        };
        self.envelopes_flying -= 1;
        self.envelopes_taken += 1;
        let pause = match outcome {
            Outcome::Taken => return self.sieve.taken(),
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
        if let Some(window) = self.phase.window() {
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
        if let Some(ahead) = ack.at.and_then(|at| self.up.keeper.hub_says(at)) {
            tracing::warn!("nobody has set the clock of this machine: a hub's signed time was taken, {} s ahead", ahead / 1000);
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
                self.follow_epoch();
            }
            // The writer is busy with a failing disk, or gone; the hub repeats itself.
            Err(e) => tracing::debug!("an ack could not be applied: {e}"),
        }
    }

    /// What is owed or under way speaks of seqs of the old epoch; in the new one the same numbers name other events.
    pub(super) fn leave_epoch(&mut self) {
        if !matches!(self.phase, Phase::Connecting) {
            self.phase = Phase::Greeting { said: None };
        }
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
        if let Phase::Greeting { .. } = self.phase {
            self.open(effect.backlog_rate, now).await;
        }
        if let Some(window) = self.phase.window() {
            window.set_backlog_rate(effect.backlog_rate);
            window.stored(&effect.delete);
            window.missing(&effect.resend, now);
        }
        self.answers = effect.answer;
    }

    /// The hello was answered: everything that is held is to be sent.
    async fn open(&mut self, rate: u32, now: Duration) {
        let since = self.up.keeper.clock().now() - LIVE;
        let live_from = self.up.outbox.first_since(since).await.ok().flatten();
        let live_from = live_from.unwrap_or_else(|| self.up.outbox.ledger().next());
        let before = SeqRange::new(1, live_from.saturating_sub(1));
        let backlog = before.map_or(0, |range| self.up.outbox.ledger().held().within(range).map(|r| r.count()).sum());
        let mut window = Window::new(live_from, now);
        window.hold_backlog(now + start_of_backlog(backlog, rate, self.up.spread, rand::random()));
        self.phase = Phase::Sending(Box::new(window));
        self.hold_or_send();
    }

    /// Without a hub there is nobody to send to.
    fn hold_or_send(&mut self) {
        let is_online = self.hub_online();
        self.phase = match std::mem::replace(&mut self.phase, Phase::Connecting) {
            Phase::Sending(window) if !is_online => Phase::Holding(window),
            other => other,
        };
    }

    /// A hub came or went. What a lost one may have held goes to the others. When the first one comes, it is asked anew what it has: what was sent
    /// meanwhile may have reached nobody.
    fn hub_state(&mut self, id: HubId, payload: &[u8]) {
        let (before, hubs) = (self.hub_online(), self.hubs_online());
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
        let now = self.up.now();
        if self.hubs_online() < hubs
            && after
            && let Some(window) = self.phase.window()
        {
            window.hub_lost(now);
        }
        if after && !before && !matches!(self.phase, Phase::Connecting) {
            self.phase = Phase::Greeting { said: None };
        }
        self.hold_or_send();
    }

    /// A late will, of this run or an earlier one, may say `offline` over our `online`: then we say it again.
    fn own_state(&mut self, payload: &[u8]) {
        if !GatewayState::from_slice(payload).is_ok_and(|s| s.online) {
            self.state_due = self.up.now();
        }
    }
}

/// How long a backlog waits before it begins, so that the gateways of a chain do not all begin at once: a random part of `spread`, but not of more than
/// it takes at the granted rate. What fits into one envelope does not wait.
fn start_of_backlog(events: u64, rate: u32, spread: Duration, random: f64) -> Duration {
    if events <= MAX_EVENTS as u64 {
        return Duration::ZERO;
    }
    spread.min(Duration::from_secs(events / u64::from(rate.max(1)))).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use passage_config::Mqtt;
    use passage_protocol::{Clock, Gone, GoneReason, Millis};

    use super::*;
    use crate::{
        clock::Keeper,
        health::Health,
        outbox::Outbox,
        uplink::{Uplink, sieve::Sieve},
    };

    fn gone(seq: u64) -> Gone {
        Gone { range: SeqRange { from: seq, to: seq }, reason: GoneReason::Evicted }
    }

    async fn uplink(dir: &tempfile::TempDir) -> Uplink {
        let health = Arc::new(Health::default());
        let keeper = Keeper::new(Clock::stepped(Millis(0)));
        let bounds = passage_config::Outbox::default();
        let (outbox, _writer) = Outbox::open(dir.path(), &bounds, keeper.clone(), Arc::clone(&health)).await.unwrap();
        Uplink {
            id: "gw-lyon-1".parse().unwrap(),
            mqtt: Mqtt::plain("127.0.0.1", 1),
            hub_keys: passage_protocol::sign::Pinned::default(),
            outbox,
            spread: Duration::ZERO,
            keeper,
            health,
            boot: "boot".into(),
            started: Instant::now(),
            down: crate::uplink::Downlink::new().0,
            site_from_hub: false,
        }
    }

    #[test]
    fn a_large_backlog_begins_at_a_random_moment_and_a_small_one_at_once() {
        let minute = Duration::from_secs(60);
        assert_eq!(start_of_backlog(200, 50, minute, 0.9), Duration::ZERO);
        assert_eq!(start_of_backlog(100_000, 50, minute, 0.5), minute / 2);
        assert_eq!(start_of_backlog(2_000, 1_000, minute, 0.5), Duration::from_secs(1));
        assert_eq!(start_of_backlog(100_000, 50, Duration::ZERO, 0.5), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_was_owed_in_an_old_epoch_is_not_said_of_the_new_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let up = uplink(&dir).await;
        let mut sieve = Sieve::default();
        let mut session = Session::new(&up, &mut sieve);
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
        let mut sieve = Sieve::default();
        let mut session = Session::new(&up, &mut sieve);
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
        let mut sieve = Sieve::default();
        let mut session = Session::new(&up, &mut sieve);
        for n in 0..1_000 {
            let hub: HubId = format!("hub-{n}").parse().unwrap();
            let state = HubState { v: 1, hub: hub.clone(), boot: "b".into(), online: true, at: Millis(0), version: "t".into() };
            session.hub_state(hub, &state.to_vec());
        }
        assert_eq!(session.hubs.len(), MAX_HUBS);
    }
}
