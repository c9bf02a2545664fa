//! The way of an event from a gateway through a real broker into the database, and the ack back.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use passage_config::model::Mqtt;
use passage_hub::{
    args,
    identity::{Keyring, MemberId},
    ingest::{self, HubKeys, Ingest, Parked, Resolve, Who},
    store::{Db, StoreError, work},
};
use passage_protocol::{
    Ack, Clock, Envelope, Event, GatewayId, Gone, GoneReason, Hello, HubState, Millis, Phase, SeqRange, Signal, StoreId, Strength, Subject,
    Topic, Zone, sign::Pinned,
};
use rumqttc::v5::{
    AsyncClient, Event as MqttEvent, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use support::{Broker, both, both_fresh, hub_config, postgres_only, site, until};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

const NOW: Millis = Millis(1_795_166_400_000);

/// Knows the installations that it was told of.
#[derive(Default)]
struct Known(Mutex<Vec<(String, Who)>>);

impl Known {
    fn learn(&self, installation: &str, who: Who) {
        self.0.lock().unwrap().push((installation.to_owned(), who));
    }
}

#[async_trait]
impl Resolve for Known {
    fn who(&self, subject: &Subject, _: Millis, _: &StoreId) -> Who {
        let Subject::Installation(id) = subject else { return Who::Unknown };
        self.0.lock().unwrap().iter().find(|(known, _)| known == id.as_str()).map_or(Who::Unknown, |(_, who)| *who)
    }

    async fn refresh(&self, _: &Db, _: Millis) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A running hub, as far as ingest goes.
struct Hub {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    keys: HubKeys,
    known: Arc<Known>,
    clock: Clock,
    // Ingest watches it.
    _config: watch::Sender<Arc<passage_config::HubConfig>>,
}

impl Hub {
    async fn start(id: &str, db: &Db, mqtt: Mqtt) -> Self {
        let keys = HubKeys::load_or_create(db, &Keyring::from_secret(&[7; 32]), NOW).await.unwrap();
        let (sender, config) = watch::channel(Arc::new(hub_config(id, mqtt, site(&["lyon"]))));
        let (known, clock, stop) = (Arc::new(Known::default()), Clock::stepped(NOW), CancellationToken::new());
        let wake = Arc::new(Notify::new());
        let resolver: Arc<dyn Resolve> = known.clone();
        let ingest = Ingest { db: db.clone(), keys: keys.clone(), config, clock: clock.clone(), resolver, wake };
        let task = tokio::spawn(ingest.run(stop.clone()));
        Self { stop, task, keys, known, clock, _config: sender }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.task).await.expect("the hub stops").unwrap();
    }
}

/// A gateway without an outbox: it says what the test tells it to say.
struct Gateway {
    id: GatewayId,
    client: AsyncClient,
    acks: mpsc::Receiver<Ack>,
    hub_states: watch::Receiver<Option<bool>>,
    poller: tokio::task::JoinHandle<()>,
    pinned: Pinned,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Gateway {
    /// Connects and waits until a hub is online.
    async fn start(id: &str, broker: &Broker, hub: &Hub) -> Self {
        let mut options = MqttOptions::new(format!("gateway-{id}"), "127.0.0.1", broker.port);
        options.set_max_packet_size(Some(1 << 20));
        options.set_keep_alive(Duration::from_secs(5));
        let (client, mut events) = AsyncClient::new(options, 100);
        let id: GatewayId = id.parse().unwrap();
        let (heard, acks) = mpsc::channel(1000);
        let (online, hub_states) = watch::channel(None);
        let own = Topic::Ack(id.clone()).to_string();
        let subscriber = client.clone();
        let poller = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {
                        subscriber.try_subscribe(own.as_str(), QoS::AtLeastOnce).unwrap();
                        subscriber.try_subscribe(Topic::ALL_HUB_STATES, QoS::AtLeastOnce).unwrap();
                    }
                    Ok(MqttEvent::Incoming(Packet::Publish(publish))) if publish.topic == own.as_bytes() => {
                        let _ = heard.send(Ack::from_slice(&publish.payload).unwrap()).await;
                    }
                    Ok(MqttEvent::Incoming(Packet::Publish(publish))) => {
                        online.send_replace(Some(HubState::from_slice(&publish.payload).unwrap().online));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        let pinned = Pinned::from_base64(hub.keys.public().iter().map(String::as_str)).unwrap();
        let mut gateway = Self { id, client, acks, hub_states, poller, pinned };
        gateway.wait_hub(true).await;
        gateway
    }

    async fn wait_hub(&mut self, online: bool) {
        let wait = self.hub_states.wait_for(|state| *state == Some(online));
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the hub's state").unwrap();
    }

    async fn say(&self, payload: Vec<u8>) {
        self.client.publish(Topic::Event(self.id.clone()).to_string(), QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    async fn send(&self, events: Vec<Event>) {
        self.say(self.envelope(events).to_vec()).await;
    }

    fn envelope(&self, events: Vec<Event>) -> Envelope {
        let mut envelope = Envelope::new(self.id.clone(), "e1".to_owned(), "b1".to_owned());
        envelope.sent_at = NOW;
        envelope.events = events;
        envelope
    }

    /// The first verified ack that speaks of `max`, within 10 s.
    async fn ack_up_to(&mut self, max: u64) -> Ack {
        let wanted = async {
            loop {
                let ack = self.acks.recv().await.unwrap();
                assert_eq!(ack.verify(&self.pinned), Ok(()));
                assert_eq!(ack.gateway, self.id);
                if ack.max == max {
                    return ack;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wanted).await.unwrap_or_else(|_| panic!("no ack up to {max}"))
    }

    async fn no_ack(&mut self) {
        let ack = tokio::time::timeout(Duration::from_millis(400), self.acks.recv()).await;
        assert!(ack.is_err(), "there must be no ack, but there is {ack:?}");
    }
}

/// The event with this number; always the same one.
fn event(seq: u64) -> Event {
    Event {
        id: uuid::Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 + u128::from(seq)),
        seq,
        store: "lyon".parse().unwrap(),
        zone: Zone::In,
        subject: Subject::Installation("app-1".parse().unwrap()),
        signal: Signal::App,
        phase: Phase::Enter,
        at: NOW,
        mono: 1000,
        first: NOW,
        last: NOW,
        strength: Strength::App,
        initial: false,
        late: false,
    }
}

fn range(from: u64, to: u64) -> SeqRange {
    SeqRange { from, to }
}

async fn number(db: &Db, sql: &'static str) -> i64 {
    db.fetch(sql, args![]).await.unwrap()[0].int(0).unwrap()
}

async fn reasons(db: &Db) -> Vec<String> {
    let rows = db.fetch("SELECT reason FROM quarantine ORDER BY id", args![]).await.unwrap();
    rows.iter().map(|row| row.text(0).unwrap()).collect()
}

#[tokio::test]
async fn every_event_counts_once_and_the_ack_says_which_are_stored() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;

        gateway.send(vec![event(2), event(1), event(3)]).await;
        let ack = gateway.ack_up_to(3).await;
        assert_eq!((ack.epoch.as_str(), ack.backlog_rate, ack.missing.len()), ("e1", 50, 0));

        // The same again, alone and together with a new one that leaves a hole.
        gateway.send(vec![event(3)]).await;
        gateway.send(vec![event(1), event(1), event(6)]).await;
        assert_eq!(gateway.ack_up_to(6).await.missing, [range(4, 5)]);
        let account = ingest::missing(&db).await.unwrap();
        assert_eq!((account.len(), account[0].stored, account[0].max), (1, 4, 6));
        assert_eq!(account[0].missing, [range(4, 5)]);

        // One was late, the other will never come.
        gateway.send(vec![event(5)]).await;
        assert_eq!(gateway.ack_up_to(6).await.missing, [range(4, 4)]);
        let mut gone = gateway.envelope(vec![]);
        gone.gone = vec![Gone { range: range(4, 4), reason: GoneReason::Evicted }];
        gateway.say(gone.to_vec()).await;
        assert_eq!(gateway.ack_up_to(6).await.missing, []);
        let account = ingest::missing(&db).await.unwrap();
        assert_eq!((account[0].stored, account[0].missing.len()), (5, 0));
        assert_eq!(account[0].gone, gone.gone);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 5);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM quarantine").await, 0);
        hub.stop().await;
        gateway.wait_hub(false).await;
    })
    .await;
}

#[tokio::test]
async fn a_hello_is_answered_with_what_the_hub_knows() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        let hello = |epoch: &str| Hello::new("lyon-1".parse().unwrap(), epoch.to_owned(), 1, 9, "b1".to_owned()).to_vec();
        let topic = Topic::Hello(gateway.id.clone()).to_string();
        let client = gateway.client.clone();
        let say = async |epoch: &str| client.publish(&topic, QoS::AtLeastOnce, false, hello(epoch)).await.unwrap();

        say("e1").await;
        assert_eq!(gateway.acks.recv().await.map(|ack| (ack.max, ack.missing.len())), Some((0, 0)));
        gateway.send(vec![event(1), event(2), event(4)]).await;
        gateway.ack_up_to(4).await;
        say("e1").await;
        assert_eq!(gateway.ack_up_to(4).await.missing, [range(3, 3)]);
        say("e2").await;
        assert_eq!(gateway.ack_up_to(0).await.epoch, "e2");
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_fork_goes_into_quarantine_and_its_epoch_gets_no_ack() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        let mut other = Gateway::start("lyon-2", &broker, &hub).await;
        gateway.send(vec![event(1), event(2)]).await;
        gateway.ack_up_to(2).await;

        let forked = Event { id: uuid::Uuid::from_u128(77), ..event(2) };
        gateway.send(vec![event(3), forked]).await;
        until("the fork is in quarantine", async || reasons(&db).await.len() == 1).await;
        assert!(reasons(&db).await[0].contains("fork"));
        gateway.no_ack().await;
        // Nothing of the envelope was taken, and what comes later is stored but not acked.
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 2);
        gateway.send(vec![event(3)]).await;
        until("the event is stored", async || number(&db, "SELECT COUNT(*) FROM event").await == 3).await;
        gateway.no_ack().await;
        assert!(ingest::missing(&db).await.unwrap()[0].forked);

        other.send(vec![Event { id: uuid::Uuid::from_u128(78), ..event(1) }]).await;
        other.ack_up_to(1).await;
        // An id that was used under another key would be lost silently; it is put aside instead.
        other.send(vec![Event { seq: 2, id: uuid::Uuid::from_u128(78), ..event(1) }]).await;
        until("it is in quarantine", async || reasons(&db).await.len() == 2).await;
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 4);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_gateway_sends_again_in_a_new_epoch_counts_once_and_is_acked() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1), event(2)]).await;
        gateway.ack_up_to(2).await;
        // An old copy of its outbox: two events that the hub has, and one that it has not, under new numbers.
        let renumbered = |seq: u64, of: u64| Event { seq, ..event(of) };
        let events = vec![renumbered(1, 2), renumbered(2, 3), renumbered(3, 1)];
        gateway.say(Envelope { epoch: "another".to_owned(), ..gateway.envelope(events) }.to_vec()).await;
        gateway.ack_up_to(3).await;
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 3);
        assert!(reasons(&db).await.is_empty());
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_versions_of_one_seq_in_one_batch_are_a_fork_of_the_later_one() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1), event(2)]).await;
        gateway.send(vec![event(3), Event { id: uuid::Uuid::from_u128(77), ..event(1) }]).await;
        until("the fork is in quarantine", async || reasons(&db).await.len() == 1).await;
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 2);
        gateway.acks.close();
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn one_id_for_two_seqs_of_one_batch_is_put_aside_and_never_said_to_be_stored() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1), Event { id: event(1).id, ..event(2) }]).await;
        until("the envelope is in quarantine", async || reasons(&db).await.len() == 1).await;
        assert!(reasons(&db).await[0].contains("under another seq"));
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 0);
        gateway.acks.close();
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn bad_payloads_are_put_aside_with_their_reason_and_the_stream_goes_on() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;

        gateway.send(vec![event(1)]).await;
        gateway.say(b"{\"v\":1,\"gateway\":\"a secret".to_vec()).await;
        gateway.say(vec![b'x'; 100_000]).await;
        gateway.say(Envelope { gateway: "lyon-2".parse().unwrap(), ..gateway.envelope(vec![event(9)]) }.to_vec()).await;
        gateway.say(Envelope { v: 9, ..gateway.envelope(vec![event(9)]) }.to_vec()).await;
        gateway.client.publish("passage/v1/gateway/AB/event", QoS::AtLeastOnce, false, "{}").await.unwrap();
        // Single events that can be read are put aside alone, and count as delivered: repeating them would mend nothing.
        let future = Millis(NOW.0 + 25 * 3_600_000);
        let elsewhere = Event { store: "atlantis".parse().unwrap(), ..event(4) };
        gateway.send(vec![event(2), Event { at: future, ..event(3) }, elsewhere]).await;
        gateway.send(vec![event(5)]).await;

        assert_eq!(gateway.ack_up_to(5).await.missing, []);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 3);
        let reasons = reasons(&db).await;
        for wanted in
            ["ends too early", "100000 bytes", "another gateway", "version 9", "not a topic", "24 h ahead", "not in the configuration"]
        {
            assert_eq!(reasons.iter().filter(|r| r.contains(wanted)).count(), 1, "{wanted} in {reasons:?}");
        }
        assert_eq!(reasons.len(), 7);
        assert!(reasons.iter().all(|r| !r.contains("secret") && !r.contains("atlantis")));
        assert_eq!(number(&db, "SELECT COUNT(*) FROM quarantine WHERE size = 100000 AND LENGTH(raw) = 65536").await, 1);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn known_members_get_work_strangers_wait_and_those_who_said_no_leave_no_row() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let (anna, bert) = (MemberId(65), MemberId(3));
        hub.known.learn("app-anna", Who::Member(anna));
        hub.known.learn("app-no", Who::Refused);
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        let of = |seq, app: &str| Event { subject: Subject::Installation(app.parse().unwrap()), ..event(seq) };
        gateway.send(vec![of(1, "app-anna"), of(2, "app-no"), of(3, "app-bert"), of(4, "app-late")]).await;
        assert_eq!(gateway.ack_up_to(4).await.missing, []);

        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 3);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event WHERE subject IS NOT NULL AND member IS NULL").await, 2);
        assert_eq!(work::due_shards(&db, NOW).await.unwrap(), [anna.shard()]);

        // Her app is linked later; hers is the only event that moves.
        hub.known.learn("app-bert", Who::Member(bert));
        let parked = Parked { db: db.clone(), resolver: hub.known.clone(), clock: hub.clock.clone(), wake: Arc::new(Notify::new()) };
        assert_eq!(parked.step().await.unwrap(), 1);
        assert_eq!(parked.step().await.unwrap(), 0);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event WHERE member = 3 AND subject IS NULL").await, 1);
        assert_eq!(work::due_shards(&db, NOW).await.unwrap(), [anna.shard(), bert.shard()]);
        let mut tx = db.begin_read().await.unwrap();
        let todos = work::take(&mut tx, bert.shard(), NOW, 10).await.unwrap();
        let stored = passage_hub::store::ingest::event(&mut tx, &todos[0].reference).await.unwrap().unwrap();
        drop(tx);
        assert_eq!((stored.seq, stored.member, stored.zone, stored.strength), (3, Some(bert), Zone::In, Strength::App));
        assert_eq!((stored.at, stored.at_corrected, stored.last), (NOW, NOW, NOW));

        // What nobody claims is forgotten after 48 h, and cannot be claimed any more. Its key stays.
        hub.clock.set(Millis(NOW.0 + 48 * 3_600_000));
        hub.known.learn("app-late", Who::Member(MemberId(9)));
        assert_eq!(parked.step().await.unwrap(), 0);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 2);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event WHERE subject IS NOT NULL").await, 0);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event_key").await, 4);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_unresolved_event_of_somebody_who_says_no_is_deleted_at_once() {
    both(async |db| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1)]).await;
        gateway.ack_up_to(1).await;
        hub.known.learn("app-1", Who::Refused);
        let parked = Parked { db: db.clone(), resolver: hub.known.clone(), clock: hub.clock.clone(), wake: Arc::new(Notify::new()) };
        assert_eq!(parked.step().await.unwrap(), 0);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM event").await, 0);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_acked_while_the_database_is_away_and_everything_is_stored_afterwards() {
    postgres_only(async |fresh| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &fresh.db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1)]).await;
        gateway.ack_up_to(1).await;

        fresh.allow_connections(false).await;
        fresh.cut_connections().await;
        for seq in 2..=20 {
            gateway.send(vec![event(seq)]).await;
        }
        // It says that it cannot commit, so that gateways hold and another hub gets the messages.
        gateway.wait_hub(false).await;
        gateway.no_ack().await;

        fresh.allow_connections(true).await;
        gateway.wait_hub(true).await;
        // What was in the hub's hands is stored now; the gateway's outbox repeats the rest.
        for seq in 2..=20 {
            gateway.send(vec![event(seq)]).await;
        }
        assert_eq!(gateway.ack_up_to(20).await.missing, []);
        assert_eq!(number(&fresh.db, "SELECT COUNT(*) FROM event").await, 20);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_cut_in_the_middle_lose_nothing() {
    postgres_only(async |fresh| {
        let broker = Broker::start();
        let hub = Hub::start("hub-1", &fresh.db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        for round in 0..5_u64 {
            for seq in 1..=40 {
                gateway.send(vec![event(round * 40 + seq)]).await;
                if seq == 20 {
                    fresh.cut_connections().await;
                }
            }
        }
        assert_eq!(gateway.ack_up_to(200).await.missing, []);
        assert_eq!(number(&fresh.db, "SELECT COUNT(*) FROM event").await, 200);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_hub_comes_back_after_the_broker_was_killed() {
    both_fresh(async |fresh| {
        let mut broker = Broker::start();
        let hub = Hub::start("hub-1", &fresh.db, broker.config()).await;
        let mut gateway = Gateway::start("lyon-1", &broker, &hub).await;
        gateway.send(vec![event(1)]).await;
        gateway.ack_up_to(1).await;
        gateway.hub_states.mark_unchanged();
        broker.kill_and_restart();
        // The new broker knows nothing, so a state that arrives now was published now.
        tokio::time::timeout(Duration::from_secs(60), gateway.hub_states.changed()).await.expect("the hub is online again").unwrap();
        gateway.send(vec![event(2)]).await;
        gateway.ack_up_to(2).await;
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_hubs_share_the_messages_and_the_count_is_exact() {
    postgres_only(async |fresh| {
        let broker = Broker::start();
        let second = Db::open(&fresh.url).await.unwrap();
        let hubs = [Hub::start("hub-1", &fresh.db, broker.config()).await, Hub::start("hub-2", &second, broker.config()).await];
        assert_eq!(hubs[0].keys.public(), hubs[1].keys.public());
        let mut gateway = Gateway::start("lyon-1", &broker, &hubs[0]).await;
        // Every event twice, so that both hubs meet the same keys at the same time.
        for seq in 1..=150 {
            gateway.send(vec![event(seq), event(151 - seq)]).await;
        }
        until("all are stored", async || number(&fresh.db, "SELECT COUNT(*) FROM event").await == 150).await;
        assert_eq!(gateway.ack_up_to(150).await.gateway, gateway.id);
        let account = ingest::missing(&fresh.db).await.unwrap();
        assert_eq!((account[0].stored, account[0].missing.len(), account[0].forked), (150, 0, false));
        assert!(reasons(&fresh.db).await.is_empty());
        for hub in hubs {
            hub.stop().await;
        }
        second.close().await;
    })
    .await;
}

#[tokio::test]
async fn hubs_that_start_together_sign_with_one_key_and_another_key_file_is_refused() {
    both(async |db| {
        let ring = Keyring::from_secret(&[7; 32]);
        let (one, two) = tokio::join!(HubKeys::load_or_create(&db, &ring, NOW), HubKeys::load_or_create(&db, &ring, NOW));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.public(), one.public().len()), (two.public(), 1));
        assert_eq!(one.signing().public(), one.public()[0]);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM hub_key").await, 1);
        let error = HubKeys::load_or_create(&db, &Keyring::from_secret(&[8; 32]), NOW).await.unwrap_err().to_string();
        assert!(error.contains("key file"), "{error}");
    })
    .await;
}
