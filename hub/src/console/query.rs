//! What the pages show, read from the database.

use crate::{
    args,
    identity::MemberId,
    offer::Decision,
    report::Span,
    store::{self, Db, StoreError},
    visit::Visit,
};

/// A message. Its number never comes here.
#[derive(Debug)]
pub struct MessageLine {
    pub member: MemberId,
    pub offer: String,
    pub store: String,
    pub text: String,
    pub state: String,
    pub reason: String,
    pub at: i64,
}

/// Rows on a page.
const PAGE: u32 = 500;

/// Newest first.
pub async fn visits(db: &Db, span: Span) -> Result<Vec<Visit>, StoreError> {
    store::visit::list(db, span.from, span.to, PAGE).await
}

pub async fn messages(db: &Db, span: Span) -> Result<Vec<MessageLine>, StoreError> {
    let sql = "SELECT member, offer, store, text, state, COALESCE(reason, ''), planned_at FROM message \
               WHERE planned_at >= $1 AND planned_at < $2 ORDER BY planned_at DESC, id LIMIT $3";
    let line = |r: &crate::store::Row| {
        Ok(MessageLine {
            member: MemberId(r.int(0)?),
            offer: r.text(1)?,
            store: r.text(2)?,
            text: r.text(3)?,
            state: r.text(4)?,
            reason: r.text(5)?,
            at: r.int(6)?,
        })
    };
    db.fetch(sql, args![span.from, span.to, PAGE]).await?.iter().map(line).collect()
}

/// Newest first; of one member if one is named.
pub async fn decisions(db: &Db, span: Span, member: Option<MemberId>) -> Result<Vec<Decision>, StoreError> {
    let mut found = match member {
        Some(member) => store::decision::of_member(&mut db.begin_read().await?, member).await?,
        None => store::decision::list(db, span.from, span.to, PAGE).await?,
    };
    found.sort_by_key(|d| std::cmp::Reverse(d.at));
    Ok(found)
}
