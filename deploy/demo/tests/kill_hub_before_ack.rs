//! kill -9 of the hub between the commit of a batch and its ack: what the database has, the gateways do not know, and send again.

mod support;

use std::time::{Duration, Instant};

use support::{
    broker::Broker,
    crash::PATIENCE,
    database::Database,
    eventually,
    fleet::{Fleet, audit},
    proxy::{Proxy, Trap},
    scene::{Scene, Sms},
    tell,
};

const KILLS: usize = if cfg!(feature = "soak") { 20 } else { 2 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_dies_after_the_commit_and_before_the_ack_stores_nothing_twice() {
    let (broker, database) = (Broker::start(), Database::create().await);
    let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    let line = Proxy::start(&database, "lyon-bellecour").await;
    let hub = scene.add_hub("hub-cut", &database.url_by(line.port));
    scene.hub(&["key"]);
    let mut process = scene.start_other(&hub).await;
    let seconds = (KILLS * 8).to_string();
    let fleet = Fleet::start(&scene, "shop", &["--fleet", "3", "--rate", "20", "--seconds", &seconds, "--within", "90"]);

    let mut recoveries = Vec::new();
    for _ in 0..KILLS {
        let acked = "SELECT COALESCE(SUM(upto), 0)::bigint FROM progress";
        let before = database.count(acked).await;
        eventually("acks before the kill", PATIENCE, || async { (database.count(acked).await > before).then_some(()) }).await;
        line.catch(Trap::AfterCommit).await;
        let more = "SELECT COUNT(*) - (SELECT COALESCE(SUM(upto), 0)::bigint FROM progress) FROM event_key";
        eventually("the commit that nobody heard of", PATIENCE, || async { (database.count(more).await > 0).then_some(()) }).await;
        process.kill();
        line.release();
        let (unheard, begin) = (database.count("SELECT COUNT(*) FROM event_key").await, Instant::now());
        process = scene.start_other(&hub).await;
        eventually("the acks of it", PATIENCE, || async { (database.count(acked).await >= unheard).then_some(()) }).await;
        recoveries.push(begin.elapsed());
    }
    let outcome = fleet.end(PATIENCE + Duration::from_secs(KILLS as u64 * 10)).await;
    audit(&database, outcome["events"].as_u64().unwrap()).await;
    println!("{outcome}");
    tell(&format!("{KILLS} kills; from the hub's start until what was committed is acked"), recoveries);
    process.stop();
}
