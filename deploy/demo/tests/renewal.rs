//! A gateway's certificate is near its end, and the hubs sign with a key that the gateway has not heard of. It gets both from a running hub over HTTPS,
//! by itself, with nothing but its present certificate; its connection stands, and the next one is made with the new certificate.

mod support;

use std::{path::Path, time::Duration};

use passage_config::{Mqtt, Tls, TlsFiles, TlsPair};
use passage_hub::{fleet::machine_ms, identity::Keyring, ingest::HubKeys, store::Db};
use passage_protocol::{fleet::Machine, sign::Signing};
use passage_transport::Certificate;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use support::{
    binary,
    database::Database,
    eventually, free_port,
    guarded::{Client, Guarded},
    scene::{Phone, Scene, Sms},
};

const PATIENCE: Duration = Duration::from_secs(90);
/// It looks at its certificate within a minute of its start.
const LOOKED: Duration = Duration::from_secs(150);
const DAY_MS: i64 = 86_400_000;
const GATEWAY: &str = "gw-position";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_renews_by_itself_takes_new_hub_keys_over_and_stays_connected() {
    let (database, port, https) = (Database::create().await, free_port(), free_port());
    let scene = Scene::new(&database.url(), port, &Sms::Sandbox);
    make_it_a_fleet(&scene, port, https);
    let files = scene.path("broker");
    scene.hub(&["broker-config", files.to_str().unwrap()]);
    let mut broker = Guarded::start(files.clone(), port);
    scene.hub(&["import"]);
    let mut hub = scene.start_hub().await;
    let phone = scene.enrol("C-00001", "maison-aubrac", &["presence"]).await.unwrap();
    enrol(&scene);
    let old = age(&scene, &database).await;
    forget_the_hub_key(&scene);

    let mut gateway = scene.start_gateway(GATEWAY);
    report(&scene, &phone, "enter").await;
    // For what it sends, and for the positions of phones.
    let connected = || async { (connections(&broker) == 2).then_some(()) };
    eventually("its connections with the old certificate", PATIENCE, connected).await;
    assert_eq!(stored(&database).await, 0, "it believed a hub whose key it does not know");

    let certificate = scene.path("gateway.crt");
    eventually("the new certificate", LOOKED, || async { (read(&certificate).serial != old.serial).then_some(()) }).await;
    let new = read(&certificate);
    assert!(new.not_after > old.not_after + 60 * 86_400 && new.name == GATEWAY, "{new:?}");
    eventually("the event, after the hub's key has come", PATIENCE, || async { (stored(&database).await == 1).then_some(()) }).await;
    assert!(scene.path("hub.keys").is_file(), "the keys are kept for the next start");
    assert_eq!(connections(&broker), 2, "the renewal cost a connection");

    // The old certificate is worth nothing any more: what comes in now has the new one.
    let keep = scene.path("old.crt");
    std::fs::write(&keep, &old.pem).unwrap();
    let revoke = format!("UPDATE fleet_certificate SET revoked_at = {} WHERE serial = '{}'", machine_ms(), old.serial);
    database.rows(&revoke).await;
    scene.hub(&["broker-config", files.to_str().unwrap()]);
    broker.restart();
    report(&scene, &phone, "exit").await;
    eventually("the event after the restart", PATIENCE, || async { (stored(&database).await == 2).then_some(()) }).await;
    assert!(try_connect(&scene, port, &keep).await.is_err(), "the old certificate still came in");
    assert!(gateway.is_running());
    gateway.stop();
    hub.stop();
}

fn make_it_a_fleet(scene: &Scene, broker: u16, https: u16) {
    let file = scene.path("hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let plain = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\n");
    assert!(text.contains(&plain));
    let fleet = format!(
        "{plain}tls = \"fleet\"\n[fleet]\nlisten = \"127.0.0.1:{https}\"\nurl = \"https://127.0.0.1:{https}\"\nbroker = \"127.0.0.1\"\nport = {broker}\n"
    );
    std::fs::write(&file, text.replace(&plain, &fleet)).unwrap();
}

