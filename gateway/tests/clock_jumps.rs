//! A box whose clock has no battery: time never runs back over a restart, a hub's signed time is taken, and what was stamped before anybody knew the
//! time is sent as such.

mod support;

use std::{sync::Arc, time::Duration};

use passage_gateway::{
    clock::{Keeper, Trust},
    health::Health,
    outbox::Outbox,
};
use passage_protocol::{Ack, Clock, Millis, SeqRange};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{Box1, FakeHub, Mosquitto, Up, batch, bounds, change, eventually, gateway, hub_key};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

/// An outbox whose last time is this.
async fn was_alive_at(dir: &TempDir, last: Millis) {
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch([1])).await.unwrap();
    b.close().await;
    let options = SqliteConnectOptions::new().filename(dir.path().join("outbox.db"));
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("UPDATE meta SET last_at = ?").bind(last.0).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_lost_its_time_goes_on_from_the_last_one_on_disk() {
    let (dir, tomorrow) = (TempDir::new().unwrap(), Clock::System.now() + DAY);
    was_alive_at(&dir, tomorrow).await;
    let keeper = Keeper::new(Clock::System);
    let (outbox, _writer) = Outbox::open(dir.path(), &bounds(), keeper.clone(), Arc::new(Health::default())).await.unwrap();
    assert!(keeper.clock().now() >= tomorrow && keeper.trust() == Trust::Nobody);
    assert!(outbox.is_open());
}

#[tokio::test]
async fn the_last_time_is_on_the_disk_with_the_events() {
    let dir = TempDir::new().unwrap();
    let keeper = Keeper::new(Clock::System);
    let before = Clock::System.now();
    let b = Box1::open_at(dir.path(), keeper).await;
    b.outbox.append(batch([1])).await.unwrap();
    b.crash().await;
    let keeper = Keeper::new(Clock::System);
    let b = Box1::open_at(dir.path(), keeper.clone()).await;
    assert!(keeper.clock().now() >= before);
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_an_unset_clock_are_sent_as_such_and_a_hub_sets_it() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let keeper = Keeper::new(Clock::System);
    let b = Box1::open_at(dir.path(), keeper.clone()).await;
    b.outbox.append(batch([1])).await.unwrap();
    let up = Up::start_at(&b, broker.mqtt(), keeper.clone());
    eventually("the event arrives", || hub.count() == 1).await;
    eventually("it was called unsynced", || hub.received.lock().unwrap().unsynced == 1).await;

    let tomorrow = Clock::System.now() + DAY;
    let epoch = b.outbox.ledger().epoch().to_owned();
    hub.publish_ack(Ack::signed_at(Some(tomorrow), gateway(), epoch.clone(), 0, vec![], 50, &hub_key()).to_vec()).await;
    eventually("the signed time is taken", || keeper.trust() == Trust::Hub).await;
    assert!(keeper.clock().now() >= tomorrow);
    // An old ack that somebody plays again turns nothing back.
    hub.publish_ack(Ack::signed_at(Some(tomorrow - DAY), gateway(), epoch, 0, vec![], 50, &hub_key()).to_vec()).await;
    b.outbox.append(batch([2])).await.unwrap();
    eventually("the second event arrives", || hub.count() == 2).await;
    assert_eq!(hub.received.lock().unwrap().unsynced, 1, "now somebody vouches for the time");
    assert!(keeper.clock().now() >= tomorrow);
    up.stop().await;
    b.close().await;
}

#[tokio::test]
async fn an_event_of_an_earlier_boot_is_told_by_its_age_on_the_wall_clock() {
    let dir = TempDir::new().unwrap();
    let keeper = Keeper::new(Clock::System);
    let b = Box1::open_at(dir.path(), keeper.clone()).await;
    let now = keeper.clock().now();
    let mut early = batch([]);
    early.changes.push(passage_gateway::Change { at: now - DAY, first: now - DAY, last: now - DAY, ..change(1) });
    b.outbox.append(early).await.unwrap();
    b.close().await;
    let options = SqliteConnectOptions::new().filename(dir.path().join("outbox.db"));
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("UPDATE row SET boot = 'another', json = CAST(json_set(CAST(json AS TEXT), '$.mono', 5) AS BLOB)")
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    let b = Box1::open_at(dir.path(), keeper).await;
    let picked = b.outbox.read(&[SeqRange { from: 1, to: 1 }], 10_000).await.unwrap();
    let age = b.outbox.mono() - picked.events[0].mono;
    assert!(!picked.synced && (86_400_000..86_460_000).contains(&age), "an age of {age} ms");
    b.close().await;
}
