//! The server against real HTTP requests, with a decider of the tests' own; and every sample of the apps' wire form.

mod answers;

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
};

use geo::Point;
use passage_config::{FenceKind, Geofence, GeofenceRules, Shape, Site, Store, hours::Hours};
use passage_protocol::{Clock, FenceId, PositionToken, WakeId, sign::Pinned, sign::Signing};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{pipeline::Input, wake::Proven};

/// Friday 2026-11-20, 15:00 in Paris.
const NOW: Millis = Millis::from_secs(1_795_183_200);
const LAT: f64 = 48.856_613;
const LON: f64 = 2.352_222;
const WHO: &str = "phone-of-camille";

fn store(id: &str, lat: f64, hours: &str) -> Store {
    Store {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        brand: "maison".to_owned(),
        entity: "maison".to_owned(),
        region: "idf".to_owned(),
        tags: vec![],
        at: Point::new(LON, lat),
        timezone: chrono_tz::Europe::Paris,
        hours: Arc::new(Hours::parse(hours).unwrap()),
    }
}

fn site() -> Arc<Site> {
    let stores = [store("paris-rivoli", LAT, "Mo-Sa 10:00-19:30"), store("paris-nord", LAT + 1.0, "24/7")];
    let fence = Geofence {
        id: "rivoli-near".parse().unwrap(),
        store: "paris-rivoli".parse().unwrap(),
        kind: FenceKind::Nearby,
        shape: Shape::Circle { centre: Point::new(LON, LAT), radius_m: 300.0 },
    };
    Arc::new(Site {
        stores: stores.map(|s| (s.id.clone(), s)).into(),
        geofences: BTreeMap::from([(fence.id.clone(), fence)]),
        ..Site::default()
    })
}

fn hub_key() -> Signing {
    Signing::from_bytes(&[3; 32])
}

fn token(expires: Millis) -> String {
    PositionToken { installation: WHO.parse().unwrap(), expires, purpose: "presence".to_owned() }.to_text(&hub_key())
}

const SECRET: &str = "a secret of at least thirty-two characters";

/// One beacon is the shop's in the Rue de Rivoli.
struct OneBeacon;

impl app::ShopBeacons for OneBeacon {
    fn prove(&self, heard: &app::HeardBeacon) -> Result<Proven, Fate> {
        let is_ours = heard.woken.uuid == [0xab; 16] && heard.woken.id == Some(WakeId::new(1, 700));
        let proven = Proven { store: "paris-rivoli".parse().unwrap(), zone: Zone::In, at: heard.at };
        is_ours.then_some(proven).ok_or(Fate::UnknownRegion)
    }
}

/// A server on a free port, and the decider's end of its queue.
struct Bench {
    base: String,
    inputs: Option<mpsc::Receiver<Input>>,
    counters: Arc<Counters>,
    denied: Arc<DenyBook>,
    clock: Clock,
    http: reqwest::Client,
    stop: CancellationToken,
    token: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    async fn start() -> Self {
        Self::with(false).await
    }

    async fn with(set_waypoints: bool) -> Self {
        let (sender, inputs) = mpsc::channel(2);
        let (counters, clock, stop) = (Arc::new(Counters::default()), Clock::stepped(NOW), CancellationToken::new());
        let positions = passage_config::Positions {
            secret: Some(passage_protocol::PositionSecret::new(SECRET).unwrap()),
            set_waypoints,
            ..passage_config::Positions::default()
        };
        let denied = Arc::new(DenyBook::default());
        let parts = DeskParts {
            site: site(),
            rules: &GeofenceRules::default(),
            positions: &positions,
            beacons: Arc::new(OneBeacon),
            group: None,
            denied: Arc::clone(&denied),
            inputs: sender,
            counters: Arc::clone(&counters),
        };
        let pinned = Pinned::from_base64([hub_key().public().as_str()]).unwrap();
        let server = Server { listen: "127.0.0.1:0".parse().unwrap(), pinned, clock: clock.clone(), desk: Arc::new(Desk::new(parts)) };
        let bound = server.bind().await.unwrap();
        let base = format!("http://{}", bound.local_addr());
        tokio::spawn(bound.run(stop.clone()));
        let token = token(NOW + std::time::Duration::from_secs(3600));
        Self { base, inputs: Some(inputs), counters, denied, clock, http: reqwest::Client::new(), stop, token }
    }

