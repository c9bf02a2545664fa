//! Sightings per second of the presence machine, and the memory that it takes for each subject.
//!
//! One pass is one second of a shop: every subject is heard once, time passes, and what a live gateway would save is taken. A third of the
//! subjects is inside, a third in front, a third too far away for either.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use passage_config::PresenceRules;
use passage_gateway::{beacon::Sighting, presence::Presence};
use passage_protocol::{Millis, Rid, Subject};

fn sightings(subjects: u64, second: i64) -> impl Iterator<Item = Sighting> {
    (0..subjects).map(move |n| Sighting {
        at: Millis(second * 1000 + i64::try_from(n * 1000 / subjects).unwrap_or(0)),
        subject: Subject::Rid { rid: Rid(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()), hint: 3 },
        rssi: [-62, -84, -97][usize::try_from(n % 3).unwrap_or(0)],
        tx_power: -59,
    })
}

fn pass(presence: &mut Presence, heard: &[Sighting]) -> usize {
    let mut changes = Vec::new();
    let mut saved = 0;
    for sighting in heard {
        presence.advance(sighting.at, &mut changes);
        presence.sight(sighting, &mut changes);
        saved += presence.take_saved(false).len();
    }
    changes.len() + saved
}

fn presence(c: &mut Criterion) {
    let mut group = c.benchmark_group("presence");
    group.sample_size(20);
    for subjects in [1_000, 100_000] {
        let marks = [120, 300, 600].map(std::time::Duration::from_secs).to_vec();
        let Ok(store) = "lyon-1".parse() else { return };
        let mut presence = Presence::new(store, PresenceRules::default(), marks);
        let mut second = 0;
        let heard = |second| sightings(subjects, second).collect::<Vec<_>>();
        pass(&mut presence, &heard(second));
        println!("{subjects} subjects heard once: {} bytes each", presence.bytes() / presence.subjects());
        while second < 60 {
            second += 1;
            pass(&mut presence, &heard(second));
        }
        println!(
            "{subjects} subjects heard every second: {} bytes each, {} inside",
            presence.bytes() / presence.subjects(),
            presence.inside()
        );
        group.throughput(Throughput::Elements(subjects));
        group.bench_function(format!("{subjects} subjects"), |b| {
            b.iter_batched(
                || {
                    second += 1;
                    heard(second)
                },
                |heard| black_box(pass(&mut presence, &heard)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, presence);
criterion_main!(benches);
