//! A shop for a test: the demo's files with this test's servers, clock and captures in them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::{Namespace, load_site};
use passage_gateway::beacon::encode;
use passage_protocol::{ChainKey, Clock, Millis, rid::RidPayload};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    binary::{self, Process},
    eventually, free_port,
};

/// When the files are laid out, members imported and apps enrolled: Friday 2026-11-20, 10:30 in Paris. Until [`Scene::play`], time runs as in life.
const PREPARED: Millis = Millis(1_795_167_000_000);
/// When something may happen: 10:40.
pub const START: Millis = Millis(1_795_167_600_000);
/// The demo's secret, so that member codes are known and nobody of the cast is held out by chance.
pub const KEY: [u8; 32] = *b"the demo has no secret to keep:)";
/// The number of the demo's first member, as an SMSC sees it.
pub const FIRST_NUMBER: &str = "33639980001";

/// The folder of a test with its files, and how its time runs.
pub struct Scene {
    pub folder: TempDir,
    pub api: String,
    pub positions: String,
    start: Millis,
    anchor: Millis,
    speed: f64,
    broker: u16,
    namespace: Namespace,
}

/// What a phone got at its enrolment.
#[derive(Debug, Clone)]
pub struct Phone {
    pub installation: String,
    pub key: ChainKey,
    pub token: String,
}

/// The phone that an enrolment's answer makes.
fn phone(answer: &Value) -> Phone {
    let key = STANDARD.decode(answer["rid_key"].as_str().unwrap()).unwrap().try_into().unwrap();
    Phone {
        installation: answer["installation"].as_str().unwrap().to_owned(),
        key: ChainKey { day: answer["key_day"].as_i64().unwrap(), key },
        token: answer["position_token"].as_str().unwrap().to_owned(),
    }
}

/// A hub beside the first one.
pub struct OtherHub {
    id: String,
    api: String,
}

/// How the hub's SMS leave in a test.
pub enum Sms {
    Sandbox,
    Smpp(u16),
}

