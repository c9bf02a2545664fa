//! A gateway's machine is stolen and another one takes its place. The thief's connection still stands and has the same gateway's name on it; no restart
//! of the broker ends it, and it must be worth nothing all the same.

mod support;

use std::{path::PathBuf, time::Duration};

use passage_config::{Mqtt, Tls, TlsFiles, TlsPair};
use support::{
    binary::{self, Process},
    database::Database,
    eventually, free_port,
    guarded::{Client, Guarded},
    scene::{Scene, Sms},
};

const PATIENCE: Duration = Duration::from_secs(90);
const EVENTS: &str = "passage/v1/gateway/gw-lyon/event";

/// A hub of its own fleet, and mosquitto with the files that it makes.
struct Shop {
    database: Database,
    scene: Scene,
    broker: Guarded,
    hub: Process,
}

impl Shop {
    /// `keeps_files`: the hub writes the broker's files by itself.
    async fn open(keeps_files: bool) -> Self {
        let (database, port, https) = (Database::create().await, free_port(), free_port());
        let scene = Scene::new(&database.url(), port, &Sms::Sandbox);
        let (file, files) = (scene.path("hub.toml"), scene.path("broker"));
        let text = std::fs::read_to_string(&file).unwrap();
        let plain = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n");
        assert!(text.contains(&plain));
        let kept = if keeps_files { format!("broker_files = {files:?}\n") } else { String::new() };
        let fleet = format!(
            "{plain}tls = \"fleet\"\n[fleet]\nlisten = \"127.0.0.1:{https}\"\nurl = \"https://127.0.0.1:{https}\"\nbroker = \"127.0.0.1\"\n\
             port = {port}\n{kept}"
        );
        std::fs::write(&file, text.replace(&plain, &fleet)).unwrap();
        scene.hub(&["broker-config", files.to_str().unwrap()]);
        let broker = Guarded::start(files, port);
        let hub = scene.start_hub().await;
        Self { database, scene, broker, hub }
    }

    /// A command about the gateway; both what it printed and what it said.
    fn gateway(&self, command: &[&str]) -> (String, String) {
        let config = self.scene.path("hub.toml").display().to_string();
        let output = binary::run("passage-hub", &[&["gateway"], command, &["gw-lyon", "--config", &config]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Enrols the machine `name`; what was said if it was refused.
    fn enrol(&self, invitation: &str, name: &str) -> Result<(), String> {
        let file = self.scene.path(name).join("gateway.toml").display().to_string();
        let output = binary::run("passage-gateway", &["enroll", invitation.trim(), "--config", &file]);
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8(output.stderr).unwrap())
    }

    fn file(&self, machine: &str, name: &str) -> PathBuf {
        self.scene.path(machine).join(name)
    }

    /// A connection with the files of a machine.
    async fn connect(&self, machine: &str) -> Result<Client, String> {
        let own = TlsPair { cert: self.file(machine, "gateway.crt"), key: self.file(machine, "gateway.key") };
        let mut mqtt = Mqtt::plain("127.0.0.1", self.broker.port);
        mqtt.tls = Some(Tls::Files(TlsFiles { ca: self.file(machine, "ca.crt"), own: Some(own) }));
        let id = format!("{machine}-{:016x}", rand::random::<u64>());
        Client::connect(passage_transport::options(&mqtt, &id, None).unwrap()).await
    }

    async fn put_aside(&self) -> i64 {
        self.database.count("SELECT COUNT(*) FROM quarantine").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_machine_is_worth_nothing_before_and_after_the_next_one_has_enrolled() {
    let mut shop = Shop::open(false).await;
    let (invitation, _) = shop.gateway(&["invite"]);
    shop.enrol(&invitation, "old").unwrap();
    let mut thief = shop.connect("old").await.unwrap();
    assert!(thief.publish(EVENTS, "not yet a thief").await);
    eventually("the hub to look at it", PATIENCE, || async { (shop.put_aside().await == 1).then_some(()) }).await;

    // The hubs drop what it sends from now on. The broker has not been told, so nobody may join under the name yet.
    let (invitation, said) = shop.gateway(&["replace"]);
    assert!(said.contains("The broker still takes what it writes") && said.contains("systemctl reload mosquitto"), "{said}");
    assert!(thief.publish(EVENTS, "dropped").await, "the broker knows nothing yet");
    let refused = shop.enrol(&invitation, "new").unwrap_err();
    assert!(refused.contains("does not know yet that the machine before is out"), "{refused}");

    // It takes its files in without a restart; other connections stand.
    let mut other = other_gateway(&shop).await;
    shop.scene.hub(&["broker-config", shop.broker.folder.to_str().unwrap()]);
    shop.broker.reload();
    shop.enrol(&invitation, "new").expect("the invitation is still good, and the broker knows");
    let mut new = shop.connect("new").await.unwrap();
    assert!(new.publish(EVENTS, "the new machine").await, "the broker lets the new machine write");
    assert!(!thief.publish(EVENTS, "on the connection that stands").await, "the thief has its rights back");
    // mosquitto lets a revoked certificate in until its next restart, and denies everything to it.
    if let Ok(mut thief) = shop.connect("old").await {
        assert!(!thief.publish(EVENTS, "on a new connection").await, "the thief has its rights back");
    }
    assert!(other.publish("passage/v1/gateway/gw-other/event", "still here").await, "the reload cost another gateway its connection");

    eventually("what both gateways sent", PATIENCE, || async { (shop.put_aside().await == 3).then_some(()) }).await;
    let foreign = shop.database.rows("SELECT raw FROM quarantine").await;
    let words: Vec<String> = foreign.iter().map(|r| String::from_utf8(sqlx::Row::get::<Vec<u8>, _>(r, 0)).unwrap()).collect();
    for word in ["not yet a thief", "the new machine", "still here"] {
        assert!(words.iter().any(|w| w == word), "{word} is not in {words:?}");
    }
    shop.hub.stop();
}

/// Another shop's gateway on a connection that was there before.
async fn other_gateway(shop: &Shop) -> Client {
    let config = shop.scene.path("hub.toml").display().to_string();
    let output = binary::run("passage-hub", &["gateway", "invite", "gw-other", "--config", &config]);
    shop.enrol(&String::from_utf8(output.stdout).unwrap(), "other").unwrap();
    shop.connect("other").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_takes_effect_at_the_broker_within_the_command_when_a_hub_keeps_its_files() {
    let mut shop = Shop::open(true).await;
    let (invitation, _) = shop.gateway(&["invite"]);
    shop.enrol(&invitation, "old").unwrap();
    let mut thief = shop.connect("old").await.unwrap();
    assert!(thief.publish(EVENTS, "before").await);

    let reloads = shop.broker.reload_on_change();
    let (said, _) = shop.gateway(&["revoke"]);
    assert!(said.contains("The broker denies it everything too"), "{said}");
    assert!(!thief.publish(EVENTS, "after").await, "the connection that stands kept its rights");
    drop(reloads);
    shop.hub.stop();
}
