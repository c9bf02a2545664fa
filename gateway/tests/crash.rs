//! The real program, killed again and again in the middle of a capture.

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use passage_config::{GatewayConfig, Radio, load_gateway};
use passage_gateway::{
    Change,
    outbox::Batch,
    pipeline::{Machines, Played, open_source},
    radio::simulate::{Carrier, Phone, Walk, merge, stranger},
};
use passage_protocol::{ChainKey, Clock, Event, Millis, SeqSet, rid};
use support::{FakeHub, Mosquitto, copy, eventually, hub_key};
use tempfile::TempDir;

/// 2026-11-20 10:00 in Paris.
const START: Millis = Millis(1_795_165_200_000);
/// Business seconds in one second of the test.
const SPEED: i64 = 400;

/// What a decision says, without what numbering adds.
type Fact = String;

fn fact_of_event(e: &Event) -> Fact {
    fact(&serde_json::to_value(e).unwrap())
}

fn fact_of_change(c: &Change) -> Fact {
    let subject = serde_json::to_value(&c.subject).unwrap();
    fact(&serde_json::json!({
        "subject": subject, "zone": c.zone, "phase": c.phase, "at": c.at, "first": c.first, "last": c.last, "strength": c.strength,
    }))
}

fn fact(v: &serde_json::Value) -> Fact {
    ["at", "phase", "zone", "first", "last", "strength", "subject"].map(|key| v[key].to_string()).join(" ")
}

/// Half an hour of a shop: 25 phones of members, and strangers.
fn capture(config: &GatewayConfig, file: &Path) -> usize {
    let namespace = config.site.brands.values().next().unwrap().namespace;
    let day = rid::day_of(rid::window_at(START));
    let phones = (0..25u8).map(|n| {
        let phone = Phone { seed: n.into(), key: ChainKey { day, key: [n; 32] }, namespace, carrier: Carrier::ServiceData, tx_power: -59 };
        let arrives = Millis(START.0 + i64::from(n) * 50_000);
        let leaves = arrives + Duration::from_secs(200 + u64::from(n) * 13);
        let walk = if n % 5 == 4 { Walk::pass_by(arrives, leaves) } else { Walk::visit(arrives, leaves) };
        Box::new(phone.adverts(&walk)) as Box<dyn Iterator<Item = _> + Send>
    });
    let strangers = (0..10u8).map(|n| {
        let arrives = Millis(START.0 + i64::from(n) * 120_000);
        Box::new(stranger(1_000 + u64::from(n), &Walk::visit(arrives, arrives + Duration::from_secs(300))))
            as Box<dyn Iterator<Item = _> + Send>
    });
    let mut text = String::new();
    for advert in merge(phones.chain(strangers)) {
        let (address, data) = (hex::encode(advert.address), hex::encode(&advert.data));
        writeln!(text, r#"{{"at":{},"address":"{address}","rssi":{},"data":"{data}"}}"#, advert.at, advert.rssi).unwrap();
    }
    std::fs::write(file, &text).unwrap();
    text.lines().count()
}

/// What an undisturbed gateway decides.
async fn undisturbed(config: &GatewayConfig, file: &Path) -> Vec<Fact> {
    let config = GatewayConfig { radio: Radio::Replay(file.to_owned()), clock: Clock::stepped(Millis(0)), ..config.clone() };
    let mut machines = Machines::new(&config);
    let mut source = open_source(&config, &Played::default()).await.unwrap().unwrap().source;
    let (mut facts, mut last) = (Vec::new(), Millis(0));
    while let Some(heard) = source.next().await {
        let mut batch = Batch::default();
        let heard = heard.unwrap();
        last = heard.advert.at;
        machines.heard(&heard, &mut batch);
        facts.extend(batch.changes.iter().map(fact_of_change));
    }
    let mut batch = Batch::default();
    machines.quiet(last + Duration::from_secs(3_600), &mut batch);
    facts.extend(batch.changes.iter().map(fact_of_change));
    facts.sort();
    facts
}

fn instant(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at.0).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn run(file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_passage-gateway")).args(["run", "--config"]).arg(file).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_gateway_hub_and_broker_in_the_middle_of_a_capture_changes_no_decision() {
    let (mut broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo"), dir.path());
    let file = dir.path().join("gateway-lyon.toml");
    let walk = dir.path().join("walk.jsonl");
    let adverts = capture(&load_gateway(&file).unwrap(), &walk);
    assert!(adverts > 5_000, "only {adverts} adverts");
    let expected = undisturbed(&load_gateway(&file).unwrap(), &walk).await;
    assert!(expected.len() > 100, "only {} decisions", expected.len());

    let clock = format!("clock = {{ start = \"{}\", anchor = \"{}\", speed = {SPEED} }}", instant(START), instant(Clock::System.now()));
    let config = std::fs::read_to_string(&file).unwrap();
    let config = config
        .replace("port = 1883", &format!("port = {}", broker.port))
        .replace("hub_keys = []", &format!("hub_keys = [\"{}\"]", hub_key().public()))
        .replace("radio = \"none\"", &format!("radio = {{ replay = \"{}\" }}\n{clock}", walk.display()));
    std::fs::write(&file, config).unwrap();

    let hub = FakeHub::start(broker.port).await;
    let received = Arc::clone(&hub.received);
    let mut gateway = run(&file);
    for pause in [700, 900, 300] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        kill(gateway);
        gateway = run(&file);
    }
    drop(hub);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let hub = FakeHub::with(broker.port, received, true).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(gateway);
    let gateway = run(&file);

    eventually("every decision is at the hub", || hub.count() >= expected.len()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(gateway);
    let r = hub.received.lock().unwrap();
    let mut facts: Vec<Fact> = r.events.values().map(fact_of_event).collect();
    facts.sort();
    assert_eq!(facts, expected);
    assert_eq!(r.forks, 0);
    let mut accounted: BTreeMap<&str, SeqSet> = BTreeMap::new();
    for (epoch, seq) in r.events.keys() {
        accounted.entry(epoch).or_default().insert(passage_protocol::SeqRange { from: *seq, to: *seq });
    }
    assert_eq!(accounted.len(), 1, "a crash made a new epoch");
    let mut all = accounted.into_values().next().unwrap();
    for gone in &r.gone {
        all.insert(gone.range);
    }
    let max = all.ranges().last().unwrap().to;
    assert!(all.missing_up_to(max).is_empty(), "missing: {:?}", all.missing_up_to(max));
}
