//! Geofences per second: plain containment, and decisions with state.
//!
//! `cargo bench -p passage-gateway --bench geofence` runs criterion on a seeded world. With `-- --data DIR` it takes `DIR/fences.geojson` and
//! `DIR/points.csv`, as `deploy/bench/geofence/run` makes them, counts CPU time and prints one line a measurement.

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use geo::Point;
use passage_config::{FenceKind, Geofence, GeofenceRules, Shape, Site, load_fences};
use passage_gateway::{
    geofence::{Containment, Geofences},
    position::Fix,
};
use passage_protocol::{InstallationId, Millis};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const START: Millis = Millis(1_795_168_800_000);
const METRES_PER_DEGREE: f64 = 111_195.0;

/// Circles of 50 to 300 m in 200 cities.
fn world(fences: usize, random: &mut ChaCha8Rng) -> Vec<Shape> {
    let cities: Vec<(f64, f64)> = (0..200).map(|_| (random.random_range(-170.0..170.0), random.random_range(-50.0..60.0))).collect();
    let circle = |_| {
        let (lon, lat) = cities[random.random_range(0..cities.len())];
        let centre = Point::new(lon + random.random_range(-0.05..0.05), lat + random.random_range(-0.05..0.05));
        Shape::Circle { centre, radius_m: random.random_range(50.0..300.0) }
    };
    (0..fences).map(circle).collect()
}

fn middle(shape: &Shape) -> (f64, f64) {
    match shape {
        Shape::Circle { centre, .. } => (centre.x(), centre.y()),
        Shape::Area(area) => area.0.first().and_then(|p| p.exterior().0.first()).map_or((0.0, 0.0), |c| (c.x, c.y)),
        Shape::Corridor { lines, .. } => lines.0.first().and_then(|l| l.0.first()).map_or((0.0, 0.0), |c| (c.x, c.y)),
    }
}

/// Walks at 0 to 1.6 m/s that begin within 300 m of a fence: a fix of everybody, 30 s later the next one of everybody.
fn walks(shapes: &[Shape], people: usize, fixes: usize, random: &mut ChaCha8Rng) -> Vec<Fix> {
    let mut walkers: Vec<(InstallationId, f64, f64, f64, f64)> = (0..people)
        .map(|i| {
            let (lon, lat) = middle(&shapes[random.random_range(0..shapes.len())]);
            let mut metres = |most: f64| random.random_range(-most..most) / METRES_PER_DEGREE;
            let (east, north, dx, dy) = (metres(300.0), metres(300.0), metres(48.0), metres(48.0));
            let name = format!("installation-{i:06}").parse().expect("an id");
            (name, lon + east, lat + north, dx, dy)
        })
        .collect();
    let mut out = Vec::with_capacity(people * fixes);
    for step in 0..fixes {
        let at = START + Duration::from_secs(30) * u32::try_from(step).expect("few");
        for (name, lon, lat, dx, dy) in &mut walkers {
            (*lon, *lat) = (*lon + *dx, *lat + *dy);
            let accuracy_m = Some(random.random_range(5.0..100.0));
            out.push(Fix {
                installation: name.clone(),
                at,
                ahead_ms: 0,
                lat: *lat,
                lon: *lon,
                accuracy_m,
                speed_kmh: None,
                away: None,
                fresh: false,
            });
        }
    }
    out
}

fn site(shapes: &[Shape]) -> Site {
    let mut site = Site::default();
    for (i, shape) in shapes.iter().enumerate() {
        let id: passage_protocol::FenceId = format!("fence-{i:06}").parse().expect("an id");
        let fence = Geofence { id: id.clone(), store: "any-store".parse().expect("an id"), kind: FenceKind::Store, shape: shape.clone() };
        site.geofences.insert(id, fence);
    }
    site
}