/// Enrols a position gateway, and puts what it was told into its file.
fn enrol(scene: &Scene) {
    let invitation = scene.hub(&["gateway", "invite", GATEWAY, "--position"]);
    let more = format!("position_listen = \"{}\"\noutbox = {{ backlog_spread = \"0 s\" }}", scene.positions);
    scene.write_gateway(GATEWAY, None, "\"none\"", &more);
    let file = scene.path(&format!("{GATEWAY}.toml"));
    let output = binary::run("passage-gateway", &["enroll", invitation.trim(), "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let hub = said.lines().find(|l| l.starts_with("hub = ")).unwrap_or_else(|| panic!("no line for the hub in: {said}"));
    let mqtt = said.find("[mqtt]").map(|at| &said[at..]).unwrap();
    let (top, _) = text.split_once("[mqtt]").unwrap();
    std::fs::write(&file, format!("{top}{hub}\n{mqtt}")).unwrap();
}

/// What a certificate says, and its text.
struct Old {
    serial: String,
    not_after: i64,
    pem: String,
}

/// Puts one in its place that the same authority issued 65 days ago for the same key: 25 of its 90 days are left.
async fn age(scene: &Scene, database: &Database) -> Old {
    let db = Db::open(&database.url()).await.unwrap();
    let keyring = Keyring::load_or_create(&scene.path("hub.key")).unwrap();
    let keys = HubKeys::load_or_create(&db, &keyring, scene.now()).await.unwrap();
    let key = KeyPair::from_pem(&std::fs::read_to_string(scene.path("gateway.key")).unwrap()).unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let machine = Machine { gateway: GATEWAY.parse().unwrap(), number: 1 };
    let issued = keys.authority().issue(&machine, &csr, machine_ms() - 65 * DAY_MS).unwrap();
    let sql = "INSERT INTO fleet_certificate (serial, gateway, ends_at) VALUES ($1, $2, $3)";
    let values = passage_hub::args![issued.certificate.serial.as_str(), GATEWAY, issued.certificate.not_after * 1_000];
    db.execute(sql, values).await.unwrap();
    db.close().await;
    std::fs::write(scene.path("gateway.crt"), &issued.pem).unwrap();
    Old { serial: issued.certificate.serial, not_after: issued.certificate.not_after, pem: issued.pem }
}

/// As if the hubs had begun to sign with another key after it had enrolled.
fn forget_the_hub_key(scene: &Scene) {
    let file = scene.path(&format!("{GATEWAY}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let foreign = format!("hub_keys = [\"{}\"]", Signing::from_bytes(&[9; 32]).public());
    let lines: Vec<&str> = text.lines().map(|l| if l.starts_with("hub_keys") { foreign.as_str() } else { l }).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
}

async fn report(scene: &Scene, phone: &Phone, phase: &str) {
    let url = format!("http://{}/v1/app/events", scene.positions);
    let body = json!({ "store": "lyon-bellecour", "phase": phase, "at": scene.now() });
    let http = reqwest::Client::new();
    let answered = || async {
        let request = http.post(&url).basic_auth(&phone.installation, Some(&phone.token)).json(&body);
        request.send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
    };
    eventually("the answer to a report", PATIENCE, answered).await;
}

/// Connections of the gateway that the broker has let in.
fn connections(broker: &Guarded) -> usize {
    broker.words().lines().filter(|l| l.contains("New client connected") && l.contains(&format!("u'{GATEWAY}'"))).count()
}

async fn stored(database: &Database) -> i64 {
    database.count("SELECT COUNT(*) FROM event").await
}

fn read(file: &Path) -> Certificate {
    Certificate::read(&passage_transport::certificates(file).unwrap()[0]).unwrap()
}

async fn try_connect(scene: &Scene, port: u16, cert: &Path) -> Result<Client, String> {
    let own = TlsPair { cert: cert.to_owned(), key: scene.path("gateway.key") };
    let mut mqtt = Mqtt::plain("127.0.0.1", port);
    mqtt.tls = Some(Tls::Files(TlsFiles { ca: scene.path("ca.crt"), own: Some(own) }));
    Client::connect(passage_transport::options(&mqtt, "gw-position-old", None).unwrap()).await
}
