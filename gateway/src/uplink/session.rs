//! One connection from CONNACK to its loss.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
    time::Duration,
};

use passage_protocol::{Ack, Envelope, GatewayState, Gone, Hello, HubId, MAX_PAYLOAD, Millis, Seq, Topic};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Uplink,
    link::{Link, LinkEvent, LinkOptions, Token},
    window::Window,
};

/// Most envelopes in flight.
pub(super) const WINDOW: usize = 64;
/// A hello without an answer is repeated after this, or after a minute when no hub is online.
const HELLO_AGAIN: Duration = Duration::from_secs(5);
/// While no hub is online, one envelope goes out each ...
const TRIAL: Duration = Duration::from_secs(60);
/// Our state is published again after this.
const STATE_AGAIN: Duration = Duration::from_secs(30);
/// With messages in flight, the broker has so long to answer one.
const SILENT_BROKER: Duration = Duration::from_secs(30);
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
pub(super) enum Flying {
    Envelope { seqs: Vec<Seq>, gone: Vec<Gone> },
    Other,
}

/// How far the connection is.
#[derive(Debug)]
pub(super) enum Phase {
    Connecting,
    /// Waiting for the answer to the hello that was last said at this time.
    Hello {
        said: Option<Duration>,
    },
    /// Sending.
    Open(Box<Window>),
}

/// A connection and what is known and owed on it.
pub(super) struct Session<'a> {
    pub(super) up: &'a Uplink,
    pub(super) link: Link,
    pub(super) phase: Phase,
    pub(super) window: usize,
    pub(super) max_packet: usize,
    pub(super) hubs: BTreeMap<HubId, bool>,
    pub(super) flying: HashMap<Token, Flying>,
    pub(super) envelopes_flying: usize,
    pub(super) answers: Vec<Gone>,
    pub(super) not_before: Duration,
    pub(super) last_envelope: Option<Duration>,
    pub(super) last_answer: Duration,
    pub(super) state_due: Duration,
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
            let is_waiting = !self.flying.is_empty() || matches!(self.phase, Phase::Connecting);
            if is_waiting && now >= self.last_answer + SILENT_BROKER {
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

    pub(super) fn hub_online(&self) -> bool {
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
            return self.last_answer + SILENT_BROKER;
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
                        LinkEvent::Message { topic, payload, .. } if topic == Topic::Ack(self.up.id.clone()).to_string() => {
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
        will: Some((Topic::State(up.id.clone()).to_string(), will.to_vec())),
        topics: vec![Topic::Ack(up.id.clone()).to_string(), Topic::State(up.id.clone()).to_string(), Topic::ALL_HUB_STATES.to_owned()],
    }
}
