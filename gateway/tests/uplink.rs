//! Delivery through a real broker to a small hub.

mod support;

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use passage_gateway::radio::Vitals;
use passage_protocol::{Ack, GatewayState, RadioCounters, RadioRestarts, Topic, sign::Signing};
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS};
use support::{Box1, FakeHub, Mosquitto, Up, batch, eventually, gateway, hub_key};
use tempfile::TempDir;

async fn pause() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

/// Collects what is published on the gateway's state topic.
async fn states(port: u16) -> (Arc<Mutex<Vec<GatewayState>>>, AsyncClient, tokio::task::JoinHandle<()>) {
    let (client, mut events) = AsyncClient::new(MqttOptions::new("watcher", "127.0.0.1", port), 10);
    client.subscribe(Topic::State(gateway()).to_string(), QoS::AtLeastOnce).await.unwrap();
    let seen: Arc<Mutex<Vec<GatewayState>>> = Arc::default();
    let task = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::Publish(p))) => seen.lock().unwrap().push(GatewayState::from_slice(&p.payload).unwrap()),
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        }
    });
    (seen, client, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_deleted_only_when_the_hub_says_that_they_are_stored() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("the hello is answered", || b.health.acks.load(Ordering::SeqCst) > 0).await;
    hub.stop_acks();
    b.outbox.append(batch(1..=500)).await.unwrap();
    eventually("500 events arrive", || hub.count() == 500).await;
    pause().await;
    assert_eq!(b.outbox.ledger().held().count(), 500, "the broker's word deleted something");
    let epoch = b.outbox.ledger().epoch().to_owned();
    hub.publish_ack(Ack::signed(gateway(), epoch.clone(), 400, vec![], 50, &hub_key()).to_vec()).await;
    eventually("400 rows are deleted", || b.outbox.ledger().held().count() == 100).await;
    hub.publish_ack(Ack::signed(gateway(), epoch, 500, vec![], 50, &hub_key()).to_vec()).await;
    eventually("the outbox is empty", || b.outbox.is_empty()).await;
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_foreign_acks_delete_nothing() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("the hello is answered", || b.health.acks.load(Ordering::SeqCst) > 0).await;
    hub.stop_acks();
    b.outbox.append(batch(1..=10)).await.unwrap();
    eventually("the events arrive", || hub.count() == 10).await;
    let epoch = b.outbox.ledger().epoch().to_owned();
    let good = Ack::signed(gateway(), epoch.clone(), 5, vec![], 50, &hub_key());
    let stranger = Signing::from_bytes(&[9; 32]);
    hub.publish_ack(Ack::signed(gateway(), epoch.clone(), 10, vec![], 50, &stranger).to_vec()).await;
    hub.publish_ack(Ack { max: 10, ..good.clone() }.to_vec()).await;
    hub.publish_ack(Ack { key: hub_key().key_id(), ..Ack::signed(gateway(), epoch.clone(), 10, vec![], 50, &stranger) }.to_vec()).await;
    hub.publish_ack(b"{\"v\":1".to_vec()).await;
    hub.publish_ack(Ack::signed("gw-paris-1".parse().unwrap(), epoch, 10, vec![], 50, &hub_key()).to_vec()).await;
    hub.publish_ack(Ack::signed(gateway(), "another".into(), 10, vec![], 50, &hub_key()).to_vec()).await;
    eventually("all are counted", || b.health.forged_acks.load(Ordering::SeqCst) == 4 && b.health.foreign_acks.load(Ordering::SeqCst) == 2)
        .await;
    assert_eq!(b.outbox.ledger().held().count(), 10);
    hub.publish_ack(good.to_vec()).await;
    eventually("a good one is still believed", || b.outbox.ledger().held().count() == 5).await;
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_and_forgets_everything_loses_nothing() {
    let (mut broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    for round in 0..3 {
        for n in 0..20 {
            b.outbox.append(batch((round * 20 + n) * 10..(round * 20 + n) * 10 + 10)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            if n == 10 {
                broker.kill();
            }
        }
        broker.restart();
    }
    eventually("everything is stored and deleted", || b.outbox.is_empty()).await;
    let epoch = b.outbox.ledger().epoch().to_owned();
    assert_eq!(hub.seqs(&epoch), (1..=600).collect::<Vec<_>>());
    assert_eq!(hub.received.lock().unwrap().forks, 0);
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_dies_between_two_acks_gets_the_rest_again() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let received = Arc::clone(&hub.received);
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    b.outbox.append(batch(1..=50)).await.unwrap();
    eventually("the first part is stored", || b.outbox.is_empty()).await;
    hub.publish_state(false).await;
    pause().await;
    drop(hub);
    b.outbox.append(batch(51..=90)).await.unwrap();
    pause().await;
    assert_eq!(received.lock().unwrap().events.len(), 50);
    let hub = FakeHub::with(broker.port, received, true).await;
    eventually("the rest is stored", || b.outbox.is_empty()).await;
    assert_eq!(hub.count(), 90);
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_hub_is_online_events_are_held() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::with(broker.port, Arc::default(), false).await;
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("the hello is answered", || b.health.acks.load(Ordering::SeqCst) > 0).await;
    for n in 0..5 {
        b.outbox.append(batch([n])).await.unwrap();
        pause().await;
    }
    assert!(hub.received.lock().unwrap().envelopes <= 1, "more than the one trial envelope");
    hub.publish_state(true).await;
    eventually("all arrive", || b.outbox.is_empty()).await;
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_the_outbox_leaves_its_epoch() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=3)).await.unwrap();
    b.close().await;
    let copy = TempDir::new().unwrap();
    std::fs::copy(dir.path().join("outbox.db"), copy.path().join("outbox.db")).unwrap();

    let b = Box1::open(dir.path()).await;
    let old = b.outbox.ledger().epoch().to_owned();
    let up = Up::start(&b, broker.mqtt());
    b.outbox.append(batch(4..=10)).await.unwrap();
    eventually("all are stored", || b.outbox.is_empty()).await;
    up.stop().await;
    b.close().await;

    let b = Box1::open(copy.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("a new epoch begins", || b.outbox.ledger().epoch() != old).await;
    b.outbox.append(batch(100..=102)).await.unwrap();
    eventually("all are stored", || b.outbox.is_empty()).await;
    assert_eq!(hub.received.lock().unwrap().forks, 0, "a seq named two events");
    let ids: std::collections::BTreeSet<_> = hub.received.lock().unwrap().events.values().map(|e| e.id).collect();
    assert_eq!(ids.len(), 13);
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_unused_is_told_to_the_hub() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=3)).await.unwrap();
    b.crash().await;
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(4..=6)).await.unwrap();
    let up = Up::start(&b, broker.mqtt());
    eventually("all are stored", || b.outbox.is_empty()).await;
    eventually("the gap is explained", || hub.received.lock().unwrap().gone.iter().any(|g| g.range.from == 4 && g.range.to == 5_000)).await;
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_tells_who_is_there_and_a_late_will_is_corrected() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let (seen, client, watcher) = states(broker.port).await;
    let last = || seen.lock().unwrap().last().cloned();
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("online", || last().is_some_and(|s| s.online)).await;
    let online = last().unwrap();
    let will = GatewayState { online: false, ..online.clone() };
    client.publish(Topic::State(gateway()).to_string(), QoS::AtLeastOnce, true, will.to_vec()).await.unwrap();
    eventually("the late will was seen and corrected", || {
        let seen = seen.lock().unwrap();
        seen.iter().any(|s| !s.online) && seen.last().is_some_and(|s| s.online)
    })
    .await;
    up.crash().await;
    eventually("the will speaks", || last().is_some_and(|s| !s.online && s.boot == online.boot)).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("online again", || last().is_some_and(|s| s.online && s.boot != online.boot)).await;
    up.stop().await;
    eventually("offline by its own word", || last().is_some_and(|s| !s.online)).await;
    b.close().await;
    watcher.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_a_radio_tells_with_its_state_how_that_does() {
    let (broker, dir) = (Mosquitto::start(), TempDir::new().unwrap());
    let _hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    let up = Up::start(&b, broker.mqtt());
    eventually("the hello is answered", || b.health.acks.load(Ordering::SeqCst) > 0).await;
    assert_eq!(retained_radio(broker.port).await, None, "it has no radio");
    up.stop().await;
    let vitals = Arc::new(Vitals::default());
    vitals.adverts.store(120, Ordering::Relaxed);
    vitals.last_10_s.store(40, Ordering::Relaxed);
    vitals.dropped.store(3, Ordering::Relaxed);
    vitals.queued.store(2, Ordering::Relaxed);
    vitals.silent_ms.store(700, Ordering::Relaxed);
    vitals.rungs.start.store(1, Ordering::Relaxed);
    vitals.rungs.daemon.store(1, Ordering::Relaxed);
    b.health.sightings.store(9, Ordering::Relaxed);
    b.health.radio.set(vitals);
    let acks = b.health.acks.load(Ordering::SeqCst);
    let up = Up::start(&b, broker.mqtt());
    eventually("the next hello is answered", || b.health.acks.load(Ordering::SeqCst) > acks).await;
    let told = retained_radio(broker.port).await.expect("it has a radio now");
    assert_eq!((told.adverts, told.adverts_10s, told.sightings, told.dropped), (120, 40, 9, 3));
    assert_eq!((told.queued, told.silent_ms, told.restarts), (2, 700, RadioRestarts { scan: 1, connection: 0, daemon: 1 }));
    up.stop().await;
    b.close().await;
}

/// What the broker hands to a hub that comes now. The payload beside it is a state of version 1 as ever.
async fn retained_radio(port: u16) -> Option<RadioCounters> {
    let (client, mut events) = AsyncClient::new(MqttOptions::new("newcomer", "127.0.0.1", port), 10);
    client.subscribe(Topic::ALL_STATES, QoS::AtLeastOnce).await.unwrap();
    loop {
        if let Event::Incoming(Incoming::Publish(p)) = events.poll().await.unwrap() {
            assert!(GatewayState::from_slice(&p.payload).unwrap().online);
            let user = p.properties.map(|p| p.user_properties).unwrap_or_default();
            let radio = user.into_iter().find(|(name, _)| name == RadioCounters::PROPERTY);
            return radio.map(|(_, text)| RadioCounters::from_slice(text.as_bytes()).unwrap());
        }
    }
}
