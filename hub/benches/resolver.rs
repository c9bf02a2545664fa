//! The resolver's tables with very many installations: CPU time of a build and of look-ups, memory of the process.
//!
//! `cargo bench -p passage-hub --bench resolver -- [INSTALLATIONS]`, 10 M when left out. It needs 640 MB of disk for the sealed file of keys.

use std::{fs, hint::black_box, time::Instant};

use passage_hub::identity::{
    MemberId,
    tables::{Found, Tables},
};
use passage_protocol::{
    ChainKey, InstallationId, Millis, Rid,
    rid::{day_of, rid_of, window_at},
};

/// 2026-11-20T12:00:00Z, the start of a window.
const NOON: i64 = 1_795_176_000_000;
const LOOKUPS: usize = 1_000_000;

/// CPU seconds of this process so far, of all threads.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap_or(0.0) + fields[12].parse::<f64>().unwrap_or(0.0);
    ticks / 100.0
}

/// Megabytes of this process that are in memory and are not pages of files.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|l| l.starts_with("RssAnon")).unwrap_or("0 0");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (before, wall) = (cpu(), Instant::now());
    let out = work();
    println!("{what}: {:.2} CPU-s ({:.2} s), {:.0} MB", cpu() - before, wall.elapsed().as_secs_f64(), memory());
    out
}

/// A key for each installation, spread by a cheap mixing function.
fn key(n: u64) -> [u8; 32] {
    let mut key = [0x5a; 32];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..16].copy_from_slice(&n.to_be_bytes());
    key
}

fn id(n: u64) -> InstallationId {
    format!("i-{n:032x}").parse().expect("an id")
}

/// Builds what is due at `now`, each build told.
fn build(tables: &mut Tables, now: Millis) {
    while let Some(build) = tables.next_build(now) {
        let built = timed("window", || build.run()).expect("the file of keys");
        tables.install(built);
    }
}

fn main() {
    let installations: u64 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000_000);
    let folder = std::env::temp_dir();
    let day = day_of(window_at(Millis(NOON)));
    println!("{installations} installations, {:.0} MB before", memory());
    let mut tables = Tables::new(usize::try_from(installations).expect("64 bits"), folder);
    timed("load (without the database)", || {
        for n in 0..installations {
            tables
                .set(MemberId(i64::try_from(n).unwrap_or(0) + 1), 1, vec![(id(n), ChainKey { day: day - 2, key: key(n) })])
                .expect("a disk");
        }
    });
    // 14 minutes into a window: the next one is made too. The first build of a day derives the keys of the day.
    println!("first builds of the day, the first with its keys:");
    build(&mut tables, Millis(NOON + 840_000));
    println!("next window:");
    build(&mut tables, Millis(NOON + 900_000 + 840_000));

    let now = Millis(NOON + 900_000 + 840_000);
    look_up(&mut tables, installations, day, now);
    timed("1,000 installations changed", || {
        for n in 0..1000 {
            let changed = ChainKey { day, key: key(u64::MAX - n) };
            tables.set(MemberId(i64::try_from(n * 1000).unwrap_or(0) + 1), 1, vec![(id(n * 1000), changed)]).expect("a disk");
        }
    });
    let rolling = tables.rolling(day - 1);
    timed("roll forward by a day", || rolling().expect("a disk"));
}

/// Looks up a million known and a million strange ids.
fn look_up(tables: &mut Tables, installations: u64, day: i64, now: Millis) {
    let window = window_at(now);
    let hint = u8::try_from(window.rem_euclid(16)).expect("4 bits");
    let today = |n: u64| ChainKey { day: day - 2, key: key(n) }.for_day(day).expect("a later day").key;
    let step = (installations / LOOKUPS as u64).max(1);
    // Shuffled, so that neither the ids nor the owners lie in a cache.
    let known: Vec<Rid> = (0..LOOKUPS as u64).map(|n| rid_of(&today((n.wrapping_mul(7_919) * step) % installations), window)).collect();
    let strange: Vec<Rid> = (0..LOOKUPS as u64).map(|n| rid_of(&key(u64::MAX - n), window)).collect();
    for (what, ids, expected) in [("known", &known, LOOKUPS), ("strange", &strange, 0)] {
        let before = Instant::now();
        let found = ids.iter().filter(|rid| matches!(black_box(tables.rid(**rid, hint, now, now)), Found::Owner(_))).count();
        println!("look-up of {what} ids: {:.0} ns each", before.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64);
        assert_eq!(found, expected);
    }
}
