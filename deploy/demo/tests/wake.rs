//! iPhones are seen by what their apps heard of a shop's wake beacon, told by the real binaries. What the beacon says comes from the key that
//! `passage-hub wake-key` prints; that BlueZ advertises the same is tested where BlueZ is played.

mod support;

use std::time::Duration;

use passage_protocol::{Millis, WakeKey, rid::window_at};
use serde_json::{Value, json};
use support::{
    broker::Broker,
    database::Database,
    eventually,
    scene::{Phone, Scene, Sms},
    witness::Witness,
};

const PATIENCE: Duration = Duration::from_secs(60);
const UUID: &str = "5a1c7e0b-93d4-4f26-8e71-b0c2d9a36f58";
const IN_LYON: &str = "SELECT COUNT(*) FROM event WHERE store = 'lyon-bellecour' AND signal = 'app' AND zone = 'in'";

/// The beacon of a shop, as whoever knows its key hears it.
struct Shop(WakeKey);

impl Shop {
    fn of(scene: &Scene, store: &str) -> Self {
        Self(WakeKey::from_text(&scene.hub(&["wake-key", store])).unwrap())
    }

    /// What a phone hears at this time.
    fn said(&self, at: Millis) -> Value {
        let id = self.0.id(window_at(at));
        json!({ "uuid": UUID, "major": id.major(), "minor": id.minor(), "rssi": -64 })
    }
}

/// Posts as a phone does, and gives status and body.
async fn post(scene: &Scene, phone: &Phone, path: &str, body: &Value) -> (u16, String) {
    let request = reqwest::Client::new().post(format!("http://{}{path}", scene.positions));
    let answer = request.basic_auth(&phone.installation, Some(&phone.token)).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn heard(scene: &Scene, phone: &Phone, wake: Value, at: Millis) {
    let (status, why) = post(scene, phone, "/v1/app/events", &json!({ "wake": wake, "at": at })).await;
    assert_eq!(status, 204, "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iphone_is_seen_by_what_it_heard_in_the_shop_and_a_copy_at_home_is_nothing() {
    let broker = Broker::start();
    let database = Database::create().await;
    let witness = Witness::start(broker.port).await;
    let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    scene.hub(&["import"]);
    let (lyon, paris) = (Shop::of(&scene, "lyon-bellecour"), Shop::of(&scene, "paris-marais"));
    std::fs::write(scene.path("wake-master.key"), scene.hub(&["wake-key", "--master"])).unwrap();
    let listen = format!("position_listen = \"{}\"\nwake = {{ master = \"file:wake-master.key\" }}", scene.positions);
    scene.write_gateway("gw-position", None, "\"none\"", &listen);
    let mut hub = scene.start_hub().await;
    let mut gateway = scene.start_gateway("gw-position");
    let presence = ["presence"];
    let lina = scene.enrol("C-00001", "maison-aubrac", &presence).await.unwrap();
    let karim = scene.enrol("C-00002", "maison-aubrac", &presence).await.unwrap();
    let ready = || async { reqwest::get(format!("http://{}/", scene.positions)).await.ok() };
    eventually("the position gateway", PATIENCE, ready).await;

    // At home, somebody advertises what the shop said an hour ago. And an app that only says where it is has no proof at all.
    let now = scene.now();
    heard(&scene, &karim, lyon.said(now - Duration::from_secs(3600)), now).await;
    let (status, why) = post(&scene, &karim, "/v1/app/events", &json!({ "store": "lyon-bellecour", "phase": "enter" })).await;
    assert!(status == 400 && why.contains("wake"), "{status} {why}");
    let region = json!({ "_type": "transition", "t": "b", "event": "enter", "desc": format!("Shop:{UUID}"), "tst": now.secs() });
    assert_eq!(post(&scene, &karim, "/pub", &region).await, (200, "[]".to_owned()));

    // Lina's app is woken three times within some minutes, and speaks to us once it has a network.
    for before in [140, 70, 0] {
        let at = now - Duration::from_secs(before);
        heard(&scene, &lina, lyon.said(at), at).await;
    }
    let qualified = "SELECT COUNT(*) FROM visit WHERE store = 'lyon-bellecour' AND label = 'qualified' AND dwell_ms >= 120000";
    eventually("her visit", PATIENCE, || async { (database.count(qualified).await == 1).then_some(()) }).await;
    let of_lina = database.count(IN_LYON).await;
    assert!(of_lina >= 2, "an enter and a dwell, but there are {of_lina} events");

    // A friend's phone beside hers hears the same id; it is an unmodified OwnTracks, which knows the time of its last position only.
    let wake = lyon.said(scene.now());
    let ranged = json!({ "_type": "beacon", "uuid": UUID.to_uppercase(), "major": wake["major"], "minor": wake["minor"], "rssi": -70,
        "prox": 2, "acc": 3.1, "tst": (now - Duration::from_secs(7200)).secs() });
    assert_eq!(post(&scene, &karim, "/pub", &ranged).await, (200, "[]".to_owned()));
    let both = || async { (database.count(IN_LYON).await == of_lina + 1).then_some(()) };
    eventually("his arrival", PATIENCE, both).await;

    // A minute later the beacon of Paris reaches the phone in Lyon: somebody relays it.
    heard(&scene, &karim, paris.said(scene.now()), scene.now()).await;

    // iOS tells the end of a region without major and minor, and in whole seconds: he leaves in the second after his arrival at the earliest. Behind
    // it, everything that was ever taken has arrived.
    let leaves = scene.now().secs() + 1;
    let left = json!({ "_type": "transition", "t": "b", "event": "leave", "desc": format!("Shop:{UUID}"), "tst": leaves });
    assert_eq!(post(&scene, &karim, "/pub", &left).await, (200, "[]".to_owned()));
    let gone = "SELECT COUNT(*) FROM event WHERE signal = 'app' AND phase = 'exit'";
    eventually("his departure", PATIENCE, || async { (database.count(gone).await == 1).then_some(()) }).await;
    assert_eq!(database.count("SELECT COUNT(*) FROM event WHERE store <> 'lyon-bellecour'").await, 0);
    assert_eq!(database.count(IN_LYON).await, of_lina + 2, "the copy, the claim and the bare region made no event");
    // The last state of the gateway tells what a person should look at.
    gateway.stop();
    let flagged = || async {
        let told = witness.messages();
        told.iter()
            .any(|(topic, m)| topic.ends_with("gw-position/state") && String::from_utf8_lossy(m).contains("wake-in-two-places"))
            .then_some(())
    };
    eventually("the flag of two places", PATIENCE, flagged).await;
    hub.stop();
}
