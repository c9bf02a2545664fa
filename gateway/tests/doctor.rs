//! The doctor against a real mosquitto: running, stopped, refusing.

mod support;

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use support::{Box1, FakeHub, Mosquitto, batch, hub_key};
use tempfile::TempDir;

/// A gateway's file in a folder of its own.
struct Shop {
    folder: TempDir,
    port: u16,
    keys: String,
}

impl Shop {
    fn new(port: u16) -> Self {
        Self { folder: TempDir::new().unwrap(), port, keys: format!("\"{}\"", hub_key().public()) }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Exit code and findings by name of the check.
    async fn examine(&self) -> (i32, Vec<Value>) {
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
        let file = self.folder.path().join("gateway.toml");
        let text = format!(
            "id = \"gw-lyon-1\"\nstore = \"lyon-bellecour\"\nsite = \"{demo}\"\ndata = \"{}\"\nhub_keys = [{}]\nradio = \"none\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n",
            self.data().display(),
            self.keys,
            self.port
        );
        std::fs::write(&file, text).unwrap();
        let out = tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_passage-gateway")).args(["doctor", "--json", "--config"]).arg(file).output().unwrap()
        });
        let out = out.await.unwrap();
        let lines = String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (out.status.code().unwrap(), lines)
    }
}

/// State and text of one check.
fn of<'a>(findings: &'a [Value], check: &str) -> (&'a str, &'a str) {
    let found = findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:#?}"));
    assert_eq!(found["mend"].is_string(), found["state"] != "ok", "{found}");
    (found["state"].as_str().unwrap(), found["what"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_broker_and_a_hub_that_answers_are_well() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    hub.publish_state(true).await;
    let shop = Shop::new(broker.port);
    let outbox = Box1::open(&shop.data()).await;
    outbox.outbox.submit(batch(1..=3), true, None).await.unwrap();
    let (_, findings) = shop.examine().await;
    for check in ["config", "broker", "topics", "hub", "hub keys", "certificate", "disk"] {
        assert_eq!(of(&findings, check).0, "ok", "{findings:#?}");
    }
    assert!(of(&findings, "hub keys").1.contains("signed by a key"), "{findings:#?}");
    assert!(of(&findings, "outbox").1.starts_with("3 events"), "{findings:#?}");
    outbox.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_key_is_not_pinned_is_told() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    hub.publish_state(true).await;
    let mut shop = Shop::new(broker.port);
    shop.keys = format!("\"{}\"", passage_protocol::sign::Signing::from_bytes(&[9; 32]).public());
    Box1::open(&shop.data()).await.close().await;
    let (code, findings) = shop.examine().await;
    assert_eq!(code, 1);
    let (state, what) = of(&findings, "hub keys");
    assert!(state == "wrong" && what.contains("not in `hub_keys`"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_broker_is_told_and_so_is_one_without_a_hub() {
    let mut broker = Mosquitto::start();
    let shop = Shop::new(broker.port);
    let (code, findings) = shop.examine().await;
    assert_eq!((code, of(&findings, "broker").0), (1, "ok"));
    assert!(of(&findings, "hub").1.contains("no hub has ever been seen"), "{findings:#?}");
    broker.kill();
    let (code, findings) = shop.examine().await;
    assert_eq!(code, 1);
    let (state, what) = of(&findings, "broker");
    assert!(state == "wrong" && what.contains("nothing listens"), "{findings:#?}");
    assert_eq!(of(&findings, "hub").0, "wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_refuses_the_gateway_or_its_topics_is_told() {
    let broker = Mosquitto::start_with("allow_anonymous false\n", &[]);
    let (code, findings) = Shop::new(broker.port).examine().await;
    assert_eq!(code, 1);
    let (state, what) = of(&findings, "broker");
    assert!(state == "wrong" && what.contains("refuses this gateway"), "{findings:#?}");

    let broker = Mosquitto::start_with("allow_anonymous true\nacl_file ACL\n", &[("ACL", "topic read passage/v1/#\n")]);
    let shop = Shop::new(broker.port);
    Box1::open(&shop.data()).await.close().await;
    let (code, findings) = shop.examine().await;
    assert_eq!((code, of(&findings, "broker").0), (1, "ok"));
    let (state, what) = of(&findings, "topics");
    assert!(state == "wrong" && what.contains("may not write"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_and_something_else_on_the_port_are_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut shop = Shop::new(listener.local_addr().unwrap().port());
    let (code, findings) = shop.examine().await;
    assert_eq!(code, 1);
    assert!(of(&findings, "broker").1.contains("MQTT 5") || of(&findings, "broker").1.contains("refuses"), "{findings:#?}");
    shop.keys = "1".to_owned();
    let (code, findings) = shop.examine().await;
    assert_eq!((code, findings.len(), of(&findings, "config").0), (1, 1, "wrong"));
}
