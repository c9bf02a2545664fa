//! The outbox on a real file.

mod support;

use std::time::Duration;

use passage_gateway::{
    SavedState,
    clock::Keeper,
    health::Health,
    outbox::{Batch, Outbox, OutboxError, Verdict},
};
use passage_protocol::{Ack, Gone, GoneReason, SeqRange};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{Box1, batch, bounds, clock, gateway, hub_key};
use tempfile::TempDir;

fn range(from: u64, to: u64) -> SeqRange {
    SeqRange { from, to }
}

fn saved(value: Option<&[u8]>) -> SavedState {
    SavedState { machine: "presence", key: b"k".to_vec(), value: value.map(<[u8]>::to_vec) }
}

async fn sql(dir: &TempDir, text: &'static str) {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(dir.path().join("outbox.db"))).await.unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn after_an_orderly_stop_the_epoch_and_the_numbers_go_on() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    let epoch = b.outbox.ledger().epoch().to_owned();
    b.outbox.append(batch(1..=3)).await.unwrap();
    b.close().await;
    let b = Box1::open(dir.path()).await;
    assert_eq!(b.outbox.ledger().epoch(), epoch);
    b.outbox.append(batch(4..=5)).await.unwrap();
    let events = b.outbox.read(&[range(1, 100)], 1_000_000).await.unwrap().events;
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(events[4].first, support::change(5).first);
    b.close().await;
}

#[tokio::test]
async fn after_a_crash_no_seq_is_used_again_and_the_gap_is_accounted_for() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=3)).await.unwrap();
    b.crash().await;
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch([4])).await.unwrap();
    {
        let ledger = b.outbox.ledger();
        assert_eq!(ledger.held().ranges(), [range(1, 3), range(5_001, 5_001)]);
        assert_eq!(ledger.gone().copied().collect::<Vec<_>>(), [Gone { range: range(4, 5_000), reason: GoneReason::NeverWritten }]);
    }
    b.crash().await;
    let b = Box1::open(dir.path()).await;
    assert_eq!(b.outbox.ledger().next(), 10_001);
    b.close().await;
}

#[tokio::test]
async fn events_state_and_position_are_committed_together_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    b.outbox.append(Batch { saved: vec![saved(Some(b"before"))], replay_position: Some(10), ..batch([1]) }).await.unwrap();
    sql(&dir, "CREATE TRIGGER full BEFORE UPDATE ON saved_state BEGIN SELECT RAISE(ABORT, 'disk full'); END").await;
    let more = b.outbox.append(Batch { saved: vec![saved(Some(b"after"))], replay_position: Some(20), ..batch([2]) });
    assert!(tokio::time::timeout(Duration::from_millis(300), more).await.is_err(), "committed although the state could not be written");
    assert_eq!(b.health.flags(), ["outbox-not-writable"]);
    b.crash().await;

    sql(&dir, "DROP TRIGGER full").await;
    let b = Box1::open(dir.path()).await;
    assert_eq!(b.outbox.ledger().held().count(), 1);
    assert_eq!(b.outbox.replay_position(), 10);
    assert_eq!(b.outbox.saved_states().await.unwrap(), [("presence".to_owned(), b"k".to_vec(), b"before".to_vec())]);
    b.outbox.append(Batch { saved: vec![saved(None)], replay_position: Some(20), ..batch([2]) }).await.unwrap();
    b.close().await;
    let b = Box1::open(dir.path()).await;
    assert_eq!((b.outbox.ledger().held().count(), b.outbox.replay_position()), (2, 20));
    assert!(b.outbox.saved_states().await.unwrap().is_empty());
    b.close().await;
}

