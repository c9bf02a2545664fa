//! What hubs tell gateways on the topics that the broker retains, and by commands: two hubs on one database, a broker that forgets, gateways that are
//! not listed or were revoked, and commands to gateways that were not there.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use passage_config::{HubConfig, SiteGateway};
use passage_hub::{
    args,
    identity::Keyring,
    ingest::{HubKeys, Ingest, Resolve, Who},
    store::{Db, StoreError, gateway, quarantine, site as table},
};
use passage_protocol::{
    Clock, GatewayId, GatewayState, Millis, RadioCounters, RadioRestarts, StoreId, Subject, Topic,
    sign::Pinned,
    site::{Action, Command, SiteManifest},
};
use rumqttc::v5::{
    AsyncClient, Event as MqttEvent, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{Packet, PublishProperties},
    },
};
use support::{Broker, Fresh, both_fresh, hub_config, site, until};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

const NOW: Millis = Millis(1_795_166_400_000);
const LYON: &str = "gw-lyon";
const PARIS: &str = "gw-paris";

struct Nobody;

#[async_trait]
impl Resolve for Nobody {
    fn who(&self, _: &Subject, _: Millis, _: &StoreId) -> Who {
        Who::Unknown
    }

    async fn refresh(&self, _: &Db, _: Millis) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A hub, as far as ingest goes, with a configuration that can be changed.
struct Hub {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    keys: HubKeys,
    clock: Clock,
    config: watch::Sender<Arc<HubConfig>>,
}

impl Hub {
    /// On a connection of its own to the database.
    async fn start(id: &str, url: &str, broker: &Broker, applied: i64, listed: &[&str]) -> Self {
        let db = Db::open(url).await.unwrap();
        let keys = HubKeys::load_or_create(&db, &Keyring::from_secret(&[7; 32]), NOW).await.unwrap();
        let (clock, stop) = (Clock::stepped(NOW), CancellationToken::new());
        let (sender, config) = watch::channel(Arc::new(config(id, broker, applied, listed)));
        let ingest =
            Ingest { db, keys: keys.clone(), config, clock: clock.clone(), resolver: Arc::new(Nobody), wake: Arc::new(Notify::new()) };
        Self { task: tokio::spawn(ingest.run(stop.clone())), stop, keys, clock, config: sender }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.task).await.expect("the hub stops").unwrap();
    }
}

fn config(id: &str, broker: &Broker, applied: i64, listed: &[&str]) -> HubConfig {
    let mut site = site(&["lyon"]);
    let gateway = SiteGateway { store: Some("lyon".parse().unwrap()), presence: Default::default(), geofence: Default::default() };
    site.gateways = listed.iter().map(|id| (id.parse().unwrap(), gateway.clone())).collect();
    HubConfig { applied, ..hub_config(id, broker.config(), site) }
}

