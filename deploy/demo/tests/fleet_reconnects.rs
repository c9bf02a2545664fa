//! After an outage all shops come back at once, each with what happened meanwhile. What happens now goes before, because the hub grants the rate.

mod support;

use std::time::Duration;

use support::{
    broker::Broker,
    crash::PATIENCE,
    database::Database,
    eventually,
    fleet::{Fleet, audit},
    scene::{Scene, Sms},
};

/// Gateways, events that each has, and events a second that the hub grants to all together.
const SIZE: (u64, u64, u64) = if cfg!(feature = "soak") { (200, 10_000, 4_000) } else { (20, 2_000, 2_000) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_comes_back_with_its_backlog_does_not_hold_up_what_happens_now() {
    let (gateways, backlog, granted) = SIZE;
    let (broker, database) = (Broker::start(), Database::create().await);
    let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    scene.amend_hub(&format!("[ingest]\nbacklog_rate = 1000\nbacklog_total = {granted}"));
    let mut hub = scene.start_hub().await;
    let least = Duration::from_secs(gateways * backlog / granted);
    let limit = least * 4 + PATIENCE;
    let (n, b, within) = (gateways.to_string(), backlog.to_string(), limit.as_secs().to_string());
    let back = Fleet::start(&scene, "back", &["--fleet", &n, "--backlog", &b, "--age", "60", "--within", &within]);
    // Filling the outboxes takes its time; what happens live is measured while they come back.
    let stored = || async { (database.count("SELECT COUNT(*) FROM event_key").await > 0).then_some(()) };
    eventually("the fleet to be back", limit, stored).await;
    let seconds = least.as_secs().to_string();
    let live = Fleet::start(&scene, "live", &["--fleet", "1", "--rate", "20", "--seconds", &seconds, "--within", &within]);

    let (live, back) = (live.end(limit).await, back.end(limit * 2).await);
    println!("live: {live}\nback: {back}");
    audit(&database, live["events"].as_u64().unwrap() + gateways * backlog).await;
    // The grants of the first second are not shared yet.
    let seconds = back["seconds"].as_f64().unwrap();
    assert!(seconds > least.as_secs_f64() * 0.7, "the backlog came in {seconds} s, faster than granted");
    // 500 ms are meant for a machine that does nothing else; this one runs the whole fleet, and other tests. What waited behind the backlog would
    // wait for half of it at the median.
    let p99 = live["deleted_ms"]["p99"].as_f64().unwrap();
    assert!(p99 < seconds * 1000.0 / 3.0, "what happened live waited {p99} ms behind the backlog");
    hub.stop();
}
