//! kill -9 of the gateway: in the middle of a replay, and at random moments while apps report.

mod support;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use support::{crash, scene::START, tell, till::Till};

/// How often it is killed; many more times in `deploy/test --soak`.
const KILLS: usize = if cfg!(feature = "soak") { 100 } else { 5 };

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_at_random_moments_loses_nothing_that_it_answered() {
    let mut random = ChaCha12Rng::seed_from_u64(3);
    let mut till = Till::start().await;
    till.open().await;
    let mut recoveries = Vec::new();
    for n in 0..KILLS {
        till.kill_after(Duration::from_millis(random.random_range(20..600)));
        while till.is_running() {
            till.report(1, Duration::from_secs(5)).await;
        }
        till.reopen().await;
        // Seldom, because a kill while it recovers is the worse one.
        if n % 10 == 4 {
            recoveries.push(till.recovery().await);
        }
    }
    till.report(4, Duration::from_secs(60)).await;
    till.come_to_rest().await;
    assert_eq!(till.database.count("SELECT COUNT(DISTINCT epoch) FROM event_key").await, 1, "a new epoch comes with a new file only");
    till.audit(0).await;
    tell(&format!("{KILLS} kills; from the gateway's return until the hub has everything"), recoveries);
    till.stop();
}
