//! The slow tests, and the one that needs node. They exist only with the feature `soak`, as `deploy/test --soak` builds them; for node's SMS centre
//! PASSAGE_TEST_NPM names a `node_modules` folder with `smpp` 0.5.1 in it.
//! PASSAGE_SOAK_ROUNDS is the number of stories with many kills (3 unless told).

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use passage_protocol::Millis;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use support::{
    broker::Broker,
    crash,
    database::Database,
    eventually,
    scene::{FIRST_NUMBER, START, Scene, Sms},
};

#[test]
fn many_kills_of_everything_at_random_moments_change_nothing() {
    let rounds: u64 = std::env::var("PASSAGE_SOAK_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    for seed in 0..rounds {
        println!("seed {seed}");
        crash::compare(Duration::from_millis(100), async move |run: &mut crash::Run| kill_at_random(run, seed).await);
    }
}

/// From the first minute to the last, something is killed every one to four minutes of business time.
async fn kill_at_random(run: &mut crash::Run, seed: u64) {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut at = START;
    loop {
        at = at.max(run.scene.now()) + Duration::from_secs(random.random_range(60..240));
        if at > crash::end() {
            return;
        }
        run.scene.until(at).await;
        match random.random_range(0..4) {
            0 => run.kill_gateway().await,
            1 => run.kill_hub().await,
            2 => run.kill_broker().await,
            _ => {
                run.hub.kill();
                run.gateway.kill();
                run.kill_broker().await;
                run.hub = run.scene.start_hub().await;
                run.gateway = run.scene.start_gateway("gw-lyon");
            }
        }
    }
}

const WELCOME: &str = r#"
name = "Bienvenue"
live = true
brand = "maison-aubrac"
stores = ["lyon-bellecour"]
on = "enter"
text = "{{ brand }} : bienvenue chez {{ store.name }}. {{ stop }}"
transliterate = true
priority = 90
holdout = "0 %"
"#;

/// The SMS centre of npm `smpp`.
struct Node {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Node {
    fn start() -> Self {
        let modules = std::env::var("PASSAGE_TEST_NPM")
            .expect("PASSAGE_TEST_NPM must name a node_modules folder with smpp 0.5.1; deploy/test --soak makes one");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smsc.js");
        let mut child =
            Command::new("node").arg(script).arg(modules).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("node runs");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("the SMS centre lives").unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sms_centre_takes_the_message_and_brings_receipt_and_stop() {
    let mut node = Node::start();
    let port = u16::try_from(node.next()["port"].as_u64().unwrap()).unwrap();
    let broker = Broker::start();
    let database = Database::create().await;
    let mut scene = Scene::new(&database.url(), broker.port, &Sms::Smpp(port));
    std::fs::write(scene.path("offers/welcome.toml"), WELCOME).unwrap();
    scene.hub(&["import"]);
    let mut hub = scene.start_hub().await;
    let phone = scene.enrol("C-00001", "maison-aubrac", &["presence", "match", "sms"]).await.unwrap();
    hub.stop();

    scene.play(10.0, Duration::from_secs(60));
    let at = |n: u64| -> Millis { START + Duration::from_secs(2 * n) };
    scene.write_capture("capture.jsonl", (0..20).map(|n| scene.advert(&phone, at(n), -60)).collect());
    scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "{ replay = \"capture.jsonl\" }", "");
    let mut hub = scene.start_hub().await;
    let mut gateway = scene.start_gateway("gw-lyon");

    let delivered = "SELECT COUNT(*) FROM message WHERE offer = 'welcome' AND state = 'delivered'";
    eventually("the receipt", crash::PATIENCE, || async { (database.count(delivered).await == 1).then_some(()) }).await;
    let submit = node.next();
    let expected = json!({
        "destination": FIRST_NUMBER, "source": "MAISONAUBRA", "source_ton": 5, "esm_class": 0, "data_coding": 0,
        "validity": submit["validity"], "registered_delivery": 1, "text": "Maison Aubrac : bienvenue chez Lyon Bellecour. STOP au 36111",
    });
    assert_eq!(submit, expected);
    assert_eq!(node.next(), json!({ "answered": 0 }), "the hub took the STOP");
    assert_eq!(database.count("SELECT COUNT(*) FROM suppression WHERE reason = 'stop'").await, 2, "for both entities of the brand");
    gateway.stop();
    hub.stop();
}
