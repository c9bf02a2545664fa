//! Counts of touchpoints by source, and exposures of nobody in particular.

use std::collections::BTreeMap;

use passage_protocol::Millis;

use crate::{
    args,
    store::{StoreError, Tx, bulk::Column},
    touchpoint::tally::{TallyRow, TotalRow},
};

/// Adds counts of what became of rows.
pub async fn add(tx: &mut Tx, counts: &BTreeMap<TallyRow, i64>) -> Result<(), StoreError> {
    let columns = [
        ("source", Column::Text(counts.keys().map(|row| Some(row.0.as_str())).collect())),
        ("day", Column::Int(counts.keys().map(|row| Some(row.1)).collect())),
        ("kind", Column::Text(counts.keys().map(|row| Some(row.2)).collect())),
        ("outcome", Column::Text(counts.keys().map(|row| Some(row.3)).collect())),
        ("count", Column::Int(counts.values().map(|n| Some(*n)).collect())),
    ];
    let head = "INSERT INTO touchpoint_tally";
    let tail = "ON CONFLICT (source, day, kind, outcome) DO UPDATE SET count = touchpoint_tally.count + excluded.count";
    tx.insert_columns(head, &columns, tail).await.map(|_| ())
}

/// Adds exposures of nobody in particular.
pub async fn add_totals(tx: &mut Tx, counts: &BTreeMap<TotalRow, i64>) -> Result<(), StoreError> {
    let tail = "ON CONFLICT (source, day, campaign, channel, kind) DO UPDATE SET count = exposure_total.count + excluded.count";
    write_totals(tx, counts, tail).await
}

/// Puts sums that a platform reports in the place of older ones for the same day, so that importing a file again changes nothing.
pub async fn set_totals(tx: &mut Tx, counts: &BTreeMap<TotalRow, i64>) -> Result<(), StoreError> {
    let tail = "ON CONFLICT (source, day, campaign, channel, kind) DO UPDATE SET count = excluded.count";
    write_totals(tx, counts, tail).await
}

async fn write_totals(tx: &mut Tx, counts: &BTreeMap<TotalRow, i64>, tail: &'static str) -> Result<(), StoreError> {
    let columns = [
        ("source", Column::Text(counts.keys().map(|row| Some(row.0.as_str())).collect())),
        ("day", Column::Int(counts.keys().map(|row| Some(row.1)).collect())),
        ("campaign", Column::Text(counts.keys().map(|row| Some(row.2.as_str())).collect())),
        ("channel", Column::Text(counts.keys().map(|row| Some(row.3.as_str())).collect())),
        ("kind", Column::Text(counts.keys().map(|row| Some(row.4)).collect())),
        ("count", Column::Int(counts.values().map(|n| Some(*n)).collect())),
    ];
    let head = "INSERT INTO exposure_total";
    tx.insert_columns(head, &columns, tail).await.map(|_| ())
}

/// What became of the rows of each source since a UTC day: source, kind, outcome, count, in that order.
pub async fn since(tx: &mut Tx, day: i64) -> Result<Vec<(String, String, String, i64)>, StoreError> {
    let sql = "SELECT source, kind, outcome, CAST(SUM(count) AS BIGINT) FROM touchpoint_tally WHERE day >= $1 \
               GROUP BY source, kind, outcome ORDER BY source, kind, outcome";
    tx.fetch(sql, args![day]).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.int(3)?))).collect()
}

/// Exposures of nobody in particular since a UTC day: source, campaign, channel, kind, count.
pub async fn totals_since(tx: &mut Tx, day: i64) -> Result<Vec<(String, String, String, String, i64)>, StoreError> {
    let sql = "SELECT source, campaign, channel, kind, CAST(SUM(count) AS BIGINT) FROM exposure_total WHERE day >= $1 \
               GROUP BY source, campaign, channel, kind ORDER BY source, campaign, channel, kind";
    let rows = tx.fetch(sql, args![day]).await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?, row.int(4)?))).collect()
}

/// Deletes counts of days before `cut`, and advertising in the street that ended before it.
pub async fn purge(tx: &mut Tx, cut: Millis) -> Result<u64, StoreError> {
    let day = cut.0.div_euclid(86_400_000);
    let street = tx.execute("DELETE FROM store_exposure WHERE ends < $1", args![cut]).await?;
    let totals = tx.execute("DELETE FROM exposure_total WHERE day < $1", args![day]).await?;
    Ok(street + totals + tx.execute("DELETE FROM touchpoint_tally WHERE day < $1", args![day]).await?)
}
