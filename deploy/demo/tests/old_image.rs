//! An old image of the gateway's disk is put back.

mod support;

use std::time::Duration;

use support::{scene::copy, till::Till};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_from_an_old_image_begins_a_new_epoch_and_nothing_counts_twice() {
    let mut till = Till::start().await;
    till.open().await;
    till.report(10, LONG).await;
    till.come_to_rest().await;
    // The image holds events that the hub has not, and will get from the original.
    till.broker.kill();
    till.report(22, LONG).await;
    till.stop();
    let image = till.scene.path("image");
    copy(&till.data(), &image);
    till.open().await;
    till.broker.restart();
    till.report(8, LONG).await;
    till.come_to_rest().await;
    assert_eq!(till.stored().await, 40);
    till.kill();

    std::fs::remove_dir_all(till.data()).unwrap();
    copy(&image, &till.data());
    till.open().await;
    till.report(10, LONG).await;
    till.come_to_rest().await;
    assert!(till.words().contains("it is an old copy"), "it is noticed and told");
    assert_eq!(till.database.count("SELECT COUNT(DISTINCT epoch) FROM event_key").await, 2);
    assert_eq!(till.stored().await, 50);
    till.audit(0).await;
    till.stop();
}
