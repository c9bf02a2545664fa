//! The connection to the broker. But for the question of `fleet/standing.rs`, this is the one file of the hub that knows the MQTT client.
//!
//! Each connection has a client and an event loop of its own and a generation number: what was received on an older connection can be stored, but
//! not acked to the broker any more. The client's own resending is never relied on; the gateways' outboxes resend.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use passage_config::model::{Mqtt, Tls};
use passage_protocol::{Clock, HubId, HubState, PositionCounters, RadioCounters, Topic, VERSION};
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Filter, LastWill, Packet, Publish, SubscribeReasonCode},
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use super::pulse::Able;
use crate::fleet::{Authority, machine_ms};

/// Most messages of the broker that wait for our ack.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1000;
/// Larger than the contract allows, so that an oversize payload is seen, refused with a reason and acked.
const MAX_PACKET: u32 = 256 * 1024;
/// Our own limit of unacked publishes; the client's table of the default limit costs 13 MiB.
const IN_FLIGHT: u16 = 100;
/// The broker ends the connection of a hub that hangs after one and a half of it, so that gateways send to another one what this one held.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const REQUESTS: usize = 4096;
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A message from the broker. The broker repeats it on another connection until it is acked.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// What a state says of the radio besides.
    pub(crate) radio: Option<String>,
    /// What a state says of positions besides.
    pub(crate) positions: Option<String>,
    pub(crate) receipt: Receipt,
}

/// What an ack to the broker needs.
#[derive(Debug, Default)]
pub(crate) struct Receipt {
    generation: u64,
    publish: Publish,
}

/// The way out: acks to the broker and messages to gateways. Clones share the connection of the moment.
#[derive(Clone, Default)]
pub(crate) struct Outlet(Arc<Mutex<Option<Connection>>>);

/// What speaks to the broker on one connection.
#[derive(Clone)]
struct Connection {
    generation: u64,
    client: AsyncClient,
    acks: Acks,
}

/// The acks of one connection. Giving one never waits: mosquitto 2.0.11 was seen with thousands of messages unacked whatever [`RECEIVE_MAXIMUM`] says, the
/// client sends one ack for up to ten messages that it reads, and a writer that waited for room in the client's queue would wait for a poller that waits
/// for the writer. There are never more than messages that the broker has sent, each without its payload.
#[derive(Clone)]
struct Acks(mpsc::UnboundedSender<Publish>);

impl Acks {
    /// Acks in the order in which they were given, for as long as the connection stands.
    fn of(client: AsyncClient) -> (Self, impl Future<Output = ()>) {
        let (acks, mut given) = mpsc::unbounded_channel();
        let send = async move {
            while let Some(publish) = given.recv().await {
                // Fails only when the connection ends at this moment, and then there is nothing to ack.
                if client.ack(&publish).await.is_err() {
                    return;
                }
            }
        };
        (Self(acks), send)
    }

    fn give(&self, publish: Publish) {
        let _ = self.0.send(publish);
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").field("connected", &self.now().is_some()).finish()
    }
}

impl Outlet {
    fn now(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, connection: Option<Connection>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// Acks a message to the broker; nothing happens when its connection is gone.
    pub(crate) fn ack(&self, receipt: Receipt) {
        if let Some(now) = self.now().filter(|now| now.generation == receipt.generation) {
            now.acks.give(receipt.publish);
        }
    }

    /// Number of the connection of the moment, if there is one.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.now().map(|now| now.generation)
    }

    /// Publishes with QoS 1. False when there is no connection or it is clogged; the caller keeps the fact and says it again.
    pub(crate) fn publish(&self, topic: &Topic, retain: bool, payload: Vec<u8>) -> bool {
        self.now().is_some_and(|now| now.client.try_publish(topic.to_string(), QoS::AtLeastOnce, retain, payload).is_ok())
    }
}

/// Keeps the hub connected while it is able to commit, and tells everybody whether it is.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) hub: HubId,
    pub(crate) boot: String,
    pub(crate) mqtt: Mqtt,
    /// Makes this hub's certificate with `tls = "fleet"`.
    pub(crate) authority: Authority,
    /// Name under which the hubs share what comes in.
    pub(crate) share: String,
    pub(crate) clock: Clock,
    /// Where messages go.
    pub(crate) heard: mpsc::Sender<Message>,
    pub(crate) outlet: Outlet,
    /// False while the database is away. A hub that cannot commit must not take its share of the messages.
    pub(crate) able: watch::Receiver<Able>,
}

