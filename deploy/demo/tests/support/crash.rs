//! One story for all tests that kill something: twelve members visit the shop in Lyon within some twenty minutes, which pass thirty times as fast.
//! Whatever is killed in the middle, afterwards the hub must know the same as if nothing had happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use passage_protocol::Millis;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    binary::Process,
    broker::Broker,
    database::Database,
    eventually,
    proxy::Proxy,
    scene::{Line, Phone, START, Scene, Sms},
    smsc::{Smsc, Submit},
};

/// How time passes in a story.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Business time against machine time.
    pub speed: f64,
    /// What hub and gateway have for their start, in business time.
    pub lead: Duration,
}

/// Evidence is fresh for three minutes: six seconds here, which a busy machine needs now and then.
const LIFE: Pace = Pace { speed: 30.0, lead: Duration::from_secs(5 * 60) };
/// Longest wait for anything, in machine time.
pub const PATIENCE: Duration = Duration::from_secs(90);

const MEMBERS: usize = 12;
const GATEWAY: &str = "gw-lyon";

/// How deep somebody comes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    In,
    Front,
    FrontThenIn,
}

/// A member's way: when she comes, for how many minutes, and how deep.
fn way(n: usize) -> (Millis, u64, Way) {
    let at = START + Duration::from_secs(n as u64 * 60);
    let deep = match n % 6 {
        4 => Way::Front,
        5 => Way::FrontThenIn,
        _ => Way::In,
    };
    (at, 3 + (n as u64 * 7) % 6, deep)
}

/// When the last one has left.
pub fn end() -> Millis {
    (0..MEMBERS).map(|n| way(n).0 + Duration::from_secs(way(n).1 * 60)).max().unwrap()
}

/// An offer for everybody who comes in, and one that is always considered and never sent.
const WELCOME: &str = r#"
name = "Bienvenue"
live = true
brand = "maison-aubrac"
stores = ["lyon-bellecour"]
on = "enter"
text = "{{ brand }} : bienvenue chez {{ store.name }}. {{ stop }}"
transliterate = true
holdout = "0 %"
"#;
const LINGER: &str = r#"
name = "Vous hésitez ?"
live = true
brand = "maison-aubrac"
stores = ["lyon-bellecour"]
on = { dwell = "4 min" }
text = "{{ brand }} : demandez conseil chez {{ store.name }}. {{ stop }}"
transliterate = true
holdout = "0 %"
[audience.exposed]
campaign = "search-brand"
within = "30 days"
at_least = 1000
"#;
const VISIT: &str = "gap_counted = \"5 min\"\ngap_joined = \"8 min\"\n";

/// Everything that runs, for the part of a test that kills.
pub struct Run {
    pub scene: Scene,
    pub database: Database,
    pub broker: Broker,
    pub smsc: Smsc,
    pub hub: Process,
    /// Hubs that a test has added.
    pub others: Vec<Process>,
    /// Their ways to the database.
    pub lines: Vec<Proxy>,
    pub gateway: Process,
}

impl Run {
    /// kill -9 of the gateway; it comes back after a second.
    pub async fn kill_gateway(&mut self) {
        self.gateway.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.gateway = self.scene.start_gateway(GATEWAY);
    }

    /// kill -9 of the hub; it comes back after a second.
    pub async fn kill_hub(&mut self) {
        self.hub.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.hub = self.scene.start_hub().await;
    }

    /// kill -9 of the broker, which keeps nothing on disk; it comes back after a second.
    pub async fn kill_broker(&mut self) {
        self.broker.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.broker.restart();
    }

    /// Events that the hub has stored; between nothing and everything when a kill came in the middle.
    pub async fn stored(&self) -> i64 {
        self.database.count("SELECT COUNT(*) FROM event_key").await
    }

