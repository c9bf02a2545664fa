//! The shop's wake beacon at a stand-in for BlueZ: it is on the air, changes with the window, and comes back after each fault.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use dbus::{Message, arg::AppendAll, channel::Channel};
use passage_config::WakeBeacon;
use passage_gateway::{
    health::Health,
    radio::ble::advertise::{Advertiser, FLAG},
    wake::Schedule,
};
use passage_lab::bluez::PrivateBus;
use passage_protocol::{
    Clock, Millis, WakeKey, WakeMaster,
    rid::{WINDOW_SECS, window_at},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);
const UUID: [u8; 16] = [0x5a; 16];
/// A window boundary of the year 2026.
const EDGE: i64 = 1_994_592 * WINDOW_SECS;

/// A bus, a stand-in for BlueZ as a process, and an advertiser in this one.
struct Shop {
    bluez: Child,
    bus: PrivateBus,
    clock: Clock,
    key: WakeKey,
    health: Arc<Health>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = self.bluez.kill();
        let _ = self.bluez.wait();
    }
}

impl Shop {
    /// Advertises from some seconds before the edge of a window, on a clock that the test moves.
    fn open(adapter: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("scenario.json");
        std::fs::write(&scenario, r#"{ "name": "nobody", "seed": 1, "phones": [] }"#).unwrap();
        let bus = PrivateBus::start(folder.path()).unwrap();
        let mut bluez = Command::new(env!("CARGO_BIN_EXE_lab-bluez"))
            .arg("--scenario")
            .arg(&scenario)
            .args(["--bus", &bus.address()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(bluez.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready.trim(), "ready");
        let (clock, health, stop) = (Clock::stepped(Millis::from_secs(EDGE - 5)), Arc::new(Health::default()), CancellationToken::new());
        let key = WakeMaster::from_bytes([7; 32]).store_key(&"lyon-bellecour".parse().unwrap());
        let advertiser = Advertiser {
            beacon: WakeBeacon { uuid: UUID, key: key.clone(), power: -59 },
            adapter: adapter.map(str::to_owned),
            bus: Some(bus.address()),
            clock: clock.clone(),
            schedule: Schedule::new(Duration::ZERO),
            health: Arc::clone(&health),
        };
        tokio::spawn(advertiser.run(stop.clone()));
        Self { bluez, bus, clock, key, health, stop, _folder: folder }
    }

    fn call(&self, method: &str, arguments: impl AppendAll) -> Message {
        let mut channel = Channel::open_private(&self.bus.address()).unwrap();
        channel.register().unwrap();
        let call = Message::call_with_args("org.passage.Lab1", "/org/passage/lab", "org.passage.Lab1", method, arguments);
        channel.send_with_reply_and_block(call, Duration::from_secs(20)).unwrap()
    }

    /// The advertisements that are on the air, as AD structures in hex.
    fn on_the_air(&self) -> Vec<String> {
        let answer = self.call("Advertisements", ());
        let all: Value = serde_json::from_str(answer.read1().unwrap()).unwrap();
        all.as_array().unwrap().iter().map(|a| a["data"].as_str().unwrap().to_owned()).collect()
    }

    /// What should be on the air now.
    fn wanted(&self) -> String {
        let id = self.key.id(window_at(self.clock.now()));
        format!("1aff4c00{}", hex::encode(id.frame(&UUID, -59)))
    }

    /// Waits until exactly that is on the air and the flag is down.
    async fn is_well(&self) {
        let wanted = [self.wanted()];
        self.until("the beacon is on the air", || self.on_the_air() == wanted && self.health.flags().is_empty()).await;
    }

    async fn is_flagged(&self) {
        self.until("the flag is raised", || self.health.flags() == [FLAG]).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < LONG, "not within {LONG:?}: {what}; flags {:?}", self.health.flags());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beacon_is_on_the_air_changes_at_the_edge_of_the_window_and_ends_with_the_gateway() {
    let shop = Shop::open(None);
    shop.is_well().await;
    let before = shop.wanted();
    shop.clock.set(Millis::from_secs(EDGE));
    assert_ne!(shop.wanted(), before);
    shop.is_well().await;
    shop.stop.cancel();
    shop.until("nothing is on the air", || shop.on_the_air().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beacon_comes_back_after_a_restart_of_the_daemon() {
    let shop = Shop::open(None);
    shop.is_well().await;
    shop.call("Fault", ("daemon_kill",));
    shop.is_flagged().await;
    shop.call("Fault", ("daemon_start",));
    shop.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beacon_comes_back_with_the_adapter() {
    let shop = Shop::open(None);
    shop.is_well().await;
    shop.call("Fault", ("adapter_gone",));
    shop.is_flagged().await;
    shop.call("Fault", ("adapter_back",));
    shop.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_is_not_there_is_flagged() {
    let shop = Shop::open(Some("hci7"));
    shop.is_flagged().await;
    assert!(shop.on_the_air().is_empty());
}
