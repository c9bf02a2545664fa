//! A power cut has torn the end of the gateway's files: the log that was being written, or the database itself.

mod support;

use std::{fs::OpenOptions, path::Path, time::Duration};

use support::till::Till;

const LONG: Duration = Duration::from_secs(60);

/// Cuts the last bytes of a file off.
fn tear(file: &Path, bytes: u64) {
    let length = std::fs::metadata(file).unwrap().len();
    assert!(length > bytes, "{} has only {length} bytes", file.display());
    OpenOptions::new().write(true).open(file).unwrap().set_len(length - bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_log_costs_the_last_group_at_most_and_no_number_is_used_twice() {
    let mut till = Till::start().await;
    till.open().await;
    till.report(10, LONG).await;
    till.come_to_rest().await;
    till.broker.kill();
    till.report(40, LONG).await;
    till.kill();
    tear(&till.data().join("outbox.db-wal"), 1_000);
    till.open().await;
    till.broker.restart();
    till.report(4, LONG).await;
    till.come_to_rest().await;
    // Each report waits for its answer, so a group is one event; and what undoes a lost event is none.
    till.audit(2).await;
    till.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_database_is_set_aside_and_what_is_left_of_it_is_sent() {
    let mut till = Till::start().await;
    till.open().await;
    till.report(10, LONG).await;
    till.come_to_rest().await;
    till.broker.kill();
    till.report(90, LONG).await;
    till.stop();
    // Less than a page: the last one is torn.
    tear(&till.data().join("outbox.db"), 1_500);
    till.open().await;
    assert!(till.words().contains("is damaged"), "it is noticed and told");
    till.broker.restart();
    till.report(4, LONG).await;
    till.come_to_rest().await;
    // At most what stood on the torn page.
    till.audit(8).await;
    till.stop();
}
