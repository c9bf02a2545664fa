//! One connection from CONNACK to its loss.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
    time::Duration,
};

use passage_protocol::{Ack, Envelope, GatewayState, Gone, Hello, HubId, HubState, MAX_PAYLOAD, Millis, Seq, Topic};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Uplink,
    link::{Link, LinkEvent, LinkOptions, Outcome, Token},
    window::Window,
};
use crate::outbox::{AckEffect, Verdict};

/// Most envelopes in flight.
const WINDOW: usize = 64;
/// A hello without an answer is repeated after this, or after a minute when no hub is online.
const HELLO_AGAIN: Duration = Duration::from_secs(5);
/// While no hub is online, one envelope goes out each ...
const TRIAL: Duration = Duration::from_secs(60);
/// Our state is published again after this.
const STATE_AGAIN: Duration = Duration::from_secs(30);
/// With messages in flight, the broker has so long to answer one.
const SILENT_BROKER: Duration = Duration::from_secs(30);
/// Facts that are not older than this when a connection opens are live.
const LIVE: Duration = Duration::from_secs(120);
/// Room that an envelope needs beside its events.
const FRAME: usize = 4 * 1024;

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// We said good-bye.
    Stopped,
    /// The connection is gone.
    Lost(String),
}

/// What a message in flight carries.
#[derive(Debug)]
enum Flying {
    Envelope { seqs: Vec<Seq>, gone: Vec<Gone> },
    Other,
}

/// How far the connection is.
#[derive(Debug)]
enum Phase {
    Connecting,
    /// Waiting for the answer to the hello that was last said at this time.
    Hello {
        said: Option<Duration>,
    },
    /// Sending.
    Open(Box<Window>),
}

pub(super) struct Session<'a> {
    up: &'a Uplink,
    link: Link,
    phase: Phase,
    window: usize,
    max_packet: usize,
    hubs: BTreeMap<HubId, bool>,
    flying: HashMap<Token, Flying>,
    envelopes_flying: usize,
    answers: Vec<Gone>,
    not_before: Duration,
    last_envelope: Option<Duration>,
    last_answer: Duration,
    state_due: Duration,
}

impl<'a> Session<'a> {
    pub fn new(up: &'a Uplink) -> Self {
        let now = up.now();
        Self {
            up,
            link: Link::connect(&options(up)),
            phase: Phase::Connecting,
            window: 1,
            max_packet: usize::MAX,
            hubs: BTreeMap::new(),
            flying: HashMap::new(),
            envelopes_flying: 0,
            answers: Vec::new(),
            not_before: Duration::ZERO,
            last_envelope: None,
            last_answer: now,
            state_due: now,
        }
    }

