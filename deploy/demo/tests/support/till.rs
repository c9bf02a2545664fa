//! Apps that report to a position gateway and count what was answered: an answer means that the event is on the gateway's disk, so it must reach the
//! hub, once.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use passage_protocol::{Millis, SeqRange, SeqSet};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    binary::Process,
    broker::Broker,
    database::Database,
    eventually,
    scene::{Phone, Scene, Sms},
};

pub const GATEWAY: &str = "gw-position";
/// Longest wait for anything, in machine time.
pub const PATIENCE: Duration = Duration::from_secs(90);
const STORES: [&str; 2] = ["lyon-bellecour", "paris-marais"];

/// A broker, a hub with its database, a position gateway, and two apps.
pub struct Till {
    pub scene: Scene,
    pub broker: Broker,
    pub database: Database,
    pub hub: Process,
    pub gateway: Option<Process>,
    phones: Vec<Phone>,
    /// By phone and store: what the gateway knows is certain, because the last report was answered.
    certain: [[bool; 2]; 2],
    reports: usize,
    last: Millis,
    /// How many reports were answered.
    pub answers: usize,
    /// The times of those that must be events: after a report without an answer, the next one of that phone and store may
    /// repeat what is known.
    answered: BTreeSet<i64>,
}

impl Till {
    /// Everything but the gateway runs.
    pub async fn start() -> Self {
        Self::with(Broker::start()).await
    }

    pub async fn with(broker: Broker) -> Self {
        let database = Database::create().await;
        let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
        scene.hub(&["import"]);
        let more = format!("position_listen = \"{}\"\noutbox = {{ backlog_spread = \"0 s\" }}", scene.positions);
        scene.write_gateway(GATEWAY, None, "\"none\"", &more);
        let hub = scene.start_hub().await;
        let mut phones = Vec::new();
        for member in ["C-00001", "C-00002"] {
            phones.push(scene.enrol(member, "maison-aubrac", &["presence"]).await.unwrap());
        }
        std::fs::create_dir_all(scene.path(&format!("data-{GATEWAY}"))).unwrap();
        Self {
            scene,
            broker,
            database,
            hub,
            gateway: None,
            phones,
            certain: [[true; 2]; 2],
            reports: 0,
            last: Millis(0),
            answers: 0,
            answered: BTreeSet::new(),
        }
    }

    /// The folder of the outbox.
    pub fn data(&self) -> PathBuf {
        self.scene.path(&format!("data-{GATEWAY}"))
    }

    /// Starts the gateway (again) and waits until it takes reports.
    pub async fn open(&mut self) {
        self.gateway = Some(self.scene.start_gateway(GATEWAY));
        let url = format!("http://{}/", self.scene.positions);
        eventually("the position gateway", PATIENCE, || async { reqwest::get(&url).await.ok() }).await;
        assert!(self.is_running(), "the gateway did not stay");
    }

    pub fn is_running(&mut self) -> bool {
        self.gateway.as_mut().is_some_and(Process::is_running)
    }

    /// kill -9 of the gateway.
    pub fn kill(&mut self) {
        self.gateway.take().unwrap().kill();
    }

    /// kill -9 of the gateway `after` a while, whatever it does then.
    pub fn kill_after(&self, after: Duration) {
        let id = self.gateway.as_ref().unwrap().id().to_string();
        std::thread::spawn(move || {
            std::thread::sleep(after);
            let _ = std::process::Command::new("kill").args(["-9", &id]).status();
        });
    }

    /// Waits for the end of a gateway that is killed, and starts it again.
    pub async fn reopen(&mut self) {
        eventually("the end of the gateway", PATIENCE, || {
            let is_over = !self.is_running();
            async move { is_over.then_some(()) }
        })
        .await;
        self.gateway = None;
        self.open().await;
    }

    /// Asks the gateway to stop and waits.
    pub fn stop(&mut self) {
        self.gateway.take().unwrap().stop();
    }