    /// A decider that commits at once and keeps what it got.
    fn decide(&mut self) -> Arc<Mutex<Vec<Input>>> {
        let got = Arc::new(Mutex::new(Vec::new()));
        let (mut inputs, kept) = (self.inputs.take().unwrap(), Arc::clone(&got));
        tokio::spawn(async move {
            while let Some(input) = inputs.recv().await {
                let (input, done) = match input {
                    Input::Fix(fix, done) => (Input::Fix(fix, tokio::sync::oneshot::channel().0), done),
                    Input::App(event, done) => (Input::App(event, tokio::sync::oneshot::channel().0), done),
                    other => panic!("the server sent {other:?}"),
                };
                kept.lock().unwrap().push(input);
                let _ = done.send(());
            }
        });
        got
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.base)).basic_auth(WHO, Some(&self.token)).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn location(seconds_ago: i64) -> Value {
    json!({"_type": "location", "lat": LAT, "lon": LON, "acc": 12, "tst": NOW.secs() - seconds_ago})
}

fn accepted() -> (u16, String) {
    (200, "[]".to_owned())
}

#[tokio::test]
async fn a_location_on_any_path_reaches_the_decider_and_is_answered_after_the_commit() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    for (i, path) in ["/pub", "/owntracks", "/", "/owntracks/jane/s5"].into_iter().enumerate() {
        assert_eq!(bench.post(path, location(i64::try_from(i).unwrap()).to_string()).await, accepted());
    }
    assert_eq!(bench.counters.get(Fate::Fix), 4);
    let got = got.lock().unwrap();
    let Input::Fix(fix, _) = &got[0] else { panic!("no fix") };
    assert_eq!((fix.installation.as_str(), fix.at, fix.lat, fix.lon), (WHO, NOW, LAT, LON));
    assert_eq!((fix.accuracy_m, fix.speed_kmh, fix.away), (Some(12.0), None, None));
}