/// Plays all fixes into a machine that knows nobody; `saved`: with the bytes that the outbox would write for each fix.
fn decide(site: &Site, fixes: &[Fix], saved: bool) -> usize {
    let mut machine = Geofences::new(site, GeofenceRules::default(), site.dwell_marks());
    let mut changes = Vec::new();
    let mut told = 0;
    for several in fixes.chunks(Geofences::MOST_AHEAD) {
        machine.call_for(several);
        for fix in several {
            machine.advance(fix.at, &mut changes);
            machine.fix(fix, fix.at, &mut changes);
            if saved {
                black_box(machine.take_saved(true));
            }
            told += changes.len();
            changes.clear();
        }
    }
    told
}

fn measured() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut random = ChaCha8Rng::seed_from_u64(20_261_122);
    let shapes = world(10_000, &mut random);
    let places: Vec<(f64, f64)> = (0..100_000)
        .map(|_| {
            let (lon, lat) = middle(&shapes[random.random_range(0..shapes.len())]);
            (lon + random.random_range(-0.005..0.005), lat + random.random_range(-0.005..0.005))
        })
        .collect();
    let index = Containment::new(&shapes);
    let mut group = criterion.benchmark_group("geofence");
    group.sample_size(10).throughput(Throughput::Elements(places.len() as u64));
    group.bench_function("containment", |b| {
        b.iter(|| places.iter().map(|(lon, lat)| index.holders(*lat, *lon).count()).sum::<usize>());
    });
    let site = site(&shapes);
    let fixes = walks(&shapes, 10_000, 10, &mut random);
    group.throughput(Throughput::Elements(fixes.len() as u64));
    for (name, saved) in [("decisions", false), ("decisions-saved", true)] {
        group.bench_function(name, |b| b.iter(|| decide(&site, &fixes, saved)));
    }
    group.finish();
    criterion.final_summary();
}

/// CPU time of this thread; the clock on the wall where the system does not tell.
fn cpu(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

fn report(name: &str, count: usize, runs: usize, mut run: impl FnMut() -> usize) {
    let start = Instant::now();
    let mut times = Vec::new();
    let mut answer = 0;
    for _ in 0..runs {
        let before = cpu(start);
        answer = black_box(run());
        times.push((cpu(start) - before).as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let rate = |seconds: f64| (count as f64 / seconds).round();
    println!("{name}\t{}\t{}\t{}\t{answer}", rate(times[runs / 2]), rate(times[runs - 1]), rate(times[0]));
}

/// `name, median, least and most per CPU-second, answers`, parted by tabs.
fn compared(data: &Path, runs: usize) {
    let fences = load_fences(&data.join("fences.geojson")).unwrap_or_else(|errors| panic!("{errors}"));
    let shapes: Vec<Shape> = fences.fences.into_iter().map(|f| f.shape).collect();
    let text = std::fs::read_to_string(data.join("points.csv")).expect("points.csv");
    let places: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| line.split_once(',').and_then(|(lon, lat)| Some((lon.parse().ok()?, lat.trim().parse().ok()?))))
        .collect();
    let index = Containment::new(&shapes);
    report("passage", places.len(), runs, || {
        let mut pairs = Vec::with_capacity(places.len());
        for (i, (lon, lat)) in places.iter().enumerate() {
            pairs.extend(index.holders(*lat, *lon).map(|holder| (i, holder)));
        }
        black_box(pairs).len()
    });
    let site = site(&shapes);
    let fixes = walks(&shapes, 100_000, 10, &mut ChaCha8Rng::seed_from_u64(20_261_122));
    report("decisions", fixes.len(), runs, || decide(&site, &fixes, false));
    report("decisions-saved", fixes.len(), runs, || decide(&site, &fixes, true));
}

fn main() {
    let mut arguments = std::env::args().skip_while(|a| a != "--data").skip(1);
    match arguments.next().map(PathBuf::from) {
        Some(data) => compared(&data, arguments.next().and_then(|n| n.parse().ok()).unwrap_or(5)),
        None => measured(),
    }
}
