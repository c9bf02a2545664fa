//! Rotating ids that were heard in two stores too far apart for one phone: what the command and the console show of them.

use chrono::{DateTime, Utc};

use crate::{
    report::Span,
    store::{Db, StoreError, replay},
};

/// Most lines.
const LINES: u32 = 500;

/// The columns.
pub const HEAD: [&str; 6] = ["noticed", "member", "in", "and in", "first heard", "last heard"];

/// The replays that were noticed in a span, the newest first. Times are UTC, because two stores may have two zones.
pub async fn rows(db: &Db, span: Span) -> Result<Vec<Vec<String>>, StoreError> {
    let time = |at: passage_protocol::Millis| {
        let at: DateTime<Utc> = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        at.format("%Y-%m-%d %H:%M:%SZ").to_string()
    };
    let row = |r: &replay::Recorded| {
        let (one, other) = (r.stores.0.to_string(), r.stores.1.to_string());
        vec![time(r.at), r.member.code(), one, other, time(r.span.0), time(r.span.1)]
    };
    Ok(replay::list(db, span.from, span.to, LINES).await?.iter().map(row).collect())
}
