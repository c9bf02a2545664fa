//! Two position gateways, as programs of their own, share the installations: each has its share, one takes over when the other is killed.

mod support;

#[path = "support/phones.rs"]
mod phones;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use passage_gateway::position::group::owner;
use passage_protocol::{Event, GatewayId, Millis, Phase, Signal, Subject};
use phones::{Phone, free_port, location};
use serde_json::Value;
use support::{FakeHub, Mosquitto, eventually, hub_key};
use tempfile::TempDir;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two gateways on one broker, with a clock that stands at ten in the morning when the test begins and runs as in life.
struct Pair {
    dir: TempDir,
    group: BTreeMap<GatewayId, String>,
    running: BTreeMap<GatewayId, Child>,
    begun: Millis,
    http: reqwest::Client,
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn id(n: u8) -> GatewayId {
    format!("gw-position-{n}").parse().unwrap()
}

impl Pair {
    fn new(broker: &Mosquitto) -> Self {
        let dir = TempDir::new().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo"), dir.path());
        let group: BTreeMap<GatewayId, String> = [1, 2].map(|n| (id(n), format!("127.0.0.1:{}", free_port()))).into();
        let begun = passage_protocol::Clock::System.now();
        let text = |at: Millis| chrono::DateTime::from_timestamp_millis(at.0).unwrap().to_rfc3339();
        let members: Vec<String> = group.iter().map(|(id, address)| format!("{id} = \"{address}\"")).collect();
        for (id, address) in &group {
            let config = format!(
                "id = \"{id}\"\ndata = \"data-{id}\"\nhub_keys = [\"{}\"]\nradio = \"none\"\nposition_listen = \"{address}\"\n\
                 clock = {{ start = \"{}\", anchor = \"{}\" }}\n[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\
                 [positions]\nset_waypoints = false\ngroup = {{ {} }}\n",
                hub_key().public(),
                text(phones::START),
                text(begun),
                broker.port,
                members.join(", "),
            );
            std::fs::write(dir.path().join(format!("{id}.toml")), config).unwrap();
        }
        Self { dir, group, running: BTreeMap::new(), begun, http: reqwest::Client::new() }
    }

    fn config(&self, id: &GatewayId) -> PathBuf {
        self.dir.path().join(format!("{id}.toml"))
    }