    /// The first number that a query of the gateway's outbox gives.
    pub async fn outbox(&self, sql: &str) -> i64 {
        let file = self.scene.path(&format!("data-{GATEWAY}/outbox.db"));
        let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file).read_only(true)).await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap().get(0)
    }

    /// Waits until everybody has gone, everything is stored, every visit is closed and every message has its end.
    async fn come_to_rest(&self) {
        self.scene.until(end() + Duration::from_secs(4 * 60)).await;
        let outbox = || async { (self.outbox("SELECT COUNT(*) FROM row").await == 0).then_some(()) };
        eventually("an empty outbox", PATIENCE, outbox).await;
        let work = || async { (self.database.count("SELECT COUNT(*) FROM todo").await == 0).then_some(()) };
        eventually("the end of the hub's work", PATIENCE, work).await;
        let under_way = "SELECT COUNT(*) FROM message WHERE state IN ('planned', 'claimed', 'writing')";
        eventually("the end of sending", PATIENCE, || async { (self.database.count(under_way).await == 0).then_some(()) }).await;
        for submit in self.smsc.submits() {
            self.smsc.receipt(&submit).await;
        }
        let waiting = "SELECT COUNT(*) FROM message WHERE state = 'accepted'";
        eventually("the receipts", PATIENCE, || async { (self.database.count(waiting).await == 0).then_some(()) }).await;
    }
}

/// An event as far as it does not depend on chance: who, where, what, when.
type EventFact = (Option<i64>, String, String, String, i64, i64, i64);
/// Who, where, from, to, how long, which label.
type VisitFact = (i64, String, i64, i64, i64, String);

/// What the hub knows in the end.
#[derive(Debug, Clone)]
pub struct Outcome {
    events: Vec<EventFact>,
    visits: Vec<VisitFact>,
    /// By member, offer and trigger: every result.
    decisions: BTreeMap<(i64, String, String), Vec<String>>,
    /// By member and offer: every state with its reason.
    messages: BTreeMap<(i64, String), Vec<(String, String)>>,
    submits: Vec<Submit>,
    epochs: usize,
    never_written: u64,
}

/// Plays the story; `disturb` runs beside it.
pub async fn play(smsc: Smsc, pace: Pace, disturb: impl AsyncFnOnce(&mut Run)) -> Outcome {
    let broker = Broker::start();
    let database = Database::create().await;
    let mut scene = Scene::new(&database.url(), broker.port, &Sms::Smpp(smsc.port));
    lay_out_offers(&scene);
    scene.hub(&["import"]);
    let phones = enrol(&scene).await;

    scene.play(pace.speed, pace.lead);
    scene.write_capture("capture.jsonl", capture(&scene, &phones));
    scene.write_gateway(GATEWAY, Some("lyon-bellecour"), "{ replay = \"capture.jsonl\" }", "");
    let hub = scene.start_hub().await;
    let gateway = scene.start_gateway(GATEWAY);
    assert!(scene.now() < START, "this machine is too slow: the story began before hub and gateway ran");

    let mut run = Run { scene, database, broker, smsc, hub, others: Vec::new(), lines: Vec::new(), gateway };
    disturb(&mut run).await;
    run.come_to_rest().await;
    run.gateway.stop();
    let outcome = outcome(&run).await;
    run.hub.stop();
    run.others.iter_mut().for_each(Process::stop);
    run.smsc.stop().await;
    outcome
}

