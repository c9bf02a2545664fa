//! The story of the coat, told by the real binaries: broker, database and SMS centre are those of others.

mod support;

use std::time::Duration;

use passage_hub::identity::{IdentifierKind, Keyring, MemberId};
use passage_protocol::Millis;
use serde_json::{Map, Value};
use sqlx::Row;
use support::{
    broker::Broker,
    database::Database,
    eventually,
    scene::{FIRST_NUMBER, KEY, Line, Phone, START, Scene, Sms},
    smsc::Smsc,
};

const SPEED: f64 = 5.0;
/// What hub and gateway have for their start, in business time.
const LEAD: Duration = Duration::from_secs(60);
/// Whom a gateway hears so soon after its start it takes for somebody who was there before.
const SETTLE: Duration = Duration::from_secs(15);
/// Longest wait for anything, in machine time.
const PATIENCE: Duration = Duration::from_secs(60);

const LINA: &str = "C-00001";
const COOKIE: &str = "maison-aubrac.example/c9e3779b1";
const PURPOSES: [&str; 4] = ["presence", "match", "sms", "personalise"];
const TEXT: &str = "Maison Aubrac : le manteau Aubrac vous attend en taille 42 chez Lyon Bellecour. STOP au 36111";

/// An offer of another shop, which she would get there if she had not said STOP.
const WELCOME: &str = r#"
name = "Bienvenue"
live = true
brand = "maison-aubrac"
stores = ["paris-marais"]
on = "enter"
text = "{{ brand }} : bienvenue chez {{ store.name }}. {{ stop }}"
transliterate = true
holdout = "0 %"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_comes_for_the_coat_gets_its_sms_and_is_left_alone_after_her_stop() {
    let broker = Broker::start();
    let database = Database::create().await;
    let smsc = Smsc::start().await;
    let mut scene = Scene::new(&database.url(), broker.port, &Sms::Smpp(smsc.port));
    // One message a day would hide the STOP behind the cap of the next offer, were the STOP forgotten.
    let hub_toml = std::fs::read_to_string(scene.path("hub.toml")).unwrap();
    std::fs::write(scene.path("hub.toml"), hub_toml + "[caps]\nper_day = 10\nper_week = 10\nper_month = 10\n").unwrap();
    // The capture has her in Paris at once, her legs took an hour.
    let rules = std::fs::read_to_string(scene.path("visit.toml")).unwrap();
    let lenient = rules.replace("clocks = \"2 min\"", "clocks = \"1 h\"").replace("fastest_kmh = 300", "fastest_kmh = 1000");
    assert_ne!(rules, lenient);
    std::fs::write(scene.path("visit.toml"), lenient).unwrap();
    std::fs::write(scene.path("offers/welcome.toml"), WELCOME).unwrap();
    let phone = prepare(&scene).await;

    // She is in the shop in Lyon for four minutes.
    scene.play(SPEED, LEAD);
    scene.write_capture("lyon.jsonl", stay(&scene, &phone, START, Duration::from_secs(240)));
    scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "{ replay = \"lyon.jsonl\" }", "");
    let mut hub = scene.start_hub().await;
    let mut lyon = scene.start_gateway("gw-lyon");
    assert!(scene.now() + SETTLE < START, "this machine is too slow: she came before hub and gateway ran");

    let sms = smsc.submit_to(FIRST_NUMBER, PATIENCE).await;
    assert_eq!(String::from_utf8(sms.bytes.clone()).unwrap(), TEXT, "every character of it is the same in GSM 7 bit and ASCII");
    assert_eq!((sms.data_coding, sms.esm_class, sms.registered_delivery), (0, 0, 1));
    assert_eq!(sms.validity, "000000003000000R", "30 minutes in the relative form");
    assert_eq!((sms.source.as_str(), sms.source_ton), ("MAISONAUBRA", 5));
    let entered = database.count("SELECT at FROM event WHERE phase = 'enter' AND zone = 'in' AND store = 'lyon-bellecour'").await;
    let after = scene.business(sms.wall_ms).since(Millis(entered));
    assert!((0..=5000).contains(&after), "the SMS left {after} ms after she entered");
    let steps = database.rows("SELECT received_at, planned_at, sent_at FROM event, message WHERE phase = 'enter' AND zone = 'in'").await;
    let step = |i: usize| steps[0].get::<i64, _>(i) - entered;
    println!(
        "ms of business time after she entered: stored {}, planned {}, handed to the sender {}, at the SMS centre {after}",
        step(0),
        step(1),
        step(2)
    );

    // The operator tells that it was delivered.
    smsc.receipt(&sms).await;
    let delivered = "SELECT COUNT(*) FROM message WHERE offer = 'coat-size' AND state = 'delivered'";
    eventually("the receipt", PATIENCE, || async { (database.count(delivered).await == 1).then_some(()) }).await;

    // She answers STOP; once the answer to that is back, it is in force.
    smsc.reply(FIRST_NUMBER, "36111", "Stop svp").await;
    let stopped = "SELECT COUNT(*) FROM suppression WHERE brand = 'maison-aubrac' AND entity = 'maison-aubrac' AND reason = 'stop'";
    assert_eq!(database.count(stopped).await, 1, "the reply was answered before the STOP was in force");

    // An hour later by her legs, at once by the capture: she enters the shop in Paris.
    let arrival = scene.now() + Duration::from_secs(20);
    scene.write_capture("paris.jsonl", stay(&scene, &phone, arrival, Duration::from_secs(30)));
    scene.write_gateway("gw-paris", Some("paris-marais"), "{ replay = \"paris.jsonl\" }", "");
    let mut paris = scene.start_gateway("gw-paris");
    let result = || async { Some(database.rows("SELECT result FROM decision WHERE offer = 'welcome'").await.first()?.get::<String, _>(0)) };
    assert_eq!(eventually("the decision in Paris", PATIENCE, result).await, "no-sms-consent");

    // Her stay in Lyon has become a visit, although she is still there.
    let qualified = "SELECT COUNT(*) FROM visit WHERE store = 'lyon-bellecour' AND label = 'qualified' AND dwell_ms >= 120000";
    eventually("the visit", PATIENCE, || async { (database.count(qualified).await == 1).then_some(()) }).await;
    assert_eq!(smsc.submits().len(), 1, "there is one SMS in this story");

    why_and_report_tell_it(&scene);
    paris.stop();
    lyon.stop();
    hub.stop();
    smsc.stop().await;
}

