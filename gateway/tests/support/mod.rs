//! What the tests of the gateway share: a real mosquitto of their own, a small hub, and an outbox with its uplink.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod captures;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use passage_config::Mqtt;
use passage_gateway::{
    Change,
    clock::Keeper,
    health::Health,
    outbox::{Batch, Outbox},
    uplink::Uplink,
};
use passage_protocol::{
    Ack, Clock, Envelope, Event, Gone, Hello, HubState, Millis, Phase, Rid, Seq, SeqSet, Signal, Strength, Subject, Topic, VERSION, Zone,
    sign::{Pinned, Signing},
};
use rumqttc::v5::{AsyncClient, Event as MqttEvent, Incoming, MqttOptions, mqttbytes::QoS};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A mosquitto of its own on a free port; killed when dropped.
pub struct Mosquitto {
    pub port: u16,
    child: Option<Child>,
    dir: TempDir,
    /// Who may do what, as lines of its configuration.
    rights: String,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::start_with("allow_anonymous true\n", &[])
    }

    /// With these lines about rights and the files that they name.
    pub fn start_with(rights: &str, files: &[(&str, &str)]) -> Self {
        // Somebody else may take the free port before mosquitto does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut broker = Self { port, child: None, dir: TempDir::new().unwrap(), rights: rights.to_owned() };
            for (name, text) in files {
                let path = broker.dir.path().join(name);
                std::fs::write(&path, text).unwrap();
                broker.rights = broker.rights.replace(name, &path.display().to_string());
            }
            if broker.try_start() {
                return broker;
            }
        }
        panic!("mosquitto does not start");
    }

    /// SIGKILL: sessions and retained messages are lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "mosquitto does not start again");
    }

    pub fn mqtt(&self) -> Mqtt {
        Mqtt::plain("127.0.0.1", self.port)
    }

    fn try_start(&mut self) -> bool {
        let config = self.dir.path().join("mosquitto.conf");
        let text = format!("user {}\nlistener {} 127.0.0.1\n{}persistence false\nmax_queued_messages 0\n", user(), self.port, self.rights);
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let child = Command::new(mosquitto()).arg("-c").arg(&config).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if self.child.as_mut().is_some_and(|c| c.try_wait().unwrap().is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn mosquitto() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join("mosquitto"))
        .find(|file| file.is_file())
        .expect("these tests need the mosquitto broker: install it, for example with `apt-get install mosquitto`")
}

