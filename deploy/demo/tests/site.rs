//! A marketer changes a geofence and applies it: the gateway that runs decides by the new one within seconds, keeps it over a restart without a broker,
//! and takes nothing that is forged, another gateway's, or older. Commands are carried out once and in time.

mod support;

use std::time::Duration;

use passage_protocol::{Millis, sign::Signing, site::SiteManifest};
use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    broker::Broker,
    eventually,
    publisher::Publisher,
    scene::{Phone, Scene, Sms},
    witness::Witness,
};

const PATIENCE: Duration = Duration::from_secs(90);
const GATEWAY: &str = "gw-position";
const MANIFEST: &str = "passage/v1/gateway/gw-position/site/manifest";
const COMMAND: &str = "passage/v1/gateway/gw-position/command";

/// A circle away from every geofence of the demo.
const FENCE: &str = "[lyon-market]\nstore = \"lyon-bellecour\"\nkind = \"nearby\"\nradius_m = 80\nat = { lat = 45.77, lon = 4.8343 }\n";

struct Shop {
    scene: Scene,
    witness: Witness,
    publisher: Publisher,
    phone: Phone,
}

impl Shop {
    /// Posts the phone's position in the market until the gateway answers.
    async fn at_the_market(&self) {
        let post = || async {
            let body = json!({ "_type": "location", "lat": 45.77, "lon": 4.8343, "acc": 10, "tst": self.scene.now().secs() });
            let request = reqwest::Client::new().post(format!("http://{}/pub", self.scene.positions)).body(body.to_string());
            let answer = request.basic_auth(&self.phone.installation, Some(&self.phone.token)).send().await.ok()?;
            (answer.status().as_u16() == 200).then_some(())
        };
        eventually("the position is taken", PATIENCE, post).await;
    }

    /// The newest state of a gateway.
    fn state(&self, gateway: &str) -> Value {
        let topic = format!("passage/v1/gateway/{gateway}/state");
        let messages = self.witness.messages();
        let newest = messages.iter().rev().find(|(t, _)| *t == topic);
        newest.and_then(|(_, payload)| serde_json::from_slice(payload).ok()).unwrap_or(Value::Null)
    }

    async fn in_force(&self, gateway: &str, revision: u64) {
        let is_so = || async { (self.state(gateway)["site_revision"] == revision).then_some(()) };
        eventually(&format!("{gateway} has revision {revision} in force"), PATIENCE, is_so).await;
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.scene.path("gw-position.log")).unwrap_or_default()
    }

    async fn logged(&self, words: &str) {
        eventually(&format!("the log says \"{words}\""), PATIENCE, || async { self.log().contains(words).then_some(()) }).await;
    }

    /// How often the log says this.
    fn times(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// The payloads that were published on a topic, the oldest first.
    fn heard(&self, topic: &str) -> Vec<Vec<u8>> {
        self.witness.messages().into_iter().filter(|(t, p)| t == topic && !p.is_empty()).map(|(_, p)| p).collect()
    }

    fn apply(&self, revision: u64) {
        assert_eq!(self.scene.hub(&["apply"]).trim(), format!("revision {revision} is live"));
    }

    /// What the hub knows of the market: phases, oldest first.
    async fn phases(&self) -> Vec<String> {
        rows(&self.scene, "hub.db", "SELECT phase FROM event WHERE zone = 'lyon-market' ORDER BY seq").await
    }

    async fn until_phases(&self, wanted: &[&str]) {
        eventually(&format!("the hub knows {wanted:?}"), PATIENCE, || async { (self.phases().await == wanted).then_some(()) }).await;
    }
}

async fn rows(scene: &Scene, file: &str, sql: &'static str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(scene.path(file)).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(sql).fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_is_in_force_within_seconds_stays_without_a_broker_and_nobody_else_can_change_it() {
    let mut broker = Broker::start();
    let scene = Scene::new("sqlite:hub.db", broker.port, &Sms::Sandbox);
    let witness = Witness::start(broker.port).await;
    let publisher = Publisher::connect(broker.port);
    scene.hub(&["import"]);
    let _hub = scene.start_hub().await;
    let phone = scene.enrol("C-00001", "maison-aubrac", &["presence"]).await.unwrap();
    let shop = Shop { scene, witness, publisher, phone };
    let more = format!("site = \"hub\"\nposition_listen = \"{}\"", shop.scene.positions);
    shop.scene.write_gateway(GATEWAY, None, "\"none\"", &more);
    let mut gateway = shop.scene.start_gateway(GATEWAY);
    let waiting = || async { shop.state(GATEWAY)["flags"].as_array()?.contains(&json!("no-site")).then_some(()) };
    eventually("the gateway says that it has no site", PATIENCE, waiting).await;

    shop.apply(1);
    shop.in_force(GATEWAY, 1).await;
    shop.at_the_market().await;
    std::fs::write(shop.scene.path("geofences/lyon-market.toml"), FENCE).unwrap();
    shop.apply(2);
    shop.in_force(GATEWAY, 2).await;
    shop.at_the_market().await;
    shop.until_phases(&["enter"]).await;
    // Drawn no more: the stay ends, without a further word of the phone.
    std::fs::remove_file(shop.scene.path("geofences/lyon-market.toml")).unwrap();
    shop.apply(3);
    shop.in_force(GATEWAY, 3).await;
    shop.until_phases(&["enter", "exit"]).await;

    nobody_else_changes_it(&shop).await;
    let expiring = commands_count_once(&shop, &mut gateway).await;

    // Kept over a restart without a broker, whose retained messages are gone for good.
    std::fs::write(shop.scene.path("geofences/lyon-market.toml"), FENCE).unwrap();
    shop.apply(4);
    shop.in_force(GATEWAY, 4).await;
    broker.kill();
    gateway.kill();
    let mut gateway = shop.scene.start_gateway(GATEWAY);
    shop.at_the_market().await;
    let held = || async {
        let rows = rows(&shop.scene, "data-gw-position/outbox.db", "SELECT CAST(json AS TEXT) FROM row").await;
        rows.iter().any(|json| json.contains("lyon-market")).then_some(())
    };
    eventually("an event by the last good site", PATIENCE, held).await;

    // The hub says everything again to a broker that has forgotten; a gateway that is new gets its own shop.
    broker.restart();
    let shop = Shop { publisher: Publisher::connect(broker.port), ..shop };
    shop.scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "\"none\"", "site = \"hub\"");
    let mut lyon = shop.scene.start_gateway("gw-lyon");
    eventually("the new gateway has its site", PATIENCE, || async { shop.state("gw-lyon")["site_revision"].as_u64().filter(|r| *r > 0) })
        .await;
    shop.in_force(GATEWAY, 4).await;

    // A command that comes too late.
    let before = shop.times("it has expired");
    shop.scene.until(Millis(expiring["expires"].as_i64().unwrap() + 1)).await;
    shop.publisher.publish(COMMAND, false, expiring.to_string()).await;
    eventually("the late command is refused", PATIENCE, || async { (shop.times("it has expired") > before).then_some(()) }).await;
    gateway.stop();
    lyon.stop();
}