#[tokio::test]
async fn a_disk_that_refuses_for_a_while_costs_nothing() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    sql(&dir, "CREATE TRIGGER full BEFORE INSERT ON row BEGIN SELECT RAISE(ABORT, 'disk full'); END").await;
    let first = tokio::spawn({
        let outbox = b.outbox.clone();
        async move { outbox.append(batch(1..=100)).await }
    });
    support::eventually("the flag is raised", || !b.health.flags().is_empty()).await;
    let second = tokio::spawn({
        let outbox = b.outbox.clone();
        async move { outbox.append(batch(101..=200)).await }
    });
    sql(&dir, "DROP TRIGGER full").await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(b.outbox.ledger().held().ranges(), [range(1, 200)]);
    assert!(b.health.flags().is_empty());
    b.close().await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_new_epoch_begins() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    let epoch = b.outbox.ledger().epoch().to_owned();
    b.outbox.append(batch(1..=50)).await.unwrap();
    b.close().await;
    std::fs::write(dir.path().join("outbox.db"), b"this was a database once, but the card has failed ".repeat(200)).unwrap();
    let b = Box1::open(dir.path()).await;
    assert_ne!(b.outbox.ledger().epoch(), epoch);
    assert_eq!(b.outbox.ledger().next(), 1);
    let aside = b.outbox.set_aside().unwrap();
    assert!(aside.exists(), "the damaged file is kept");
    b.outbox.append(batch([1])).await.unwrap();
    b.close().await;
}

#[tokio::test]
async fn flipped_bytes_in_a_page_are_noticed_at_the_start() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=200)).await.unwrap();
    b.close().await;
    let file = dir.path().join("outbox.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 16].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let b = Box1::open(dir.path()).await;
    assert!(b.outbox.set_aside().is_some());
    b.close().await;
}

#[tokio::test]
async fn a_second_gateway_is_kept_out_of_the_folder() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    let second = Outbox::open(dir.path(), &bounds(), Keeper::new(clock()), std::sync::Arc::new(Health::default())).await;
    assert!(matches!(second, Err(OutboxError::InUse(_))));
    b.close().await;
}

#[tokio::test]
async fn over_its_bound_the_oldest_rows_go_and_leave_a_record() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open_with(dir.path(), passage_config::Outbox { max_bytes: 20_000, ..bounds() }).await;
    for n in 0..20 {
        b.outbox.append(batch(n * 10..n * 10 + 10)).await.unwrap();
    }
    b.close().await;
    let b = Box1::open(dir.path()).await;
    let first = b.outbox.ledger().first();
    assert!((100..190).contains(&first), "first is {first}");
    assert_eq!(b.outbox.ledger().gone().copied().collect::<Vec<_>>(), [Gone { range: range(1, first - 1), reason: GoneReason::Evicted }]);
    let ack = Ack::signed(gateway(), b.outbox.ledger().epoch().to_owned(), 200, vec![range(1, 199)], 50, &hub_key());
    let Verdict::Apply(effect) = b.outbox.apply(ack).await.unwrap() else { panic!() };
    assert_eq!(effect.answer, [Gone { range: range(1, first - 1), reason: GoneReason::Evicted }]);
    assert_eq!(effect.resend, [range(first, 199)]);
    b.close().await;
}

#[tokio::test]
async fn a_new_epoch_keeps_the_events_and_their_ids() {
    let dir = TempDir::new().unwrap();
    let b = Box1::open(dir.path()).await;
    b.outbox.append(batch(1..=5)).await.unwrap();
    let epoch = b.outbox.ledger().epoch().to_owned();
    b.outbox.apply(Ack::signed(gateway(), epoch.clone(), 3, vec![range(2, 2)], 50, &hub_key())).await.unwrap();
    let ids: Vec<_> = b.outbox.read(&[range(1, 5)], 100_000).await.unwrap().events.iter().map(|e| e.id).collect();
    b.outbox.new_epoch().await.unwrap();
    assert_ne!(b.outbox.ledger().epoch(), epoch);
    let events = b.outbox.read(&[range(1, 5)], 100_000).await.unwrap().events;
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(events.iter().map(|e| e.id).collect::<Vec<_>>(), ids);
    b.outbox.append(batch([6])).await.unwrap();
    assert_eq!(b.outbox.ledger().held().ranges(), [range(1, 4)]);
    b.close().await;
}

#[tokio::test]
async fn the_folder_that_it_makes_is_for_its_own_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("gateway");
    let b = Box1::open(&folder).await;
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o077, 0);
    b.close().await;
}
