//! A broker that does not take every message, and an event that no broker takes.

mod support;

use passage_protocol::{GoneReason, SeqRange};
use support::{Box1, FakeHub, Mosquitto, Up, batch, change, eventually};
use tempfile::TempDir;

/// mosquitto refuses larger payloads without having said so.
const LIMIT: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_limit_that_it_does_not_tell_gets_smaller_envelopes() {
    let broker = Mosquitto::start_with(&format!("allow_anonymous true\nmessage_size_limit {LIMIT}\n"), &[]);
    let dir = TempDir::new().unwrap();
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=60)).await.unwrap();
    let up = Up::start(&b, broker.mqtt());
    eventually("everything is stored", || b.outbox.is_empty()).await;
    assert_eq!(hub.count(), 60);
    assert!(b.health.flags().is_empty(), "nothing is a dead letter: {:?}", b.health.flags());
    up.stop().await;
    b.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_no_broker_takes_becomes_a_dead_letter_and_holds_nobody_up() {
    // One event of the usual size just fits into an envelope; one with a long name of its zone does not.
    let broker = Mosquitto::start_with("allow_anonymous true\nmessage_size_limit 475\n", &[]);
    let dir = TempDir::new().unwrap();
    let hub = FakeHub::start(broker.port).await;
    let b = Box1::open(dir.path()).await;
    let mut events = batch(1..=3);
    let long = "a-zone-with-a-name-as-long-as-it-may-be0";
    events.changes[1] = passage_gateway::Change { zone: long.to_owned().try_into().unwrap(), store: long.parse().unwrap(), ..change(2) };
    b.outbox.append(events).await.unwrap();
    let up = Up::start(&b, broker.mqtt());
    eventually("the others are stored, and the hub knows of the dead letter", || b.outbox.is_empty()).await;
    assert_eq!(hub.count(), 2);
    eventually("the hub is told", || {
        let gone = hub.received.lock().unwrap().gone.clone();
        gone.iter().any(|g| g.reason == GoneReason::Undeliverable && g.range == SeqRange { from: 2, to: 2 })
    })
    .await;
    assert_eq!(b.health.flags(), ["outbox-dead-letters"]);
    up.stop().await;
    b.close().await;
    let dead = passage_gateway::outbox::look::look(dir.path()).await.unwrap().unwrap().dead;
    assert_eq!(dead, 1, "it is kept");
}
