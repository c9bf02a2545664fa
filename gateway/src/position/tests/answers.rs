//! What an app gets back, and reports that come encrypted, from beacons, or from somebody who was denied.

use passage_protocol::{Denied, DenyList, GatewayId, PositionSecret};

use super::*;
use crate::position::sealing::Sealing;

fn sealing() -> Sealing {
    Sealing::new(PositionSecret::new(SECRET).unwrap())
}

fn messages(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn an_encrypted_report_is_answered_encrypted() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let who = WHO.parse().unwrap();
    let body = sealing().seal(&who, location(0).to_string().as_bytes()).unwrap();
    let (status, answer) = bench.post("/pub", body).await;
    assert_eq!((status, got.lock().unwrap().len()), (200, 1));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["_type"], "encrypted");
    assert_eq!(sealing().open(&who, answer["data"].as_str().unwrap()).as_deref(), Some(&b"[]"[..]));
}

#[tokio::test]
async fn a_report_sealed_by_another_phone_is_poison_and_so_is_one_that_is_sealed_twice() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let (who, other) = (WHO.parse().unwrap(), "phone-of-bruno".parse().unwrap());
    let foreign = sealing().seal(&other, location(0).to_string().as_bytes()).unwrap();
    assert_eq!(bench.post("/pub", foreign).await, accepted());
    assert_eq!(bench.counters.get(Fate::Locked), 1);
    let twice = sealing().seal(&who, sealing().seal(&who, location(0).to_string().as_bytes()).unwrap().as_bytes()).unwrap();
    assert_eq!(bench.post("/pub", twice).await.0, 200);
    assert_eq!(bench.counters.get(Fate::Poison), 1);
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_circles_to_watch_are_told_once_and_only_for_a_position_that_was_taken() {
    let mut bench = Bench::with(true).await;
    bench.decide();
    assert_eq!(bench.post("/pub", json!({"_type": "lwt"}).to_string()).await, accepted());
    let (status, answer) = bench.post("/pub", location(60).to_string()).await;
    let answer = messages(&answer);
    assert_eq!((status, answer.len()), (200, 1));
    assert_eq!((answer[0]["_type"].as_str(), answer[0]["action"].as_str()), (Some("cmd"), Some("setWaypoints")));
    let circles = answer[0]["waypoints"]["waypoints"].as_array().unwrap();
    assert_eq!(circles.len(), 1);
    assert_eq!((circles[0]["desc"].as_str(), circles[0]["rad"].as_i64()), (Some("rivoli-near"), Some(300)));
    assert_eq!(bench.post("/pub", location(30).to_string()).await, accepted());
    // What the phone says of that circle, it says of our geofence, even when Android names it by its time alone.
    let word = json!({"_type": "transition", "event": "enter", "desc": "renamed", "wtst": circles[0]["tst"], "tst": NOW.secs(), "t": "c"});
    assert_eq!(bench.post("/pub", word.to_string()).await, accepted());
    assert_eq!(bench.counters.get(Fate::App), 1);
}

#[tokio::test]
async fn somebody_far_away_is_told_what_to_watch_without_being_placed() {
    let mut bench = Bench::with(true).await;
    let got = bench.decide();
    let mut far = location(0);
    far["lat"] = json!(LAT - 3.0);
    let (status, answer) = bench.post("/pub", far.to_string()).await;
    assert_eq!((status, messages(&answer).len()), (200, 1));
    assert_eq!(bench.counters.get(Fate::Far), 1);
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_word_that_rests_on_a_coarse_fix_neither_enters_nor_leaves() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let word = |event: &str, t: &str, acc: i64| {
        json!({"_type": "transition", "event": event, "t": t, "acc": acc, "desc": "paris-rivoli", "tst": NOW.secs()}).to_string()
    };
    for (event, t) in [("enter", "l"), ("enter", "c"), ("leave", "c")] {
        assert_eq!(bench.post("/pub", word(event, t, 2_000)).await, accepted());
    }
    assert_eq!(bench.counters.get(Fate::Vague), 3);
    assert!(got.lock().unwrap().is_empty());
    for (t, acc) in [("l", 15), ("b", 2_000)] {
        bench.post("/pub", word("enter", t, acc)).await;
    }
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_shops_beacon_is_the_apps_word_and_a_strangers_is_nothing() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let uuid = "ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB";
    let ranged = |minor: i64| json!({"_type": "beacon", "uuid": uuid, "major": 1, "minor": minor, "rssi": -61, "prox": 2, "acc": 1.2, "tst": NOW.secs()});
    bench.post("/pub", ranged(700).to_string()).await;
    bench.post("/pub", ranged(701).to_string()).await;
    let desc = format!("-Shop:{uuid}:1:700");
    let left = json!({"_type": "transition", "t": "b", "event": "leave", "desc": desc, "tst": NOW.secs(), "lat": 0, "lon": 0, "acc": 0});
    bench.post("/pub", left.to_string()).await;
    let got = got.lock().unwrap();
    let phases: Vec<_> =
        got.iter().map(|i| if let Input::App(e, _) = i { (e.phase, e.zone.clone()) } else { panic!("no event") }).collect();
    assert_eq!(phases, [(Phase::Enter, Zone::In), (Phase::Exit, Zone::In)]);
    assert_eq!(bench.counters.get(Fate::UnknownRegion), 1);
}

