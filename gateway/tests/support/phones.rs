//! What the tests of positions share: position gateways on one broker, and phones that speak to them as OwnTracks does.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    net::{TcpListener, UdpSocket},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use crypto_secretbox::{
    Key, Nonce, XSalsa20Poly1305,
    aead::{Aead, KeyInit},
};
use passage_config::{GatewayConfig, Positions, load_gateway};
use passage_gateway::pipeline::{Gateway, GatewayHandle};
use passage_protocol::{Clock, GatewayId, InstallationId, Millis, PositionSecret, PositionToken};
use rumqttc::v5::{AsyncClient, MqttOptions, mqttbytes::QoS};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Mosquitto, hub_key};

/// 2026-11-20 10:00 in Paris.
pub const START: Millis = Millis(1_795_165_200_000);

pub fn secret() -> PositionSecret {
    PositionSecret::new("the secret of hub and position gateways").unwrap()
}

/// A port of 127.0.0.1 that is this process's own: the UDP port of the same number stays bound, and a test takes only a port whose twin is free.
/// It lies below the range that the system takes for outgoing connections, so nobody is on it when a gateway comes back.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if let Ok(twin) = UdpSocket::bind(("127.0.0.1", port))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            std::mem::forget(twin);
            return port;
        }
    }
}

/// A position gateway with its folder; killed when dropped.
pub struct Position {
    pub handle: GatewayHandle,
    pub dir: TempDir,
    pub clock: Clock,
    stop: CancellationToken,
}

fn demo() -> GatewayConfig {
    load_gateway(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo/gateway-position.toml")).unwrap()
}

/// Latitude and longitude of the first store of the demo.
pub fn store() -> (f64, f64) {
    let at = demo().site.stores.values().next().unwrap().at;
    (at.y(), at.x())
}

/// A position gateway of the demo's stores on this broker.
pub fn config(broker: &Mosquitto, id: &str, data: &Path) -> GatewayConfig {
    GatewayConfig {
        id: id.parse().unwrap(),
        data: data.to_owned(),
        mqtt: broker.mqtt(),
        hub_keys: vec![hub_key().public()],
        clock: Clock::stepped(START),
        positions: Positions { secret: Some(secret()), mqtt: true, set_waypoints: false, ..Positions::default() },
        ..demo()
    }
}

impl Position {
    pub async fn start(config: GatewayConfig, dir: TempDir) -> Self {
        let (stop, clock) = (CancellationToken::new(), config.clock.clone());
        Self { handle: Gateway::start(config, None, stop.clone()).await.unwrap(), dir, clock, stop }
    }

    pub async fn alone(broker: &Mosquitto) -> Self {
        let dir = TempDir::new().unwrap();
        Self::start(config(broker, "gw-position", dir.path()), dir).await
    }

    /// One of a group.
    pub async fn member(broker: &Mosquitto, id: &str, group: &BTreeMap<GatewayId, String>) -> Self {
        let dir = TempDir::new().unwrap();
        let base = config(broker, id, dir.path());
        let listen = group[&base.id].parse().unwrap();
        let positions = Positions { group: group.clone(), ..base.positions.clone() };
        Self::start(GatewayConfig { position_listen: Some(listen), positions, ..base }, dir).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/pub", self.handle.position_addr.unwrap())
    }

    pub fn count(&self, fate: passage_gateway::position::Fate) -> u64 {
        self.handle.positions.get(fate)
    }

    pub async fn close(self) -> TempDir {
        self.stop.cancel();
        self.handle.join().await;
        self.dir
    }
}

/// An app on a phone.
pub struct Phone {
    pub id: InstallationId,
    token: String,
    http: reqwest::Client,
}

impl Phone {
    pub fn new(id: &str) -> Self {
        Self::until(id, Millis(START.0 + 86_400_000))
    }

    pub fn until(id: &str, expires: Millis) -> Self {
        let id: InstallationId = id.parse().unwrap();
        let token = PositionToken { installation: id.clone(), expires, purpose: "presence".into() }.to_text(&hub_key());
        Self { id, token, http: reqwest::Client::new() }
    }

    pub async fn post(&self, url: &str, body: &Value) -> (u16, String) {
        let request = self.http.post(url).basic_auth(self.id.as_str(), Some(&self.token)).header("X-Limit-U", self.id.as_str());
        let answer = request.header("X-Limit-D", "s5").body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// As the app seals it, by this test's own hand.
    pub fn seal(&self, plain: &Value) -> Vec<u8> {
        let key = secret().owntracks_key(&self.id);
        let cipher = XSalsa20Poly1305::new(&Key::from(<[u8; 32]>::try_from(key.as_bytes()).unwrap()));
        let nonce: [u8; 24] = rand::random();
        let sealed = cipher.encrypt(&Nonce::from(nonce), plain.to_string().as_bytes()).unwrap();
        let data = STANDARD.encode([nonce.as_slice(), &sealed].concat());
        json!({ "_type": "encrypted", "data": data }).to_string().into_bytes()
    }
}

/// A client of the broker that publishes as the apps do.
pub struct Publisher(AsyncClient);

impl Publisher {
    pub fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("phones", "127.0.0.1", port);
        options.set_clean_start(true);
        let (client, mut events) = AsyncClient::new(options, 1_000);
        tokio::spawn(async move { while events.poll().await.is_ok() {} });
        Self(client)
    }

    pub async fn publish(&self, topic: &str, retain: bool, payload: Vec<u8>) {
        self.0.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }
}

/// A location `seconds` after the start.
pub fn location(lat: f64, lon: f64, seconds: i64) -> Value {
    json!({ "_type": "location", "lat": lat, "lon": lon, "acc": 8, "tst": START.secs() + seconds, "tid": "aa", "t": "u" })
}