impl Scene {
    /// Lays the files out. It is 10:30 and time runs as in life, so that what a test prepares takes none of the time that it plays.
    pub fn new(database: &str, broker: u16, sms: &Sms) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/demo");
        copy(&demo, folder.path());
        let anchor = Clock::System.now();
        let namespace = load_site(&demo).unwrap().brands["maison-aubrac"].namespace;
        let api = free_port();
        let scene = Self {
            folder,
            api: format!("http://127.0.0.1:{api}"),
            positions: format!("127.0.0.1:{}", free_port()),
            start: PREPARED,
            anchor,
            speed: 1.0,
            broker,
            namespace,
        };
        std::fs::write(scene.path("hub.key"), KEY).unwrap();
        std::fs::write(scene.path("smpp-password"), "desk").unwrap();
        let sms = match sms {
            Sms::Sandbox => "kind = \"sandbox\"".to_owned(),
            Sms::Smpp(port) => format!(
                "kind = \"smpp\"\nhost = \"127.0.0.1\"\nport = {port}\nsystem_id = \"passage\"\npassword = \"file:smpp-password\"\nwindow = 10\nrate = 50"
            ),
        };
        let hub = format!(
            "id = \"hub-test\"\ndatabase = \"{database}\"\nkey_file = \"hub.key\"\napi = \"127.0.0.1:{api}\"\nconsole = \"127.0.0.1:{}\"\n\
             phone_region = \"FR\"\nclock = {}\nhard_window = \"Mo-Sa 08:00-20:00\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = {broker}\n\
             [api_tokens]\nshop-site = \"file:demo-token\"\n[web]\nsites = [\"https://maison-aubrac.example\"]\n[sms]\n{sms}\n\
             [imports]\ncrm = \"data/members.csv\"\ntouchpoints = \"data/touchpoints.csv\"\n",
            free_port(),
            scene.clock(),
        );
        std::fs::write(scene.path("hub.toml"), hub).unwrap();
        scene
    }

    /// Sets the clock: it is `lead` before [`START`] now, and time runs `speed` times as fast as life. A hub that runs must be started anew, and
    /// gateway files written only afterwards.
    pub fn play(&mut self, speed: f64, lead: Duration) {
        let old = self.clock();
        (self.start, self.anchor, self.speed) = (START - lead, Clock::System.now(), speed);
        let hub = std::fs::read_to_string(self.path("hub.toml")).unwrap();
        assert!(hub.contains(&old), "hub.toml does not hold the clock that is to be replaced");
        std::fs::write(self.path("hub.toml"), hub.replace(&old, &self.clock())).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn clock(&self) -> String {
        let text = |at: Millis| chrono::DateTime::from_timestamp_millis(at.0).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        format!("{{ start = \"{}\", anchor = \"{}\", speed = {:?} }}", text(self.start), text(self.anchor), self.speed)
    }

    fn shared_clock(&self) -> Clock {
        Clock::Scaled { start: self.start, anchor: self.anchor, speed: self.speed }
    }

    /// Business time now, by the clock that the processes share.
    pub fn now(&self) -> Millis {
        self.shared_clock().now()
    }

    /// Sleeps until business time is `at`.
    pub async fn until(&self, at: Millis) {
        while self.now() < at {
            tokio::time::sleep(self.shared_clock().machine_time_until(at).unwrap().max(Duration::from_millis(1))).await;
        }
    }

    /// Business time at a wall time.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub fn business(&self, wall_ms: i64) -> Millis {
        Millis(self.start.0 + ((wall_ms - self.anchor.0) as f64 * self.speed) as i64)
    }

    /// Runs a command of the hub to its end and gives what it printed.
    pub fn hub(&self, command: &[&str]) -> String {
        let config = self.text("hub.toml");
        let output = binary::run("passage-hub", &[command, &["--config", &config]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "passage-hub {command:?} failed: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the hub and waits until its API answers.
    pub async fn start_hub(&self) -> Process {
        self.start_hub_of("hub", &self.api).await
    }

    /// Another hub: the same files, but for its id, its addresses and its way to the database.
    pub fn add_hub(&self, id: &str, database: &str) -> OtherHub {
        let (file, api) = (std::fs::read_to_string(self.path("hub.toml")).unwrap(), free_port());
        let line = |line: &str| match line.split(" = ").next() {
            Some("id") => format!("id = \"{id}\""),
            Some("database") => format!("database = \"{database}\""),
            Some("api") => format!("api = \"127.0.0.1:{api}\""),
            Some("console") => format!("console = \"127.0.0.1:{}\"", free_port()),
            _ => line.to_owned(),
        };
        std::fs::write(self.path(&format!("{id}.toml")), file.lines().map(line).collect::<Vec<_>>().join("\n")).unwrap();
        OtherHub { id: id.to_owned(), api: format!("http://127.0.0.1:{api}") }
    }

    /// Starts another hub and waits until its API answers.
    pub async fn start_other(&self, hub: &OtherHub) -> Process {
        self.start_hub_of(&hub.id, &hub.api).await
    }

    async fn start_hub_of(&self, file: &str, api: &str) -> Process {
        let config = self.text(&format!("{file}.toml"));
        let process = Process::start("passage-hub", &["run", "--config", &config], &self.path(&format!("{file}.log")));
        let http = reqwest::Client::new();
        eventually("the hub's API", Duration::from_secs(60), || async { http.get(api).send().await.ok() }).await;
        process
    }

    /// Adds lines to the end of hub.toml; a hub that runs must be started anew.
    pub fn amend_hub(&self, more: &str) {
        let hub = std::fs::read_to_string(self.path("hub.toml")).unwrap();
        std::fs::write(self.path("hub.toml"), format!("{hub}{more}\n")).unwrap();
    }

    /// Writes a gateway file. `radio` is a TOML value, `more` are lines before the first table.
    pub fn write_gateway(&self, id: &str, store: Option<&str>, radio: &str, more: &str) {
        let key = self.hub(&["key"]);
        let store = store.map_or_else(String::new, |s| format!("store = \"{s}\"\n"));
        let text = format!(
            "id = \"{id}\"\n{store}data = \"data-{id}\"\nhub_keys = [\"{}\"]\nradio = {radio}\nclock = {}\n{more}\n[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n",
            key.trim(),
            self.clock(),
            self.broker
        );
        std::fs::write(self.path(&format!("{id}.toml")), text).unwrap();
    }

    pub fn start_gateway(&self, id: &str) -> Process {
        let config = self.text(&format!("{id}.toml"));
        Process::start("passage-gateway", &["run", "--config", &config], &self.path(&format!("{id}.log")))
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let token = std::fs::read_to_string(self.path("demo-token")).unwrap();
        reqwest::Client::new().post(format!("{}{path}", self.api)).bearer_auth(token.trim()).json(body).send().await.unwrap()
    }

    /// Installs the app of a member; `None` when the hub refuses.
    pub async fn enrol(&self, crm_id: &str, entity: &str, purposes: &[&str]) -> Option<Phone> {
        let body = json!({
            "brand": "maison-aubrac", "entity": entity, "member": { "kind": "crm_id", "value": crm_id },
            "age": "adult", "wording": { "id": "app-presence", "version": "2026-10", "language": "fr" }, "purposes": purposes,
        });
        let answer = self.post("/v1/app/installations", &body).await;
        if !answer.status().is_success() {
            assert_eq!(answer.status().as_u16(), 403, "an enrolment failed in an unexpected way: {}", answer.text().await.unwrap());
            return None;
        }
        Some(phone(&answer.json().await.unwrap()))
    }

    /// Installs the app of a member who allows `presence`, and gives the key for its encrypted reports too.
    pub async fn enrol_with_key(&self, crm_id: &str) -> (Phone, String) {
        let body = json!({
            "brand": "maison-aubrac", "entity": "maison-aubrac", "member": { "kind": "crm_id", "value": crm_id },
            "age": "adult", "wording": { "id": "app-presence", "version": "2026-10", "language": "fr" }, "purposes": ["presence"],
        });
        let answer: Value = self.post("/v1/app/installations", &body).await.json().await.unwrap();
        (phone(&answer), answer["owntracks_key"].as_str().unwrap().to_owned())
    }

    /// Tells the hub whose cookie it is.
    pub async fn identify(&self, crm_id: &str, cookie: &str) {
        let answer = self.post("/v1/identify", &json!({ "cookie": cookie, "crm_id": crm_id })).await;
        assert!(answer.status().is_success(), "a link was refused: {}", answer.text().await.unwrap());
    }

    /// The site reports touchpoints.
    pub async fn touchpoints(&self, rows: &Value) {
        let answer = self.post("/v1/touchpoints", rows).await;
        assert!(answer.status().is_success(), "touchpoints were refused: {}", answer.text().await.unwrap());
    }

    /// An advert of a member's phone as a line of a capture.
    pub fn advert(&self, phone: &Phone, at: Millis, rssi: i8) -> Line {
        let (window, rid) = phone.key.rid_at(at).unwrap();
        let data = encode::service_data(&self.namespace, RidPayload::new(window, rid, -59));
        let mut address = [0xc0; 6];
        address[1..].copy_from_slice(&rid.0[..5]);
        Line { at, address, rssi, data }
    }

    /// Writes a capture in JSON lines, sorted by time.
    pub fn write_capture(&self, name: &str, mut lines: Vec<Line>) {
        lines.sort_by_key(|l| l.at);
        let mut text = String::new();
        for l in lines {
            let (address, data) = (hex::encode(l.address), hex::encode(&l.data));
            writeln!(text, "{{\"at\":{},\"address\":\"{address}\",\"rssi\":{},\"data\":\"{data}\"}}", l.at, l.rssi).unwrap();
        }
        std::fs::write(self.path(name), text).unwrap();
    }
}

/// One advert of a capture.
#[derive(Debug, Clone)]
pub struct Line {
    pub at: Millis,
    pub address: [u8; 6],
    pub rssi: i8,
    pub data: Vec<u8>,
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
