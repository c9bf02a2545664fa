//! The gateway's disk is full: while it runs, and already when it starts.

mod support;

use std::time::Duration;

use support::{
    disk::SmallDisk,
    eventually,
    till::{PATIENCE, Till},
};

/// On a full disk a report is answered when a hub has its event; else the apps try again later.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_stops_nothing_and_costs_nothing() {
    let mut till = Till::start().await;
    let disk = SmallDisk::mount(&till.data(), 8);
    till.open().await;
    till.report(10, LONG).await;
    assert_eq!(till.answers, 10);
    eventually("ten events", PATIENCE, || async { (till.stored().await == 10).then_some(()) }).await;

    disk.fill();
    till.report(20, SHORT).await;
    eventually("what waits in memory reaches the hub all the same", PATIENCE, || async { (till.stored().await == 30).then_some(()) }).await;
    assert!(till.is_running() && till.words().contains("cannot be written"), "it says so");

    disk.free();
    let before = till.answers;
    till.report(10, LONG).await;
    assert_eq!(till.answers, before + 10, "the disk is well again");
    till.come_to_rest().await;
    till.kill();
    till.open().await;
    till.report(4, LONG).await;
    till.come_to_rest().await;
    assert_eq!(till.stored().await, 44);
    till.audit(0).await;
    till.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_on_a_full_disk_runs_and_catches_up() {
    let mut till = Till::start().await;
    let disk = SmallDisk::mount(&till.data(), 8);
    disk.fill();
    till.open().await;
    till.report(6, SHORT).await;
    assert!(till.answers == 0 && till.is_running());
    disk.free();
    till.report(6, LONG).await;
    assert_eq!(till.answers, 6);
    till.come_to_rest().await;
    assert_eq!(till.stored().await, 12, "what came while the disk was full is there too");

    // With an outbox that is there already.
    till.stop();
    disk.fill();
    till.open().await;
    till.report(6, SHORT).await;
    assert!(till.answers == 6 && till.is_running());
    disk.free();
    till.report(2, LONG).await;
    till.come_to_rest().await;
    assert_eq!(till.stored().await, 20);
    till.audit(0).await;
    till.stop();
}
