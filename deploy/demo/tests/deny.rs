//! What a member takes back is refused at the position gateway within a minute, also after a restart, and encrypted reports work with the key that
//! the hub told the app.

mod support;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use crypto_secretbox::{
    Key, Nonce, XSalsa20Poly1305,
    aead::{Aead, KeyInit},
};
use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    broker::Broker,
    eventually,
    scene::{Phone, Scene, Sms},
};

/// A withdrawal must be in force within this.
const BOUND: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

/// A place far from every store: it is answered like any other and decides nothing.
fn far(scene: &Scene) -> Value {
    json!({ "_type": "location", "lat": 47.0, "lon": 2.0, "acc": 9, "tst": scene.now().secs() })
}

async fn post(scene: &Scene, phone: &Phone, body: String) -> Option<(u16, String)> {
    let request = reqwest::Client::new().post(format!("http://{}/pub", scene.positions)).body(body);
    let answer = request.basic_auth(&phone.installation, Some(&phone.token)).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// The gateway remembers over a restart that this installation has ended.
async fn on_disk(scene: &Scene, phone: &Phone) -> bool {
    let file = SqliteConnectOptions::new().filename(scene.path("data-gw-position/outbox.db")).read_only(true);
    let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
    let sql = "SELECT COUNT(*) FROM saved_state WHERE machine = 'deny' AND key = $1";
    let found: i64 = sqlx::query(sql).bind(phone.installation.as_bytes()).fetch_one(&mut connection).await.unwrap().get(0);
    found > 0
}

async fn status(scene: &Scene, phone: &Phone) -> Option<u16> {
    Some(post(scene, phone, far(scene).to_string()).await?.0)
}

fn cipher(key: &str) -> XSalsa20Poly1305 {
    XSalsa20Poly1305::new(&Key::from(<[u8; 32]>::try_from(key.as_bytes()).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_deletes_the_app_or_withdraws_presence_is_shut_out_within_a_minute_and_stays_so() {
    let broker = Broker::start();
    let scene = Scene::new("sqlite:hub.db", broker.port, &Sms::Sandbox);
    std::fs::write(scene.path("positions.key"), "the secret of hub and position gateways").unwrap();
    let hub_file = std::fs::read_to_string(scene.path("hub.toml")).unwrap();
    std::fs::write(scene.path("hub.toml"), format!("position_secret = \"file:positions.key\"\n{hub_file}")).unwrap();
    scene.hub(&["import"]);
    let _hub = scene.start_hub().await;
    let (lina, key) = scene.enrol_with_key("C-00001").await;
    let (ines, _) = scene.enrol_with_key("C-00002").await;
    let (third, _) = scene.enrol_with_key("C-00003").await;
    let more =
        format!("position_listen = \"{}\"\npositions = {{ secret = \"file:positions.key\", set_waypoints = false }}", scene.positions);
    scene.write_gateway("gw-position", None, "\"none\"", &more);
    let mut gateway = scene.start_gateway("gw-position");
    eventually("Lina's position is taken", PATIENCE, || async { (status(&scene, &lina).await == Some(200)).then_some(()) }).await;

    // With the key that came with the enrolment, in both directions.
    let sealed = cipher(&key).encrypt(&Nonce::from([7; 24]), far(&scene).to_string().as_bytes()).unwrap();
    let data = STANDARD.encode([[7; 24].as_slice(), &sealed].concat());
    let (code, answer) = post(&scene, &lina, json!({ "_type": "encrypted", "data": data }).to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let bytes = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
    let (nonce, body) = bytes.split_first_chunk::<24>().unwrap();
    assert_eq!((code, cipher(&key).decrypt(&Nonce::from(*nonce), body).unwrap().as_slice()), (200, &b"[]"[..]));

    let request = reqwest::Client::new().delete(format!("{}/v1/app/installations/{}", scene.api, lina.installation));
    assert_eq!(request.bearer_auth(&lina.token).send().await.unwrap().status(), 204);
    eventually("Lina is shut out", BOUND, || async { (status(&scene, &lina).await == Some(401)).then_some(()) }).await;
    assert_eq!(status(&scene, &ines).await, Some(200));

    // Ines withdraws `presence` at the till; the hub hears of it with the evening's file.
    let members = std::fs::read_to_string(scene.path("data/members.csv")).unwrap();
    let withdrawn: Vec<String> =
        members.lines().map(|l| if l.starts_with("C-00002,") { l.replace(",yes", ",no") } else { l.to_owned() }).collect();
    std::fs::write(scene.path("data/members.csv"), withdrawn.join("\n")).unwrap();
    scene.hub(&["import"]);
    eventually("Ines is shut out", BOUND, || async { (status(&scene, &ines).await == Some(401)).then_some(()) }).await;
    assert_eq!(status(&scene, &third).await, Some(200));

    // It counts at once, and is on the disk a moment later.
    let kept = || async { (on_disk(&scene, &lina).await && on_disk(&scene, &ines).await).then_some(()) };
    eventually("the list is on the gateway's disk", BOUND, kept).await;
    gateway.kill();
    let mut gateway = scene.start_gateway("gw-position");
    eventually("the gateway is back", PATIENCE, || async { (status(&scene, &third).await == Some(200)).then_some(()) }).await;
    for gone in [&lina, &ines] {
        assert_eq!(status(&scene, gone).await, Some(401));
    }
    gateway.stop();
}