/// mosquitto gives up root unless it is told to stay who it is.
fn user() -> String {
    let out = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The key of the hub that the gateway trusts.
pub fn hub_key() -> Signing {
    Signing::from_bytes(&[7; 32])
}

/// What a small hub has received.
#[derive(Debug, Default)]
pub struct Received {
    /// By epoch and seq.
    pub events: BTreeMap<(String, Seq), Event>,
    pub gone: Vec<Gone>,
    pub hellos: Vec<Hello>,
    pub envelopes: usize,
    /// Envelopes whose times nobody vouches for.
    pub unsynced: usize,
    /// Messages that came before the first hello on a connection was answered would be here.
    pub forks: usize,
}

/// A hub that stores in memory and acks when `acks` is set.
pub struct FakeHub {
    pub received: Arc<Mutex<Received>>,
    pub acks: Arc<AtomicBool>,
    pub client: AsyncClient,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl FakeHub {
    pub async fn start(port: u16) -> Self {
        Self::with(port, Arc::default(), true).await
    }

    /// A hub on the data of an earlier one.
    pub async fn with(port: u16, received: Arc<Mutex<Received>>, online: bool) -> Self {
        let mut options = MqttOptions::new("hub-test", "127.0.0.1", port);
        options.set_clean_start(true);
        options.set_max_packet_size(Some(256 * 1024));
        let (client, mut events) = AsyncClient::new(options, 100);
        let (acks, stop) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let task = tokio::spawn({
            let (client, received, acks, stop) = (client.clone(), Arc::clone(&received), Arc::clone(&acks), stop.clone());
            async move {
                while !stop.is_cancelled() {
                    match events.poll().await {
                        Ok(MqttEvent::Incoming(Incoming::ConnAck(_))) => {
                            for topic in [Topic::events_shared("hub"), Topic::hellos_shared("hub")] {
                                client.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
                            }
                        }
                        Ok(MqttEvent::Incoming(Incoming::SubAck(_))) => {
                            client.try_publish(hub_topic(), QoS::AtLeastOnce, true, hub_state(online)).unwrap();
                        }
                        Ok(MqttEvent::Incoming(Incoming::Publish(p))) => {
                            let topic: Topic = std::str::from_utf8(&p.topic).unwrap().parse().unwrap();
                            if let Some(ack) = store(&received, &topic, &p.payload).filter(|_| acks.load(Ordering::SeqCst)) {
                                client
                                    .try_publish(Topic::Ack(ack.gateway.clone()).to_string(), QoS::AtLeastOnce, false, ack.to_vec())
                                    .unwrap();
                            }
                        }
                        Ok(_) => {}
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            }
        });
        Self { received, acks, client, stop, task: Some(task) }
    }

    pub fn stop_acks(&self) {
        self.acks.store(false, Ordering::SeqCst);
    }

    /// Seqs of an epoch that arrived.
    pub fn seqs(&self, epoch: &str) -> Vec<Seq> {
        self.received.lock().unwrap().events.keys().filter(|k| k.0 == epoch).map(|k| k.1).collect()
    }

    pub fn count(&self) -> usize {
        self.received.lock().unwrap().events.len()
    }

    /// Publishes any bytes to the ack topic of the test gateway.
    pub async fn publish_ack(&self, bytes: Vec<u8>) {
        let topic = Topic::Ack(gateway()).to_string();
        self.client.publish(topic, QoS::AtLeastOnce, false, bytes).await.unwrap();
    }

    pub async fn publish_state(&self, online: bool) {
        self.client.publish(hub_topic(), QoS::AtLeastOnce, true, hub_state(online)).await.unwrap();
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

fn hub_topic() -> String {
    Topic::HubState("hub-test".parse().unwrap()).to_string()
}

fn hub_state(online: bool) -> Vec<u8> {
    HubState { v: VERSION, hub: "hub-test".parse().unwrap(), boot: "b".into(), online, at: Millis(0), version: "test".into() }.to_vec()
}

/// Stores a message and makes the ack that answers it.
fn store(received: &Mutex<Received>, topic: &Topic, payload: &[u8]) -> Option<Ack> {
    let mut r = received.lock().unwrap();
    let (gateway, epoch) = match topic {
        Topic::Event(_) => {
            let envelope = Envelope::from_slice(payload).unwrap();
            r.envelopes += 1;
            r.unsynced += usize::from(!envelope.synced);
            for event in envelope.events {
                let key = (envelope.epoch.clone(), event.seq);
                let id = event.id;
                if r.events.insert(key, event).is_some_and(|before| before.id != id) {
                    r.forks += 1;
                }
            }
            r.gone.extend(envelope.gone);
            (envelope.gateway, envelope.epoch)
        }
        Topic::Hello(_) => {
            let hello = Hello::from_slice(payload).unwrap();
            r.hellos.push(hello.clone());
            (hello.gateway, hello.epoch)
        }
        _ => return None,
    };
    let mut stored: SeqSet = r.events.keys().filter(|k| k.0 == epoch).map(|k| k.1).collect();
    for gone in &r.gone {
        stored.insert(gone.range);
    }
    let max = stored.ranges().last().map_or(0, |r| r.to);
    Some(Ack::signed(gateway, epoch, max, stored.missing_up_to(max), 1_000, &hub_key()))
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub fn gateway() -> passage_protocol::GatewayId {
    "gw-lyon-1".parse().unwrap()
}

/// The `n`-th event of a test: everything in it tells `n`.
pub fn change(n: u64) -> Change {
    let at = Millis(1_795_000_000_000 + i64::try_from(n).unwrap() * 1_000);
    Change {
        store: "lyon".parse().unwrap(),
        zone: Zone::In,
        subject: Subject::Rid { rid: Rid(n.to_be_bytes()), hint: 0 },
        signal: Signal::Beacon,
        phase: Phase::Enter,
        at,
        first: at,
        last: at,
        strength: Strength::Radio { rssi: -60, count: 3 },
        initial: false,
        late: false,
    }
}

pub fn batch(numbers: impl IntoIterator<Item = u64>) -> Batch {
    Batch { changes: numbers.into_iter().map(change).collect(), ..Batch::default() }
}

pub fn bounds() -> passage_config::Outbox {
    passage_config::Outbox {
        commit_within: Duration::from_millis(5),
        max_bytes: 100_000_000,
        max_age: Duration::from_secs(7 * 86_400),
        backlog_spread: Duration::ZERO,
    }
}

pub fn clock() -> Clock {
    Clock::stepped(Millis(1_795_000_000_000))
}

/// An outbox with its writer.
pub struct Box1 {
    pub outbox: Outbox,
    pub health: Arc<Health>,
    writer: Option<JoinHandle<()>>,
}

impl Box1 {
    pub async fn open(dir: &Path) -> Self {
        Self::open_with(dir, bounds()).await
    }

    pub async fn open_with(dir: &Path, bounds: passage_config::Outbox) -> Self {
        Self::open_as(dir, bounds, Keeper::new(clock())).await
    }

    /// On a clock of its own.
    pub async fn open_at(dir: &Path, keeper: Keeper) -> Self {
        Self::open_as(dir, bounds(), keeper).await
    }

    async fn open_as(dir: &Path, bounds: passage_config::Outbox, keeper: Keeper) -> Self {
        let health = Arc::new(Health::default());
        let (outbox, writer) = Outbox::open(dir, &bounds, keeper, Arc::clone(&health)).await.unwrap();
        Self { outbox, health, writer: Some(tokio::spawn(writer.run(CancellationToken::new()))) }
    }

    /// The program stops in order.
    pub async fn close(mut self) {
        self.outbox.close().await;
        self.writer.take().unwrap().await.unwrap();
    }

    /// The program is killed: nothing more is written.
    pub async fn crash(mut self) {
        let writer = self.writer.take().unwrap();
        writer.abort();
        let _ = writer.await;
    }
}

/// An uplink on an outbox.
pub struct Up {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Up {
    pub fn start(b: &Box1, mqtt: Mqtt) -> Self {
        Self::start_at(b, mqtt, Keeper::new(clock()))
    }

    pub fn start_at(b: &Box1, mqtt: Mqtt, keeper: Keeper) -> Self {
        let uplink = Uplink {
            id: gateway(),
            mqtt,
            hub_keys: Pinned::from_base64([hub_key().public().as_str()]).unwrap(),
            outbox: b.outbox.clone(),
            spread: Duration::ZERO,
            keeper,
            health: Arc::clone(&b.health),
            boot: hex::encode(rand::random::<[u8; 4]>()),
            started: Instant::now(),
            down: passage_gateway::uplink::Downlink::new().0,
            site_from_hub: false,
        };
        let stop = CancellationToken::new();
        Self { stop: stop.clone(), task: tokio::spawn(uplink.run(stop)) }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Cuts the connection without a word.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Waits until something holds; fails after a minute.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