fn lay_out_offers(scene: &Scene) {
    for entry in std::fs::read_dir(scene.path("offers")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    std::fs::write(scene.path("offers/welcome.toml"), WELCOME).unwrap();
    std::fs::write(scene.path("offers/linger.toml"), LINGER).unwrap();
    std::fs::write(scene.path("visit.toml"), VISIT).unwrap();
}

/// Twelve members of the shop's own entity who allow everything that the story needs.
async fn enrol(scene: &Scene) -> Vec<Phone> {
    let mut hub = scene.start_hub().await;
    let mut phones = Vec::new();
    let mut members = csv::Reader::from_path(scene.path("data/members.csv")).unwrap();
    let willing = |row: &BTreeMap<String, String>| {
        row["entity"] == "maison-aubrac"
            && row["crm_id"].as_str() > "C-00010"
            && ["presence", "match", "sms"].iter().all(|p| row[*p] == "yes")
    };
    for row in members.deserialize::<BTreeMap<String, String>>().map(Result::unwrap).filter(willing).take(MEMBERS) {
        phones.push(scene.enrol(&row["crm_id"], "maison-aubrac", &["presence", "match", "sms"]).await.unwrap());
    }
    assert_eq!(phones.len(), MEMBERS);
    hub.stop();
    phones
}

fn capture(scene: &Scene, phones: &[Phone]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (n, phone) in phones.iter().enumerate() {
        let (from, minutes, deep) = way(n);
        for tick in 0..minutes * 30 {
            // Not all at the same millisecond, and no two quite as strong.
            let at = from + Duration::from_millis(tick * 2000 + n as u64 * 37);
            let noise = i8::try_from(tick * 7 % 5).unwrap() - 2;
            let front = deep == Way::Front || (deep == Way::FrontThenIn && tick < 45);
            lines.push(scene.advert(phone, at, noise + if front { -80 } else { -60 }));
        }
    }
    lines
}

async fn outcome(run: &Run) -> Outcome {
    let database = &run.database;
    let (epochs, never_written) = every_seq_is_accounted_for(run).await;
    let twice = "SELECT COUNT(*) - COUNT(DISTINCT event_id) FROM event_key";
    assert_eq!(database.count(twice).await, 0, "an event is stored under two numbers");
    assert_eq!(database.count("SELECT COUNT(*) FROM event").await, run.stored().await, "events and their keys do not fit together");
    for nothing in ["quarantine", "parked_work", "receipt"] {
        assert_eq!(database.count(&format!("SELECT COUNT(*) FROM {nothing}")).await, 0, "{nothing} is not empty");
    }
    assert_eq!(database.count("SELECT COUNT(*) FROM progress WHERE forked <> 0").await, 0);

    let rows = database.rows("SELECT member, store, zone, phase, at, first_at, last_at FROM event").await;
    let mut events: Vec<EventFact> = rows.iter().map(|r| (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4), r.get(5), r.get(6))).collect();
    events.sort();
    let rows = database.rows("SELECT member, store, start_at, end_at, dwell_ms, label FROM visit").await;
    let mut visits: Vec<VisitFact> = rows.iter().map(|r| (r.get(0), r.get(1), r.get(2), r.get(3), r.get(4), r.get(5))).collect();
    visits.sort();
    let mut decisions: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for r in database.rows("SELECT member, offer, trigger_kind, result FROM decision").await {
        decisions.entry((r.get(0), r.get(1), r.get(2))).or_default().push(r.get(3));
    }
    let mut messages: BTreeMap<_, Vec<(String, String)>> = BTreeMap::new();
    for r in database.rows("SELECT member, offer, state, COALESCE(reason, '') FROM message").await {
        messages.entry((r.get(0), r.get(1))).or_default().push((r.get(2), r.get(3)));
    }
    Outcome { events, visits, decisions, messages, submits: run.smsc.submits(), epochs, never_written }
}

/// Every number that the gateway used or reserved is stored, or told to be never written; nothing else may be missing.
async fn every_seq_is_accounted_for(run: &Run) -> (usize, u64) {
    let next = run.outbox("SELECT next FROM meta").await;
    assert_eq!(run.outbox("SELECT COUNT(*) FROM row").await, 0);
    let mut accounted: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut never_written = 0;
    for key in run.database.rows("SELECT epoch, seq FROM event_key").await {
        assert!(accounted.entry(key.get(0)).or_default().insert(key.get(1)));
    }
    for gone in run.database.rows("SELECT epoch, from_seq, to_seq, reason FROM gone").await {
        let (from, to, reason): (i64, i64, String) = (gone.get(1), gone.get(2), gone.get(3));
        assert_eq!(reason, "never-written", "seqs {from} to {to} were lost");
        never_written += (to - from + 1).unsigned_abs();
        for seq in from..=to {
            assert!(accounted.entry(gone.get(0)).or_default().insert(seq), "seq {seq} is stored and told to be gone");
        }
    }
    assert_eq!(accounted.len(), 1, "the gateway has one outbox, so there is one epoch");
    for seqs in accounted.values() {
        let top = *seqs.last().unwrap();
        let missing: Vec<i64> = (1..=top).filter(|seq| !seqs.contains(seq)).collect();
        assert!(missing.is_empty(), "missing seqs: {missing:?}");
        // Numbers that were reserved after the last event are asked for only when a later one comes.
        let stored = run.database.count("SELECT MAX(seq) FROM event_key").await;
        assert!(stored < next, "the hub knows a number that the gateway never used");
    }
    (accounted.len(), never_written)
}