    pub async fn run(mut self, stop: &CancellationToken) -> End {
        let mut progress = self.up.outbox.progress();
        loop {
            self.pump().await;
            let now = self.up.now();
            if !self.flying.is_empty() && now >= self.last_answer + SILENT_BROKER {
                return End::Lost("the broker has answered nothing for 30 s".into());
            }
            let wake = self.next_wake(now).saturating_sub(now).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.farewell().await;
                    return End::Stopped;
                }
                event = self.link.event() => if let LinkEvent::Lost(why) = &event {
                    return End::Lost(why.clone());
                } else {
                    self.handle(event).await;
                },
                changed = progress.changed() => if changed.is_err() {
                    stop.cancelled().await;
                },
                () = time::sleep(wake) => {}
            }
        }
    }

    async fn handle(&mut self, event: LinkEvent) {
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

    fn hub_online(&self) -> bool {
        self.hubs.values().any(|online| *online)
    }

    /// Publishes whatever is due now.
    async fn pump(&mut self) {
        if matches!(self.phase, Phase::Connecting) {
            return;
        }
        let now = self.up.now();
        if now >= self.state_due {
            self.state_due = now + STATE_AGAIN;
            let state = self.up.state(true).await;
            self.publish(&Topic::State(self.up.id.clone()), true, state.to_vec(), Flying::Other);
        }
        if self.hello_due().is_some_and(|due| now >= due) {
            self.hello(now);
        }
        while self.may_send(now) && self.send(now).await {}
    }

    fn hello(&mut self, now: Duration) {
        let hello = {
            let ledger = self.up.outbox.ledger();
            Hello::new(self.up.id.clone(), ledger.epoch().to_owned(), ledger.first(), ledger.next(), self.up.boot.clone())
        };
        self.phase = Phase::Hello { said: Some(now) };
        self.publish(&Topic::Hello(self.up.id.clone()), false, hello.to_vec(), Flying::Other);
    }

    fn hello_due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Hello { said: None } => Some(Duration::ZERO),
            Phase::Hello { said: Some(at) } => Some(at + if self.hub_online() { HELLO_AGAIN } else { TRIAL }),
            _ => None,
        }
    }

    fn may_send(&self, now: Duration) -> bool {
        matches!(self.phase, Phase::Open(_)) && self.envelopes_flying < self.window && now >= self.send_from()
    }

    /// The earliest time of the next envelope.
    fn send_from(&self) -> Duration {
        let trial = self.last_envelope.filter(|_| !self.hub_online()).map_or(Duration::ZERO, |at| at + TRIAL);
        trial.max(self.not_before)
    }

    /// Sends one envelope; false when there is none to send now.
    async fn send(&mut self, now: Duration) -> bool {
        let Phase::Open(window) = &mut self.phase else { return false };
        let ranges = {
            let ledger = self.up.outbox.ledger();
            window.next(ledger.held(), ledger.next(), now)
        };
        if ranges.is_empty() && self.answers.is_empty() {
            return false;
        }
        let room = MAX_PAYLOAD.min(self.max_packet).saturating_sub(FRAME + self.answers.len() * 80);
        let events = match self.up.outbox.read(&ranges, room).await {
            Ok(events) if !(events.is_empty() && self.answers.is_empty()) => events,
            other => {
                if let Err(e) = other {
                    tracing::warn!("{e}");
                }
                self.not_before = now + Duration::from_secs(1);
                return false;
            }
        };
        let seqs: Vec<Seq> = events.iter().map(|e| e.seq).collect();
        let gone = std::mem::take(&mut self.answers);
        let epoch = self.up.outbox.ledger().epoch().to_owned();
        let envelope = Envelope {
            sent_at: self.up.clock.now(),
            sent_mono: self.up.outbox.mono(),
            events,
            gone: gone.clone(),
            ..Envelope::new(self.up.id.clone(), epoch, self.up.boot.clone())
        };
        if !self.publish(&Topic::Event(self.up.id.clone()), false, envelope.to_vec(), Flying::Envelope { seqs: seqs.clone(), gone }) {
            self.answers = envelope.gone;
            self.not_before = now + Duration::from_millis(20);
            return false;
        }
        if let Phase::Open(window) = &mut self.phase {
            window.sent(&seqs, now);
        }
        self.up.health.envelopes.fetch_add(1, Ordering::Relaxed);
        self.last_envelope = Some(now);
        true
    }

    fn publish(&mut self, topic: &Topic, retain: bool, payload: Vec<u8>, what: Flying) -> bool {
        let Some(token) = self.link.publish(&topic.to_string(), retain, payload) else { return false };
        if self.flying.is_empty() {
            self.last_answer = self.up.now();
        }
        self.envelopes_flying += usize::from(matches!(what, Flying::Envelope { .. }));
        self.flying.insert(token, what);
        true
    }

    fn next_wake(&self, now: Duration) -> Duration {
        if matches!(self.phase, Phase::Connecting) {
            return now + SILENT_BROKER;
        }
        let mut wake = self.state_due.min(self.hello_due().unwrap_or(Duration::MAX));
        if !self.flying.is_empty() {
            wake = wake.min(self.last_answer + SILENT_BROKER);
        }
        if let Phase::Open(window) = &self.phase
            && self.envelopes_flying < self.window
        {
            let due = if self.answers.is_empty() { window.next_due(self.up.outbox.ledger().held(), now) } else { Some(now) };
            let held_back = self.send_from();
            // Before `not_before` even new rows wait, and nothing else would wake us for them.
            let waiting = (held_back > now).then_some(held_back);
            wake = due.map(|d| d.max(held_back)).into_iter().chain(waiting).fold(wake, Duration::min);
        }
        wake
    }

    /// Says `offline` ourselves and closes in order, so that the will is not published.
    async fn farewell(mut self) {
        if matches!(self.phase, Phase::Connecting) {
            return;
        }
        let state = self.up.state(false).await;
        if let Some(token) = self.link.publish(&Topic::State(self.up.id.clone()).to_string(), true, state.to_vec()) {
            let taken = async {
                loop {
                    match self.link.event().await {
                        LinkEvent::Answered(t, _) if t == token => return,
                        LinkEvent::Lost(_) => return,
                        // An ack that comes now still frees its rows.
                        LinkEvent::Message { topic, payload } if topic == Topic::Ack(self.up.id.clone()).to_string() => {
                            if let Some(ack) =
                                Ack::from_slice(&payload).ok().filter(|a| a.gateway == self.up.id && a.verify(&self.up.hub_keys).is_ok())
                            {
                                let _ = self.up.outbox.apply(ack).await;
                            }
                        }
                        _ => {}
                    }
                }
            };
            let _ = time::timeout(Duration::from_secs(1), taken).await;
        }
        self.link.disconnect().await;
    }
}

fn options(up: &Uplink) -> LinkOptions {
    let will = GatewayState {
        v: passage_protocol::VERSION,
        gateway: up.id.clone(),
        boot: up.boot.clone(),
        online: false,
        at: Millis(up.clock.now().0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backlog: 0,
        oldest_ms: 0,
        site_revision: 0,
        flags: Vec::new(),
    };
    LinkOptions {
        mqtt: up.mqtt.clone(),
        client: up.id.to_string(),
        will_topic: Topic::State(up.id.clone()).to_string(),
        will: will.to_vec(),
        topics: vec![Topic::Ack(up.id.clone()).to_string(), Topic::State(up.id.clone()).to_string(), Topic::ALL_HUB_STATES.to_owned()],
    }
}