    /// Members come and go; each report is one event. Those that are answered within `limit` are noted.
    pub async fn report(&mut self, count: usize, limit: Duration) {
        let http = reqwest::Client::new();
        for _ in 0..count {
            let n = self.reports;
            let phone = &self.phones[n % 2];
            let phase = if (n / 2).is_multiple_of(2) { "enter" } else { "exit" };
            let at = self.scene.now().max(Millis(self.last.0 + 1));
            (self.reports, self.last) = (n + 1, at);
            let body = json!({ "store": STORES[n / 4 % 2], "phase": phase, "at": at });
            let request = http.post(format!("http://{}/v1/app/events", self.scene.positions)).timeout(limit);
            let answer = request.basic_auth(&phone.installation, Some(&phone.token)).json(&body).send().await;
            let is_answered = answer.is_ok_and(|answer| answer.status().is_success());
            let certain = &mut self.certain[n % 2][n / 4 % 2];
            if is_answered && *certain {
                self.answered.insert(at.0);
            }
            *certain = is_answered;
            self.answers += usize::from(is_answered);
        }
    }

    /// Events that the hub has stored.
    pub async fn stored(&self) -> i64 {
        self.database.count("SELECT COUNT(*) FROM event").await
    }

    pub async fn outbox(&self, sql: &'static str) -> Option<i64> {
        let file = SqliteConnectOptions::new().filename(self.data().join("outbox.db")).read_only(true);
        let mut connection = SqliteConnection::connect_with(&file).await.ok()?;
        let number = sqlx::query(sql).fetch_one(&mut connection).await.ok()?.get(0);
        connection.close().await.ok()?;
        Some(number)
    }

    /// Waits until the hub has everything that the outbox holds.
    pub async fn come_to_rest(&self) {
        eventually("an empty outbox", PATIENCE, || async { (self.outbox("SELECT COUNT(*) FROM row").await == Some(0)).then_some(()) })
            .await;
    }

    /// How long it takes from now until the hub has everything.
    pub async fn recovery(&self) -> Duration {
        let begin = Instant::now();
        self.come_to_rest().await;
        begin.elapsed()
    }

    /// What every fault must leave behind: each answered event at the hub but `lost` at most, none twice, and in each epoch every number stored or
    /// explained.
    pub async fn audit(&self, lost: usize) {
        let rows = self.database.rows("SELECT at FROM event WHERE signal = 'app'").await;
        let stored: Vec<i64> = rows.iter().map(|r| r.get(0)).collect();
        let unique: BTreeSet<i64> = stored.iter().copied().collect();
        assert_eq!(stored.len(), unique.len(), "an event is stored twice");
        let missing: Vec<_> = self.answered.difference(&unique).collect();
        assert!(missing.len() <= lost, "{} of {} answered events are missing, at most {lost} may be", missing.len(), self.answered.len());
        assert_eq!(self.database.count("SELECT COUNT(*) FROM quarantine").await, 0, "something was put aside");
        assert_eq!(self.database.count("SELECT COUNT(*) FROM progress WHERE forked <> 0").await, 0, "a fork");
        eventually("every number is explained", PATIENCE, || async { self.unexplained().await.is_empty().then_some(()) }).await;
        println!("{} reports answered, {} events stored, {} missing, 0 twice", self.answered.len(), stored.len(), missing.len());
    }

    /// Per epoch, the numbers that are neither stored nor told to be gone.
    async fn unexplained(&self) -> Vec<(String, Vec<SeqRange>)> {
        let mut epochs: std::collections::BTreeMap<String, SeqSet> = std::collections::BTreeMap::new();
        let range = |from: i64, to: i64| SeqRange { from: from.unsigned_abs(), to: to.unsigned_abs() };
        for r in self.database.rows("SELECT epoch, seq, seq FROM event_key UNION ALL SELECT epoch, from_seq, to_seq FROM gone").await {
            epochs.entry(r.get(0)).or_default().insert(range(r.get(1), r.get(2)));
        }
        let missing = |set: &SeqSet| set.missing_up_to(set.ranges().last().map_or(0, |r| r.to));
        epochs.into_iter().map(|(epoch, set)| (epoch, missing(&set))).filter(|(_, missing)| !missing.is_empty()).collect()
    }

    /// What the gateway says of itself in its log.
    pub fn words(&self) -> String {
        std::fs::read_to_string(self.scene.path(&format!("{GATEWAY}.log"))).unwrap_or_default()
    }
}
