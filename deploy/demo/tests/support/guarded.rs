//! A fleet with its own authority, and the real mosquitto with the configuration that the hub makes for it.

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use passage_config::{Fleet as Settings, Mqtt, Tls, TlsFiles, TlsPair, Transport};
use passage_hub::{
    fleet::{Watch, Wish, invite, machine_ms, revoke},
    identity::Keyring,
    ingest::HubKeys,
    store::Db,
};
use passage_protocol::{GatewayId, Millis, fleet::Machine};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming,
    mqttbytes::{
        QoS,
        v5::{Filter, PubAckReason},
    },
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::free_port;

/// mosquitto as the hub configures it, on one port of 127.0.0.1.
pub struct Guarded {
    pub port: u16,
    pub folder: PathBuf,
    child: Option<Child>,
}

impl Guarded {
    /// Starts it with the files in `folder`, on 127.0.0.1 instead of everywhere.
    pub fn start(folder: PathBuf, port: u16) -> Self {
        let mut broker = Self { port, folder, child: None };
        broker.restart();
        broker
    }

    /// Starts it anew with the files as they are now.
    pub fn restart(&mut self) {
        self.stop();
        let conf = std::fs::read_to_string(self.folder.join("passage.conf")).unwrap();
        let conf = conf.replace(" 0.0.0.0\n", " 127.0.0.1\n").replace("persistence true", "persistence false\nuser root");
        // The port that only the other transport has would clash between tests.
        let conf = if conf.contains(" 8883 ") || conf.contains("listener 8883") {
            conf.replace("listener 8883", &format!("listener {}", free_port()))
        } else {
            conf
        };
        std::fs::write(self.folder.join("test.conf"), conf).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("mosquitto.log")).unwrap();
        let program =
            ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|p| PathBuf::from(p).is_file());
        let child = Command::new(program.expect("mosquitto is not installed; deploy/test installs it"))
            .arg("-c")
            .arg(self.folder.join("test.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "mosquitto did not open its port: {}", self.words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the files in without a restart (SIGHUP).
    pub fn reload(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// Does what the units in deploy/systemd do: whenever the files of rights or revocations change, mosquitto is told. Until the guard is dropped.
    pub fn reload_on_change(&self) -> Reloads {
        let (folder, id) = (self.folder.clone(), self.child.as_ref().unwrap().id().to_string());
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let read = move || ["acl", "ca.crl", "broker.crt"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default());
        let mut before = read();
        let watch = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(50)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let now = read();
                if now != before {
                    let _ = Command::new("kill").args(["-HUP", &id]).status();
                    before = now;
                }
            }
        });
        Reloads(Some(stop), Some(watch))
    }

    pub fn words(&self) -> String {
        std::fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default()
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A watch over the broker's files.
pub struct Reloads(Option<std::sync::mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Drop for Reloads {
    fn drop(&mut self) {
        drop(self.0.take());
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("the last words of mosquitto:\n{}", self.words());
        }
    }
}

/// A fleet without processes but the broker.
pub struct Fleet {
    pub folder: TempDir,
    pub broker: Guarded,
    pub watch: Watch,
    keyring: Keyring,
    keys: HubKeys,
}

impl Fleet {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("hub.db").display())).await.unwrap();
        let keyring = Keyring::from_secret(&[7; 32]);
        let keys = HubKeys::load_or_create(&db, &keyring, Millis(0)).await.unwrap();
        let port = free_port();
        let settings = Settings {
            listen: "127.0.0.1:1".parse().unwrap(),
            url: "https://127.0.0.1:1".into(),
            broker: "127.0.0.1".into(),
            port,
            transport: Transport::Tcp,
            broker_files: None,
            hubs: vec!["hub-1".parse().unwrap()],
        };
        let watch = Watch { db, authority: keys.authority().clone(), fleet: settings };
        let files = folder.path().join("broker");
        watch.write(&files).await.unwrap();
        let broker = Guarded::start(files, port);
        Self { folder, broker, watch, keyring, keys }
    }

    /// Enrols a gateway; its files are where [`Fleet::mqtt`] looks.
    pub async fn enrol(&self, id: &str) {
        let gateway: GatewayId = id.parse().unwrap();
        let wish = Wish { gateway: gateway.clone(), store: None, position: false, replace: false };
        let (db, authority) = (&self.watch.db, self.keys.authority());
        invite(db, &self.keyring, authority, "https://127.0.0.1:1", wish, rand::random(), machine_ms()).await.unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let issued = authority.issue(&Machine { gateway: gateway.clone(), number: 1 }, &csr, machine_ms()).unwrap();
        let sql = "INSERT INTO fleet_certificate (serial, gateway, ends_at) VALUES ($1, $2, $3)";
        let values = passage_hub::args![issued.certificate.serial.as_str(), id, issued.certificate.not_after * 1_000];
        db.execute(sql, values).await.unwrap();
        self.keep(id, &issued.pem, &key.serialize_pem());
    }

    /// Puts a certificate and a key where [`Fleet::mqtt`] looks for those of `name`.
    pub fn keep(&self, name: &str, cert: &str, key: &str) {
        std::fs::write(self.folder.path().join(format!("{name}.crt")), cert).unwrap();
        std::fs::write(self.folder.path().join(format!("{name}.key")), key).unwrap();
    }

    /// The way to the broker with the certificate of `name`.
    pub fn mqtt(&self, name: Option<&str>) -> Mqtt {
        let file = |name: &str, end: &str| self.folder.path().join(format!("{name}.{end}"));
        let own = name.map(|name| TlsPair { cert: file(name, "crt"), key: file(name, "key") });
        let mut mqtt = Mqtt::plain("127.0.0.1", self.broker.port);
        mqtt.tls = Some(Tls::Files(TlsFiles { ca: self.broker.folder.join("ca.crt"), own }));
        mqtt
    }

    /// A client with the certificate of `name` and any client id.
    pub async fn client(&self, name: &str, id: &str) -> Result<Client, String> {
        let options = passage_transport::options(&self.mqtt(Some(name)), id, None).unwrap();
        Client::connect(options).await
    }

    /// The hub.
    pub async fn hub(&self) -> Client {
        let mut mqtt = self.mqtt(None);
        mqtt.tls = Some(Tls::Fleet);
        let identity = self.keys.authority().identity(&"hub-1".parse().unwrap(), machine_ms()).unwrap();
        Client::connect(passage_transport::options(&mqtt, "passage-hub-hub-1-test", Some(&identity)).unwrap()).await.unwrap()
    }

    pub fn share(&self) -> &str {
        self.keys.share()
    }

    pub async fn revoke(&self, id: &str) {
        revoke(&self.watch.db, &id.parse().unwrap(), machine_ms()).await.unwrap();
        self.watch.write(&self.broker.folder).await.unwrap();
    }
}

