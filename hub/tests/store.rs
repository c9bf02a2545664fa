//! Both engines keep the same promises.

mod support;

use passage_hub::{
    args,
    identity::MemberId,
    store::{
        Value,
        work::{self, Todo, TodoKind},
    },
};
use passage_protocol::Millis;
use support::both;

#[tokio::test]
async fn values_of_every_type_and_nulls_come_back_as_they_went_in() {
    both(async |db| {
        let mut tx = db.begin().await.unwrap();
        let sql = "CREATE TABLE t (i BIGINT, r DOUBLE PRECISION, t TEXT, b BYTEA)";
        let sql = if db.is_sqlite() { "CREATE TABLE t (i BIGINT, r DOUBLE PRECISION, t TEXT, b BLOB)" } else { sql };
        tx.execute(sql, args![]).await.unwrap();
        let row = |n: i64| args![n, 0.5_f64, "é", vec![0_u8, 255]];
        tx.insert_many("INSERT INTO t (i, r, t, b)", vec![row(i64::MAX), row(i64::MIN)], "").await.unwrap();
        let nulls = args![Value::Int(None), Value::Real(None), Value::Text(None), Value::Blob(None)];
        tx.insert_many("INSERT INTO t (i, r, t, b)", vec![nulls], "").await.unwrap();
        tx.commit().await.unwrap();

        let rows = db.fetch("SELECT i, r, t, b FROM t WHERE i = $2 OR ($1 = 1 AND i IS NULL) ORDER BY i IS NULL", args![1_i64, i64::MAX]);
        let rows = rows.await.unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].int(0).unwrap(), rows[0].real(1).unwrap()), (i64::MAX, 0.5));
        assert_eq!((rows[0].text(2).unwrap().as_str(), rows[0].blob(3).unwrap()), ("é", vec![0, 255]));
        assert_eq!((rows[1].opt_int(0).unwrap(), rows[1].opt_real(1).unwrap()), (None, None));
        assert_eq!((rows[1].opt_text(2).unwrap(), rows[1].opt_blob(3).unwrap()), (None, None));
    })
    .await;
}

#[tokio::test]
async fn insert_many_in_several_chunks_returns_only_the_rows_that_were_new() {
    both(async |db| {
        let key = |n: i64| args!["gateway-1", "e", n, format!("id-{n}")];
        let mut tx = db.begin().await.unwrap();
        let head = "INSERT INTO event_key (gateway, epoch, seq, event_id)";
        let tail = "ON CONFLICT DO NOTHING RETURNING seq";
        assert_eq!(tx.insert_many(head, (1..=700).map(key).collect(), tail).await.unwrap().len(), 700);
        let new = tx.insert_many(head, (601..=1300).map(key).collect(), tail).await.unwrap();
        assert_eq!(new.len(), 600);
        assert!(new.iter().all(|row| row.int(0).unwrap() > 700));
        assert!(tx.insert_many(head, vec![], tail).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    both(async |db| {
        let mut tx = db.begin().await.unwrap();
        work::put(&mut tx, &Todo::new(MemberId(1), Millis(1), TodoKind::Event, "a")).await.unwrap();
        drop(tx);
        assert_eq!(work::due_count(&db, Millis(1)).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn work_is_taken_when_due_moved_when_put_again_and_parked_with_its_reason() {
    both(async |db| {
        let (near, far) = (MemberId(5), MemberId(5 + 64));
        let mut tx = db.begin().await.unwrap();
        work::put(&mut tx, &Todo::new(near, Millis(10), TodoKind::Event, "b")).await.unwrap();
        work::put(&mut tx, &Todo::new(far, Millis(5), TodoKind::Event, "a")).await.unwrap();
        work::put(&mut tx, &Todo::new(near, Millis(20), TodoKind::Visit, "a")).await.unwrap();
        work::put(&mut tx, &Todo::new(MemberId(6), Millis(20), TodoKind::Visit, "v")).await.unwrap();
        work::put(&mut tx, &Todo::new(MemberId(6), Millis(30), TodoKind::Visit, "v")).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(work::due_shards(&db, Millis(20)).await.unwrap(), [5]);
        assert_eq!(work::due_shards(&db, Millis(30)).await.unwrap(), [5, 6]);
        assert_eq!(work::next_due(&db).await.unwrap(), Some(Millis(5)));

        let mut tx = db.begin().await.unwrap();
        assert!(work::lock_shard(&mut tx, 5).await.unwrap());
        let rows = work::take(&mut tx, 5, Millis(15), 10).await.unwrap();
        assert_eq!(rows.iter().map(|t| t.reference.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        work::done(&mut tx, &rows[0]).await.unwrap();
        work::fail(&mut tx, &rows[1], Millis(15)).await.unwrap();
        let again = work::take(&mut tx, 5, Millis(15), 10).await.unwrap();
        assert_eq!((again.len(), again[0].failures), (1, 1));
        work::park(&mut tx, &again[0], "why", Millis(15)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(work::due_count(&db, Millis(15)).await.unwrap(), 0);
        assert_eq!(work::parked_count(&db).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_shard_is_worked_on_by_one_hub_at_a_time() {
    both(async |db| {
        if db.is_sqlite() {
            return;
        }
        let mut one = db.begin().await.unwrap();
        let mut two = db.begin().await.unwrap();
        assert!(work::lock_shard(&mut one, 7).await.unwrap());
        assert!(!work::lock_shard(&mut two, 7).await.unwrap());
        assert!(work::lock_shard(&mut two, 8).await.unwrap());
        one.commit().await.unwrap();
        assert!(work::lock_shard(&mut two, 7).await.unwrap());
    })
    .await;
}
