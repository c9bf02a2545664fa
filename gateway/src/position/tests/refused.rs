//! What goes no further, and is answered like the rest.

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn poison_is_answered_like_the_rest_and_counted_by_its_reason() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let at = NOW.secs();
    let bodies = [
        (Fate::Poison, "{".to_owned()),
        (Fate::Poison, "[1,2]".to_owned()),
        (Fate::Poison, "null".to_owned()),
        (Fate::Poison, "\u{0}\u{1}".to_owned()),
        (Fate::Poison, json!({"some": "invalid message"}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": 0, "lat": 0.0, "lon": 0.0, "acc": 15}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": "NaN", "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": 91, "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": {}, "lon": []}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": 1e30, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Poison, json!({"_type": "transition", "event": "dance", "desc": "paris-rivoli", "tst": at}).to_string()),
        (Fate::UnknownRegion, json!({"_type": "transition", "event": "enter", "desc": "Home", "tst": at}).to_string()),
        (Fate::Locked, json!({"_type": "encrypted", "data": "AAAA"}).to_string()),
        (Fate::Poison, json!({"_type": "encrypted", "data": 7}).to_string()),
        (Fate::Poison, json!({"_type": "location", "tst": at, "lat": null, "lon": LON}).to_string()),
        (Fate::Unknown, json!({"_type": "rendezvous"}).to_string()),
        (Fate::Ignored, json!({"_type": "lwt", "tst": at}).to_string()),
        (Fate::Ignored, json!({"_type": "beacon", "uuid": "x", "tst": at}).to_string()),
        (Fate::Ignored, json!({"_type": "waypoints", "waypoints": []}).to_string()),
        (Fate::Ignored, json!({"_type": "location", "t": "p", "tst": at, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Future, json!({"_type": "location", "tst": at + 90_000, "lat": LAT, "lon": LON}).to_string()),
        (Fate::Old, json!({"_type": "location", "tst": at - 300_000, "lat": LAT, "lon": LON}).to_string()),
    ];
    let mut expected = BTreeMap::new();
    for (fate, body) in bodies {
        assert_eq!(bench.post("/pub", body.clone()).await, accepted(), "{body}");
        *expected.entry(fate.as_str()).or_insert(0) += 1;
        assert_eq!(bench.counters.get(fate), expected[fate.as_str()], "{body} should be {}", fate.as_str());
    }
    assert_eq!(bench.post("/pub", "").await, accepted());
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_picture_too_large_does_not_block_the_apps_queue() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut small = location(0);
    small["image"] = json!("A".repeat(100_000));
    assert_eq!(bench.post("/pub", small.to_string()).await, accepted());
    assert_eq!(got.lock().unwrap().len(), 1);
    let mut large = location(1);
    large["image"] = json!("A".repeat(MAX_BODY));
    assert_eq!(bench.post("/pub", large.to_string()).await, accepted());
    assert_eq!(bench.counters.get(Fate::Oversize), 1);
    assert_eq!(bench.post("/v1/app/events", large.to_string()).await.0, 413);
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_posts_are_taken() {
    let bench = Bench::start().await;
    let get = bench.http.get(format!("{}/pub", bench.base)).basic_auth(WHO, Some(&bench.token)).send().await.unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn far_from_every_store_or_outside_the_hours_a_fix_is_dropped() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut far = location(60);
    far["lat"] = json!(LAT + 0.02);
    assert_eq!(bench.post("/pub", far.to_string()).await, accepted());
    assert_eq!(bench.counters.get(Fate::Far), 1);
    // Back near the store: the decider learns that the phone came from afar, not from where.
    bench.post("/pub", location(0).to_string()).await;
    {
        let got = got.lock().unwrap();
        let Input::Fix(fix, _) = &got[0] else { panic!("no fix") };
        assert_eq!(fix.away, Some(NOW - std::time::Duration::from_secs(60)));
    }
    // The shop closes at 19:30: at 20:20 a fix still matters, at 21:00 it does not; the shop that never closes takes it.
    let from_three = |hours: f64| NOW.secs() + (hours * 3600.0) as i64;
    for (hours, lat, fate) in [(5.33, LAT, Fate::Fix), (6.0, LAT, Fate::Closed), (6.0, LAT + 1.0, Fate::Fix)] {
        let before = bench.counters.get(fate);
        let mut fix = location(0);
        fix["tst"] = json!(from_three(hours));
        fix["lat"] = json!(lat);
        bench.token = token(Millis::from_secs(from_three(24.0)));
        bench.clock.set(Millis::from_secs(from_three(hours)));
        bench.post("/pub", fix.to_string()).await;
        assert_eq!(bench.counters.get(fate), before + 1, "{hours} {}", fate.as_str());
    }
}

#[tokio::test]
async fn a_phone_whose_clock_is_ahead_counts_as_measured_now_and_is_counted_as_such() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    for (ahead, fate, times) in [(119, Fate::Fix, 1), (121, Fate::Ahead, 1), (86_399, Fate::Ahead, 2), (86_401, Fate::Future, 1)] {
        assert_eq!(bench.post("/pub", location(-ahead).to_string()).await, accepted());
        assert_eq!(bench.counters.get(fate), times, "{ahead} s");
    }
    // The same again is the same, although time has passed.
    bench.clock.set(NOW + std::time::Duration::from_secs(30));
    bench.post("/pub", location(-121).to_string()).await;
    assert_eq!(bench.counters.get(Fate::Duplicate), 1);
    let got = got.lock().unwrap();
    let times = got.iter().map(|input| if let Input::Fix(fix, _) = input { (fix.at.since(NOW), fix.ahead_ms) } else { panic!("no fix") });
    assert_eq!(times.collect::<Vec<_>>(), [(119_000, 0), (0, 121_000), (0, 86_399_000)]);
}

#[tokio::test]
async fn the_same_report_again_is_one_and_another_place_at_that_time_is_not() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut report = location(30);
    for created_at in 0..5 {
        report["created_at"] = json!(NOW.secs() + created_at);
        bench.post("/pub", report.to_string()).await;
    }
    assert_eq!((got.lock().unwrap().len(), bench.counters.get(Fate::Duplicate)), (1, 4));
    report["acc"] = json!(5);
    bench.post("/pub", report.to_string()).await;
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_asked_for_again_and_nothing_is_stored() {
    let mut bench = Bench::hasty().await;
    let got = bench.decide();
    let credentials = STANDARD.encode(format!("{WHO}:{}", bench.token));
    let body = location(60).to_string();
    let (half, length) = (&body[..body.len() / 2], body.len());
    for (i, path) in (1..).zip(["/pub", "/v1/app/events"]) {
        let mut line = tokio::net::TcpStream::connect(bench.base.trim_start_matches("http://")).await.unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: here\r\nauthorization: Basic {credentials}\r\ncontent-length: {length}\r\n\r\n{half}");
        line.write_all(head.as_bytes()).await.unwrap();
        // The line stays open; the server gives up waiting.
        let mut answer = [0; 12];
        line.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503", "{path}");
        assert_eq!(bench.counters.get(Fate::Busy), i, "{path}");
    }
    assert!(got.lock().unwrap().is_empty());
}
