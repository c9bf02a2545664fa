//! The program as a person or systemd meets it.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use passage_protocol::{GatewayState, Topic};
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS};
use support::{Mosquitto, hub_key};
use tempfile::TempDir;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_passage-gateway"))
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo")
}

fn copy(from: &Path, to: &Path) {
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

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_example_that_is_printed_is_accepted() {
    let dir = TempDir::new().unwrap();
    copy(&demo(), dir.path());
    for extra in [None, Some("--position")] {
        let printed = program().arg("config").args(extra).output().unwrap();
        assert!(printed.status.success());
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, &printed.stdout).unwrap();
        let checked = program().args(["check", "--config"]).arg(&file).output().unwrap();
        assert!(checked.status.success(), "{}", text(&checked));
    }
}

#[test]
fn check_tells_every_mistake_with_its_place_and_exits_with_1() {
    let dir = TempDir::new().unwrap();
    copy(&demo(), dir.path());
    let file = dir.path().join("gateway-lyon.toml");
    let broken =
        std::fs::read_to_string(&file).unwrap().replace("port = 1883", "port = \"many\"").replace("enter_sightings", "enter_sihtings");
    std::fs::write(&file, broken).unwrap();
    let checked = program().args(["check", "--config"]).arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked);
    for part in ["gateway-lyon.toml:", "many", "enter_sihtings", "^", "mend:", "2 errors"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_program_in_order_and_its_state_says_so() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    copy(&demo(), dir.path());
    let file = dir.path().join("gateway-lyon.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let config = config
        .replace("port = 1883", &format!("port = {}", broker.port))
        .replace("hub_keys = []", &format!("hub_keys = [\"{}\"]", hub_key().public()));
    std::fs::write(&file, config).unwrap();

    let (client, mut events) = AsyncClient::new(MqttOptions::new("watcher", "127.0.0.1", broker.port), 10);
    client.subscribe(Topic::State("gw-lyon".parse().unwrap()).to_string(), QoS::AtLeastOnce).await.unwrap();
    let mut child = program().args(["run", "--config"]).arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut next = async || loop {
        if let Event::Incoming(Incoming::Publish(p)) = events.poll().await.unwrap() {
            return GatewayState::from_slice(&p.payload).unwrap();
        }
    };
    let wait = std::time::Duration::from_secs(60);
    let online = tokio::time::timeout(wait, next()).await.unwrap();
    assert!(online.online);
    Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    let offline = tokio::time::timeout(wait, next()).await.unwrap();
    assert!(!offline.online && offline.boot == online.boot);
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
