//! kill -9 of the broker: in the middle of a replay, and at random moments while apps report, also after it has stalled, with and without a memory.

mod support;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use support::{broker::Broker, crash, scene::START, tell, till::Till};

/// How often it is killed; many more times in `deploy/test --soak`.
const KILLS: usize = if cfg!(feature = "soak") { 100 } else { 5 };
const LONG: Duration = Duration::from_secs(60);

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

/// Every other time it stalls first. The gateway goes on taking reports meanwhile.
async fn kill_at_random(broker: Broker, seed: u64) {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut till = Till::with(broker).await;
    till.open().await;
    let mut recoveries = Vec::new();
    for n in 0..KILLS {
        till.report(random.random_range(1..12), LONG).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        if n % 2 == 1 {
            till.broker.stall();
            till.report(random.random_range(1..12), LONG).await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..2_000))).await;
        }
        till.broker.kill();
        till.report(random.random_range(0..6), LONG).await;
        till.broker.restart();
        // Seldom, because a kill while it recovers is the worse one.
        if n % 10 == 4 {
            recoveries.push(till.recovery().await);
        }
    }
    till.report(4, LONG).await;
    till.come_to_rest().await;
    till.audit(0).await;
    tell(&format!("{KILLS} kills; from the broker's return until the hub has everything"), recoveries);
    assert!(till.is_running() && till.hub.is_running(), "a lost broker ended a process");
    till.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_memory_killed_at_random_moments_costs_nothing() {
    kill_at_random(Broker::start(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_memory_killed_at_random_moments_costs_nothing_and_repeats_nothing() {
    kill_at_random(Broker::persistent(), 2).await;
}
