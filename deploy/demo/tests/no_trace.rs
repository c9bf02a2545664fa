//! What must leave no trace: strangers, addresses of radios, positions of persons, and who does not consent to `presence`. Both processes log as much
//! as they can, every MQTT message is recorded, and at the end every byte that was written anywhere is searched.

mod support;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_protocol::Millis;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    broker::Broker,
    database::Database,
    eventually,
    scene::{FIRST_NUMBER, Line, Phone, START, Scene, Sms},
    smsc::Smsc,
    witness::Witness,
};

const SPEED: f64 = 10.0;
const LEAD: Duration = Duration::from_secs(60);
/// Longest wait for anything, in machine time.
const PATIENCE: Duration = Duration::from_secs(60);

const LINA: &str = "C-00001";
const INES: &str = "C-00002";
/// Allows offers by SMS, but not to be noticed anywhere.
const LEA: &str = "C-00005";

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

/// Positions of persons: far from every store, near one, in one, and of her who may not send any.
const FAR: (f64, f64) = (48.885_713_9, 2.333_917_7);
const NEAR: (f64, f64) = (48.857_831_3, 2.361_372_9);
const INSIDE: (f64, f64) = (48.857_712_7, 2.360_613_1);
const LEAS: (f64, f64) = (48.857_693_1, 2.360_587_7);
const BSSID: &str = "7c:10:c9:d4:3e:9b";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_strangers_or_positions_or_who_did_not_consent_is_on_postgres() {
    no_trace(Keeps::Postgres(Database::create().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_strangers_or_positions_or_who_did_not_consent_is_on_sqlite_or_in_its_wal() {
    no_trace(Keeps::Sqlite).await;
}

/// Where the hub keeps what it knows.
enum Keeps {
    Postgres(Database),
    Sqlite,
}

impl Keeps {
    fn url(&self) -> String {
        match self {
            Self::Postgres(database) => database.url(),
            Self::Sqlite => "sqlite:hub.db".to_owned(),
        }
    }

    async fn count(&self, scene: &Scene, sql: &str) -> i64 {
        match self {
            Self::Postgres(database) => database.count(sql).await,
            Self::Sqlite => {
                let file = SqliteConnectOptions::new().filename(scene.path("hub.db")).read_only(true).busy_timeout(PATIENCE);
                let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
                sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap().get(0)
            }
        }
    }

    async fn wait_for(&self, scene: &Scene, what: &str, sql: &str) {
        eventually(what, PATIENCE, || async { (self.count(scene, sql).await > 0).then_some(()) }).await;
    }
}

async fn no_trace(engine: Keeps) {
    let broker = Broker::start();
    let smsc = Smsc::start().await;
    let witness = Witness::start(broker.port).await;
    let mut scene = Scene::new(&engine.url(), broker.port, &Sms::Smpp(smsc.port));
    std::fs::write(scene.path("offers/welcome.toml"), WELCOME).unwrap();
    let given: BTreeSet<PathBuf> = files(scene.folder.path()).into_iter().collect();

    scene.hub(&["import"]);
    let mut hub = scene.start_hub().await;
    let purposes = ["presence", "match", "sms"];
    let lina = scene.enrol(LINA, "maison-aubrac", &purposes).await.unwrap();
    let ines = scene.enrol(INES, "maison-aubrac", &purposes).await.unwrap();
    assert!(scene.enrol(LEA, "maison-aubrac", &["sms"]).await.is_none(), "an app was enrolled without consent to presence");
    hub.stop();

    scene.play(SPEED, LEAD);
    let strangers = strangers();
    let heard = capture(&scene, &lina, &strangers);
    let own_address = heard.iter().find(|l| l.rssi == -60).unwrap().address;
    scene.write_capture("capture.jsonl", heard);
    scene.write_gateway("gw-lyon", Some("lyon-bellecour"), "{ replay = \"capture.jsonl\" }", "");
    let listen = format!("position_listen = \"{}\"", scene.positions);
    scene.write_gateway("gw-position", None, "\"none\"", &listen);
    let mut hub = scene.start_hub().await;
    let mut lyon = scene.start_gateway("gw-lyon");
    let mut position = scene.start_gateway("gw-position");
    wait_for_port(&scene.positions).await;

    walk(&scene, &ines).await;
    trespass(&scene, &ines).await;

    // The controls: our members did arrive, an SMS left, a STOP came.
    engine.wait_for(&scene, "Lina's visit", "SELECT COUNT(*) FROM visit WHERE store = 'lyon-bellecour' AND member IS NOT NULL").await;
    engine.wait_for(&scene, "Ines near the shop", "SELECT COUNT(*) FROM event WHERE signal = 'position' AND member IS NOT NULL").await;
    let sms = smsc.submit_to(FIRST_NUMBER, PATIENCE).await;
    smsc.receipt(&sms).await;
    smsc.reply(FIRST_NUMBER, "36111", "STOP").await;
    engine.wait_for(&scene, "her STOP", "SELECT COUNT(*) FROM suppression").await;
    engine.wait_for(&scene, "the receipt", "SELECT COUNT(*) FROM message WHERE state = 'delivered'").await;
    scene.until(START + Duration::from_secs(90)).await;
    assert_eq!(engine.count(&scene, "SELECT COUNT(*) FROM installation").await, 2);
    assert_eq!(
        engine.count(&scene, "SELECT COUNT(*) FROM event WHERE subject_kind = 'beacon'").await,
        0,
        "a stranger's beacon is an event"
    );

    // What is on disk now, with the write-ahead logs that an orderly end would have cleaned away.
    for process in [&mut hub, &mut lyon, &mut position] {
        assert!(process.is_running());
        process.kill();
    }
    let written: Vec<PathBuf> = files(scene.folder.path()).into_iter().filter(|f| !given.contains(f) && !is_input(f)).collect();
    let mut places: Vec<Place> = written.iter().map(|f| Place::file(f)).collect();
    if let Keeps::Postgres(database) = &engine {
        places.push(Place { name: "the rows of all tables".to_owned(), is_log: false, bytes: database.everything().await.into_bytes() });
    }
    places.push(Place { name: "MQTT".to_owned(), is_log: false, bytes: mqtt(&witness) });
    smsc.stop().await;

    controls(&places, &engine, &lina);
    let secrets = secrets(&strangers, own_address, &lina, &ines);
    let found: BTreeSet<String> = places.iter().flat_map(|place| search(place, &secrets)).collect();
    assert!(found.is_empty(), "{found:#?}");
    let bytes: usize = places.iter().map(|p| p.bytes.len()).sum();
    println!(
        "searched {bytes} bytes in {} places: {:?}",
        places.len(),
        places.iter().map(|p| (p.name.as_str(), p.bytes.len())).collect::<Vec<_>>()
    );
}

/// Somebody else's phones and tags: an iBeacon, service data under another UUID, manufacturer data.
fn strangers() -> Vec<([u8; 6], Vec<u8>)> {
    let tag = hex::decode("0201061aff4c000215d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f1a2b3c4dc5").unwrap();
    let tracker = hex::decode("0201061b2190a1b2c3d4e5f60718293a4b5c6d7e8f13579bdf2468ace0f1").unwrap();
    let headphones = hex::decode("0201060effe000c0ffee5eed5ca1ab1ede").unwrap();
    vec![
        ([0xd4, 0x3a, 0x91, 0x5c, 0x7e, 0x21], tag),
        ([0xe9, 0x07, 0xb2, 0x4d, 0x86, 0xf3], tracker),
        ([0x5b, 0xc8, 0x16, 0xa0, 0x39, 0x6d], headphones),
    ]
}

/// The part of an advert that tells one stranger from others.
fn tell_tale(data: &[u8]) -> &[u8] {
    &data[data.len() - 9..]
}

/// A minute and a half in the shop: Lina's phone and the strangers around her, as strong as she is.
fn capture(scene: &Scene, lina: &Phone, strangers: &[([u8; 6], Vec<u8>)]) -> Vec<Line> {
    let mut lines = Vec::new();
    for n in 0..45 {
        let at = START + Duration::from_secs(2 * n);
        lines.push(scene.advert(lina, at, -60));
        let strange = |(i, (address, data)): (u64, &([u8; 6], Vec<u8>))| Line {
            at: at + Duration::from_millis(100 * (i + 1)),
            address: *address,
            rssi: -55,
            data: data.clone(),
        };
        lines.extend((0..).zip(strangers).map(strange));
    }
    lines
}

async fn wait_for_port(address: &str) {
    eventually("the position gateway", PATIENCE, || async { tokio::net::TcpStream::connect(address).await.ok() }).await;
}

fn location(at: (f64, f64), now: Millis) -> Value {
    // What the apps send along, as if to try us.
    json!({ "_type": "location", "lat": at.0, "lon": at.1, "acc": 9, "tst": now.secs(), "tid": "IN", "t": "u", "BSSID": BSSID, "SSID": "ines-at-home" })
}

/// Ines comes from afar, passes near the shop in Paris, and goes in.
async fn walk(scene: &Scene, ines: &Phone) {
    for at in [FAR, NEAR, INSIDE] {
        let now = scene.now();
        let request = reqwest::Client::new().post(format!("http://{}/pub", scene.positions)).json(&location(at, now));
        let answer = request.basic_auth(&ines.installation, Some(&ines.token)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        scene.until(now + Duration::from_secs(5)).await;
    }
}

/// Positions that nobody may take: without a token, with another's name, with a name instead of a token.
async fn trespass(scene: &Scene, ines: &Phone) {
    let post = || reqwest::Client::new().post(format!("http://{}/pub", scene.positions)).json(&location(LEAS, scene.now()));
    let tries = [
        post(),
        post().basic_auth(LEA, Some(&ines.token)),
        post().basic_auth(LEA, Some("lea.00005@example.fr")),
        post().bearer_auth("C-00005"),
        post().header("X-Limit-U", LEA),
    ];
    for request in tries {
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
}

/// Bytes that were written somewhere.
struct Place {
    name: String,
    is_log: bool,
    bytes: Vec<u8>,
}

impl Place {
    fn file(path: &Path) -> Self {
        let is_log = path.extension().is_some_and(|e| e == "log");
        Self { name: path.file_name().unwrap().to_string_lossy().into_owned(), is_log, bytes: std::fs::read(path).unwrap() }
    }
}

/// Something that must not be found, in every way in which it may be written.
struct Secret {
    name: String,
    /// In no place; otherwise only in no log.
    everywhere: bool,
    writings: Vec<(&'static str, Vec<u8>)>,
}

fn secrets(strangers: &[([u8; 6], Vec<u8>)], own_address: [u8; 6], lina: &Phone, ines: &Phone) -> Vec<Secret> {
    let mut all = Vec::new();
    let mut add = |name: String, everywhere, writings| all.push(Secret { name, everywhere, writings });
    for (n, (address, data)) in strangers.iter().enumerate() {
        add(format!("the address of stranger {n}"), true, of_bytes(address));
        add(format!("the payload of stranger {n}"), true, of_bytes(tell_tale(data)));
    }
    add("the address of a member's phone".to_owned(), true, of_bytes(&own_address));
    add("the address of a member's router".to_owned(), true, of_bytes(&hex::decode(BSSID.replace(':', "")).unwrap()));
    add("the name of a member's router".to_owned(), true, of_text("ines-at-home"));
    for (who, at) in [("far", FAR), ("near", NEAR), ("inside", INSIDE), ("of Lea", LEAS)] {
        add(format!("the position {who}"), true, [of_number(at.0), of_number(at.1)].concat());
    }
    let people = [(LINA, "lina", "0001", "MA0040007"), (INES, "ines", "0002", "MA0040014"), (LEA, "lea", "0005", "MA0040035")];
    for (crm_id, name, last, card) in people {
        add(format!("the CRM id of {name}"), true, of_text(crm_id));
        add(format!("the e-mail address of {name}"), true, of_text(&format!("{name}.0{last}@example.fr")));
        add(format!("the card of {name}"), true, of_text(card));
        let number =
            [format!("63998{last}"), format!("6 39 98 {} {}", &last[..2], &last[2..]), format!("6.39.98.{}.{}", &last[..2], &last[2..])];
        add(format!("the number of {name}"), true, number.iter().flat_map(|n| of_text(n)).collect());
    }
    for (name, phone) in [("Lina", lina), ("Ines", ines)] {
        add(format!("the position token of {name}"), true, of_text(&phone.token));
        add(format!("the RID key of {name}"), true, of_bytes(&phone.key.key));
        add(format!("the installation of {name}"), false, of_text(&phone.installation));
        add(format!("a rotating id of {name}"), false, of_bytes(&phone.key.rid_at(START).unwrap().1.0));
    }
    all
}

fn of_text(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![("as it is", text.as_bytes().to_vec()), ("in small letters", text.to_lowercase().into_bytes())];
    all.extend(base64_forms(text.as_bytes()));
    all.push(("hex", hex::encode(text).into_bytes()));
    all
}

fn of_bytes(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    for bytes in [bytes, &reversed] {
        let pairs: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        all.push(("raw", bytes.to_vec()));
        for (form, by) in [("hex", ""), ("hex with colons", ":"), ("hex with dashes", "-"), ("hex with spaces", " ")] {
            all.push((form, pairs.join(by).into_bytes()));
            all.push((form, pairs.join(by).to_uppercase().into_bytes()));
        }
        for by in [", ", ","] {
            all.push(("list of numbers", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(by).into_bytes()));
            all.push(("list of hex numbers", pairs.join(by).into_bytes()));
        }
        all.extend(base64_forms(bytes));
    }
    all
}

/// Base64 as it would look in the middle of something longer, at each of the three alignments.
fn base64_forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let inner = |skip: usize| {
        let rest = &bytes[skip..];
        STANDARD.encode(&rest[..rest.len() / 3 * 3])
    };
    let forms = (0..3).map(inner).filter(|text| text.len() >= 8);
    forms.flat_map(|text| [text.replace('+', "-").replace('/', "_"), text]).map(|text| ("base64", text.into_bytes())).collect()
}

/// A coordinate as text to a metre, as scaled integer, and as the bytes of a float.
fn of_number(n: f64) -> Vec<(&'static str, Vec<u8>)> {
    #[allow(clippy::cast_possible_truncation)]
    let e7 = (n * 1e7).round() as i64;
    vec![
        ("text", format!("{n:.7}").as_bytes()[..8].to_vec()),
        ("scaled text", e7.to_string().into_bytes()),
        ("float", n.to_le_bytes().to_vec()),
        ("float", n.to_be_bytes().to_vec()),
    ]
}

/// One pass over a place for all secrets, by the first four bytes of each writing.
fn search(place: &Place, secrets: &[Secret]) -> Vec<String> {
    type Wanted<'a> = (&'a Secret, &'a str, &'a [u8]);
    let mut by_head: HashMap<&[u8], Vec<Wanted<'_>>> = HashMap::new();
    for secret in secrets.iter().filter(|s| place.is_log || s.everywhere) {
        for (form, writing) in &secret.writings {
            by_head.entry(&writing[..4]).or_default().push((secret, form, writing));
        }
    }
    let at = |i: usize| by_head.get(&place.bytes[i..i + 4]).into_iter().flatten().filter(move |(_, _, w)| place.bytes[i..].starts_with(w));
    let hits = (0..place.bytes.len().saturating_sub(3)).flat_map(at);
    hits.map(|(secret, form, _)| format!("{} ({form}) is in {}", secret.name, place.name)).collect()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The search finds what must be there; a search that finds nothing at all proves nothing.
fn controls(places: &[Place], engine: &Keeps, lina: &Phone) {
    let place = |name: &str| places.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("{name} was not searched"));
    let rid = lina.key.rid_at(START).unwrap().1;
    let found = |place: &Place, writings: Vec<(&str, Vec<u8>)>| writings.iter().any(|(_, w)| holds(&place.bytes, w));
    assert!(found(place("MQTT"), of_bytes(&rid.0)), "the witness did not see Lina's event");
    for log in ["hub.log", "gw-lyon.log", "gw-position.log"] {
        assert!(holds(&place(log).bytes, b"DEBUG"), "{log} was not written in full");
    }
    assert!(holds(&place("outbox.db-wal").bytes, b"lyon-bellecour") || holds(&place("outbox.db").bytes, b"lyon-bellecour"));
    let rows = match engine {
        Keeps::Postgres(_) => place("the rows of all tables"),
        Keeps::Sqlite => place("hub.db-wal"),
    };
    assert!(holds(&rows.bytes, b"lyon-bellecour"), "{} was not searched", rows.name);
}

fn mqtt(witness: &Witness) -> Vec<u8> {
    let mut all = Vec::new();
    for (topic, payload) in witness.messages() {
        assert!(topic.starts_with("passage/v1/"), "{topic} is no topic of ours");
        all.extend_from_slice(topic.as_bytes());
        all.push(b'\n');
        all.extend_from_slice(&payload);
        all.push(b'\n');
    }
    all
}

/// Files that this test wrote itself, later than the others.
fn is_input(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "jsonl" || e == "toml")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