/// Forged, another gateway's, older: each is refused with its reason, flagged, and changes nothing.
async fn nobody_else_changes_it(shop: &Shop) {
    let own: Vec<SiteManifest> = shop.heard(MANIFEST).iter().map(|p| SiteManifest::from_slice(p).unwrap()).collect();
    assert_eq!(own.iter().map(|m| m.revision).collect::<Vec<_>>(), [1, 2, 3]);
    let forged = SiteManifest { revision: 99, ..own[2].clone() };
    let stranger = forged.clone().signed(&Signing::from_bytes(&[9; 32]));
    let foreign = shop.heard("passage/v1/gateway/gw-lyon/site/manifest").pop().expect("the hub sends the other gateway its own");
    let cases = [
        (forged.to_vec(), "the signature does not fit the message"),
        (stranger.to_vec(), "signed by a key that is not pinned here"),
        (foreign, "it is for another gateway"),
        (own[0].to_vec(), "its revision 1 is lower than 3"),
        (SiteManifest { rollback: Some(3), ..own[0].clone() }.to_vec(), "the signature does not fit the message"),
    ];
    for (payload, reason) in cases {
        let before = shop.times(reason);
        shop.publisher.publish(MANIFEST, false, payload).await;
        eventually(reason, PATIENCE, || async { (shop.times(reason) > before).then_some(()) }).await;
    }
    let flagged = || async { shop.state(GATEWAY)["flags"].as_array()?.contains(&json!("site-refused")).then_some(()) };
    eventually("the refusal is flagged", PATIENCE, flagged).await;
    assert_eq!(shop.state(GATEWAY)["site_revision"], 3);
    // The true one again takes the flag away.
    shop.publisher.publish(MANIFEST, false, own[2].to_vec()).await;
    let well = || async { shop.state(GATEWAY)["flags"].as_array().is_none_or(Vec::is_empty).then_some(()) };
    eventually("the flag is gone", PATIENCE, well).await;
}

/// A command is carried out once, also over a restart; one that this gateway cannot do is refused. Gives one that has not reached it.
async fn commands_count_once(shop: &Shop, gateway: &mut support::binary::Process) -> Value {
    let said = shop.scene.hub(&["gateway", "command", GATEWAY, "report-state"]);
    assert!(said.contains("report-state was sent to gw-position"), "{said}");
    shop.logged("command report-state is carried out").await;
    let repeated = shop.heard(COMMAND).pop().unwrap();
    shop.publisher.publish(COMMAND, false, repeated.clone()).await;
    shop.logged("it was carried out before").await;
    shop.scene.hub(&["gateway", "command", GATEWAY, "restart-radio"]);
    shop.logged("no radio of its own").await;

    gateway.kill();
    let known = shop.heard(COMMAND).len();
    shop.scene.hub(&["gateway", "command", GATEWAY, "report-state", "--minutes", "1"]);
    let missed = || async { shop.heard(COMMAND).get(known).cloned() };
    let missed = eventually("the command that nobody heard", PATIENCE, missed).await;
    let before = shop.times("connected to the broker");
    *gateway = shop.scene.start_gateway(GATEWAY);
    eventually("the gateway is back", PATIENCE, || async { (shop.times("connected to the broker") > before).then_some(()) }).await;
    let before = shop.times("it was carried out before");
    shop.publisher.publish(COMMAND, false, repeated).await;
    eventually("known over a restart", PATIENCE, || async { (shop.times("it was carried out before") > before).then_some(()) }).await;
    // What it missed is repeated until it says that it has it; nothing else is carried out a second time.
    let twice = || async { (shop.times("command report-state is carried out") == 2).then_some(()) };
    eventually("the command that was missed", PATIENCE, twice).await;
    serde_json::from_slice(&missed).unwrap()
}
