//! OwnTracks through a whole gateway, over HTTP and over a real broker: the samples of the apps, and what each way must refuse.

mod support;

#[path = "support/phones.rs"]
mod phones;
#[path = "support/traces.rs"]
mod traces;

use std::{path::Path, time::Duration};

use passage_config::GatewayConfig;
use passage_gateway::position::Fate;
use passage_protocol::{
    Clock, Denied, DenyList, GatewayId, GatewayState, Millis, PositionCounters, Signal, Topic, Zone,
    site::{Action, Command},
};
use phones::{Phone, Position, Publisher, START, location};
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS};
use serde_json::{Value, json};
use support::{FakeHub, Mosquitto, eventually, hub_key};
use traces::on_disk;

/// Waits until a report over the broker has met its fate.
async fn met(gateway: &Position, fate: Fate, times: u64) {
    eventually(&format!("{} reports are {}", times, fate.as_str()), || gateway.count(fate) >= times).await;
    assert_eq!(gateway.count(fate), times, "{}", fate.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_positions_over_the_broker_become_a_stay_and_leave_no_coordinate() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    let gateway = Position::alone(&broker).await;
    let (lat, lon) = traces::beside(phones::store());
    let (phone, publisher) = (Phone::new("phone-of-camille"), Publisher::start(broker.port));
    ready(&gateway, &publisher).await;
    for (n, second) in [0i64, 60, 120, 180].into_iter().enumerate() {
        gateway.clock.set(Millis(START.0 + second * 1_000));
        assert!(gateway.handle.advance().await);
        publisher.publish("owntracks/phone-of-camille/s5", true, phone.seal(&location(lat, lon, second))).await;
        met(&gateway, Fate::Fix, n as u64 + 1).await;
    }
    assert!(gateway.handle.advance().await);
    eventually("the position has entered", || hub.count() > 0).await;
    assert!(hub.received.lock().unwrap().events.values().all(|e| e.signal == Signal::Position));
    assert_eq!(traces::found(gateway.dir.path(), (lat, lon)), None, "a coordinate is in the files");
    assert!(on_disk(gateway.dir.path(), b"phone-of-camille"), "the search finds nothing at all");
    let dir = gateway.close().await;
    assert_eq!(traces::found(dir.path(), (lat, lon)), None, "a coordinate is in the files after the stop");
}

/// The subscriptions stand once something that is published is counted.
async fn ready(gateway: &Position, publisher: &Publisher) {
    for n in 0..200 {
        publisher.publish("owntracks/nobody/s5/waypoints", false, b"{".to_vec()).await;
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        if gateway.count(Fate::Poison) > 0 {
            let sent = n + 1;
            eventually("all knocks are heard", || gateway.count(Fate::Poison) > 0).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(gateway.count(Fate::Poison) <= sent);
            return;
        }
    }
    panic!("the gateway does not listen on the broker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_plain_or_retained_or_from_another_phone_is_refused_and_counted() {
    let broker = Mosquitto::start();
    let (camille, bruno) = (Phone::new("phone-of-camille"), Phone::new("phone-of-bruno"));
    let publisher = Publisher::start(broker.port);
    let (lat, lon) = (48.8577, 2.3606);
    // Published before the gateway listens: the broker's copy is an old report.
    publisher.publish("owntracks/phone-of-camille/s5", true, camille.seal(&location(lat, lon, 0))).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let gateway = Position::alone(&broker).await;
    ready(&gateway, &publisher).await;
    met(&gateway, Fate::Retained, 1).await;
    let send = async |topic: &str, payload: Vec<u8>| publisher.publish(topic, false, payload).await;
    send("owntracks/phone-of-camille/s5", location(lat, lon, 0).to_string().into_bytes()).await;
    met(&gateway, Fate::Plain, 1).await;
    send("owntracks/phone-of-camille/s5", bruno.seal(&location(lat, lon, 0))).await;
    met(&gateway, Fate::Locked, 1).await;
    send("owntracks/phone-of-camille/s5", Vec::new()).await;
    met(&gateway, Fate::Ignored, 1).await;
    send("owntracks/phone-of-camille/s5/event", camille.seal(&json!({"_type": "lwt", "tst": 1}))).await;
    met(&gateway, Fate::Ignored, 2).await;
    send("owntracks/Phone-of-Camille/S5", camille.seal(&location(lat + 3.0, lon, 0))).await;
    met(&gateway, Fate::Far, 1).await;
    assert_eq!(gateway.count(Fate::Fix) + gateway.count(Fate::App), 0);
    gateway.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_denied_is_shut_out_over_http_and_over_the_broker_and_after_a_restart() {
    let broker = Mosquitto::start();
    let gateway = Position::alone(&broker).await;
    let (lat, lon) = phones::store();
    let (camille, bruno) = (Phone::new("phone-of-camille"), Phone::new("phone-of-bruno"));
    let publisher = Publisher::start(broker.port);
    ready(&gateway, &publisher).await;
    assert_eq!(camille.post(&gateway.url(), &location(lat, lon, 0)).await.0, 200);

    let denied = [Denied { installation: camille.id.clone(), until: None }];
    let id = "gw-position".parse().unwrap();
    let forged = DenyList::parts(
        &id,
        9,
        &[Denied { installation: bruno.id.clone(), until: None }],
        &passage_protocol::sign::Signing::from_bytes(&[66; 32]),
    );
    let topic = Topic::SiteDeny(id.clone(), 0).to_string();
    publisher.publish(&topic, true, forged[0].to_vec()).await;
    publisher.publish(&topic, true, DenyList::parts(&id, 2, &denied, &hub_key())[0].to_vec()).await;
    let mut status = 200;
    for second in 1..400 {
        status = camille.post(&gateway.url(), &location(lat, lon, second)).await.0;
        if status == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(status, 401, "the deny list is not in force after 10 s");
    assert_eq!(bruno.post(&gateway.url(), &location(lat, lon, 0)).await.0, 200);
    let before = gateway.count(Fate::Denied);
    publisher.publish("owntracks/phone-of-camille/s5", false, camille.seal(&location(lat, lon, 500))).await;
    met(&gateway, Fate::Denied, before + 1).await;
    // A list that is older than the one in force takes nothing back, nor does a broker that has forgotten it.
    publisher.publish(&topic, true, DenyList::parts(&id, 1, &[], &hub_key())[0].to_vec()).await;
    publisher.publish(&topic, true, Vec::new()).await;
    let dir = gateway.close().await;
    let gateway = Position::start(phones::config(&broker, "gw-position", dir.path()), dir).await;
    assert_eq!(camille.post(&gateway.url(), &location(lat, lon, 600)).await.0, 401);
    assert_eq!(bruno.post(&gateway.url(), &location(lat, lon, 600)).await.0, 200);
    gateway.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_no_gateway_is_connected_comes_afterwards_and_once() {
    let broker = Mosquitto::start();
    let (lat, lon) = phones::store();
    let (phone, publisher) = (Phone::new("phone-of-camille"), Publisher::start(broker.port));
    let gateway = Position::alone(&broker).await;
    ready(&gateway, &publisher).await;
    let dir = gateway.close().await;
    for second in [0, 30, 60] {
        publisher.publish("owntracks/phone-of-camille/s5", second == 60, phone.seal(&location(lat, lon, second))).await;
    }
    let config = |dir: &tempfile::TempDir| GatewayConfig {
        clock: Clock::stepped(Millis(START.0 + 60_000)),
        ..phones::config(&broker, "gw-position", dir.path())
    };
    // Three that waited, and the broker's own copy of the last, which never counts.
    let gateway = Position::start(config(&dir), dir).await;
    met(&gateway, Fate::Fix, 3).await;
    met(&gateway, Fate::Retained, 1).await;
    let dir = gateway.close().await;
    // They were acknowledged after the commit, so they do not come again.
    let gateway = Position::start(config(&dir), dir).await;
    ready(&gateway, &publisher).await;
    met(&gateway, Fate::Retained, 1).await;
    assert_eq!(gateway.count(Fate::Fix), 0);
    gateway.close().await;
}

/// What the notice of each sample asks for, as far as a receiver shows it: its fate when it is sent by a member near a store, at the time at which it
/// was made. A sample that is not named here must be answered like the rest and end in some fate.
fn asked_for(id: &str) -> Option<Fate> {
    Some(match id {
        "android-location-mqtt" | "android-location-extended-pretty" | "ios-location-http" | "ios-location-beacon-trigger" => Fate::Far,
        // Near a store of the demo, on a holiday.
        "android-location-http" => Fate::Closed,
        "ping-same-fix" => Fate::Ignored,
        "transition-circular" | "transition-android-location-trigger" | "transition-beacon" => Fate::UnknownRegion,
        "no-type" | "zero-tst" => Fate::Poison,
        _ => return None,
    })
}

/// When a sample was made, in seconds; 0 when it does not tell.
fn made(sample: &Value) -> i64 {
    let number = |key: &str| sample["payload"][key].as_i64().or_else(|| sample["payload"][key].as_str()?.parse().ok());
    ["tst", "created_at"].into_iter().filter_map(number).max().unwrap_or(0).max(0)
}

/// A phone for each sample, so that none is a repetition of another.
fn name(id: &str) -> String {
    let plain = id.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("phone-of-{}", plain.chars().take(28).collect::<String>())
}

/// Plays a file of samples, ours or another of the same shape: `PASSAGE_OWNTRACKS_SAMPLES=FILE`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_of_the_apps_gets_the_answer_that_empties_their_queue() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owntracks.json");
    let file = std::env::var_os("PASSAGE_OWNTRACKS_SAMPLES").map_or(own, Into::into);
    let samples: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let broker = Mosquitto::start();
    let dir = tempfile::TempDir::new().unwrap();
    let config = GatewayConfig { clock: Clock::stepped(Millis(0)), ..phones::config(&broker, "gw-position", dir.path()) };
    let gateway = Position::start(config, dir).await;
    let publisher = Publisher::start(broker.port);
    ready(&gateway, &publisher).await;
    let list = |key: &str| samples[key].as_array().cloned().unwrap_or_default();
    let mut all: Vec<Value> = list("samples").into_iter().chain(list("hostile")).collect();
    all.retain(|sample| sample["direction"].as_str().is_none_or(|d| d == "app->server"));
    // Business time does not go back, so they are played in the order in which they were made.
    all.sort_by_key(made);
    for sample in &all {
        let id = sample["id"].as_str().unwrap();
        let payload = &sample["payload"];
        gateway.clock.set(Millis::from_secs(made(sample)));
        let phone = Phone::until(&name(id), Millis(i64::MAX));
        let counts = || Fate::ALL.iter().map(|f| gateway.count(*f)).collect::<Vec<_>>();
        let fate_since = |before: &[u64]| {
            let after = counts();
            let changed: Vec<Fate> =
                Fate::ALL.iter().copied().enumerate().filter(|(i, _)| after[*i] > before[*i]).map(|(_, f)| f).collect();
            changed
        };
        // Over HTTP, plain.
        let before = counts();
        let answer = phone.post(&gateway.url(), payload).await;
        assert_eq!(answer, (200, "[]".to_owned()), "{id}");
        let fates = fate_since(&before);
        assert_eq!(fates.len(), 1, "{id}: {fates:?}");
        if let Some(want) = asked_for(id) {
            assert_eq!(fates, [want], "{id}");
        }
        // Over the broker: plain is refused, encrypted meets the same fate as over HTTP, a retained copy none at all.
        let suffix = if payload["_type"] == "transition" { "/event" } else { "" };
        let topic = format!("owntracks/{}/s5{suffix}", phone.id);
        let over = async |bytes: Vec<u8>| {
            let before = counts();
            publisher.publish(&topic, false, bytes).await;
            eventually(id, || !fate_since(&before).is_empty()).await;
            fate_since(&before)
        };
        let refused = over(payload.to_string().into_bytes()).await;
        assert!(refused == [Fate::Plain] || refused == [Fate::Poison], "{id}: {refused:?}");
        let sealed = over(phone.seal(payload)).await;
        assert!(sealed == fates || sealed == [Fate::Duplicate], "{id}: {sealed:?} instead of {fates:?}");
    }
    gateway.close().await;
}

/// A minute in the shop, as the phone itself tells it: by a region that we gave it, and by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_of_our_own_region_is_an_event_of_the_app() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    let gateway = Position::alone(&broker).await;
    let phone = Phone::new("phone-of-camille");
    let config = phones::config(&broker, "gw-position", gateway.dir.path());
    let fence = config.site.geofences.keys().next().unwrap().clone();
    let word = |event: &str, second: i64| json!({"_type": "transition", "event": event, "desc": fence.as_str(), "t": "c", "acc": 20, "lat": 1.0, "lon": 2.0, "tst": START.secs() + second});
    assert_eq!(phone.post(&gateway.url(), &word("enter", 0)).await, (200, "[]".to_owned()));
    assert_eq!(phone.post(&gateway.url(), &word("enter", 0)).await, (200, "[]".to_owned()), "sent again");
    gateway.clock.set(Millis(START.0 + 60_000));
    assert_eq!(phone.post(&gateway.url(), &word("leave", 60)).await, (200, "[]".to_owned()));
    assert!(gateway.handle.advance().await);
    eventually("enter and exit", || hub.count() >= 2).await;
    let events: Vec<_> = hub.received.lock().unwrap().events.values().map(|e| (e.signal, e.phase, e.zone.clone())).collect();
    let zone = Zone::Fence(fence.clone());
    use passage_protocol::Phase::{Enter, Exit};
    assert_eq!(events, [(Signal::App, Enter, zone.clone()), (Signal::App, Exit, zone)]);
    gateway.close().await;
}

/// The counters in the retained state of the only gateway, once a report has met this fate.
async fn told(port: u16, fate: Fate) -> PositionCounters {
    let (client, mut events) = AsyncClient::new(MqttOptions::new("newcomer", "127.0.0.1", port), 10);
    client.subscribe(Topic::ALL_STATES, QoS::AtLeastOnce).await.unwrap();
    loop {
        if let Event::Incoming(Incoming::Publish(p)) = events.poll().await.unwrap() {
            GatewayState::from_slice(&p.payload).unwrap();
            let user = p.properties.map(|p| p.user_properties).unwrap_or_default();
            let positions = user.into_iter().find(|(name, _)| name == PositionCounters::PROPERTY);
            let positions = positions.map(|(_, text)| PositionCounters::from_slice(text.as_bytes()).unwrap()).unwrap_or_default();
            if positions.0.get(fate.as_str()).is_some_and(|count| *count > 0) {
                return positions;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_positions_is_told_in_numbers_with_the_state() {
    let broker = Mosquitto::start();
    let hub = FakeHub::start(broker.port).await;
    let gateway = Position::alone(&broker).await;
    let (phone, publisher) = (Phone::new("phone-of-camille"), Publisher::start(broker.port));
    let (lat, lon) = (48.8577, 2.3606);
    // Through the street of a shop, unseen, and then with a clock that is a quarter of an hour ahead.
    for (now, north, tst) in [(0, 0.006, 0), (240, -0.006, 240), (300, -0.006, 1_200)] {
        gateway.clock.set(Millis(START.0 + now * 1_000));
        assert_eq!(phone.post(&gateway.url(), &location(lat + north, lon, tst)).await.0, 200);
    }
    assert!(gateway.handle.advance().await);
    let id: GatewayId = "gw-position".parse().unwrap();
    let (command, expires) = (uuid::Uuid::from_u128(1), Millis(START.0 + 3_600_000));
    let ask =
        Command { v: 1, gateway: id.clone(), id: command, expires, action: Action::ReportState, key: String::new(), sig: String::new() };
    publisher.publish(&Topic::Command(id).to_string(), false, ask.signed(&hub_key()).to_vec()).await;
    let told = tokio::time::timeout(Duration::from_secs(90), told(broker.port, Fate::Ahead)).await.expect("the state tells it");
    assert_eq!((told.0["fix"], told.0["ahead"]), (2, 1));
    assert!(told.0["crossed"] >= 1 && told.0["jump"] == 0, "{told:?}");
    assert_eq!(hub.count(), 0, "no event follows from a crossing");
    gateway.close().await;
}
