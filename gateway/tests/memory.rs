//! The memory of the real program with a night's backlog.

mod support;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use support::{Box1, FakeHub, Mosquitto, batch, eventually, hub_key};
use tempfile::TempDir;

const BACKLOG: u64 = 100_000;
/// What a gateway may take with it: 25 MiB as it is delivered; unoptimised code is itself several times as large.
const MOST_KIB: u64 = if cfg!(debug_assertions) { 64 * 1024 } else { 25 * 1024 };

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most resident memory that a process has had, in KiB.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("Linux tells the peak");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_100_000_events_fits_into_a_small_box() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo");
    support::copy(&demo, dir.path());
    let data = dir.path().join("data/gw-lyon");
    std::fs::create_dir_all(&data).unwrap();
    let b = Box1::open(&data).await;
    for n in 0..BACKLOG / 1_000 {
        b.outbox.append(batch(n * 1_000..(n + 1) * 1_000)).await.unwrap();
    }
    assert_eq!(b.outbox.ledger().held().count(), BACKLOG);
    b.close().await;

    let file = dir.path().join("gateway-lyon.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let config = config.replace("port = 1883", &format!("port = {}", broker.port)).replace(
        "hub_keys = []",
        &format!("hub_keys = [\"{}\"]\noutbox = {{ backlog_spread = \"0 s\", max_age = \"8000 h\" }}", hub_key().public()),
    );
    std::fs::write(&file, config).unwrap();
    let hub = FakeHub::start(broker.port).await;
    let child =
        Command::new(env!("CARGO_BIN_EXE_passage-gateway")).args(["run", "--config"]).arg(&file).stderr(Stdio::null()).spawn().unwrap();
    let gateway = Running(child);
    // Its hello is answered, which only its first events prove.
    eventually("it begins to send", || hub.count() > 0).await;
    // It sends as much as it may without an ack, and holds all of it.
    hub.acks.store(false, Ordering::SeqCst);
    eventually("thousands are under way", || hub.count() > 3_000).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let peak = peak(gateway.0.id());
    println!("{BACKLOG} events held, {} sent: at most {peak} KiB resident", hub.count());
    assert!(peak <= MOST_KIB, "{peak} KiB resident");
}