#[tokio::test]
async fn nothing_is_answered_before_the_commit_and_a_lost_commit_is_503() {
    let mut bench = Bench::start().await;
    let mut inputs = bench.inputs.take().unwrap();
    let answer = bench.post("/pub", location(0).to_string());
    let decider = async {
        let Some(Input::Fix(_, done)) = inputs.recv().await else { panic!("no fix") };
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(done);
    };
    let ((status, _), ()) = tokio::join!(answer, decider);
    assert_eq!(status, 503);
    // It was not taken, so the same fix again is not a duplicate.
    let again = async {
        let Some(Input::Fix(_, done)) = inputs.recv().await else { panic!("no fix") };
        done.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(bench.post("/pub", location(0).to_string()), again);
    assert_eq!(answer, accepted());
}

#[tokio::test]
async fn a_full_queue_is_503_and_stores_nothing() {
    let bench = Bench::start().await;
    let waiting: Vec<_> = (0..2)
        .map(|i| {
            let request = bench.http.post(format!("{}/pub", bench.base)).basic_auth(WHO, Some(&bench.token));
            tokio::spawn(request.body(location(i).to_string()).send())
        })
        .collect();
    let queue = bench.inputs.as_ref().unwrap();
    while queue.len() < 2 {
        tokio::task::yield_now().await;
    }
    let (status, _) = bench.post("/pub", location(9).to_string()).await;
    assert_eq!(status, 503);
    assert_eq!(queue.len(), 2);
    assert_eq!(bench.counters.get(Fate::Busy), 1);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn wrong_credentials_are_401_and_leave_no_trace() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let url = format!("{}/pub", bench.base);
    let body = location(0).to_string();
    let stale = token(NOW);
    let foreign =
        PositionToken { installation: WHO.parse().unwrap(), expires: NOW + std::time::Duration::from_secs(60), purpose: "presence".into() }
            .to_text(&Signing::from_bytes(&[4; 32]));
    let attempts = [
        bench.http.post(&url),
        bench.http.post(&url).basic_auth(WHO, Some("secret")),
        bench.http.post(&url).basic_auth("phone-of-bruno", Some(&bench.token)),
        bench.http.post(&url).basic_auth(WHO, Some(&stale)),
        bench.http.post(&url).bearer_auth(&foreign),
        bench.http.post(format!("{}/v1/app/events", bench.base)).bearer_auth("nonsense"),
    ];
    for attempt in attempts {
        let answer = attempt.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key("www-authenticate"));
        assert!(!answer.text().await.unwrap().contains(WHO));
    }
    assert_eq!(bench.counters.get(Fate::Denied), 6);
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_ends_when_business_time_says_so() {
    let mut bench = Bench::start().await;
    bench.decide();
    assert_eq!(bench.post("/pub", location(0).to_string()).await.0, 200);
    bench.clock.set(NOW + std::time::Duration::from_secs(3600));
    assert_eq!(bench.post("/pub", location(1).to_string()).await.0, 401);
}

#[tokio::test]
async fn poison_is_answered_like_the_rest_and_counted_by_its_reason() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let at = NOW.secs();
    let bodies = [
        (Fate::Poison, "{".to_owned()),
        (Fate::Poison, "[1,2]".to_owned()),
        (Fate::Poison, "null".to_owned()),
        (Fate::Poison, "\u{0}\u{1}".to_owned()),
        (Fate::Poison, json!({"some": "invalid message"}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": 0, "lat": 0.0, "lon": 0.0, "acc": 15}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": "NaN", "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": 91, "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": {}, "lon": []}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": 1e30, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "transition", "event": "dance", "desc": "paris-rivoli", "tst": at}).to_string()),
        (Fate::UnknownRegion, json!({"_type": "transition", "event": "enter", "desc": "Home", "tst": at}).to_string()),
        (Fate::Locked, json!({"_type": "encrypted", "data": "AAAA"}).to_string()),
        (Fate::Poison, json!({"_type": "encrypted", "data": 7}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": null, "lon": LON}).to_string()),
        (Fate::Unknown, json!({"_type": "rendezvous"}).to_string()),
        (Fate::Ignored, json!({"_type": "lwt", "tst": at}).to_string()),
        (Fate::Ignored, json!({"_type": "beacon", "uuid": "x", "tst": at}).to_string()),
        (Fate::Ignored, json!({"_type": "waypoints", "waypoints": []}).to_string()),
        (Fate::Ignored, json!({"_type": "location", "t": "p", "tst": at, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Future, json!({"_type": "location", "tst": at + 90_000, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Old, json!({"_type": "location", "tst": at - 300_000, "lat": LAT, "lon": LON}).to_string()),
    ];
    let mut expected = BTreeMap::new();
    for (fate, body) in bodies {
        assert_eq!(bench.post("/pub", body.clone()).await, accepted(), "{body}");
        *expected.entry(fate.as_str()).or_insert(0) += 1;
        assert_eq!(bench.counters.get(fate), expected[fate.as_str()], "{body} should be {}", fate.as_str());
    }
    assert_eq!(bench.post("/pub", "").await, accepted());
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_picture_too_large_does_not_block_the_apps_queue() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut small = location(0);
    small["image"] = json!("A".repeat(100_000));
    assert_eq!(bench.post("/pub", small.to_string()).await, accepted());
    assert_eq!(got.lock().unwrap().len(), 1);
    let mut large = location(1);
    large["image"] = json!("A".repeat(MAX_BODY));
    assert_eq!(bench.post("/pub", large.to_string()).await, accepted());
    assert_eq!(bench.counters.get(Fate::Oversize), 1);
    assert_eq!(bench.post("/v1/app/events", large.to_string()).await.0, 413);
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_posts_are_taken() {
    let bench = Bench::start().await;
    let get = bench.http.get(format!("{}/pub", bench.base)).basic_auth(WHO, Some(&bench.token)).send().await.unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn far_from_every_store_or_outside_the_hours_a_fix_is_dropped() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut far = location(60);
    far["lat"] = json!(LAT + 0.02);
    assert_eq!(bench.post("/pub", far.to_string()).await, accepted());
    assert_eq!(bench.counters.get(Fate::Far), 1);
    // Back near the store: the decider learns that the phone came from afar, not from where.
    bench.post("/pub", location(0).to_string()).await;
    {
        let got = got.lock().unwrap();
        let Input::Fix(fix, _) = &got[0] else { panic!("no fix") };
        assert_eq!(fix.away, Some(NOW - std::time::Duration::from_secs(60)));
    }
    // The shop closes at 19:30: at 20:20 a fix still matters, at 21:00 it does not; the shop that never closes takes it.
    let from_three = |hours: f64| NOW.secs() + (hours * 3600.0) as i64;
    for (hours, lat, fate) in [(5.33, LAT, Fate::Fix), (6.0, LAT, Fate::Closed), (6.0, LAT + 1.0, Fate::Fix)] {
        let before = bench.counters.get(fate);
        let mut fix = location(0);
        fix["tst"] = json!(from_three(hours));
        fix["lat"] = json!(lat);
        bench.token = token(Millis::from_secs(from_three(24.0)));
        bench.clock.set(Millis::from_secs(from_three(hours)));
        bench.post("/pub", fix.to_string()).await;
        assert_eq!(bench.counters.get(fate), before + 1, "{hours} {}", fate.as_str());
    }
}

#[tokio::test]
async fn the_same_report_again_is_one_and_another_place_at_that_time_is_not() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut report = location(30);
    for created_at in 0..5 {
        report["created_at"] = json!(NOW.secs() + created_at);
        bench.post("/pub", report.to_string()).await;
    }
    assert_eq!((got.lock().unwrap().len(), bench.counters.get(Fate::Duplicate)), (1, 4));
    report["acc"] = json!(5);
    bench.post("/pub", report.to_string()).await;
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_transition_of_one_of_our_regions_is_the_apps_own_word() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let near = Zone::Fence("rivoli-near".parse::<FenceId>().unwrap());
    let cases = [
        (json!({"desc": "paris-rivoli", "event": "enter"}), Zone::In, Phase::Enter),
        (json!({"desc": "-paris-rivoli", "event": "leave"}), Zone::In, Phase::Exit),
        (json!({"desc": "Rue de Rivoli", "rid": "rivoli-near", "event": "enter", "lat": 0, "lon": 0}), near, Phase::Enter),
    ];
    for (mut body, zone, phase) in cases {
        body["_type"] = json!("transition");
        body["tst"] = json!((NOW.secs() - 5).to_string());
        assert_eq!(bench.post("/owntracks", body.to_string()).await, accepted());
        let got = got.lock().unwrap();
        let Some(Input::App(event, _)) = got.last() else { panic!("no event for {body}") };
        let at = NOW - std::time::Duration::from_secs(5);
        let want = AppEvent { installation: WHO.parse().unwrap(), store: "paris-rivoli".parse().unwrap(), zone, phase, at };
        assert_eq!(*event, want);
    }
}

#[tokio::test]
async fn the_app_reports_an_enter_by_itself() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let url = format!("{}/v1/app/events", bench.base);
    let send = async |body: Value| bench.http.post(&url).bearer_auth(&bench.token).json(&body).send().await.unwrap();
    assert_eq!(send(json!({"store": "paris-rivoli", "phase": "enter"})).await.status(), 204);
    assert_eq!(send(json!({"store": "paris-rivoli", "phase": "exit", "at": NOW.0 - 1000, "geofence": "rivoli-near"})).await.status(), 204);
    {
        let got = got.lock().unwrap();
        let (Input::App(first, _), Input::App(second, _)) = (&got[0], &got[1]) else { panic!("no app events") };
        assert_eq!((first.phase, first.at, &first.zone), (Phase::Enter, NOW, &Zone::In));
        assert_eq!((second.phase, second.at.0), (Phase::Exit, NOW.0 - 1000));
        assert_eq!(second.zone, Zone::Fence("rivoli-near".parse().unwrap()));
    }
    let wrong = [
        json!({"store": "paris-rivoli", "phase": "dwell"}),
        json!({"store": "paris-rivoli", "phase": "enter", "lat": 1}),
        json!({"store": "paris-ouest", "phase": "enter"}),
        json!({"store": "paris-nord", "phase": "enter", "geofence": "rivoli-near"}),
        json!({"store": "paris-rivoli", "phase": "enter", "at": NOW.secs()}),
        json!("hello"),
    ];
    for body in wrong {
        let answer = send(body.clone()).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let (sender, _inputs) = mpsc::channel(1);
    let parts = DeskParts {
        site: site(),
        rules: &GeofenceRules::default(),
        positions: &passage_config::Positions::default(),
        beacons: Arc::new(app::NoBeacons),
        group: None,
        denied: Arc::default(),
        inputs: sender,
        counters: Arc::default(),
    };
    let desk = Arc::new(Desk::new(parts));
    let server = Server { listen: "127.0.0.1:0".parse().unwrap(), pinned: Pinned::default(), clock: Clock::stepped(NOW), desk };
    let bound = server.bind().await.unwrap();
    let stop = CancellationToken::new();
    let (address, run) = (bound.local_addr(), tokio::spawn(bound.run(stop.clone())));
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(10), run).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_log_nor_debug_output_shows_a_coordinate_a_token_or_a_name() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut bench = Bench::start().await;
    let got = bench.decide();
    bench.post("/pub", location(0).to_string()).await;
    bench.post("/pub", "{\"_type\":\"location\",\"lat\":48.856613,").await;
    bench.post("/v1/app/events", json!({"store": "paris-rivoli", "phase": "enter"}).to_string()).await;
    let _ = bench.http.post(format!("{}/pub", bench.base)).basic_auth(WHO, Some("wrong-secret")).body("x").send().await;
    drop(guard);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("positions are taken here"), "the log is empty: {logged}");
    let all = format!("{logged}{:?}{:?}", got.lock().unwrap(), bench.counters);
    assert!(all.contains("paris-rivoli"), "{all}");
    for secret in ["48.85", "2.352", "wrong-secret", &bench.token[..20], WHO] {
        assert!(!all.contains(secret), "{secret} is in: {all}");
    }
}

#[test]
fn every_sample_of_the_apps_is_read_as_its_notice_says() {
    let samples: Value = serde_json::from_str(include_str!("../../tests/fixtures/owntracks.json")).unwrap();
    let intake = intake();
    let who = WHO.parse().unwrap();
    let mut seen = BTreeMap::new();
    for sample in samples["samples"].as_array().unwrap().iter().chain(samples["hostile"].as_array().unwrap()) {
        let payload = &sample["payload"];
        // Read at the time at which it was sent.
        let now = Millis::from_secs(payload["tst"].as_i64().unwrap_or(1));
        let told = match intake.read(payload.to_string().as_bytes(), &who, now) {
            Ok(owntracks::Report::Fix(fix, _)) => {
                format!("fix {} {} {:?} {:?} {}", fix.lat, fix.lon, fix.accuracy_m, fix.speed_kmh, fix.at.secs())
            }
            Ok(other) => format!("{other:?}"),
            Err(fate) => fate.as_str().to_owned(),
        };
        seen.insert(sample["id"].as_str().unwrap().to_owned(), told);
    }
    let want = [
        ("android-location-mqtt", "fix 51 0 Some(5.0) Some(0.0) 1709037003"),
        ("android-location-extended-pretty", "fix 50.1 60.2 Some(10.0) Some(5.0) 123456789"),
        ("android-location-http", "fix 48.8566 2.3522 Some(15.0) None 1778266175"),
        ("ios-location-http", "fix 37 -122 Some(5.0) None 1736161169"),
        ("ios-location-beacon-trigger", "fix -25.762245 126.074502 Some(5.0) Some(79.0) 1721896446"),
        ("ping-same-fix", "ignored"),
        ("transition-circular", "unknown-region"),
        ("transition-android-location-trigger", "unknown-region"),
        ("transition-beacon", "unknown-region"),
        ("no-type", "poison"),
        ("zero-tst", "poison"),
    ];
    assert_eq!(seen, want.map(|(id, told)| (id.to_owned(), told.to_owned())).into());
}

fn intake() -> Intake {
    Intake::new(site(), &GeofenceRules::default(), Arc::new(OneBeacon))
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = intake().read(&bytes, &WHO.parse().unwrap(), NOW);
    }

    #[test]
    fn any_values_in_the_known_keys_are_survived(tst in "\\PC{0,12}", lat in proptest::prelude::any::<f64>(), acc in "[-0-9.eE]{0,9}") {
        let body = json!({"_type": "location", "tst": tst, "lat": lat, "lon": lat, "acc": acc}).to_string();
        if let Ok(owntracks::Report::Fix(fix, _)) = intake().read(body.as_bytes(), &WHO.parse().unwrap(), NOW) {
            proptest::prop_assert!(fix.lat.abs() <= 90.0 && fix.accuracy_m.is_none_or(|a| a > 0.0));
        }
    }
}
