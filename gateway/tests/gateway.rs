//! A whole gateway: inputs to events at a hub, and on again after a stop or a crash.

mod support;

#[path = "support/traces.rs"]
mod traces;

use std::{path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::{GatewayConfig, load_gateway};
use passage_gateway::{
    beacon::encode,
    pipeline::{Gateway, GatewayHandle, Input},
    radio::{Advert, Heard},
};
use passage_protocol::{ChainKey, Clock, Event, Millis, Phase, PositionToken, Signal, Zone, rid::RidPayload};
use support::{FakeHub, Mosquitto, eventually, hub_key};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use traces::on_disk;

/// 2026-11-20 10:00 in Paris.
const START: Millis = Millis(1_795_165_200_000);

fn config(name: &str, data: &Path, broker: &Mosquitto) -> GatewayConfig {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo").join(name);
    GatewayConfig {
        data: data.to_owned(),
        mqtt: broker.mqtt(),
        hub_keys: vec![hub_key().public()],
        clock: Clock::stepped(START),
        ..load_gateway(&file).unwrap()
    }
}

struct Shop {
    handle: GatewayHandle,
    clock: Clock,
    stop: CancellationToken,
    payload: Vec<u8>,
}

impl Shop {
    async fn open(config: GatewayConfig) -> Self {
        let stop = CancellationToken::new();
        let clock = config.clock.clone();
        let brand = config.site.brands.values().next().unwrap();
        let day = passage_protocol::rid::day_of(passage_protocol::rid::window_at(START));
        let (window, rid) = ChainKey { day, key: [3; 32] }.rid_at(START).unwrap();
        let payload = encode::service_data(&brand.namespace, RidPayload::new(window, rid, -59));
        Self { handle: Gateway::start(config, None, stop.clone()).await.unwrap(), clock, stop, payload }
    }

    /// One advert of the app each second of `[from, to)` after the start.
    async fn hear(&self, seconds: std::ops::Range<i64>) {
        for second in seconds {
            let at = Millis(START.0 + second * 1_000);
            self.clock.set(at);
            let advert = Advert { at, address: [1, 2, 3, 4, 5, 6], rssi: -60, data: self.payload.clone() };
            self.handle.inputs.send(Input::Heard(Heard { advert, position: Some(u64::try_from(second).unwrap() + 1) })).await.unwrap();
        }
        assert!(self.handle.advance().await);
    }

    async fn pass(&self, second: i64) {
        self.clock.set(Millis(START.0 + second * 1_000));
        assert!(self.handle.advance().await);
    }

    async fn settle(&self) {
        for _ in 0..1_000 {
            if self.handle.settled().await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the outbox is not empty after 10 s");
    }

    async fn close(self) {
        self.stop.cancel();
        self.handle.join().await;
    }
}

fn stays(hub: &FakeHub, zone: &Zone) -> Vec<Event> {
    hub.received.lock().unwrap().events.values().filter(|e| e.zone == *zone).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adverts_of_our_app_become_a_stay_at_the_hub_and_strangers_become_nothing() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let shop = Shop::open(config("gateway-lyon.toml", dir.path(), &broker)).await;
    for n in 0..100u8 {
        let stranger =
            Advert { at: START, address: [0xfe, 0xed, 0xfa, 0xce, 0xbe, n], rssi: -50, data: vec![2, 1, 6, 5, 0xff, 0x4c, 0, 0x10, n] };
        shop.handle.inputs.send(Input::Heard(Heard { advert: stranger, position: None })).await.unwrap();
    }
    shop.hear(0..300).await;
    shop.pass(600).await;
    shop.settle().await;
    let events = stays(&hub, &Zone::In);
    assert_eq!(events.first().map(|e| e.phase), Some(Phase::Enter));
    let exit = events.last().unwrap();
    assert_eq!((exit.phase, exit.last), (Phase::Exit, Millis(START.0 + 299_000)));
    assert!(events.iter().any(|e| e.phase == Phase::Dwell));
    assert!(events.iter().all(|e| e.signal == Signal::Beacon));
    assert_eq!(shop.handle.sent_total(), hub.count() as u64);
    // Once with the write-ahead log, once after a checkpoint.
    for secret in [&[0xfe, 0xed, 0xfa, 0xce, 0xbe][..], &[1, 2, 3, 4, 5, 6]] {
        assert!(!on_disk(dir.path(), secret), "an address is in the files");
    }
    assert!(on_disk(dir.path(), b"lyon-bellecour"), "the search finds nothing at all");
    shop.close().await;
    for secret in [&[0xfe, 0xed, 0xfa, 0xce, 0xbe][..], &[1, 2, 3, 4, 5, 6]] {
        assert!(!on_disk(dir.path(), secret), "an address is in the files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_of_a_stay_changes_nothing_in_it() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let shop = Shop::open(config("gateway-lyon.toml", dir.path(), &broker)).await;
    shop.hear(0..200).await;
    shop.close().await;
    let shop = Shop::open(config("gateway-lyon.toml", dir.path(), &broker)).await;
    assert_eq!(shop.handle.outbox().replay_position(), 200);
    shop.hear(200..400).await;
    shop.pass(900).await;
    shop.settle().await;
    let events = stays(&hub, &Zone::In);
    let phases: Vec<_> = events.iter().map(|e| e.phase).collect();
    assert_eq!(phases.iter().filter(|p| **p == Phase::Enter).count(), 1, "{phases:?}");
    let exit = events.last().unwrap();
    assert_eq!((exit.phase, exit.first, exit.last), (Phase::Exit, events[0].first, Millis(START.0 + 399_000)));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_answered_after_the_commit_and_leaves_no_coordinate() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let config = config("gateway-position.toml", dir.path(), &broker);
    let store = config.site.stores.values().next().unwrap().clone();
    let (lat, lon) = traces::beside((store.at.y(), store.at.x()));
    let shop = Shop::open(config).await;
    let url = format!("http://{}/", shop.handle.position_addr.unwrap());
    let installation = "inst-0001";
    let claims =
        PositionToken { installation: installation.parse().unwrap(), expires: Millis(START.0 + 3_600_000), purpose: "presence".into() };
    let password = STANDARD.encode(format!("{installation}:{}", claims.to_text(&hub_key())));
    let client = reqwest::Client::new();
    for second in [0i64, 60, 120, 180, 240] {
        shop.pass(second).await;
        let at = START.secs() + second;
        let body = serde_json::json!({ "_type": "location", "lat": lat, "lon": lon, "tst": at, "acc": 8, "tid": "aa" });
        let answer = client.post(&url).header("Authorization", format!("Basic {password}")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
    shop.settle().await;
    eventually("the position has entered", || hub.count() > 0).await;
    assert!(hub.received.lock().unwrap().events.values().all(|e| e.signal == Signal::Position));
    let events = format!(
        "{:?}",
        Arc::clone(&hub.received).lock().unwrap().events.values().map(|e| serde_json::to_string(e).unwrap()).collect::<Vec<_>>()
    );
    assert!(!events.contains(&format!("{lat:.4}")) && !events.contains(&format!("{lon:.4}")));
    assert_eq!(traces::found(dir.path(), (lat, lon)), None, "a coordinate is in the files");
    shop.close().await;
    assert_eq!(traces::found(dir.path(), (lat, lon)), None, "a coordinate is in the files after the stop");
}
