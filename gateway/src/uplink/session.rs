//! One connection from CONNACK to its loss: its states, and what is done in each.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use passage_protocol::{Ack, GatewayState, Gone, Hello, HubId, Millis, Seq, Topic};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Downlink, Uplink,
    link::{Link, LinkEvent, LinkOptions, Token},
    sieve::Sieve,
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

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// We said good-bye.
    Stopped,
    /// We left, to be handed out again what the broker retains.
    Again,
    /// The connection is gone.
    Lost(String),
}

/// What a message in flight carries.
#[derive(Debug)]
pub(super) enum Flying {
    Envelope { seqs: Vec<Seq>, gone: Vec<Gone> },
    Other,
}

/// The states of a connection, in their order. A hub that comes back leads to `Greeting` again: what was sent meanwhile may have reached nobody.
#[derive(Debug)]
pub(super) enum Phase {
    /// Until all subscriptions stand.
    Connecting,
    /// Until a hub has answered the hello that was last said at this time.
    Greeting { said: Option<Duration> },
    /// Sending to hubs that are online.
    Sending(Box<Window>),
    /// No hub is online: events are held, and one envelope now and then is tried in case that is wrong.
    Holding(Box<Window>),
}

impl Phase {
    /// The window of a state that has one.
    pub(super) fn window(&mut self) -> Option<&mut Window> {
        match self {
            Self::Sending(window) | Self::Holding(window) => Some(window),
            Self::Connecting | Self::Greeting { .. } => None,
        }
    }
}

/// A connection and what is known and owed on it.
pub(super) struct Session<'a> {
    pub(super) up: &'a Uplink,
    pub(super) sieve: &'a mut Sieve,
    pub(super) link: Link,
    pub(super) phase: Phase,
    /// The epoch that the connection speaks of.
    pub(super) epoch: String,
    pub(super) window: usize,
    pub(super) max_packet: usize,
    pub(super) hubs: BTreeMap<HubId, bool>,
    pub(super) flying: HashMap<Token, Flying>,
    pub(super) envelopes_flying: usize,
    pub(super) envelopes_taken: u64,
    pub(super) others_taken: u64,
    pub(super) answers: Vec<Gone>,
    pub(super) not_before: Duration,
    pub(super) last_envelope: Option<Duration>,
    pub(super) last_answer: Duration,
    pub(super) state_due: Duration,
}

