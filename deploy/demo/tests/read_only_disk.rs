//! The gateway's disk is read-only when it starts, as the kernel leaves a card that fails.

mod support;

use std::time::Duration;

use support::{disk::SmallDisk, till::Till};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_on_a_read_only_disk_runs_says_so_and_catches_up() {
    let mut till = Till::start().await;
    let disk = SmallDisk::mount(&till.data(), 8);
    till.open().await;
    till.report(4, LONG).await;
    till.come_to_rest().await;
    for is_clean in [true, false] {
        if is_clean {
            till.stop()
        } else {
            till.kill()
        }
        disk.read_only(true);
        let answered = till.answers;
        till.open().await;
        till.report(6, SHORT).await;
        assert!(till.answers == answered && till.is_running(), "it runs, and promises nothing");
        assert!(till.words().contains("cannot be written"), "it says so");
        disk.read_only(false);
        till.report(2, LONG).await;
        assert_eq!(till.answers, answered + 2);
        till.come_to_rest().await;
    }
    assert_eq!(till.stored().await, 4 + 2 * 8);
    till.audit(0).await;
    till.stop();
}