/// A client of the broker that a test steers by hand.
pub struct Client {
    client: AsyncClient,
    events: EventLoop,
    pub heard: Vec<(String, Vec<u8>)>,
}

/// Longest wait for an answer of the broker.
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    pub async fn connect(mut options: rumqttc::v5::MqttOptions) -> Result<Self, String> {
        options.set_clean_start(true);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut events) = AsyncClient::new(options, 32);
        match timeout(PATIENCE, events.poll()).await.map_err(|e| e.to_string())? {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Ok(Self { client, events, heard: Vec::new() }),
            Ok(other) => Err(format!("{other:?}")),
            Err(e) => Err(e.to_string()),
        }
    }

    async fn next(&mut self) -> Result<Incoming, String> {
        loop {
            match timeout(PATIENCE, self.events.poll()).await.map_err(|_| "no answer".to_owned())? {
                Ok(Event::Incoming(Incoming::Publish(p))) => {
                    self.heard.push((String::from_utf8_lossy(&p.topic).into_owned(), p.payload.to_vec()));
                    return Ok(Incoming::Publish(p));
                }
                Ok(Event::Incoming(incoming)) => return Ok(incoming),
                Ok(Event::Outgoing(_)) => {}
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// Subscribes, and waits for the broker's answer. Mosquitto takes every subscription and looks at each message instead.
    pub async fn subscribe(&mut self, filters: &[&str]) {
        self.client.try_subscribe_many(filters.iter().map(|f| Filter::new(*f, QoS::AtLeastOnce))).unwrap();
        while !matches!(self.next().await.unwrap(), Incoming::SubAck(_)) {}
    }

    /// Publishes; true if the broker took it, false if it refused or ended the connection.
    pub async fn publish(&mut self, topic: &str, payload: &str) -> bool {
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload.as_bytes().to_vec()).unwrap();
        loop {
            match self.next().await {
                Ok(Incoming::PubAck(ack)) => return matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers),
                Ok(Incoming::Disconnect(_)) | Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    /// Waits until a message with this payload has come.
    pub async fn hears(&mut self, payload: &str) {
        while !self.heard.iter().any(|(_, p)| p == payload.as_bytes()) {
            self.next().await.unwrap_or_else(|e| panic!("{payload} did not come: {e}"));
        }
    }

    /// Everything that has come when the broker has answered a ping that was sent behind it.
    pub async fn all_heard(&mut self, own: &str) -> Vec<(String, Vec<u8>)> {
        // Messages on a connection keep their order: what is heard of our own word comes behind everything that was there before.
        self.publish(own, "mark").await;
        std::mem::take(&mut self.heard)
    }
}