impl<'a> Session<'a> {
    pub fn new(up: &'a Uplink, sieve: &'a mut Sieve) -> Self {
        let now = up.now();
        Self {
            up,
            sieve,
            link: Link::connect(&options(up)),
            phase: Phase::Connecting,
            epoch: up.outbox.ledger().epoch().to_owned(),
            window: 1,
            max_packet: usize::MAX,
            hubs: BTreeMap::new(),
            flying: HashMap::new(),
            envelopes_flying: 0,
            envelopes_taken: 0,
            others_taken: 0,
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
            self.step().await;
            let now = self.up.now();
            let is_waiting = !self.flying.is_empty() || matches!(self.phase, Phase::Connecting);
            if is_waiting && now >= self.last_answer + SILENT_BROKER {
                return self.lost("the broker has answered nothing for 30 s".into()).await;
            }
            let wake = self.next_wake(now).saturating_sub(now).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.farewell().await;
                    return End::Stopped;
                }
                event = self.link.event() => if let LinkEvent::Lost(why) = event {
                    return self.lost(why).await;
                } else {
                    self.handle(event).await;
                },
                () = self.up.down.state.notified() => self.state_due = self.up.now(),
                () = self.up.down.again.notified() => {
                    self.farewell().await;
                    return End::Again;
                }
                changed = progress.changed() => if changed.is_err() {
                    stop.cancelled().await;
                },
                () = time::sleep(wake) => {}
            }
        }
    }

    /// What was in flight may be the reason.
    async fn lost(self, why: String) -> End {
        if self.envelopes_taken == 0 && self.others_taken > 0 {
            let envelopes = self.flying.values().filter_map(|f| if let Flying::Envelope { seqs, .. } = f { Some(seqs) } else { None });
            let flying: Vec<Seq> = envelopes.flatten().copied().collect();
            if let Some(seq) = self.sieve.lost(&flying) {
                self.up.bury(seq, "the broker closes the connection over it").await;
            }
        }
        End::Lost(why)
    }

    pub(super) fn hub_online(&self) -> bool {
        self.hubs_online() > 0
    }

    pub(super) fn hubs_online(&self) -> usize {
        self.hubs.values().filter(|online| **online).count()
    }

    /// Does what is due in the present state.
    async fn step(&mut self) {
        self.follow_epoch();
        let now = self.up.now();
        match self.phase {
            Phase::Connecting => {}
            Phase::Greeting { said } => self.greet(said, now).await,
            Phase::Sending(_) => self.send_all(now).await,
            Phase::Holding(_) => self.hold(now).await,
        }
    }

    /// The outbox may have opened, or begun a new epoch, meanwhile: then everything begins anew.
    pub(super) fn follow_epoch(&mut self) {
        let epoch = self.up.outbox.ledger().epoch().to_owned();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.leave_epoch();
        }
    }

    /// State `Greeting`: say who we are, and again when nobody answers.
    async fn greet(&mut self, said: Option<Duration>, now: Duration) {
        self.tell_state(now).await;
        let is_due = said.is_none_or(|at| now >= at + self.hello_again());
        let hello = {
            let ledger = self.up.outbox.ledger();
            (is_due && ledger.is_known())
                .then(|| Hello::new(self.up.id.clone(), ledger.epoch().to_owned(), ledger.first(), ledger.next(), self.up.boot.clone()))
        };
        if let Some(hello) = hello {
            self.phase = Phase::Greeting { said: Some(now) };
            self.publish(&Topic::Hello(self.up.id.clone()), false, hello.to_vec(), Flying::Other);
        }
    }

    fn hello_again(&self) -> Duration {
        if self.hub_online() { HELLO_AGAIN } else { TRIAL }
    }

    /// State `Sending`: as many envelopes as may be in flight.
    async fn send_all(&mut self, now: Duration) {
        self.tell_state(now).await;
        while self.may_send(now) && self.send(now).await {}
    }

    /// State `Holding`: one envelope a minute.
    async fn hold(&mut self, now: Duration) {
        self.tell_state(now).await;
        if self.may_send(now) {
            self.send(now).await;
        }
    }

    /// Our own state, when it is due, and with it how our radio and our positions do.
    async fn tell_state(&mut self, now: Duration) {
        if now >= self.state_due {
            self.state_due = now + STATE_AGAIN;
            let (state, counters) = (self.up.state(true).await, self.up.counters());
            let topic = Topic::State(self.up.id.clone()).to_string();
            let token = self.link.publish_with(&topic, true, state.to_vec(), counters);
            self.takes_off(token, Flying::Other);
        }
    }

    fn may_send(&self, now: Duration) -> bool {
        self.envelopes_flying < self.in_flight() && now >= self.send_from()
    }

    /// How many envelopes may be in flight.
    fn in_flight(&self) -> usize {
        if self.sieve.is_careful() { 1 } else { self.window }
    }

    /// The earliest time of the next envelope.
    fn send_from(&self) -> Duration {
        let is_holding = matches!(self.phase, Phase::Holding(_));
        let trial = self.last_envelope.filter(|_| is_holding).map_or(Duration::ZERO, |at| at + TRIAL);
        trial.max(self.not_before)
    }

    pub(super) fn publish(&mut self, topic: &Topic, retain: bool, payload: Vec<u8>, what: Flying) -> bool {
        let token = self.link.publish(&topic.to_string(), retain, payload);
        self.takes_off(token, what)
    }

    /// Notes what is in flight; false if nothing is, because the pipe is full.
    fn takes_off(&mut self, token: Option<Token>, what: Flying) -> bool {
        let Some(token) = token else { return false };
        if self.flying.is_empty() {
            self.last_answer = self.up.now();
        }
        self.envelopes_flying += usize::from(matches!(what, Flying::Envelope { .. }));
        self.flying.insert(token, what);
        true
    }

    fn next_wake(&self, now: Duration) -> Duration {
        let silence = if self.flying.is_empty() { Duration::MAX } else { self.last_answer + SILENT_BROKER };
        let due = match &self.phase {
            Phase::Connecting => return self.last_answer + SILENT_BROKER,
            Phase::Greeting { .. } if !self.up.outbox.ledger().is_known() => Duration::MAX,
            Phase::Greeting { said } => said.map_or(now, |at| at + self.hello_again()),
            Phase::Sending(window) | Phase::Holding(window) => self.next_envelope(window, now),
        };
        due.min(self.state_due).min(silence)
    }

    fn next_envelope(&self, window: &Window, now: Duration) -> Duration {
        if self.envelopes_flying >= self.in_flight() {
            return Duration::MAX;
        }
        let due = if self.answers.is_empty() { window.next_due(self.up.outbox.ledger().held(), now) } else { Some(now) };
        let held_back = self.send_from();
        // Before that time even new rows wait, and nothing else would wake us for them.
        let waiting = (held_back > now).then_some(held_back);
        due.map(|d| d.max(held_back)).into_iter().chain(waiting).min().unwrap_or(Duration::MAX)
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
        at: Millis(up.keeper.clock().now().0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backlog: 0,
        oldest_ms: 0,
        site_revision: 0,
        flags: Vec::new(),
        commands: Vec::new(),
    };
    let mut topics = vec![Topic::Ack(up.id.clone()).to_string(), Topic::State(up.id.clone()).to_string(), Topic::ALL_HUB_STATES.to_owned()];
    topics.extend(Downlink::topics(&up.id, up.site_from_hub));
    LinkOptions {
        mqtt: up.mqtt.clone(),
        client: up.id.to_string(),
        will: Some((Topic::State(up.id.clone()).to_string(), will.to_vec())),
        topics,
        session: None,
    }
}
