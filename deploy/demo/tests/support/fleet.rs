//! Many gateways as one process, several hubs, and the audit that every fault ends with.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use super::{binary::Process, crash::PATIENCE, database::Database, eventually, scene::Scene};

/// The gateways that `passage-gateway simulate` plays.
pub struct Fleet {
    process: Process,
    out: PathBuf,
}

impl Fleet {
    /// Starts gateways named after `pattern`, whose file this writes. `plan` are arguments of `simulate`.
    pub fn start(scene: &Scene, pattern: &str, plan: &[&str]) -> Self {
        scene.write_gateway(pattern, Some("lyon-bellecour"), "\"none\"", "outbox = { backlog_spread = \"2 s\" }");
        let (config, out) = (scene.path(&format!("{pattern}.toml")).display().to_string(), scene.path(&format!("{pattern}.json")));
        let arguments = [&["simulate", "--config", &config], plan].concat();
        let process = Process::start_with_output("passage-gateway", &arguments, &scene.path(&format!("{pattern}.log")), Some(&out));
        Self { process, out }
    }

    /// Waits for the end: a hub has everything. Returns what was measured.
    pub async fn end(mut self, limit: Duration) -> Value {
        eventually("the end of the fleet", limit, || std::future::ready(self.process.has_ended().then_some(()))).await;
        let told = std::fs::read_to_string(&self.out).unwrap();
        let outcome: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("the fleet failed: {}", self.process.words()));
        assert_eq!(outcome["events"], outcome["deleted"], "not everything was stored: {}", self.process.words());
        outcome
    }

    pub fn is_running(&mut self) -> bool {
        !self.process.has_ended()
    }
}

/// Every event of the fleets is stored once, and every seq below the highest is stored or told to be gone.
pub async fn audit(database: &Database, events: u64) {
    let stored = || async { (database.count("SELECT COUNT(*) FROM event_key").await.unsigned_abs() >= events).then_some(()) };
    eventually("all events in the database", PATIENCE, stored).await;
    let keys = database.count("SELECT COUNT(*) FROM event_key").await.unsigned_abs();
    assert_eq!(keys, events, "an event was stored twice, or nobody sent it");
    assert_eq!(database.count("SELECT COUNT(*) - COUNT(DISTINCT event_id) FROM event_key").await, 0, "an event has two numbers");
    assert_eq!(database.count("SELECT COUNT(*) FROM event").await.unsigned_abs(), events, "events and their keys do not fit together");
    let holes = "SELECT COUNT(*) FROM (SELECT seq - LAG(seq, 1, 0::bigint) OVER (PARTITION BY gateway, epoch ORDER BY seq) AS step \
                 FROM event_key) AS steps WHERE step <> 1";
    assert_eq!(database.count(holes).await, 0, "a seq is missing");
    for nothing in ["quarantine", "parked_work", "gone"] {
        assert_eq!(database.count(&format!("SELECT COUNT(*) FROM {nothing}")).await, 0, "{nothing} is not empty");
    }
    assert_eq!(database.count("SELECT COUNT(*) FROM progress WHERE forked <> 0").await, 0, "an epoch counts as forked");
}
