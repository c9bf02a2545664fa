//! One MQTT connection. The only file that knows rumqttc, so a change of client is a change of this file.
//!
//! rumqttc is used as a pipe and nothing more: clean start unless a [`Session`] is asked for, and a new client and event loop for every connection, because its memory of unsent
//! messages is dropped without a word when the broker has lost the session, and because some of its state errors never heal. A task of its own
//! polls the event loop and does nothing else; cancelling a poll could leave a publish that is marked in flight but was never written.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use passage_config::Mqtt;
use passage_transport::Unreachable;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Filter, LastWill, PubAckReason, Publish, PublishProperties, SubscribeReasonCode},
    },
};
use tokio::sync::mpsc;

/// Largest packet that is read.
const MAX_PACKET: u32 = 256 * 1024;
/// rumqttc's table of messages in flight; its default would take 13 MiB.
const TABLE: u16 = 100;
/// Messages of a kept session that may wait for our acknowledgement at once.
const UNACKNOWLEDGED: u16 = 1_000;
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Names a published message until the broker answers it.
pub type Token = u64;

/// Whom to connect to, and what the broker says when we vanish.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// Broker.
    pub mqtt: Mqtt,
    /// Begin of the client id; what follows cannot be guessed, so that nobody else can push this connection out by taking its id.
    pub client: String,
    /// Topic and payload of the last will, if there is one; it is retained.
    pub will: Option<(String, Vec<u8>)>,
    /// What to subscribe to as soon as the connection stands.
    pub topics: Vec<String>,
    /// What the broker keeps for us while we are away; `None`: nothing.
    pub session: Option<Session>,
}

/// A session that outlives the connection: messages that were published meanwhile, or that we have not acknowledged, come when we are back.
#[derive(Debug, Clone)]
pub struct Session {
    /// End of the client id: always the same, and nobody else can guess it.
    pub name: String,
    /// For how long the broker keeps it.
    pub expiry: Duration,
}

/// Names a message until we acknowledge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt(u16);

/// What the broker made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it. That is not delivery.
    Taken,
    /// Nobody subscribes to the topic: it was dropped.
    Nobody,
    /// Refused: not authorised, quota, or the like.
    Refused,
}

/// What happens on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The broker let us in; at most so many messages may be in flight.
    Connected {
        /// Our window: half of what both sides allow, so that a packet id is free when its turn comes again.
        window: usize,
        /// Largest packet that the broker takes.
        max_packet: usize,
    },
    /// All subscriptions stand.
    Subscribed,
    /// The broker answered a message.
    Answered(Token, Outcome),
    /// A message came in.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
        /// The broker's copy of a message that was published before the subscription.
        retained: bool,
        /// In a kept session: the broker sends the message again until this is acknowledged.
        receipt: Option<Receipt>,
    },
    /// The connection is over; this link is of no more use.
    Lost(String),
}

/// A connection. Dropping it closes the socket without a farewell, so the broker publishes the will.
#[derive(Debug)]
pub struct Link {
    client: AsyncClient,
    events: mpsc::Receiver<LinkEvent>,
    waiting: Arc<Mutex<VecDeque<Token>>>,
    next_token: Token,
    poller: tokio::task::JoinHandle<()>,
}

impl Link {
    /// Begins to connect. What comes of it is told by [`Link::event`].
    pub fn connect(options: &LinkOptions) -> Self {
        let (tell, events) = mpsc::channel(256);
        let (mqtt, refused) = match settings(options) {
            Ok(mqtt) => (mqtt, None),
            // Told as a loss, because files may be there at the next try.
            Err(e) => (MqttOptions::new("", "", 0), Some(LinkEvent::Lost(e.to_string()))),
        };
        let (client, event_loop) = AsyncClient::new(mqtt, usize::from(TABLE + UNACKNOWLEDGED));
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        let poller = Poller {
            event_loop,
            client: client.clone(),
            topics: options.topics.clone(),
            tell,
            waiting: Arc::clone(&waiting),
            in_flight: HashMap::new(),
            keeps: options.session.is_some(),
        };
        let poller = tokio::spawn(async move {
            match refused {
                Some(why) => drop(poller.tell.send(why).await),
                None => poller.run().await,
            }
        });
        Self { client, events, waiting, next_token: 1, poller }
    }

    /// The next event. After [`LinkEvent::Lost`] there is none.
    pub async fn event(&mut self) -> LinkEvent {
        self.events.recv().await.unwrap_or_else(|| LinkEvent::Lost("the connection has ended".into()))
    }

    /// Publishes at QoS 1; `None` when the pipe is full for now.
    pub fn publish(&mut self, topic: &str, retain: bool, payload: Vec<u8>) -> Option<Token> {
        self.publish_with(topic, retain, payload, Vec::new())
    }

    /// The same, with user properties.
    pub fn publish_with(&mut self, topic: &str, retain: bool, payload: Vec<u8>, user: Vec<(String, String)>) -> Option<Token> {
        // The token is in the queue before the poller can see the message, because the poller waits for this lock.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let properties = PublishProperties { user_properties: user, ..PublishProperties::default() };
        self.client.try_publish_with_properties(topic, QoS::AtLeastOnce, retain, payload, properties).ok()?;
        let token = self.next_token;
        self.next_token += 1;
        waiting.push_back(token);
        Some(token)
    }

