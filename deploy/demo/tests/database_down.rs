//! The database is away while events come in: for some seconds, and in the soak for a minute. The hub lives on and says that it cannot commit.

mod support;

use std::time::{Duration, Instant};

use support::{
    broker::Broker,
    crash::PATIENCE,
    database::Database,
    eventually,
    fleet::{Fleet, audit},
    scene::{Scene, Sms},
};

const DOWN: Duration = Duration::from_secs(if cfg!(feature = "soak") { 60 } else { 6 });

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_and_comes_back_costs_no_event_and_doubles_none() {
    let (broker, database) = (Broker::start(), Database::create().await);
    let scene = Scene::new(&database.url(), broker.port, &Sms::Sandbox);
    let mut hub = scene.start_hub().await;
    let seconds = (DOWN.as_secs() + 8).to_string();
    let mut fleet = Fleet::start(&scene, "shop", &["--fleet", "5", "--rate", "20", "--seconds", &seconds, "--within", "90"]);

    let stored = || async { (database.count("SELECT COUNT(*) FROM event_key").await > 100).then_some(()) };
    eventually("events before the outage", PATIENCE, stored).await;
    database.open_door(false).await;
    tokio::time::sleep(DOWN).await;
    assert!(hub.is_running(), "a lost database ended the hub");
    assert!(fleet.is_running(), "the outage came too late to be one in the middle");
    let before = database_is_back(&database).await;
    let begin = Instant::now();
    eventually("the next event", PATIENCE, || async { (database.count("SELECT COUNT(*) FROM event_key").await > before).then_some(()) })
        .await;
    println!("the first event is stored {:.1} s after the database is back", begin.elapsed().as_secs_f64());

    let outcome = fleet.end(PATIENCE + DOWN).await;
    audit(&database, outcome["events"].as_u64().unwrap()).await;
    println!("{outcome}");
    hub.stop();
}

/// Opens the door again; how many events are stored then.
async fn database_is_back(database: &Database) -> i64 {
    database.open_door(true).await;
    database.count("SELECT COUNT(*) FROM event_key").await
}
