//! From the JSON body of an OwnTracks location to the decision: decode, near an open store, not a repetition, geofences, state. What HTTP and the token
//! cost stands apart: requests over one connection to a server whose decider commits at once, with the client that sends them on the same thread.
//!
//! `cargo bench -p passage-gateway --bench owntracks`. Criterion measures wall time of one thread; on a busy machine compare the rates that the
//! program prints itself, which are per second of processor time.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use geo::Point;
use passage_config::{FenceKind, Geofence, GeofenceRules, Shape, Site, Store, hours::Hours};
use passage_gateway::{
    geofence::Geofences,
    pipeline::Input,
    position::{Counters, Desk, DeskParts, Fate, Intake, PATIENCE, Server, app::NoBeacons, owntracks::Report},
};
use passage_protocol::{Clock, InstallationId, Millis, PositionToken, sign::Pinned, sign::Signing};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// Friday 2026-11-20, 15:00 in Paris.
const START: i64 = 1_795_183_200;
const PHONES: usize = 10_000;
const ROUNDS: usize = 10;
/// Phones that speak over HTTP.
const CALLERS: usize = 1_000;

/// 100 stores in a net of 10 by 10 over a city, each with a fence of 60 m and one of 300 m.
fn site() -> Arc<Site> {
    let mut site = Site::default();
    for n in 0..100 {
        let at = Point::new(2.2 + 0.02 * f64::from(n % 10), 48.8 + 0.01 * f64::from(n / 10));
        let store = Store {
            id: format!("store-{n:03}").parse().unwrap(),
            name: "Store".into(),
            brand: "maison".into(),
            entity: "maison".into(),
            region: "idf".into(),
            tags: vec![],
            at,
            timezone: chrono_tz::Europe::Paris,
            hours: Arc::new(Hours::parse("Mo-Sa 10:00-19:30").unwrap()),
        };
        for (kind, radius_m) in [(FenceKind::Store, 60.0), (FenceKind::Nearby, 300.0)] {
            let id = format!("fence-{n:03}-{radius_m}").parse().unwrap();
            let fence = Geofence { id, store: store.id.clone(), kind, shape: Shape::Circle { centre: at, radius_m } };
            site.geofences.insert(fence.id.clone(), fence);
        }
        site.stores.insert(store.id.clone(), store);
    }
    Arc::new(site)
}

/// A body as the present Android app sends it, of phone `n` on its way past a store, again and again.
fn body(n: usize, round: usize) -> (InstallationId, Vec<u8>) {
    let (store, step) = (n % 100, (round % ROUNDS) as f64);
    let lat = 48.8 + 0.01 * (store / 10) as f64 + 0.000_3 * (step - 4.0);
    let lon = 2.2 + 0.02 * (store % 10) as f64 + 0.000_001 * (n / 100) as f64;
    let tst = START + 30 * round as i64;
    let text = format!(
        r#"{{"_type":"location","created_at":{},"_id":"{:08x}","topic":"owntracks/i-{n:032x}/s5","qos":1,"retained":true,"source":"fused","batt":98,"bs":1,"acc":{},"lat":{lat:.6},"lon":{lon:.6},"alt":35,"vel":4,"tst":{tst},"m":1,"conn":"m","inregions":[],"BSSID":"00:13:10:85:fe:01","SSID":"AndroidWifi","tid":"s5"}}"#,
        tst + 5,
        n * 31 + round,
        5 + n % 40,
    );
    (format!("i-{n:032x}").parse().unwrap(), text.into_bytes())
}

fn reports() -> Vec<(Millis, InstallationId, Vec<u8>)> {
    let all = (0..ROUNDS).flat_map(|round| (0..PHONES).map(move |n| (round, body(n, round))));
    all.map(|(round, (who, body))| (Millis::from_secs(START + 30 * round as i64 + 5), who, body)).collect()
}

/// Decides all reports; the number of changes keeps the work from being left out.
fn decide(site: &Arc<Site>, reports: &[(Millis, InstallationId, Vec<u8>)]) -> usize {
    let rules = GeofenceRules::default();
    let intake = Intake::new(Arc::clone(site), &rules, Arc::new(NoBeacons));
    let mut geofences = Geofences::new(site, rules, site.dwell_marks());
    let (mut changes, mut told, mut fixes) = (Vec::new(), 0, Vec::new());
    // The decider takes as many from its queue at once.
    for several in reports.chunks(Geofences::MOST_AHEAD) {
        for (now, who, body) in several {
            if let Ok(Report::Fix(fix, id)) = intake.read(body, who, *now)
                && let Ok(admitted) = intake.admit(fix, id.as_deref(), false)
            {
                intake.taken(&admitted);
                fixes.push((admitted.fix, *now));
            }
        }
        geofences.call_for(fixes.iter().map(|(fix, _)| fix));
        for (fix, now) in fixes.drain(..) {
            geofences.fix(&fix, now, &mut changes);
            told += changes.len();
            changes.clear();
        }
    }
    told
}