impl Link {
    /// Connects again and again until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = SHORTEST_PAUSE;
        let mut generation = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                able = self.able.wait_for(|able| able.is_able()) => if able.is_err() { return },
            }
            generation += 1;
            let connected = tokio::time::Instant::now();
            let why = self.connection(generation, &stop).await;
            self.outlet.set(None);
            match why {
                End::Stopped => return,
                End::Unable => warn!("left the broker: this hub cannot commit at the moment"),
                End::Lost(why) => {
                    if connected.elapsed() > LONGEST_PAUSE {
                        pause = SHORTEST_PAUSE;
                    }
                    warn!(broker = %self.broker(), %why, "no connection to the broker; trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(jittered(pause)) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.mqtt.host, self.mqtt.port)
    }

    /// One connection, from CONNECT to its end.
    async fn connection(&mut self, generation: u64, stop: &CancellationToken) -> End {
        let options = match self.options() {
            Ok(options) => options,
            Err(e) => return End::Lost(format!("{e:#}")),
        };
        let (client, events) = AsyncClient::new(options, REQUESTS);
        let (acks, send_acks) = Acks::of(client.clone());
        let poller = Poller {
            events,
            connection: Connection { generation, client: client.clone(), acks },
            outlet: self.outlet.clone(),
            heard: self.heard.clone(),
            state: StateTopic { hub: self.hub.clone(), boot: self.boot.clone(), clock: self.clock.clone() },
            broker: self.broker(),
            share: self.share.clone(),
        };
        // Polling must never be cut off half-way, so it has a task of its own.
        let mut task = tokio::spawn(poller.run());
        let _acking = AbortOnDropHandle::new(tokio::spawn(send_acks));
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            // The writer's end is the hub's end.
            unable = self.able.wait_for(|able| !able.is_able()) => if unable.is_ok() { End::Unable } else { End::Stopped },
            lost = &mut task => return End::Lost(lost.unwrap_or_else(|_| "the connection's task ended".to_owned())),
        };
        self.farewell(&client, task).await;
        end
    }

    /// Says offline and disconnects; a broker that does not answer is left alone after a second.
    async fn farewell(&self, client: &AsyncClient, mut task: JoinHandle<String>) {
        let state = StateTopic { hub: self.hub.clone(), boot: self.boot.clone(), clock: self.clock.clone() };
        state.publish(client, false);
        let _ = client.try_disconnect();
        if tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err() {
            task.abort();
        }
    }

    fn options(&self) -> anyhow::Result<MqttOptions> {
        // One for each connection, so it never ends on a hub that runs.
        let identity = match self.mqtt.tls {
            Some(Tls::Fleet) => Some(self.authority.identity(&self.hub, machine_ms())?),
            _ => None,
        };
        // What follows the name cannot be guessed, so that nobody can push this hub out by taking its client id.
        let client = format!("passage-hub-{}-{:016x}", self.hub, rand::random::<u64>());
        let mut options = passage_transport::options(&self.mqtt, &client, identity.as_ref())?;
        options.set_keep_alive(KEEP_ALIVE);
        // A member of a shared subscription that is away must not keep its part: clean start, and the session ends with the connection.
        options.set_clean_start(true);
        options.set_manual_acks(true);
        options.set_receive_maximum(Some(RECEIVE_MAXIMUM));
        options.set_max_packet_size(Some(MAX_PACKET));
        options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
        let state = StateTopic { hub: self.hub.clone(), boot: self.boot.clone(), clock: self.clock.clone() };
        options.set_last_will(LastWill::new(
            Topic::HubState(self.hub.clone()).to_string(),
            state.payload(false),
            QoS::AtLeastOnce,
            true,
            None,
        ));
        Ok(options)
    }
}

enum End {
    Stopped,
    Unable,
    Lost(String),
}

/// The hub's retained state.
#[derive(Debug)]
struct StateTopic {
    hub: HubId,
    boot: String,
    clock: Clock,
}

impl StateTopic {
    fn payload(&self, online: bool) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        HubState { v: VERSION, hub: self.hub.clone(), boot: self.boot.clone(), online, at: self.clock.now(), version }.to_vec()
    }

    fn publish(&self, client: &AsyncClient, online: bool) {
        // A full queue means a dead connection; its will says offline.
        let _ = client.try_publish(Topic::HubState(self.hub.clone()).to_string(), QoS::AtLeastOnce, true, self.payload(online));
    }
}

/// Owns the event loop of one connection and does nothing but poll it.
struct Poller {
    events: EventLoop,
    connection: Connection,
    outlet: Outlet,
    heard: mpsc::Sender<Message>,
    state: StateTopic,
    broker: String,
    share: String,
}

impl Poller {
    /// Polls until the connection ends; returns why it did.
    async fn run(mut self) -> String {
        loop {
            let ended = match self.events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => self.subscribe(),
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) {
                        self.go_online();
                        None
                    } else {
                        Some(
                            "the broker refused the subscriptions; let the hub read passage/v1/# and shared subscriptions of it".to_owned(),
                        )
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.hand_over(publish).await,
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => Some("disconnected".to_owned()),
                Ok(_) => None,
                Err(e) => Some(e.to_string()),
            };
            if let Some(why) = ended {
                return why;
            }
        }
    }

    fn subscribe(&self) -> Option<String> {
        let own = Topic::HubState(self.state.hub.clone()).to_string();
        let filters = [Topic::events_shared(&self.share), Topic::hellos_shared(&self.share), Topic::ALL_STATES.to_owned(), own];
        let filters = filters.map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        self.connection.client.try_subscribe_many(filters).err().map(|e| e.to_string())
    }

    /// Only now do messages arrive, so only now may gateways rely on this hub.
    fn go_online(&self) {
        info!(broker = %self.broker, "connected to the broker");
        self.outlet.set(Some(self.connection.clone()));
        self.state.publish(&self.connection.client, true);
    }

    async fn hand_over(&mut self, mut publish: Publish) -> Option<String> {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let payload = std::mem::take(&mut publish.payload).to_vec();
        if topic == Topic::HubState(self.state.hub.clone()).to_string() {
            // A late will of an earlier connection says offline over our word.
            if HubState::from_slice(&payload).is_ok_and(|state| !state.online) {
                self.state.publish(&self.connection.client, true);
            }
            self.connection.acks.give(publish);
            return None;
        }
        let mut user = publish.properties.take().map(|p| p.user_properties).unwrap_or_default();
        let mut told = |name| user.iter().position(|(known, _)| known == name).map(|i| user.swap_remove(i).1);
        let (radio, positions) = (told(RadioCounters::PROPERTY), told(PositionCounters::PROPERTY));
        let receipt = Receipt { generation: self.connection.generation, publish };
        self.heard.send(Message { topic, payload, radio, positions, receipt }).await.err().map(|_| "the hub is stopping".to_owned())
    }
}

/// Between half and all of `pause`, so that hubs do not come back in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
