//! The statements of the outbox. No decisions here.

use std::sync::Arc;

use passage_protocol::{Gone, GoneReason, Millis, Seq, SeqRange};
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::{Numbers, ring::Row};
use crate::SavedState;

pub(super) type Tx<'a> = Transaction<'a, Sqlite>;

/// Most dead letters that are kept; the oldest go.
const MAX_DEAD: i64 = 1_000;

/// Seqs are stored as the 63 bits that SQLite has.
pub(super) fn seq(n: i64) -> Seq {
    n.unsigned_abs()
}

pub(super) fn sql(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn reason(text: &str) -> GoneReason {
    match text {
        "never-written" => GoneReason::NeverWritten,
        "acked-before" => GoneReason::AckedBefore,
        "undeliverable" => GoneReason::Undeliverable,
        _ => GoneReason::Evicted,
    }
}

pub(super) fn reason_text(reason: GoneReason) -> &'static str {
    match reason {
        GoneReason::NeverWritten => "never-written",
        GoneReason::AckedBefore => "acked-before",
        GoneReason::Undeliverable => "undeliverable",
        GoneReason::Evicted => "evicted",
    }
}

pub(super) async fn put_numbers(tx: &mut Tx<'_>, n: &Numbers<'_>) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET epoch = ?, next = ?, reserved = ?, last_at = MAX(last_at, ?)")
        .bind(n.epoch)
        .bind(sql(n.next))
        .bind(sql(n.reserved))
        .bind(n.now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Makes a reservation durable. It says nothing of the seqs below it: rows in memory may have some of them.
pub(super) async fn put_reserved(tx: &mut Tx<'_>, reserved: Seq) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET reserved = ?").bind(sql(reserved)).execute(&mut **tx).await?;
    Ok(())
}

/// Notes the last time.
pub(super) async fn put_time(tx: &mut Tx<'_>, now: Millis) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET last_at = MAX(last_at, ?)").bind(now.0).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn put_replay(tx: &mut Tx<'_>, position: u64) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta SET replay = ?").bind(sql(position)).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn put_row(tx: &mut Tx<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO row (seq, at, json, superseded, synced, boot) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(sql(row.seq))
        .bind(row.at.0)
        .bind(&row.json)
        .bind(row.is_superseded)
        .bind(row.synced)
        .bind(&*row.boot)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn put_saved(tx: &mut Tx<'_>, saved: &SavedState) -> sqlx::Result<()> {
    match &saved.value {
        Some(value) => {
            sqlx::query("INSERT INTO saved_state (machine, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
                .bind(saved.machine)
                .bind(&saved.key)
                .bind(value)
                .execute(&mut **tx)
                .await?
        }
        None => {
            sqlx::query("DELETE FROM saved_state WHERE machine = ? AND key = ?")
                .bind(saved.machine)
                .bind(&saved.key)
                .execute(&mut **tx)
                .await?
        }
    };
    Ok(())
}

/// Writes a state as it was read from another file.
pub(super) async fn put_salvaged(tx: &mut Tx<'_>, (machine, key, value): &(String, Vec<u8>, Vec<u8>)) -> sqlx::Result<()> {
    let sql = "INSERT INTO saved_state (machine, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(machine).bind(key).bind(value).execute(&mut **tx).await?;
    Ok(())
}

/// Writes every gone record again.
pub(super) async fn put_all_gone(tx: &mut Tx<'_>, gone: &[Gone]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM gone").execute(&mut **tx).await?;
    for gone in gone {
        put_gone(tx, gone).await?;
    }
    Ok(())
}

pub(super) async fn put_gone(tx: &mut Tx<'_>, gone: &Gone) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO gone (first, last, reason) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last")
        .bind(sql(gone.range.from))
        .bind(sql(gone.range.to))
        .bind(reason_text(gone.reason))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Deletes a gone record that a hub knows.
pub(super) async fn forget_gone(tx: &mut Tx<'_>, range: SeqRange) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM gone WHERE first = ?").bind(sql(range.from)).execute(&mut **tx).await?;
    Ok(())
}

/// Deletes rows and tells how many bytes that freed.
pub(super) async fn delete(tx: &mut Tx<'_>, range: SeqRange) -> sqlx::Result<u64> {
    let bytes: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(LENGTH(json)), 0) FROM row WHERE seq BETWEEN ? AND ?")
        .bind(sql(range.from))
        .bind(sql(range.to))
        .fetch_one(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM row WHERE seq BETWEEN ? AND ?").bind(sql(range.from)).bind(sql(range.to)).execute(&mut **tx).await?;
    Ok(seq(bytes))
}

/// Keeps a copy of rows that will never be delivered.
pub(super) async fn bury(tx: &mut Tx<'_>, epoch: &str, range: SeqRange, why: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT OR IGNORE INTO dead (epoch, seq, at, why, json) SELECT ?, seq, at, ?, json FROM row WHERE seq BETWEEN ? AND ?")
        .bind(epoch)
        .bind(why)
        .bind(sql(range.from))
        .bind(sql(range.to))
        .execute(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM dead WHERE (epoch, seq) NOT IN (SELECT epoch, seq FROM dead ORDER BY at DESC LIMIT ?)")
        .bind(MAX_DEAD)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets dead letters that are older than `at`.
pub(super) async fn forget_dead(tx: &mut Tx<'_>, at: Millis) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM dead WHERE at < ?").bind(at.0).execute(&mut **tx).await?;
    Ok(())
}

/// Numbers the rows from 1 in their order. The k-th row never gets a higher number than it has, so going upwards no two ever collide.
pub(super) async fn renumber(tx: &mut Tx<'_>) -> sqlx::Result<()> {
    let seqs: Vec<i64> = sqlx::query_scalar("SELECT seq FROM row ORDER BY seq").fetch_all(&mut **tx).await?;
    for (old, new) in seqs.into_iter().zip(1i64..) {
        if old != new {
            sqlx::query("UPDATE row SET seq = ? WHERE seq = ?").bind(new).bind(old).execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// Seq, time and size of rows, to choose what is evicted.
pub(super) type Old = (Seq, Millis, u64);

fn old(rows: &[SqliteRow]) -> Vec<Old> {
    rows.iter().map(|r| (seq(r.get(0)), Millis(r.get(1)), seq(r.get(2)))).collect()
}

/// The oldest rows.
pub(super) async fn oldest(read: &SqlitePool, limit: u32) -> sqlx::Result<Vec<Old>> {
    Ok(old(&sqlx::query("SELECT seq, at, LENGTH(json) FROM row ORDER BY seq LIMIT ?").bind(limit).fetch_all(read).await?))
}

/// The oldest rows that a later event of the same stay supersedes.
pub(super) async fn superseded(read: &SqlitePool, limit: u32) -> sqlx::Result<Vec<Old>> {
    let sql = "SELECT seq, at, LENGTH(json) FROM row WHERE superseded = 1 ORDER BY seq LIMIT ?";
    Ok(old(&sqlx::query(sql).bind(limit).fetch_all(read).await?))
}

/// The rows of one range, with their bytes.
pub(super) async fn within(read: &SqlitePool, range: SeqRange) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query("SELECT seq, at, superseded, synced, boot, json FROM row WHERE seq BETWEEN ? AND ? ORDER BY seq")
        .bind(sql(range.from))
        .bind(sql(range.to))
        .fetch_all(read)
        .await?;
    let row = |r: &SqliteRow| Row {
        seq: seq(r.get(0)),
        at: Millis(r.get(1)),
        is_superseded: r.get(2),
        synced: r.get(3),
        boot: Arc::from(r.get::<&str, _>(4)),
        json: r.get(5),
    };
    Ok(rows.iter().map(row).collect())
}

/// The lowest seq whose fact is not older than `at`.
pub(super) async fn first_since(read: &SqlitePool, at: Millis) -> sqlx::Result<Option<Seq>> {
    let first: Option<i64> = sqlx::query_scalar("SELECT MIN(seq) FROM row WHERE at >= ?").bind(at.0).fetch_one(read).await?;
    Ok(first.map(seq))
}

/// All saved states.
pub(super) async fn saved(read: &SqlitePool) -> sqlx::Result<Vec<(String, Vec<u8>, Vec<u8>)>> {
    sqlx::query_as("SELECT machine, key, value FROM saved_state ORDER BY machine, key").fetch_all(read).await
}