    /// Tells the broker that it may forget a message.
    pub fn acknowledge(&self, receipt: Receipt) {
        let mut message = Publish::new("", QoS::AtLeastOnce, Vec::new(), None);
        message.pkid = receipt.0;
        // There is room for all that may be unacknowledged; where it fails, the connection is over, and the message comes again.
        let _ = self.client.try_ack(&message);
    }

    /// Says good-bye, so that the broker does not publish the will.
    pub async fn disconnect(mut self) {
        let _ = self.client.try_disconnect();
        let gone = async { while !matches!(self.event().await, LinkEvent::Lost(_)) {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), gone).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

fn settings(options: &LinkOptions) -> Result<MqttOptions, Unreachable> {
    let name = options.session.as_ref().map_or_else(|| format!("{:016x}", rand::random::<u64>()), |s| s.name.clone());
    let client = format!("{}-{name}", options.client);
    let mut mqtt = passage_transport::options(&options.mqtt, &client, None)?;
    mqtt.set_clean_start(options.session.is_none());
    if let Some(session) = &options.session {
        mqtt.set_session_expiry_interval(Some(u32::try_from(session.expiry.as_secs()).unwrap_or(u32::MAX)));
        mqtt.set_receive_maximum(Some(UNACKNOWLEDGED));
        mqtt.set_manual_acks(true);
    }
    mqtt.set_keep_alive(KEEP_ALIVE);
    mqtt.set_max_packet_size(Some(MAX_PACKET));
    mqtt.set_outgoing_inflight_upper_limit(TABLE);
    if let Some((topic, payload)) = &options.will {
        mqtt.set_last_will(LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, true, None));
    }
    Ok(mqtt)
}

/// Owns the event loop and polls it; does nothing else.
struct Poller {
    event_loop: EventLoop,
    client: AsyncClient,
    topics: Vec<String>,
    tell: mpsc::Sender<LinkEvent>,
    waiting: Arc<Mutex<VecDeque<Token>>>,
    in_flight: HashMap<u16, Token>,
    /// The session is kept, so messages are acknowledged by who takes them.
    keeps: bool,
}

impl Poller {
    async fn run(mut self) {
        loop {
            let event = match self.event_loop.poll().await {
                Ok(event) => self.translate(event),
                Err(e) => Some(LinkEvent::Lost(e.to_string())),
            };
            let Some(event) = event else { continue };
            let last = matches!(event, LinkEvent::Lost(_));
            if self.tell.send(event).await.is_err() || last {
                return;
            }
        }
    }

    fn translate(&mut self, event: Event) -> Option<LinkEvent> {
        match event {
            Event::Incoming(Incoming::ConnAck(ack)) => {
                let filters = self.topics.iter().map(|t| Filter::new(t, QoS::AtLeastOnce));
                if self.client.try_subscribe_many(filters).is_err() {
                    return Some(LinkEvent::Lost("the subscriptions could not be sent".into()));
                }
                let properties = ack.properties.as_ref();
                let both = properties.and_then(|p| p.receive_max).unwrap_or(TABLE).min(TABLE);
                let max_packet = properties.and_then(|p| p.max_packet_size).unwrap_or(u32::MAX);
                Some(LinkEvent::Connected { window: usize::from(both / 2).max(1), max_packet: max_packet as usize })
            }
            Event::Incoming(Incoming::SubAck(ack)) => {
                let refused = ack.return_codes.iter().any(|c| !matches!(c, SubscribeReasonCode::Success(_)));
                Some(if refused {
                    LinkEvent::Lost(
                        "the broker refused a subscription. Mend: allow this gateway to read its own topics and the hubs' states".into(),
                    )
                } else {
                    LinkEvent::Subscribed
                })
            }
            Event::Outgoing(rumqttc::Outgoing::Publish(pkid)) if pkid != 0 => {
                let token = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                self.in_flight.extend(token.map(|t| (pkid, t)));
                None
            }
            Event::Incoming(Incoming::PubAck(ack)) => {
                let outcome = match ack.reason {
                    PubAckReason::Success => Outcome::Taken,
                    PubAckReason::NoMatchingSubscribers => Outcome::Nobody,
                    _ => Outcome::Refused,
                };
                self.in_flight.remove(&ack.pkid).map(|t| LinkEvent::Answered(t, outcome))
            }
            Event::Incoming(Incoming::Publish(publish)) => {
                let topic = String::from_utf8(publish.topic.to_vec()).ok()?;
                let receipt = (self.keeps && publish.qos == QoS::AtLeastOnce).then_some(Receipt(publish.pkid));
                Some(LinkEvent::Message { topic, payload: publish.payload.to_vec(), retained: publish.retain, receipt })
            }
            Event::Incoming(Incoming::Disconnect(d)) => {
                Some(LinkEvent::Lost(format!("the broker closed the connection: {:?}", d.reason_code)))
            }
            _ => None,
        }
    }
}