    fn start(&mut self, n: u8) {
        let log = std::fs::File::create(self.dir.path().join(format!("{}.log", id(n)))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_passage-gateway"))
            .args(["run", "--config"])
            .arg(self.config(&id(n)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.insert(id(n), child);
    }

    /// SIGKILL.
    fn kill(&mut self, n: u8) {
        let mut child = self.running.remove(&id(n)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Seconds of business time since the start.
    fn second(&self) -> i64 {
        passage_protocol::Clock::System.now().since(self.begun) / 1_000
    }

    /// Sends one position of a phone, through gateway `n`, until it is taken, as the apps do.
    async fn send(&self, phone: &Phone, through: u8, body: impl Fn(i64) -> Value) {
        let url = format!("http://{}/pub", self.group[&id(through)]);
        for _ in 0..400 {
            let taken = self.http.get(&url).send().await.is_ok() && phone.post(&url, &body(self.second())).await.0 == 200;
            if taken {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("gateway {through} takes nothing after 20 s");
    }
}

/// Who reported what: the events of each installation with the gateway that made them. Every outbox has an epoch of its own.
fn events(hub: &FakeHub) -> BTreeMap<String, Vec<(String, Event)>> {
    let mut all: BTreeMap<String, Vec<(String, Event)>> = BTreeMap::new();
    for ((epoch, _), event) in &hub.received.lock().unwrap().events {
        let Subject::Installation(who) = &event.subject else { panic!("not an installation") };
        all.entry(who.to_string()).or_default().push((epoch.clone(), event.clone()));
    }
    all
}

fn enters(hub: &FakeHub, phone: &Phone) -> Vec<Event> {
    let all = events(hub);
    let own = all.get(phone.id.as_str()).into_iter().flatten();
    own.filter(|(_, e)| e.phase == Phase::Enter).map(|(_, e)| e.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_share_the_phones_and_one_takes_over_when_the_other_is_killed() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    let mut pair = Pair::new(&broker);
    pair.start(1);
    pair.start(2);
    let (lat, lon) = phones::store();
    let both: BTreeSet<GatewayId> = pair.group.keys().cloned().collect();
    let crowd: Vec<Phone> = (0..12).map(|n| Phone::until(&format!("phone-{n:04}"), Millis(phones::START.0 + 86_400_000))).collect();
    let share = |n: u8| crowd.iter().filter(|p| owner(&both, &p.id) == Some(&id(n))).collect::<Vec<_>>();
    assert!(share(1).len() >= 2 && share(2).len() >= 2, "the names of the phones fall on one side");
    // They come from afar, so that what follows is an enter and not "already inside". Each is sent through either gateway in turn.
    let outside = |second| location(lat + 1.0, lon, second);
    for (i, phone) in crowd.iter().enumerate() {
        pair.send(phone, if i % 2 == 0 { 1 } else { 2 }, outside).await;
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for (i, phone) in crowd.iter().enumerate() {
        pair.send(phone, if i % 2 == 0 { 2 } else { 1 }, |second| location(lat, lon, second)).await;
    }
    eventually("every phone has entered", || crowd.iter().all(|p| !enters(&hub, p).is_empty())).await;
    let before = events(&hub);
    let homes = |all: &BTreeMap<String, Vec<(String, Event)>>, phones: &[&Phone]| -> BTreeSet<String> {
        phones.iter().flat_map(|p| all[p.id.as_str()].iter().map(|(epoch, _)| epoch.clone())).collect()
    };
    assert_eq!((homes(&before, &share(1)).len(), homes(&before, &share(2)).len()), (1, 1), "an installation lives in one place");
    assert!(homes(&before, &share(1)).is_disjoint(&homes(&before, &share(2))));
    for phone in &crowd {
        let enters = enters(&hub, phone);
        let zones: BTreeSet<_> = enters.iter().map(|e| e.zone.clone()).collect();
        assert_eq!(enters.len(), zones.len(), "{} entered a zone twice", phone.id);
        assert!(enters.iter().all(|e| e.signal == Signal::Position));
    }

    pair.kill(2);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for phone in &crowd {
        pair.send(phone, 1, |second| location(lat, lon, second)).await;
    }
    eventually("the phones of the dead gateway are inside at the other", || {
        let (all, home) = (events(&hub), homes(&before, &share(1)));
        share(2).iter().all(|p| all[p.id.as_str()].iter().any(|(epoch, _)| home.contains(epoch)))
    })
    .await;
    let after = events(&hub);
    for phone in share(1) {
        assert_eq!(after[phone.id.as_str()], before[phone.id.as_str()], "{} did not change hands, and nothing happened to it", phone.id);
    }
    for phone in share(2) {
        let new: Vec<&Event> = after[phone.id.as_str()]
            .iter()
            .map(|(_, e)| e)
            .filter(|e| !before[phone.id.as_str()].iter().any(|(_, b)| b.id == e.id))
            .collect();
        assert!(!new.is_empty() && new.iter().all(|e| e.phase == Phase::Enter && e.initial), "{}: {new:?}", phone.id);
    }

    // It comes back to its old outbox, and has its share again: inside already, so nothing triggers.
    pair.start(2);
    let mut last = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let phone = share(2)[0];
        pair.send(phone, 1, |second| location(lat, lon, second)).await;
        let log = std::fs::read_to_string(pair.dir.path().join(format!("{}.log", id(2)))).unwrap();
        if log.contains("positions are taken here") {
            last = enters(&hub, phone);
            break;
        }
    }
    assert!(!last.is_empty());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for phone in share(2) {
        pair.send(phone, 2, |second| location(lat, lon, second)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for phone in &crowd {
        let fired: Vec<Event> = enters(&hub, phone).into_iter().filter(|e| !e.initial).collect();
        let zones: BTreeSet<_> = fired.iter().map(|e| e.zone.clone()).collect();
        assert_eq!(fired.len(), zones.len(), "{}: an enter that could trigger an offer came twice", phone.id);
    }
}
