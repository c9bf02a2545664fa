//! A gateway joins the fleet, works, and is put out, with the real binaries and the real mosquitto: everything over WebSockets with TLS through an
//! HTTP proxy, which is what shops really have open.

mod support;

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{
    binary,
    database::Database,
    eventually, free_port,
    guarded::Guarded,
    scene::{Line, Phone, Scene, Sms},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Longest wait for anything, in machine time.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_enrols_reports_over_websockets_through_a_proxy_and_is_put_out_at_once() {
    let database = Database::create().await;
    let (broker_port, https) = (free_port(), free_port());
    let scene = Scene::new(&database.url(), broker_port, &Sms::Sandbox);
    make_it_a_fleet(&scene, broker_port, https);
    let files = scene.path("broker");
    scene.hub(&["broker-config", files.to_str().unwrap()]);
    let broker = Guarded::start(files.clone(), broker_port);
    let proxy = Proxy::start().await;
    scene.hub(&["import"]);
    let mut hub = scene.start_hub().await;
    let phone = scene.enrol("C-00001", "maison-aubrac", &["presence"]).await.unwrap();

    // Three commands of a technician.
    let invitation = scene.hub(&["gateway", "invite", "gw-lyon", "--store", "lyon-bellecour"]);
    scene.write_capture("lyon.jsonl", stay(&scene, &phone));
    scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "{ replay = \"lyon.jsonl\" }", "");
    let gateway_file = scene.path("gw-lyon.toml");
    let enrolled = enroll(invitation.trim(), &gateway_file, proxy.port);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let said = String::from_utf8(enrolled.stdout).unwrap();
    let key = scene.path("gateway.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "the key must be its owner's alone");
    let mqtt = said.find("[mqtt]").map(|at| &said[at..]).unwrap_or_else(|| panic!("no lines for gateway.toml in: {said}"));
    let text = std::fs::read_to_string(&gateway_file).unwrap();
    let (top, _) = text.split_once("[mqtt]").unwrap();
    std::fs::write(&gateway_file, format!("{top}\n{mqtt}")).unwrap();

    // The invitation is used up.
    let again = tempfile::tempdir().unwrap();
    let twice = enroll(invitation.trim(), &again.path().join("gateway.toml"), proxy.port);
    assert!(!twice.status.success() && String::from_utf8_lossy(&twice.stderr).contains("was used"), "{twice:?}");
    assert!(!again.path().join("gateway.crt").exists());

    // It reports, the hub stores, the outbox is empty.
    let mut gateway = scene.start_gateway("gw-lyon");
    let stored = || async { (database.count("SELECT COUNT(*) FROM event WHERE phase = 'enter'").await > 0).then_some(()) };
    eventually("the event", PATIENCE, stored).await;
    let empty = || async { (backlog(&scene).await == 0).then_some(()) };
    eventually("the empty outbox", PATIENCE, empty).await;
    assert!(proxy.passed.load(Ordering::Relaxed) >= 2, "enrolment and MQTT go through the proxy");
    gateway.stop();

    // It is put out: the hub drops what a connection that stands still brings, and the broker lets no new one in.
    let listed = scene.hub(&["gateway", "list"]);
    assert!(listed.contains("gw-lyon") && listed.contains("enrolled"), "{listed}");
    scene.hub(&["gateway", "revoke", "gw-lyon"]);
    let listed = scene.hub(&["gateway", "list"]);
    assert!(listed.contains("revoked"), "{listed}");
    let before = database.count("SELECT COUNT(*) FROM event_key").await;
    std::fs::remove_dir_all(scene.path("data-gw-lyon")).unwrap();
    let mut gateway = scene.start_gateway("gw-lyon");
    let dropped = || async { hub.words().contains("of a gateway that was revoked was dropped").then_some(()) };
    eventually("the hub to drop its hello", PATIENCE, dropped).await;
    assert_eq!(database.count("SELECT COUNT(*) FROM event_key").await, before, "an event of a revoked gateway was stored");
    gateway.kill();

    // Another machine takes its place.
    let invitation = scene.hub(&["gateway", "replace", "gw-lyon"]);
    scene.hub(&["broker-config", files.to_str().unwrap()]);
    broker.reload();
    let replaced = enroll(invitation.trim(), &gateway_file, proxy.port);
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    let mut gateway = scene.start_gateway("gw-lyon");
    let more = || async { (database.count("SELECT COUNT(*) FROM event_key").await > before).then_some(()) };
    eventually("the events of the new machine", PATIENCE, more).await;
    gateway.stop();
    hub.stop();
    let secret = std::fs::read_to_string(key).unwrap();
    let body: String = secret.lines().filter(|l| !l.starts_with('-')).collect();
    let everything = database.everything().await + &std::fs::read_to_string(scene.path("hub.log")).unwrap();
    assert!(!everything.contains(&body[..40]), "the key has left the gateway");
}

fn make_it_a_fleet(scene: &Scene, broker: u16, https: u16) {
    let file = scene.path("hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let plain = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\n");
    assert!(text.contains(&plain));
    let fleet = format!(
        "{plain}transport = \"websocket\"\ntls = \"fleet\"\n[fleet]\nlisten = \"127.0.0.1:{https}\"\nurl = \"https://127.0.0.1:{https}\"\n\
         broker = \"127.0.0.1\"\nport = {broker}\ntransport = \"websocket\"\nhubs = [\"hub-test\"]\n"
    );
    std::fs::write(&file, text.replace(&plain, &fleet)).unwrap();
}

fn stay(scene: &Scene, phone: &Phone) -> Vec<Line> {
    let from = scene.now();
    (0..60).map(|n| scene.advert(phone, from + Duration::from_secs(2 * n), -60)).collect()
}

fn enroll(invitation: &str, file: &Path, proxy: u16) -> std::process::Output {
    let proxy = format!("http://127.0.0.1:{proxy}");
    binary::run("passage-gateway", &["enroll", invitation, "--config", file.to_str().unwrap(), "--proxy", &proxy])
}

async fn backlog(scene: &Scene) -> i64 {
    use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
    let file = scene.path("data-gw-lyon/outbox.db");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let Ok(mut connection) = SqliteConnection::connect_with(&options).await else { return -1 };
    sqlx::query("SELECT COUNT(*) FROM row").fetch_one(&mut connection).await.map_or(-1, |row| row.get(0))
}

/// A proxy that does nothing but `CONNECT`, and counts.
struct Proxy {
    port: u16,
    passed: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, passed) = (socket.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let count = passed.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = socket.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    if pass(tcp, &count).await.is_err() {
                        // The one or the other has gone.
                    }
                });
            }
        });
        Self { port, passed, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(tcp: TcpStream, count: &AtomicUsize) -> std::io::Result<()> {
    let mut tcp = BufReader::new(tcp);
    let mut first = String::new();
    tcp.read_line(&mut first).await?;
    let mut line = String::new();
    while tcp.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let place = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).ok_or(std::io::ErrorKind::InvalidData)?;
    let mut to = TcpStream::connect(place).await?;
    tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    count.fetch_add(1, Ordering::Relaxed);
    tokio::io::copy_bidirectional(&mut tcp, &mut to).await.map(drop)
}
