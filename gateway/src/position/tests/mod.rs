//! The server against real HTTP requests, with a decider of the tests' own, told by theme.

mod answers;
mod commit;
mod credentials;
mod log;
mod refused;
mod samples;
mod words;

use std::{
    collections::BTreeMap,
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
        Self::of(set_waypoints, PATIENCE).await
    }

    /// A server that waits only so long for a body.
    async fn hasty() -> Self {
        Self::of(false, std::time::Duration::from_millis(300)).await
    }

    async fn of(set_waypoints: bool, patience: std::time::Duration) -> Self {
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
        let desk = Arc::new(Desk::new(parts));
        let server = Server { listen: "127.0.0.1:0".parse().unwrap(), pinned, clock: clock.clone(), desk, patience };
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

fn intake() -> Intake {
    Intake::new(site(), &GeofenceRules::default(), Arc::new(OneBeacon))
}
