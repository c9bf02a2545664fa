//! How long an event takes until it is durable, at 100 events a second with the default bounds: the time that an app waits for its answer. Then, on the same
//! disk, how long it takes to append 4 KiB to a file and to have them on the disk, 20 times a second, as often as groups are committed.
//!
//! `PASSAGE_BENCH_SECONDS` says for how long (20), `PASSAGE_BENCH_DIR` on which disk (the system's folder for temporary files).

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use passage_gateway::{
    Change,
    clock::Keeper,
    health::Health,
    outbox::{Batch, Outbox},
};
use passage_protocol::{Clock, Millis, Phase, Rid, Signal, Strength, Subject, Zone};
use tokio_util::sync::CancellationToken;

const PER_SECOND: u64 = 100;

fn change(n: u64) -> Change {
    let at = Millis(1_795_000_000_000 + i64::try_from(n).unwrap_or(0) * 10);
    Change {
        store: "lyon".parse().expect("an id"),
        zone: Zone::In,
        subject: Subject::Rid { rid: Rid(n.to_be_bytes()), hint: 0 },
        signal: Signal::Beacon,
        phase: Phase::Enter,
        at,
        first: at,
        last: at,
        strength: Strength::Radio { rssi: -60, count: 3 },
        initial: false,
        late: false,
    }
}

fn of<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

async fn measure(seconds: u64) -> Vec<Duration> {
    let dir = tempfile::tempdir_in(parent()).expect("a folder");
    let keeper = Keeper::new(Clock::System);
    let bounds = passage_config::Outbox { max_age: Duration::from_secs(3_000 * 86_400), ..passage_config::Outbox::default() };
    let (outbox, writer) = Outbox::open(dir.path(), &bounds, keeper, Arc::new(Health::default())).await.expect("an outbox");
    let writer = tokio::spawn(writer.run(CancellationToken::new()));
    let start = Instant::now();
    let mut appends = Vec::new();
    for n in 0..seconds * PER_SECOND {
        tokio::time::sleep_until((start + Duration::from_millis(n * 1_000 / PER_SECOND)).into()).await;
        let outbox = outbox.clone();
        appends.push(tokio::spawn(async move {
            let asked = Instant::now();
            outbox.append(Batch { changes: vec![change(n)], ..Batch::default() }).await.expect("a durable event");
            asked.elapsed()
        }));
    }
    let mut took = Vec::new();
    for append in appends {
        took.push(append.await.expect("an append"));
    }
    outbox.close().await;
    writer.await.expect("the writer");
    took.sort();
    took
}

/// What the disk needs for itself.
fn raw(seconds: u64) -> Vec<Duration> {
    let dir = tempfile::tempdir_in(parent()).expect("a folder");
    let mut file = std::fs::File::create(dir.path().join("raw")).expect("a file");
    let one = |_| {
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        file.write_all(&[1; 4096]).and_then(|()| file.sync_data()).expect("a durable write");
        begun.elapsed()
    };
    let mut took: Vec<Duration> = (0..seconds * 20).map(one).collect();
    took.sort();
    took
}

fn parent() -> std::path::PathBuf {
    std::env::var_os("PASSAGE_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into)
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seconds = of("PASSAGE_BENCH_SECONDS", 20);
    let tell = |what: &str, took: &[Duration]| {
        let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
        println!("{} {what}: durable after p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms", took.len(), at(50), at(99), at(100));
    };
    tell(&format!("events at {PER_SECOND}/s"), &runtime.block_on(measure(seconds)));
    tell("raw writes at 20/s", &raw(seconds));
}
