//! The way to the hub: the broker lets us in, lets us read and write our topics, and a hub answers.

use std::{io, time::Duration};

use passage_config::GatewayConfig;
use passage_protocol::{Ack, Hello, HubState, Topic, sign::Pinned};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    enrol,
    outbox::look::Look,
    uplink::link::{Link, LinkEvent, LinkOptions, Outcome},
};

mod judge;

pub(super) use judge::{judge_broker, judge_hub, judge_hub_clock, judge_hub_key, judge_rights};

/// A broker answers at once or not at all.
const ANSWER: Duration = Duration::from_secs(5);
/// A hub answers a hello within this.
const HUB_ANSWER: Duration = Duration::from_secs(3);
/// Retained messages come right behind the subscription.
const RETAINED: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody listens.
    Refused,
    /// No answer on the network.
    TimedOut,
    /// The name or the network is unknown.
    Network(String),
    /// The port is open, but what is there does not answer as MQTT 5.
    NotMqtt,
    /// The broker refuses the connection, in its words.
    NotLetIn(String),
    /// The broker refuses a subscription, in its words.
    MayNotRead(String),
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// Why there is no connection, or how far it came.
    pub fault: Option<Fault>,
    /// What the broker made of our hello; `None` when there was none to say, or no answer.
    pub hello: Option<Outcome>,
    /// A hello was said.
    pub said_hello: bool,
    /// What the hubs say of themselves.
    pub hubs: Vec<HubState>,
    /// Time until a hub answered the hello, and whether a pinned key signed the answer.
    pub answer: Option<(Duration, bool)>,
}

/// Connects beside the running gateway, under a name of its own, and says the hello that a gateway with this outbox says: a hub answers it
/// with what it has stored, and nothing changes.
pub(super) async fn gather(config: &GatewayConfig, look: Option<&Look>) -> Facts {
    match reach(config).await {
        Ok(()) => {}
        Err(fault) => return Facts { fault: Some(fault), ..Facts::default() },
    }
    let id = &config.id;
    let link = Link::connect(&LinkOptions {
        mqtt: config.mqtt.clone(),
        client: format!("{id}-doctor"),
        will: None,
        topics: vec![Topic::Ack(id.clone()).to_string(), Topic::State(id.clone()).to_string(), Topic::ALL_HUB_STATES.to_owned()],
        session: None,
    });
    let trusted = enrol::hub_keys(config);
    let mut talk = Talk { link, keys: Pinned::from_base64(trusted.iter().map(String::as_str)).ok(), facts: Facts::default(), said: None };
    talk.facts.fault = talk.begin().await.err();
    if talk.facts.fault.is_none() {
        if let Some(look) = look {
            let hello = Hello::new(id.clone(), look.epoch.clone(), look.first, look.next, "doctor".to_owned());
            talk.facts.said_hello = talk.link.publish(&Topic::Hello(id.clone()).to_string(), false, hello.to_vec()).is_some();
        }
        talk.listen().await;
    }
    talk.link.disconnect().await;
    talk.facts
}

/// Opens a TCP connection to the broker, or to the proxy in front of it, and closes it.
async fn reach(config: &GatewayConfig) -> Result<(), Fault> {
    let mqtt = &config.mqtt;
    let place = mqtt.proxy.as_ref().map_or((mqtt.host.as_str(), mqtt.port), |proxy| (proxy.host.as_str(), proxy.port));
    match timeout(ANSWER, TcpStream::connect(place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Err(Fault::Refused),
        Ok(Err(e)) if e.kind() == io::ErrorKind::TimedOut => Err(Fault::TimedOut),
        Ok(Err(e)) => Err(Fault::Network(e.to_string())),
        Err(_) => Err(Fault::TimedOut),
    }
}

/// One connection.
struct Talk {
    link: Link,
    keys: Option<Pinned>,
    facts: Facts,
    said: Option<Instant>,
}

impl Talk {
    /// Waits until the broker has let us in and the subscriptions stand.
    async fn begin(&mut self) -> Result<(), Fault> {
        let mut is_in = false;
        let until = Instant::now() + ANSWER;
        loop {
            match timeout_at(until, self.link.event()).await {
                Ok(LinkEvent::Connected { .. }) => is_in = true,
                Ok(LinkEvent::Subscribed) => return Ok(()),
                Ok(LinkEvent::Lost(why)) if is_in => return Err(Fault::MayNotRead(why)),
                Ok(LinkEvent::Lost(why)) => return Err(Fault::NotLetIn(why)),
                Ok(_) => {}
                Err(_) => return Err(Fault::NotMqtt),
            }
        }
    }

    /// Takes in what is retained and what answers the hello.
    async fn listen(&mut self) {
        let begin = Instant::now();
        self.said = self.facts.said_hello.then_some(begin);
        let until = begin + if self.facts.said_hello { HUB_ANSWER } else { RETAINED };
        while let Ok(event) = timeout_at(until, self.link.event()).await {
            match event {
                LinkEvent::Answered(_, outcome) => self.facts.hello = Some(outcome),
                LinkEvent::Message { topic, payload, .. } => self.take(&topic, &payload),
                LinkEvent::Lost(_) => {
                    // mosquitto 2.0 closes the connection of a client that writes what it may not, before its answer is read.
                    self.facts.hello = self.facts.hello.or(self.facts.said_hello.then_some(Outcome::Refused));
                    return;
                }
                LinkEvent::Connected { .. } | LinkEvent::Subscribed => {}
            }
            let is_told = self.facts.hello.is_some() && self.facts.answer.is_some() && !self.facts.hubs.is_empty();
            let is_hopeless = matches!(self.facts.hello, Some(Outcome::Nobody | Outcome::Refused)) && begin.elapsed() >= RETAINED;
            if is_told || is_hopeless {
                return;
            }
        }
    }

    fn take(&mut self, topic: &str, payload: &[u8]) {
        match topic.parse() {
            Ok(Topic::HubState(_)) => self.facts.hubs.extend(HubState::from_slice(payload)),
            Ok(Topic::Ack(_)) => {
                let is_believed = |ack: &Ack| self.keys.as_ref().is_some_and(|keys| ack.verify(keys).is_ok());
                if let (Some(said), Ok(ack)) = (self.said, Ack::from_slice(payload)) {
                    self.facts.answer = Some((said.elapsed(), is_believed(&ack)));
                }
            }
            _ => {}
        }
    }
}