/// What is retained and what is said now, as a newcomer to the broker hears it.
struct Listener {
    client: AsyncClient,
    heard: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>,
    poller: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Listener {
    fn start(broker: &Broker) -> Self {
        let mut options = MqttOptions::new(format!("listener-{:x}", rand::random::<u64>()), "127.0.0.1", broker.port);
        options.set_max_packet_size(Some(1 << 20));
        options.set_keep_alive(Duration::from_secs(5));
        let (client, mut events) = AsyncClient::new(options, 100);
        let heard: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>> = Arc::default();
        let (subscriber, notes) = (client.clone(), heard.clone());
        let poller = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {
                        subscriber.try_subscribe("passage/v1/gateway/+/site/#", QoS::AtLeastOnce).unwrap();
                        subscriber.try_subscribe("passage/v1/gateway/+/command", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(MqttEvent::Incoming(Packet::Publish(p))) => {
                        let topic = String::from_utf8_lossy(&p.topic).into_owned();
                        notes.lock().unwrap().entry(topic).or_default().push(p.payload.to_vec());
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Self { client, heard, poller }
    }

    /// Publishes a gateway's state as a gateway with a radio does.
    async fn say_state(&self, state: &GatewayState, radio: &str) {
        let topic = Topic::State(state.gateway.clone()).to_string();
        let user_properties = vec![("other".to_owned(), "1".to_owned()), (RadioCounters::PROPERTY.to_owned(), radio.to_owned())];
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, true, state.to_vec(), properties).await.unwrap();
    }

    fn all(&self, topic: &Topic) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().get(&topic.to_string()).cloned().unwrap_or_default()
    }

    /// The manifest of the moment, if there is one and its part is there too.
    fn manifest(&self, gateway: &str) -> Option<SiteManifest> {
        let manifest = self.all(&Topic::SiteManifest(id(gateway))).pop().filter(|payload| !payload.is_empty())?;
        let manifest = SiteManifest::from_slice(&manifest).unwrap();
        let part = self.all(&Topic::SitePart(id(gateway), manifest.revision, 0)).pop()?;
        (!part.is_empty()).then_some(manifest)
    }
}

fn id(text: &str) -> GatewayId {
    text.parse().unwrap()
}

fn pinned(hub: &Hub) -> Pinned {
    Pinned::from_base64(hub.keys.public().iter().map(String::as_str)).unwrap()
}

async fn applied(db: &Db, revision: i64) {
    let sql = "INSERT INTO config_revision (revision, applied_at, sha256, files, key_id, signature) VALUES ($1, $2, '', '', '', '')";
    db.execute(sql, args![revision, NOW]).await.unwrap();
}

async fn revoke(db: &Db, gateway: &str) {
    let sql = "INSERT INTO fleet_gateway (gateway, position, barred, changed_at) VALUES ($1, 0, 1, $2)";
    db.execute(sql, args![gateway, NOW]).await.unwrap();
}

async fn order(fresh: &Fresh, hub: &Hub, gateway: &str, now: Millis) -> String {
    let command = Command {
        v: 1,
        gateway: id(gateway),
        id: uuid::Uuid::now_v7(),
        expires: now + Duration::from_secs(600),
        action: Action::ReportState,
        key: String::new(),
        sig: String::new(),
    };
    table::order(&fresh.db, &command.clone().signed(hub.keys.signing()), now).await.unwrap();
    command.id.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_forgot_is_told_again_and_who_is_not_listed_any_more_or_was_revoked_is_told_nothing() {
    both_fresh(async |fresh| {
        let mut broker = Broker::start();
        applied(&fresh.db, 1).await;
        let first = Hub::start("hub-1", &fresh.url, &broker, 1, &[LYON, PARIS]).await;
        let second = Hub::start("hub-2", &fresh.url, &broker, 1, &[LYON, PARIS]).await;
        let listener = Listener::start(&broker);
        until("both sites are there", async || listener.manifest(LYON).is_some() && listener.manifest(PARIS).is_some()).await;
        let before = listener.manifest(LYON).unwrap();
        assert_eq!(before.verify(&pinned(&second)), Ok(()), "the hubs sign with one key");
        assert_eq!((before.revision, before.gateway.as_str()), (1, LYON));

        broker.kill_and_restart();
        let listener = Listener::start(&broker);
        until("the broker was told again", async || listener.manifest(LYON).is_some() && listener.manifest(PARIS).is_some()).await;
        assert_eq!(listener.manifest(LYON).unwrap(), before, "both hubs say the same, byte for byte");

        // Paris is listed no more; nothing of it stays with the broker.
        applied(&fresh.db, 2).await;
        for (hub, name) in [(&first, "hub-1"), (&second, "hub-2")] {
            hub.config.send_replace(Arc::new(config(name, &broker, 2, &[LYON])));
        }
        let gone = async |gateway: &'static str| {
            until("its manifest and its part are taken away", async || {
                let newcomer = Listener::start(&broker);
                tokio::time::sleep(Duration::from_millis(300)).await;
                let left = newcomer.heard.lock().unwrap().keys().filter(|topic| topic.contains(gateway)).count();
                left == 0
            })
            .await;
        };
        gone(PARIS).await;
        assert!(listener.manifest(LYON).is_some(), "the other one keeps its own");

        revoke(&fresh.db, LYON).await;
        gone(LYON).await;
        first.stop().await;
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_repeated_until_its_gateway_answers_or_it_expires_and_a_revoked_one_gets_none() {
    both_fresh(async |fresh| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &fresh.url, &broker, 0, &[]).await;
        let listener = Listener::start(&broker);
        revoke(&fresh.db, PARIS).await;
        let taken = order(fresh, &hub, LYON, NOW).await;
        let refused = order(fresh, &hub, PARIS, NOW).await;
        let topic = Topic::Command(id(LYON));
        until("it is published", async || listener.all(&topic).len() == 1).await;
        assert_eq!(table::reach(&fresh.db, &taken).await.unwrap(), table::Reach::Published);
        hub.clock.set(NOW + Duration::from_secs(16));
        until("it is published again", async || listener.all(&topic).len() == 2).await;
        assert_eq!(listener.all(&topic)[0], listener.all(&topic)[1]);

        // Another gateway cannot answer for it.
        for (name, at) in [(PARIS, 1), (LYON, 2)] {
            assert_eq!(table::reach(&fresh.db, &taken).await.unwrap(), table::Reach::Published);
            let state = GatewayState {
                v: 1,
                gateway: id(name),
                boot: "b1".to_owned(),
                online: true,
                at: NOW + Duration::from_secs(at),
                version: "0".to_owned(),
                backlog: 0,
                oldest_ms: 0,
                site_revision: 0,
                flags: vec![],
                commands: vec![taken.parse().unwrap()],
            };
            listener.client.publish(Topic::State(id(name)).to_string(), QoS::AtLeastOnce, true, state.to_vec()).await.unwrap();
        }
        until("the answer is known", async || table::reach(&fresh.db, &taken).await.unwrap() == table::Reach::Answered).await;
        let late = order(fresh, &hub, LYON, NOW + Duration::from_secs(16)).await;
        hub.clock.set(NOW + Duration::from_secs(60));
        until("the next one is published", async || {
            listener.all(&topic).iter().any(|payload| Command::from_slice(payload).unwrap().id.to_string() == late)
        })
        .await;
        let of_first = listener.all(&topic).iter().filter(|p| Command::from_slice(p).unwrap().id.to_string() == taken).count();
        assert_eq!(of_first, 2, "what was answered is not repeated");
        assert_eq!(listener.all(&Topic::Command(id(PARIS))).len(), 0, "a revoked gateway is told nothing");
        assert_eq!(table::reach(&fresh.db, &refused).await.unwrap(), table::Reach::Waiting);
        hub.stop().await;
    })
    .await;
}

fn state(at: Millis, boot: &str) -> GatewayState {
    GatewayState {
        v: 1,
        gateway: id(LYON),
        boot: boot.to_owned(),
        online: true,
        at,
        version: "0".to_owned(),
        backlog: 0,
        oldest_ms: 0,
        site_revision: 0,
        flags: vec![],
        commands: vec![],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_of_a_radio_are_known_beside_the_state_of_the_same_run() {
    both_fresh(async |fresh| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &fresh.url, &broker, 0, &[]).await;
        let client = Listener::start(&broker);
        let publish = async |topic: Topic, payload: Vec<u8>| {
            client.client.publish(topic.to_string(), QoS::AtLeastOnce, true, payload).await.unwrap();
        };
        let known = async || gateway::all(&fresh.db).await.unwrap().into_iter().find(|g| g.gateway == id(LYON));
        // A gateway of before them: its state stands alone.
        publish(Topic::State(id(LYON)), state(NOW, "b1").to_vec()).await;
        until("the state is known", async || known().await.is_some_and(|g| g.state.is_some_and(|s| s.online))).await;
        assert_eq!(known().await.unwrap().radio, None);

        let restarts = RadioRestarts { scan: 2, connection: 1, daemon: 0 };
        let radio = RadioCounters {
            adverts: 900,
            adverts_10s: 382,
            sightings: 70,
            sightings_10s: 11,
            silent_ms: 40,
            queued: 3,
            dropped: 17,
            restarts,
        };
        let said = async |state: GatewayState, radio: &str| client.say_state(&state, radio).await;
        let text = |radio: RadioCounters| String::from_utf8(radio.to_vec()).unwrap();
        said(state(NOW + Duration::from_secs(5), "b1"), &text(radio)).await;
        until("the radio is known", async || known().await.is_some_and(|g| g.radio == Some(radio))).await;

        // An older word counts no more, and counters that cannot be read spoil no state.
        said(state(NOW, "b1"), &text(RadioCounters { dropped: 0, ..radio })).await;
        said(GatewayState { backlog: 7, ..state(NOW + Duration::from_secs(6), "b1") }, "{").await;
        until("the state is known", async || known().await.unwrap().state.unwrap().backlog == 7).await;
        assert_eq!(known().await.unwrap().radio, Some(radio));

        // It was started anew and has not told of its radio yet: what is known is of the run before.
        publish(Topic::State(id(LYON)), state(NOW + Duration::from_secs(9), "b2").to_vec()).await;
        until("the new run is known", async || known().await.unwrap().radio.is_none()).await;
        assert_eq!(quarantine::count(&fresh.db).await.unwrap(), 0);
        hub.stop().await;
    })
    .await;
}
