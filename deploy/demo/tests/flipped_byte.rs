//! Bytes of the gateway's outbox are damaged on the card.

mod support;

use std::time::Duration;

use support::till::Till;

const LONG: Duration = Duration::from_secs(60);
const PAGE: usize = 4096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_damaged_outbox_holds_still_reaches_the_hub_once() {
    let mut till = Till::start().await;
    till.open().await;
    till.report(10, LONG).await;
    till.come_to_rest().await;
    till.broker.kill();
    till.report(90, LONG).await;
    assert_eq!(till.answers, 100);
    till.stop();

    // The head of a page in the middle of the rows; what the rows say is still there.
    let file = till.data().join("outbox.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let found = bytes.windows(7).rposition(|w| w == br#"{"id":""#).expect("rows are in the file") / PAGE * PAGE;
    bytes[found..found + 8].fill(0xff);
    std::fs::write(&file, bytes).unwrap();

    till.open().await;
    assert!(till.words().contains("is damaged"), "it is noticed and told");
    assert!(std::fs::read_dir(till.data()).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().contains(".damaged-1")));
    till.broker.restart();
    till.report(4, LONG).await;
    till.come_to_rest().await;
    assert_eq!(till.stored().await, 104);
    till.audit(0).await;
    till.stop();
}
