//! Bad input of every kind, from every side: it is told or put aside with its reason, and nothing else is lost.

mod support;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use passage_protocol::{Ack, Envelope, Event, Hello, HubState, Millis, Phase, Signal, Strength, Subject, Zone, sign::Signing};
use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    binary,
    broker::Broker,
    database::Database,
    eventually,
    publisher::Publisher,
    scene::{Line, START, Scene, Sms},
    witness::Witness,
};

/// Longest wait for anything, in machine time.
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "passage/v1/gateway/gw-test/event";

fn event(scene: &Scene, seq: u64) -> Event {
    let at = scene.now();
    Event {
        id: uuid::Uuid::now_v7(),
        seq,
        store: "lyon-bellecour".parse().unwrap(),
        zone: Zone::In,
        subject: Subject::Installation("i-nobody-that-a-hub-knows".parse().unwrap()),
        signal: Signal::App,
        phase: Phase::Enter,
        at,
        mono: 1,
        first: at,
        last: at,
        strength: Strength::App,
        initial: false,
        late: false,
    }
}

fn envelope(gateway: &str, events: Vec<Event>) -> Envelope {
    let sent_at = events.first().map_or(Millis(0), |e| e.at);
    Envelope { sent_at, events, ..Envelope::new(gateway.parse().unwrap(), "epoch-1".to_owned(), "boot-1".to_owned()) }
}

fn as_json(envelope: &Envelope) -> Value {
    serde_json::from_slice(&envelope.to_vec()).unwrap()
}

