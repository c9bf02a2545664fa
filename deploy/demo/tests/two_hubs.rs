//! Two hubs on one database and one broker. One is killed in the middle of a batch, the other is cut off from the database in the middle of one, and
//! one hangs; each time the other takes the work over, and in the end the story is the same.

mod support;

use std::time::{Duration, Instant};

use support::{
    crash::{self, PATIENCE, Run},
    eventually,
    proxy::{Proxy, Trap},
    scene::START,
};

/// The bound is 6 s on a machine that does nothing else; this one runs two stories, and other tests.
const TAKEN_OVER: Duration = Duration::from_secs(20);

fn minute(n: u64) -> passage_protocol::Millis {
    START + Duration::from_secs(n * 60)
}

/// Waits until everything that the gateway held at this moment is stored and acked, and no work is due.
async fn taken_over(run: &Run, fault: &str) {
    let waiting = || async { Some(run.outbox("SELECT COALESCE(MAX(seq), 0) FROM row").await).filter(|seq| *seq > 0) };
    let last = eventually("an event that waits for a hub", PATIENCE, waiting).await;
    let begin = Instant::now();
    let held = format!("SELECT COUNT(*) FROM row WHERE seq <= {last}");
    eventually("the end of what waited", PATIENCE, || async { (run.outbox(&held).await == 0).then_some(()) }).await;
    let due = format!("SELECT COUNT(*) FROM todo WHERE due <= {}", run.scene.now());
    eventually("the end of the work", PATIENCE, || async { (run.database.count(&due).await == 0).then_some(()) }).await;
    println!("{fault}: taken over after {:.1} s", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() < TAKEN_OVER, "{fault}: nobody took the work over for {:?}", begin.elapsed());
}

#[test]
fn two_hubs_take_each_others_work_over_and_count_nothing_twice() {
    let outcome = crash::compare(Duration::from_millis(50), async |run: &mut Run| {
        for _ in 0..2 {
            run.lines.push(Proxy::start(&run.database, "lyon-bellecour").await);
        }
        let hub = |n: usize, id| run.scene.add_hub(id, &run.database.url_by(run.lines[n].port));
        let (one, two) = (hub(0, "hub-one"), hub(1, "hub-two"));
        run.others.push(run.scene.start_other(&two).await);
        run.hub.stop();
        run.hub = run.scene.start_other(&one).await;

        run.scene.until(minute(2)).await;
        run.lines[0].catch(Trap::BeforeCommit).await;
        run.hub.kill();
        taken_over(run, "killed in the middle of a batch").await;
        run.lines[0].release();
        run.hub = run.scene.start_other(&one).await;

        run.scene.until(minute(7)).await;
        run.lines[1].catch(Trap::BeforeCommit).await;
        run.lines[1].cut(true);
        taken_over(run, "cut off in the middle of a batch").await;
        run.lines[1].cut(false);
        run.lines[1].release();

        run.scene.until(minute(13)).await;
        run.hub.hang(true);
        taken_over(run, "hanging").await;
        run.hub.hang(false);
        assert!(run.scene.now() < crash::end(), "the faults came too late to be some in the middle");
        assert!(run.gateway.is_running() && run.hub.is_running() && run.others[0].is_running(), "a fault ended a process");
    });
    assert_eq!(outcome.never_written(), 0, "the gateway lived on, so it used every number");
}
