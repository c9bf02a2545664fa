//! kill -9 of the hub in the middle of a replay, once while the SMSC has a message that it has not answered yet.

mod support;

use std::time::Duration;

use support::{crash, eventually, scene::START};

#[test]
fn a_hub_that_is_killed_twice_counts_nothing_twice_and_repeats_no_sms() {
    // Long enough for the kill to come between a submit and its answer.
    let outcome = crash::compare(Duration::from_millis(400), async |run: &mut crash::Run| {
        let smsc = &run.smsc;
        eventually("the third SMS", crash::PATIENCE, || async { (smsc.submits().len() >= 3).then_some(()) }).await;
        run.kill_hub().await;
        let unknown = "SELECT COUNT(*) FROM message WHERE state = 'unknown'";
        eventually("the SMS that nobody knows about", crash::PATIENCE, || async { (run.database.count(unknown).await > 0).then_some(()) })
            .await;
        run.scene.until(START + Duration::from_secs(10 * 60 + 20)).await;
        run.kill_hub().await;
        assert!(run.scene.now() < crash::end(), "the kill came too late to be one in the middle");
        assert!(run.gateway.is_running(), "a lost hub ended the gateway");
    });
    // A receipt may name a message that the hub never heard the name of, but there is only one that it can belong to. What is unknown in the end
    // has never reached the SMSC.
    let delivered = outcome.fates().iter().filter(|(state, _)| state == "delivered").count();
    assert_eq!(delivered, outcome.submits(), "{:?}", outcome.fates());
    assert_eq!(outcome.never_written(), 0, "the gateway lived on, so it used every number");
}
