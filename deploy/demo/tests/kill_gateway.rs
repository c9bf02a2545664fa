//! kill -9 of the gateway in the middle of a replay.

mod support;

use std::time::Duration;

use support::{crash, scene::START};

#[test]
fn a_gateway_that_is_killed_twice_in_the_middle_of_a_replay_loses_and_repeats_nothing() {
    let outcome = crash::compare(Duration::ZERO, async |run: &mut crash::Run| {
        for minute in [4, 10] {
            run.scene.until(START + Duration::from_secs(minute * 60 + 20)).await;
            assert!(run.stored().await > 0, "nothing was stored before the kill");
            run.kill_gateway().await;
            assert!(run.scene.now() < crash::end(), "the kill came too late to be one in the middle");
        }
    });
    assert!(outcome.never_written() > 0, "a killed gateway leaves reserved numbers behind; were there none, it was not killed");
}