#[tokio::test]
async fn a_denied_installation_is_shut_out_at_once_on_every_path() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    assert_eq!(bench.post("/pub", location(9).to_string()).await.0, 200);
    let own: GatewayId = "gw-position".parse().unwrap();
    let pinned = Pinned::from_base64([hub_key().public().as_str()]).unwrap();
    let denied = [Denied { installation: WHO.parse().unwrap(), until: None }];
    let list = DenyList::parts(&own, 1, &denied, &hub_key()).remove(0);
    bench.denied.take(&list.to_vec(), &own, &pinned, NOW).unwrap();
    assert_eq!(bench.post("/pub", location(1).to_string()).await.0, 401);
    let word = json!({"store": "paris-rivoli", "phase": "enter"});
    assert_eq!(bench.post("/v1/app/events", word.to_string()).await.0, 401);
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_claims_of_the_apps_are_bound_to_the_credentials() {
    let mut bench = Bench::start().await;
    bench.decide();
    let post = |path: &str, user: &str| {
        let request = bench.http.post(format!("{}{path}", bench.base)).basic_auth(WHO, Some(&bench.token));
        request.header("X-Limit-U", user).header("X-Limit-D", "22A67880-15C3-41A6-9157-25545C7993AC").body(location(0).to_string()).send()
    };
    assert_eq!(post("/pub", WHO).await.unwrap().status(), 200);
    assert_eq!(post("/pub?u=phone-of-camille&d=s5", WHO).await.unwrap().status(), 200);
    assert_eq!(post("/pub", "phone-of-bruno").await.unwrap().status(), 401);
    assert_eq!(post("/pub?u=phone-of-bruno", WHO).await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_apps_own_name_of_a_message_tells_a_repetition() {
    let mut bench = Bench::start().await;
    let got = bench.decide();
    let mut report = location(5);
    report["_id"] = json!("b7a1c2d3");
    bench.post("/pub", report.to_string()).await;
    report["lat"] = json!(LAT + 0.000_01);
    report["created_at"] = json!(NOW.secs());
    bench.post("/pub", report.to_string()).await;
    assert_eq!((got.lock().unwrap().len(), bench.counters.get(Fate::Duplicate)), (1, 1));
    // Four random bytes come again one day, at another time.
    report["tst"] = json!(NOW.secs());
    bench.post("/pub", report.to_string()).await;
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[test]
fn texts_for_numbers_integers_for_degrees_and_what_was_left_out_are_read() {
    let read = |body: Value| match intake().read(body.to_string().as_bytes(), &WHO.parse().unwrap(), NOW) {
        Ok(owntracks::Report::Fix(fix, _)) => Ok((fix.lat, fix.lon, fix.accuracy_m, fix.speed_kmh, fix.at)),
        Ok(other) => panic!("{other:?}"),
        Err(fate) => Err(fate),
    };
    let tst = NOW.secs();
    let all_text = json!({"_type": "location", "lat": "48.5", "lon": " 2.25 ", "tst": tst.to_string(), "acc": "12", "vel": "3"});
    assert_eq!(read(all_text), Ok((48.5, 2.25, Some(12.0), Some(3.0), NOW)));
    let whole = json!({"_type": "location", "lat": 37, "lon": -122, "tst": tst});
    assert_eq!(read(whole), Ok((37.0, -122.0, None, None, NOW)));
    let no_lon = json!({"_type": "location", "lat": 51.0, "tst": tst, "acc": 0, "vel": -1});
    assert_eq!(read(no_lon), Ok((51.0, 0.0, None, None, NOW)));
    let escaped = "{\"_type\":\"loc\\u0061tion\",\"lat\":1,\"lon\":2,\"tst\":\"\\u0031795183200\",\"SSID\":\"\\ud83d\\ude00\"}";
    assert_eq!(read(serde_json::from_str(escaped).unwrap()), Ok((1.0, 2.0, None, None, NOW)));
    assert_eq!(read(json!({"_type": "location", "lat": true, "lon": 2, "tst": tst})), Err(Fate::Poison));
    assert_eq!(read(json!({"_type": "location", "lat": 1, "lon": 2, "tst": tst * 1000})), Err(Fate::Poison), "milliseconds");
    assert_eq!(read(json!({"_type": ["location"], "lat": 1, "lon": 2, "tst": tst})), Err(Fate::Poison));
}

#[test]
fn a_plain_payload_is_not_looked_at_where_it_must_be_encrypted() {
    assert_eq!(owntracks::sealed(location(0).to_string().as_bytes()), Err(Fate::Plain));
    assert_eq!(owntracks::sealed(br#"{"_type":"encrypted","data":"QUJD"}"#).as_deref(), Ok("QUJD"));
    for poison in ["", "{", "[]", "7", r#"{"data":"QUJD"}"#, r#"{"_type":"encrypted"}"#, r#"{"_type":"encrypted","data":[1]}"#] {
        assert_eq!(owntracks::sealed(poison.as_bytes()), Err(Fate::Poison), "{poison}");
    }
}

#[test]
fn what_another_gateway_looked_after_meanwhile_was_inside_already() {
    let enter = |fresh| {
        let mut geofences = crate::geofence::Geofences::new(&site(), GeofenceRules::default(), vec![]);
        let mut changes = Vec::new();
        for (minutes, lat, fresh) in [(0, LAT + 0.01, true), (10, LAT, fresh)] {
            let at = NOW + std::time::Duration::from_secs(60 * minutes);
            let (installation, accuracy_m) = (WHO.parse().unwrap(), Some(10.0));
            let fix = Fix { installation, at, ahead_ms: 0, lat, lon: LON, accuracy_m, speed_kmh: None, away: None, fresh };
            geofences.fix(&fix, at, &mut changes);
        }
        changes.into_iter().map(|c| (c.phase, c.initial)).collect::<Vec<_>>()
    };
    assert_eq!(enter(false), [(Phase::Enter, false)]);
    assert_eq!(enter(true), [(Phase::Enter, true)]);
}