/// The events and visits of two runs are the same, and the first run is the whole story.
pub fn same_visits(undisturbed: &Outcome, disturbed: &Outcome) {
    assert!(
        undisturbed.visits.len() == MEMBERS && undisturbed.submits.len() == MEMBERS - 2,
        "the undisturbed run is not as it should be: {undisturbed:#?}"
    );
    assert_eq!(undisturbed.visits, disturbed.visits, "the visits differ");
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (undisturbed.events.iter().collect(), disturbed.events.iter().collect());
    let (lost, new): (Vec<_>, Vec<_>) = (a.difference(&b).collect(), b.difference(&a).collect());
    assert!(lost.is_empty() && new.is_empty(), "the events differ; lost: {lost:#?}; new: {new:#?}");
    assert_eq!(undisturbed.events.len(), disturbed.events.len(), "an event came twice");
}

/// Compares a disturbed run with the undisturbed one, and prints every message that differs, which it may only by not having been sent (too late) or
/// by nobody knowing whether it was.
pub fn same(undisturbed: &Outcome, disturbed: &Outcome) {
    same_visits(undisturbed, disturbed);
    let triggers = |o: &Outcome| o.decisions.keys().cloned().collect::<Vec<_>>();
    assert_eq!(triggers(undisturbed), triggers(disturbed), "the triggers differ");

    let mut differences = String::new();
    for (key, results) in &disturbed.decisions {
        assert_eq!(results.len(), 1, "a trigger was decided more than once: {key:?}");
        let before = &undisturbed.decisions[key];
        if before != results {
            assert_eq!(results[0], "stale-evidence", "{key:?} was {before:?} before");
            writeln!(differences, "  decision {} for {}: {} instead of {}", key.1, key.0, results[0], before[0]).unwrap();
        }
    }
    for (key, fates) in &disturbed.messages {
        assert_eq!(fates.len(), 1, "two messages for one visit: {key:?}");
        assert!(undisturbed.messages.contains_key(key), "a message that the undisturbed run did not have: {key:?}");
        let (state, reason) = &fates[0];
        assert!(
            state == "delivered" || state == "unknown" || (state == "expired" && reason == "too-late"),
            "a message may end as delivered, unknown or too late, but not as {state} ({reason})"
        );
        if state != "delivered" {
            writeln!(differences, "  message {} for {}: {state} {reason}", key.1, key.0).unwrap();
        }
    }
    let mut numbers: Vec<&str> = disturbed.submits.iter().map(|s| s.destination.as_str()).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "a number got two SMS: {numbers:?}");
    let unsent = disturbed.messages.values().filter(|f| f[0].0 == "expired").count();
    assert!(numbers.len() + unsent <= disturbed.messages.len(), "an SMS left that the database knows nothing of");
    println!(
        "{} events, {} visits, {} triggers: the same; {} numbers never written; SMS {} of {}; differences:\n{}",
        disturbed.events.len(),
        disturbed.visits.len(),
        disturbed.decisions.len(),
        disturbed.never_written,
        disturbed.submits.len(),
        undisturbed.submits.len(),
        if differences.is_empty() { "  none\n" } else { &differences },
    );
}

/// Plays the story twice at the same time, once as it is and once with `disturb`, and compares. Gives the disturbed run's end for more questions.
pub fn compare(smsc_answers_after: Duration, disturb: impl AsyncFnOnce(&mut Run)) -> Outcome {
    let (undisturbed, disturbed) = both(smsc_answers_after, LIFE, disturb);
    same(&undisturbed, &disturbed);
    disturbed
}

/// Plays the story twice at the same time, once as it is and once at another pace with `disturb`.
pub fn both(smsc_answers_after: Duration, pace: Pace, disturb: impl AsyncFnOnce(&mut Run)) -> (Outcome, Outcome) {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // The scope waits for both, so that a failure of one leaves nothing of the other behind.
    std::thread::scope(|scope| {
        let undisturbed = scope.spawn(|| runtime().block_on(async { play(Smsc::start().await, LIFE, async |_: &mut Run| {}).await }));
        let disturbed = runtime().block_on(async { play(Smsc::slow(smsc_answers_after).await, pace, disturb).await });
        (undisturbed.join().unwrap(), disturbed)
    })
}

impl Outcome {
    /// The fates of all messages: state and reason.
    pub fn fates(&self) -> Vec<(String, String)> {
        self.messages.values().flatten().cloned().collect()
    }

    /// SMS that the SMSC has taken.
    pub fn submits(&self) -> usize {
        self.submits.len()
    }

    /// Seqs that were reserved and never used.
    pub fn never_written(&self) -> u64 {
        self.never_written
    }

    /// Epochs of the gateway's outbox.
    pub fn epochs(&self) -> usize {
        self.epochs
    }
}