/// A message that nobody may accept, and why. Each takes the place of the good one with this number, which comes afterwards.
fn bad_messages(scene: &Scene) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = envelope("gw-test", vec![event(scene, 1)]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = as_json(&good);
        change(&mut value);
        value.to_string().into_bytes()
    };
    let truncated = {
        let whole = good.to_vec();
        whole[..whole.len() - 7].to_vec()
    };
    let oversize = [good.to_vec(), vec![b' '; 100 * 1024]].concat();
    // More than the hub lets the broker hand over at all.
    let giant = vec![b'x'; 300 * 1024];
    let backwards = |v: &mut Value| v["events"][0]["first"] = json!(v["events"][0]["last"].as_i64().unwrap() + 1);
    let hello = Hello::new("gw-other".parse().unwrap(), "epoch-1".to_owned(), 1, 1, "boot-1".to_owned());
    vec![
        (TOPIC, Vec::new(), "not a valid envelope: it ends too early"),
        (TOPIC, b"all is well".to_vec(), "not a valid envelope: broken JSON"),
        (TOPIC, vec![0xff, 0x00, 0xc3, 0x28, 0x80], "not a valid envelope: broken JSON"),
        (TOPIC, truncated, "not a valid envelope: it ends too early"),
        (TOPIC, with(&|v| v["surprise"] = json!(1)), "not a valid envelope: a field is missing, unknown or of the wrong kind"),
        (TOPIC, with(&|v| v["events"][0]["zone"] = json!("../etc")), "not a valid envelope: a field is missing"),
        (TOPIC, with(&|v| v["gateway"] = json!("gw-other")), "the envelope names another gateway than its topic"),
        (TOPIC, with(&|v| v["v"] = json!(9)), "protocol version 9 is not read here"),
        (TOPIC, with(&|v| v["events"] = json!([])), "an envelope carries at least one event or gone record"),
        (TOPIC, with(&|v| v["events"][0]["seq"] = json!(0)), "seqs count from 1"),
        (TOPIC, with(&backwards), "the first evidence of an event is not after its last"),
        (TOPIC, oversize, "bytes are more than the 65536 a message may have"),
        (TOPIC, giant, ""),
        ("passage/v1/gateway/GW_Test/event", good.to_vec(), "topic"),
        ("passage/v1/gateway/hub/event", good.to_vec(), "topic"),
        ("passage/v1/gateway/gw-test/hello", b"hello!".to_vec(), "not a valid hello"),
        ("passage/v1/gateway/gw-test/hello", hello.to_vec(), "the hello names another gateway than its topic"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_messages_are_put_aside_with_their_reasons_and_the_good_ones_between_them_are_stored() {
    let broker = Broker::start();
    let database = Database::create().await;
    let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    let witness = Witness::start(broker.port).await;
    let mut hub = scene.start_hub().await;
    let publisher = Publisher::connect(broker.port);
    let online = || async {
        witness
            .messages()
            .iter()
            .any(|(t, p)| t == "passage/v1/hub/hub-test/state" && HubState::from_slice(p).is_ok_and(|s| s.online))
            .then_some(())
    };
    eventually("the hub online", PATIENCE, online).await;

    let bad = bad_messages(&scene);
    let mut seq = 0;
    for (topic, payload, _) in &bad {
        publisher.publish(topic, false, payload.clone()).await;
        seq += 1;
        publisher.publish(TOPIC, false, envelope("gw-test", vec![event(&scene, seq)]).to_vec()).await;
    }
    // Events that are wrong by themselves: what stands beside them in the envelope is stored.
    let (mut nowhere, mut ahead) = (event(&scene, seq + 2), event(&scene, seq + 3));
    nowhere.store = "no-such-store".parse().unwrap();
    ahead.at = ahead.at + Duration::from_secs(25 * 3600);
    let mixed = vec![event(&scene, seq + 1), nowhere, ahead, event(&scene, seq + 4)];
    publisher.publish(TOPIC, false, envelope("gw-test", mixed).to_vec()).await;
    seq += 4;
    // A copy of an outbox that counts on its own: the same number with another event.
    for _ in 0..2 {
        let fork = envelope("gw-fork", vec![event(&scene, 1)]);
        publisher.publish("passage/v1/gateway/gw-fork/event", false, fork.to_vec()).await;
    }
    // The same message twice is no mistake.
    let twice = envelope("gw-test", vec![event(&scene, seq + 1)]).to_vec();
    seq += 1;
    publisher.publish(TOPIC, false, twice.clone()).await;
    publisher.publish(TOPIC, false, twice).await;
    publisher.settle().await;

    let acked = || async {
        let acks = witness.messages().into_iter().filter(|(t, _)| t == "passage/v1/gateway/gw-test/ack");
        acks.filter_map(|(_, p)| Ack::from_slice(&p).ok()).any(|a| a.max == seq && a.missing.is_empty()).then_some(())
    };
    eventually("the ack of the last good event", PATIENCE, acked).await;
    let stored = database.count("SELECT COUNT(*) FROM event_key WHERE gateway = 'gw-test'").await;
    assert_eq!(stored, i64::try_from(seq).unwrap(), "a good event was lost");
    assert_eq!(
        database.count("SELECT COUNT(*) FROM event WHERE gateway = 'gw-test'").await,
        stored - 2,
        "two events were wrong by themselves"
    );

    let mut expected: Vec<&str> = bad.iter().map(|(_, _, why)| *why).filter(|why| !why.is_empty()).collect();
    expected.extend(["the event names a store that is not in the configuration", "the event is more than 24 h ahead", "(fork)"]);
    let mut reasons: Vec<String> = database.rows("SELECT reason FROM quarantine").await.iter().map(|r| r.get(0)).collect();
    assert_eq!(reasons.len(), expected.len(), "{reasons:#?}");
    for why in expected {
        let found =
            reasons.iter().position(|r| r.contains(why)).unwrap_or_else(|| panic!("nothing was put aside because {why:?}: {reasons:#?}"));
        reasons.remove(found);
    }
    assert_eq!(database.count("SELECT COUNT(*) FROM quarantine WHERE size > octet_length(raw) AND octet_length(raw) <= 65536").await, 1);
    let acks_of_fork = witness.messages().into_iter().filter(|(t, _)| t == "passage/v1/gateway/gw-fork/ack");
    let last = acks_of_fork.filter_map(|(_, p)| Ack::from_slice(&p).ok()).next_back();
    assert!(last.is_none_or(|a| a.max <= 1), "a forked epoch got an ack for what is not stored");
    assert!(hub.is_running() && !hub.words().contains("panicked"), "{}", hub.words());
    hub.stop();
}

/// A minute in the shop.
fn minute(scene: &Scene, phone: &support::scene::Phone, from: Millis) -> Vec<Line> {
    (0..30).map(|n| scene.advert(phone, from + Duration::from_secs(2 * n), -60)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_believes_no_forged_ack_and_plays_on_behind_broken_records() {
    let broker = Broker::start();
    let database = Database::create().await;
    let mut scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    scene.hub(&["import"]);
    let mut hub = scene.start_hub().await;
    let phone = scene.enrol("C-00001", "maison-aubrac", &["presence", "match", "sms"]).await.unwrap();
    hub.stop();
    scene.play(20.0, Duration::from_secs(20));
    scene.write_capture("capture.jsonl", minute(&scene, &phone, START));
    damage(&scene.path("capture.jsonl"));
    scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "{ replay = \"capture.jsonl\" }", "");
    let mut gateway = scene.start_gateway("gw-lyon");

    // No hub is there. Somebody says that one is, and that it has everything.
    let publisher = Publisher::connect(broker.port);
    let held = || held(&scene);
    eventually("two events in the outbox", PATIENCE, || async { (held().await.1 >= 2).then_some(()) }).await;
    let (epoch, rows) = held().await;
    let forger = Signing::from_bytes(&[7; 32]);
    let signed = |gateway: &str| Ack::signed(gateway.parse().unwrap(), epoch.clone(), 1000, Vec::new(), 1000, &forger).to_vec();
    let mut unsigned: Value = serde_json::from_slice(&signed("gw-lyon")).unwrap();
    unsigned["sig"] = json!("");
    let liar =
        HubState { v: 1, hub: "hub-liar".parse().unwrap(), boot: "b".to_owned(), online: true, at: scene.now(), version: "1".to_owned() };
    publisher.publish("passage/v1/hub/hub-liar/state", true, liar.to_vec()).await;
    let nonsense = [
        b"".to_vec(),
        b"ack".to_vec(),
        vec![0xff; 2000],
        vec![b'['; 70_000],
        signed("gw-lyon"),
        signed("gw-other"),
        unsigned.to_string().into_bytes(),
    ];
    for payload in nonsense {
        publisher.publish("passage/v1/gateway/gw-lyon/ack", false, payload).await;
    }
    for topic in ["passage/v1/gateway/gw-lyon/state", "passage/v1/hub/hub-test/state", "passage/v1/gateway/gw-lyon/command"] {
        publisher.publish(topic, false, b"{\"v\":1,".to_vec()).await;
    }
    publisher.settle().await;
    let warned = || async { gateway_log(&scene).contains("an ack was ignored").then_some(()) };
    eventually("the gateway's warning", PATIENCE, warned).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(held().await.1 >= rows, "a gateway deleted events because of a forged ack");

    // The true hub comes, and gets everything.
    let mut hub = scene.start_hub().await;
    scene.until(START + Duration::from_secs(60 + 180 + 20)).await;
    eventually("an empty outbox", PATIENCE, || async { (held().await.1 == 0).then_some(()) }).await;
    let phases = database.rows("SELECT phase, COUNT(*) FROM event WHERE member IS NOT NULL GROUP BY phase ORDER BY phase").await;
    let phases: Vec<(String, i64)> = phases.iter().map(|r| (r.get(0), r.get(1))).collect();
    assert_eq!(phases, [("enter".to_owned(), 1), ("exit".to_owned(), 1)], "the records around the broken ones were not all played");
    let log = gateway_log(&scene);
    for record in ["record 11 of the capture", "record 12 of the capture", "in the middle of record 33"] {
        assert!(log.contains(record), "the gateway does not name {record}:\n{log}");
    }
    assert!(gateway.is_running() && !log.contains("panicked"));
    gateway.stop();
    hub.stop();
}

fn gateway_log(scene: &Scene) -> String {
    fs::read_to_string(scene.path("gw-lyon.log")).unwrap_or_default()
}

/// The epoch of the gateway's outbox and how many rows it holds.
async fn held(scene: &Scene) -> (String, i64) {
    let file = SqliteConnectOptions::new().filename(scene.path("data-gw-lyon/outbox.db")).read_only(true);
    let Ok(mut connection) = SqliteConnection::connect_with(&file).await else { return (String::new(), 0) };
    let row = sqlx::query("SELECT epoch, (SELECT COUNT(*) FROM row) FROM meta").fetch_optional(&mut connection).await;
    row.ok().flatten().map_or((String::new(), 0), |r| (r.get(0), r.get(1)))
}

/// Two broken lines behind the tenth, and an end in the middle of a line.
fn damage(capture: &Path) {
    let mut lines: Vec<String> = fs::read_to_string(capture).unwrap().lines().map(str::to_owned).collect();
    lines.insert(10, "{\"at\":1795167620000,\"address\":\"zz\",\"rssi\":-60,\"data\":\"\"}".to_owned());
    lines.insert(11, "\u{0}\u{1}garbage".to_owned());
    let last = lines.last().unwrap().clone();
    lines.push(last[..last.len() / 2].to_owned());
    fs::write(capture, lines.join("\n")).unwrap();
}

#[tokio::test]
async fn rows_with_errors_cost_themselves_and_are_named_with_their_lines() {
    let scene = Scene::new("sqlite:hub.db", 1, &Sms::Sandbox);
    let members = "crm_id,email,phone,loyalty_card,brand,entity,presence,match,sms,personalise,advice,ads,trackers\n\
        X-1,a@example.fr,06 39 98 00 01,MA0000001,maison-aubrac,maison-aubrac,yes,yes,yes,no,no,no,no\n\
        X-2,b@example.fr,06 39 98 00 02,MA0000002,maison-aubrac,no-such-entity,yes,yes,yes,no,no,no,no\n\
        ,c@example.fr,06 39 98 00 03,MA0000003,maison-aubrac,maison-aubrac,yes,yes,yes,no,no,no,no\n\
        X-4,\"d@example.fr,06 39 98 00 04\n\
        X-5,e@example.fr,12,MA0000005,maison-aubrac,maison-aubrac,yes,yes,perhaps,no,no,no,no\n\
        X-6,f@example.fr,06 39 98 00 06,MA0000006,maison-aubrac,maison-aubrac,yes,yes,yes,no,no,no,no\n";
    let touchpoints = "key,at,kind,campaign,channel,sku,size,identifier_kind,identifier\n\
        k1,2026-11-14T20:42:00+01:00,click,social-coats,paid-social,,,cookie,shop.example/c1\n\
        k2,yesterday,click,social-coats,paid-social,,,cookie,shop.example/c1\n\
        k3,2026-11-14T20:42:00+01:00,stare,social-coats,paid-social,,,cookie,shop.example/c1\n\
        k4,2026-11-14T20:43:00+01:00,view,,site,MA-COAT-01,42,cookie,shop.example/c1\n";
    fs::write(scene.path("data/members.csv"), members).unwrap();
    fs::write(scene.path("data/touchpoints.csv"), touchpoints).unwrap();
    let config = scene.path("hub.toml").display().to_string();
    let output = binary::run("passage-hub", &["import", "--config", &config]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines = told_lines(&said);
    assert_eq!(lines["members"], [3, 4, 5, 6, 6], "{said}");
    assert_eq!(lines["touchpoints"], [3, 4], "{said}");
    assert!(!said.contains("example.fr") && !said.contains("39 98"), "the report repeats what it refuses:\n{said}");

    let mut database = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(scene.path("hub.db"))).await.unwrap();
    for (table, rows) in [("member", 3), ("touchpoint", 2)] {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let count: i64 = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut database).await.unwrap().get(0);
        assert_eq!(count, rows, "{table}: {said}");
    }
}

/// The lines that an import names, by what it imported.
fn told_lines(said: &str) -> BTreeMap<String, Vec<u64>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut what = String::new();
    for line in said.lines() {
        if let Some(rest) = line.strip_prefix("  line ") {
            all.entry(what.clone()).or_default().push(rest.split(':').next().unwrap().parse().unwrap());
        } else {
            line.split(':').next().unwrap_or_default().clone_into(&mut what);
        }
    }
    all
}

#[tokio::test]
async fn bad_bodies_are_answered_with_a_reason_and_good_rows_among_bad_ones_are_stored() {
    let broker = Broker::start();
    let scene = Scene::new("sqlite:hub.db", broker.port, &Sms::Sandbox);
    let mut hub = scene.start_hub().await;
    let post = |path: &str, body: Vec<u8>| {
        reqwest::Client::new().post(format!("{}{path}", scene.api)).bearer_auth("passage-demo-token").body(body).send()
    };
    for (path, body, status, code) in [
        ("/v1/touchpoints", b"[{\"at\":".to_vec(), 400, "malformed"),
        ("/v1/touchpoints", vec![0xff; 64], 200, ""),
        ("/v1/touchpoints", vec![b' '; 2 * 1024 * 1024], 413, "too-large"),
        ("/v1/app/installations", b"{}".to_vec(), 400, "malformed"),
        (
            "/v1/app/installations",
            json!({ "brand": "maison-aubrac", "entity": "maison-aubrac", "shoe_size": 42 }).to_string().into_bytes(),
            400,
            "malformed",
        ),
        ("/v1/identify", json!({ "cookie": "c", "crm_id": "nobody" }).to_string().into_bytes(), 400, "identifier"),
        ("/v1/nothing", b"{}".to_vec(), 404, "not-found"),
    ] {
        let answer = post(path, body).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let answer: Value = answer.json().await.unwrap();
        if status == 200 {
            assert_eq!((&answer["stored"], &answer["refused"]), (&json!(0), &json!(1)), "{answer}");
        } else {
            assert_eq!(answer["code"], code, "{answer}");
            assert!(answer["detail"].as_str().is_some_and(|d| d.len() > 10), "{answer}");
        }
    }
    let anonymous = reqwest::Client::new().post(format!("{}/v1/touchpoints", scene.api)).body("[]").send().await.unwrap();
    assert_eq!(anonymous.status(), 401);

    let row = |key: &str, at: &str| json!({ "key": key, "at": at, "kind": "view", "channel": "site", "sku": "MA-COAT-01", "size": "42", "identifier_kind": "cookie", "identifier": "shop.example/c1" });
    let rows =
        json!([row("k1", "2026-11-18T21:51:27+01:00"), row("k2", "soon"), { "colour": "red" }, 7, row("k3", "2026-11-18T21:52:27+01:00")]);
    let answer: Value = post("/v1/touchpoints", rows.to_string().into_bytes()).await.unwrap().json().await.unwrap();
    let verdicts: Vec<&str> = answer["rows"].as_array().unwrap().iter().map(|r| r["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["stored", "refused", "refused", "refused", "stored"], "{answer}");
    assert!(hub.is_running() && !hub.words().contains("panicked"));
    hub.stop();
}
