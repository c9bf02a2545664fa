//! Rotating ids that were heard in two stores too far apart for one phone: what the command and the console show of them.

use crate::{
    report::{Span, text::utc},
    store::{Db, StoreError, replay},
};

/// Most lines.
const LINES: u32 = 500;

/// The columns.
pub const HEAD: [&str; 6] = ["noticed", "member", "in", "and in", "first heard", "last heard"];

/// The replays that were noticed in a span, the newest first. Times are UTC, because two stores may have two zones.
pub async fn rows(db: &Db, span: Span) -> Result<Vec<Vec<String>>, StoreError> {
    let row = |r: &replay::Recorded| {
        let (one, other) = (r.stores.0.to_string(), r.stores.1.to_string());
        vec![utc(r.at), r.member.code(), one, other, utc(r.span.0), utc(r.span.1)]
    };
    Ok(replay::list(db, span.from, span.to, LINES).await?.iter().map(row).collect())
}
