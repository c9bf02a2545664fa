//! kill -9 of the broker, which keeps nothing on disk, in the middle of a replay.

mod support;

use std::time::Duration;

use support::{crash, scene::START};

#[test]
fn a_broker_that_forgets_everything_twice_costs_no_event_and_repeats_none() {
    let outcome = crash::compare(Duration::ZERO, async |run: &mut crash::Run| {
        for minute in [4, 10] {
            run.scene.until(START + Duration::from_secs(minute * 60 + 20)).await;
            assert!(run.stored().await > 0, "nothing was stored before the kill");
            run.kill_broker().await;
            assert!(run.scene.now() < crash::end(), "the kill came too late to be one in the middle");
        }
        assert!(run.hub.is_running() && run.gateway.is_running(), "a lost broker ended a process");
    });
    assert_eq!(outcome.never_written(), 0, "the gateway lived on, so it used every number");
}
