//! What the pages show, read from the database.

use crate::{
    args,
    identity::MemberId,
    report::Span,
    store::{Db, StoreError},
};

/// A stay.
#[derive(Debug)]
pub struct VisitLine {
    pub member: MemberId,
    pub store: String,
    pub start: i64,
    pub end: i64,
    pub dwell_ms: i64,
    pub label: String,
    pub open: bool,
}

/// A message. The number never comes here, only the sealed value's owner does.
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

/// A decision.
#[derive(Debug)]
pub struct DecisionLine {
    pub member: MemberId,
    pub offer: String,
    pub store: String,
    pub trigger: String,
    pub at: i64,
    pub result: String,
    pub reasons: String,
}

/// A gateway's sequence as far as it is stored.
#[derive(Debug)]
pub struct GatewayLine {
    pub gateway: String,
    pub epoch: String,
    pub stored: i64,
    pub max: i64,
    pub last: i64,
}

/// Rows on a page.
const PAGE: i64 = 500;

pub async fn visits(db: &Db, span: Span) -> Result<Vec<VisitLine>, StoreError> {
    let sql = "SELECT member, store, start_at, end_at, dwell_ms, label, is_open FROM visit WHERE start_at >= $1 AND start_at < $2 \
               ORDER BY start_at DESC, id LIMIT $3";
    let line = |r: &crate::store::Row| {
        Ok(VisitLine {
            member: MemberId(r.int(0)?),
            store: r.text(1)?,
            start: r.int(2)?,
            end: r.int(3)?,
            dwell_ms: r.int(4)?,
            label: r.text(5)?,
            open: r.flag(6)?,
        })
    };
    db.fetch(sql, args![span.from, span.to, PAGE]).await?.iter().map(line).collect()
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

pub async fn decisions(db: &Db, span: Span, member: Option<MemberId>) -> Result<Vec<DecisionLine>, StoreError> {
    let sql = "SELECT member, offer, store, trigger_kind, at, result, reasons FROM decision \
               WHERE at >= $1 AND at < $2 AND (member = $3 OR $3 < 0) ORDER BY at DESC, id LIMIT $4";
    let line = |r: &crate::store::Row| {
        Ok(DecisionLine {
            member: MemberId(r.int(0)?),
            offer: r.text(1)?,
            store: r.text(2)?,
            trigger: r.text(3)?,
            at: r.int(4)?,
            result: r.text(5)?,
            reasons: r.text(6)?,
        })
    };
    db.fetch(sql, args![span.from, span.to, member.map_or(-1, |m| m.0), PAGE]).await?.iter().map(line).collect()
}

pub async fn gateways(db: &Db) -> Result<Vec<GatewayLine>, StoreError> {
    let sql = "SELECT gateway, epoch, COUNT(*), MAX(seq), (SELECT MAX(e.received_at) FROM event e WHERE e.gateway = k.gateway) \
               FROM event_key k GROUP BY gateway, epoch ORDER BY gateway, epoch";
    let line = |r: &crate::store::Row| {
        Ok(GatewayLine { gateway: r.text(0)?, epoch: r.text(1)?, stored: r.int(2)?, max: r.int(3)?, last: r.opt_int(4)?.unwrap_or(0) })
    };
    db.fetch(sql, args![]).await?.iter().map(line).collect()
}
