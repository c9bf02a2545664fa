//! The broker is away from before the shop opens until six hours of business time later. The hub then knows the same visits as if it had been there,
//! and nobody gets an SMS about a moment that is long over.

mod support;

use std::time::{Duration, Instant};

use support::{
    crash::{self, PATIENCE, Pace},
    eventually,
    scene::START,
};

const AWAY: Duration = Duration::from_secs(6 * 3600);

#[test]
fn a_broker_that_is_away_for_six_hours_changes_no_visit_and_sends_no_late_sms() {
    // Six hours pass in 24 s. The hub and the gateway need some of the hours before to start.
    let pace = Pace { speed: 900.0, lead: Duration::from_secs(2 * 3600 + 1800) };
    let (undisturbed, away) = crash::both(Duration::ZERO, pace, async |run: &mut crash::Run| {
        run.broker.kill();
        run.scene.until(START + AWAY).await;
        assert_eq!(run.stored().await, 0, "events were stored while there was no broker");
        assert!(run.hub.is_running() && run.gateway.is_running(), "a lost broker ended a process");
        run.broker.restart();
        let begin = Instant::now();
        eventually("the end of the backlog", PATIENCE, || async { (run.outbox("SELECT COUNT(*) FROM row").await == 0).then_some(()) })
            .await;
        println!("the backlog is at the hub {:.1} s after the broker is back", begin.elapsed().as_secs_f64());
    });
    crash::same_visits(&undisturbed, &away);
    assert_eq!(away.never_written(), 0, "the gateway lived on, so it used every number");
    assert_eq!(away.submits(), 0, "an SMS left six hours late");
    assert_eq!(away.fates(), [], "a message was planned six hours late");
}