/// Seconds of processor time that this process has used, in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Prints how often `work`, which does `count` things, is done in a second of processor time: the median of five.
fn rate(name: &str, count: usize, mut work: impl FnMut()) {
    let mut all: Vec<u64> = Vec::new();
    for _ in 0..5 {
        let (before, begun, mut done) = (cpu(), Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(1) {
            work();
            done += count;
        }
        all.push((done as f64 / (cpu() - before).max(0.01)) as u64);
    }
    all.sort_unstable();
    println!("{name}: {} a CPU-second (median of {}, {} to {})", all[all.len() / 2], all.len(), all[0], all[all.len() - 1]);
}

/// A server whose decider commits at once, and one connection to it.
struct Call {
    runtime: Runtime,
    line: TcpStream,
    clock: Clock,
    counters: Arc<Counters>,
    /// Up to the length of the body, of each caller.
    heads: Vec<String>,
    round: usize,
    request: Vec<u8>,
}

impl Call {
    fn new(site: &Arc<Site>, key: &Signing) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (inputs, mut queue) = mpsc::channel(1_024);
        let (counters, clock) = (Arc::new(Counters::default()), Clock::stepped(Millis::from_secs(START)));
        let desk = Desk::new(DeskParts {
            site: Arc::clone(site),
            rules: &GeofenceRules::default(),
            positions: &passage_config::Positions { set_waypoints: false, ..passage_config::Positions::default() },
            beacons: Arc::new(NoBeacons),
            group: None,
            denied: Arc::default(),
            inputs,
            counters: Arc::clone(&counters),
        });
        let (pinned, listen) = (Pinned::from_base64([key.public().as_str()]).unwrap(), "127.0.0.1:0".parse().unwrap());
        let server = Server { listen, pinned, clock: clock.clone(), desk: Arc::new(desk), patience: PATIENCE };
        let line = runtime.block_on(async {
            let bound = server.bind().await.unwrap();
            let address = bound.local_addr();
            tokio::spawn(bound.run(CancellationToken::new()));
            tokio::spawn(async move {
                while let Some(input) = queue.recv().await {
                    if let Input::Fix(_, done) = input {
                        let _ = done.send(());
                    }
                }
            });
            TcpStream::connect(address).await.unwrap()
        });
        line.set_nodelay(true).unwrap();
        let heads = (0..CALLERS).map(|n| head(n, key)).collect();
        Self { runtime, line, clock, counters, heads, round: 0, request: Vec::new() }
    }

    /// One request of each caller, 30 s after the last one, each sent when the one before it is answered.
    fn all(&mut self, with_body: bool) {
        self.round += 1;
        self.clock.set(Millis::from_secs(START + 30 * self.round as i64 + 5));
        let Self { runtime, line, heads, round, request, .. } = self;
        runtime.block_on(async {
            for (n, head) in heads.iter().enumerate() {
                let body = if with_body { body(n, *round).1 } else { Vec::new() };
                request.clear();
                request.extend_from_slice(head.as_bytes());
                request.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
                request.extend_from_slice(&body);
                line.write_all(request).await.unwrap();
                answered(line, request).await;
            }
        });
    }
}

/// Reads one answer: 200 and an empty list.
async fn answered(line: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    while !answer.ends_with(b"\r\n\r\n[]") {
        assert!(line.read_buf(answer).await.unwrap() > 0, "the server has hung up");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
}

fn head(n: usize, key: &Signing) -> String {
    let (who, _) = body(n, 0);
    let token = PositionToken { installation: who.clone(), expires: Millis(i64::MAX), purpose: "presence".into() }.to_text(key);
    let credentials = STANDARD.encode(format!("{who}:{token}"));
    format!(
        "POST /pub HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Basic {credentials}\r\ncontent-type: application/json\r\ncontent-length: "
    )
}

/// What stands around the decision.
fn around(site: &Arc<Site>, key: &Signing, token: &str, pinned: &Pinned) {
    rate("token, first time: its signature", 1_000, || {
        (0..1_000).for_each(|_| drop(black_box(PositionToken::from_text(black_box(token), pinned, Millis(0)))));
    });
    let mut call = Call::new(site, key);
    // Every token is known from here on.
    call.all(false);
    rate("HTTP request with a known token and no body, to its answer", CALLERS, || call.all(false));
    rate("HTTP request with a known token and a location, to its answer", CALLERS, || call.all(true));
    println!("{} of them were taken as positions", call.counters.get(Fate::Fix));
}

fn owntracks(c: &mut Criterion) {
    let (site, reports) = (site(), reports());
    let changes = decide(&site, &reports);
    println!("{} reports of {PHONES} phones make {changes} events", reports.len());
    rate("JSON body to decision", reports.len(), || {
        black_box(decide(&site, &reports));
    });
    let intake = Intake::new(Arc::clone(&site), &GeofenceRules::default(), Arc::new(NoBeacons));
    let decode = || reports.iter().filter(|(now, who, body)| intake.read(body, who, *now).is_ok()).count();
    rate("of that, JSON body to fix", reports.len(), || {
        black_box(decode());
    });

    let mut group = c.benchmark_group("owntracks");
    group.sample_size(10).throughput(Throughput::Elements(reports.len() as u64));
    group.bench_function("body to decision", |b| b.iter(|| black_box(decide(&site, &reports))));
    group.bench_function("body to fix", |b| b.iter(|| black_box(decode())));
    group.finish();

    let key = Signing::from_bytes(&[3; 32]);
    let pinned = Pinned::from_base64([key.public().as_str()]).unwrap();
    let claims = PositionToken { installation: reports[0].1.clone(), expires: Millis(i64::MAX), purpose: "presence".into() };
    let token = claims.to_text(&key);
    around(&site, &key, &token, &pinned);
    let mut group = c.benchmark_group("credentials");
    group.bench_function("token, first time", |b| b.iter(|| PositionToken::from_text(black_box(&token), &pinned, Millis(0)).is_ok()));
    group.finish();
}

criterion_group!(benches, owntracks);
criterion_main!(benches);