/// Members and the touchpoints of some weeks come by file, those of her last evening by HTTP, her app enrols, and whose cookie it is comes last.
async fn prepare(scene: &Scene) -> Phone {
    let imported = scene.hub(&["import"]);
    assert!(imported.contains("members: 600 rows") && !imported.contains("refused"), "{imported}");
    let mut hub = scene.start_hub().await;
    let mut rows = csv::Reader::from_path(scene.path("data/touchpoints-live.csv")).unwrap();
    let rows = rows.deserialize::<Map<String, Value>>().map(|row| {
        let filled = row.unwrap().into_iter().map(|(k, v)| (k, v.as_str().map_or_else(|| v.to_string(), str::to_owned)));
        Value::Object(filled.filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k, Value::String(v))).collect())
    });
    scene.touchpoints(&Value::Array(rows.collect())).await;
    let phone = scene.enrol(LINA, "maison-aubrac", &PURPOSES).await.unwrap();
    scene.identify(LINA, COOKIE).await;
    hub.stop();
    phone
}

fn stay(scene: &Scene, phone: &Phone, from: Millis, long: Duration) -> Vec<Line> {
    let tick = |n: u64| scene.advert(phone, from + Duration::from_secs(2 * n), -60 + i8::try_from(n % 3).unwrap() - 1);
    (0..=long.as_secs() / 2).map(tick).collect()
}

fn why_and_report_tell_it(scene: &Scene) {
    let member = MemberId::of(&Keyring::from_secret(&KEY).identifier(IdentifierKind::CrmId, LINA)).code();
    let why = scene.hub(&["why", &member]);
    for words in [
        &format!("Member {member}"),
        "lyon-bellecour: 2026-11-20 10:40",
        "offer coat-size on enter: sent",
        "looked at MA-COAT-01 6 times on 3 days and did not buy it",
        "offer welcome on enter: not sent: no-sms-consent",
        "NO no-sms-consent",
    ] {
        assert!(why.contains(words), "`why` does not tell {words:?}:\n{why}");
    }
    assert!(!why.contains(LINA) && !why.contains("lina"), "`why` names somebody:\n{why}");

    let report = scene.hub(&["report", "--day", "2026-11-20"]);
    let table: Vec<String> = report.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in ["qualified 1", "coat-size delivered 1", "coat-size send 1", "welcome no-sms-consent 1"] {
        assert!(table.iter().any(|l| l == row), "`report` has no row {row:?}:\n{report}");
    }
    assert!(report.contains("rows withheld because they are about fewer than 20 members"), "{report}");
}
