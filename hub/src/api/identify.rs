//! A web site says whose cookie it is. The past of the cookie becomes hers, because the person is looked up when touchpoints are read.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use passage_config::Scope;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, Problem},
    identity::{IdentifierKind, Key, MemberId, Purpose, graph::Attach, normalise::canonical},
    store::people::{
        self, consent,
        graph::{self, Claim},
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identify {
    /// `domain/value`.
    cookie: String,
    crm_id: String,
    /// The moment: `login`, `order`, `newsletter`, ...
    #[serde(default)]
    reason: String,
}

/// `POST /v1/identify`
pub(super) async fn identify(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let source = api.source(&headers)?;
    api.may(&source, Scope::Identify)?;
    let body = body?;
    let body: Identify = Problem::json(&body)?;
    let reason = if body.reason.is_empty() { "login" } else { body.reason.as_str() };
    let said = Link { kind: IdentifierKind::Cookie, value: &body.cookie, crm_id: &body.crm_id, reason, source: &source };
    link(&api, &said).await
}

/// Who holds which key, as a source says.
pub(super) struct Link<'a> {
    pub kind: IdentifierKind,
    pub value: &'a str,
    pub crm_id: &'a str,
    /// The moment.
    pub reason: &'a str,
    pub source: &'a str,
}

/// Ties a key to a member who grants `match`.
pub(super) async fn link(api: &Api, said: &Link<'_>) -> Result<Json<Value>, Problem> {
    let key = api.key(said.kind, said.value)?;
    let crm_id = api.key(IdentifierKind::CrmId, said.crm_id)?;
    let (source, reason) = (said.source, said.reason);
    if reason.len() > 40 || !reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return Err(Problem::bad("reason", "reason is a word such as 'login', of at most 40 small letters and dashes"));
    }
    let member = graph::holder(&mut api.db.begin_read().await?, IdentifierKind::CrmId, &crm_id).await?.ok_or_else(not_granted)?;
    tie(api, key, &ToMember { kind: said.kind, value: said.value, member, reason, source }).await
}

/// A key of a member who is known already.
pub(super) struct ToMember<'a> {
    pub kind: IdentifierKind,
    pub value: &'a str,
    pub member: MemberId,
    /// The moment.
    pub reason: &'a str,
    pub source: &'a str,
}

/// Ties a key to this member if she grants `match`.
pub(super) async fn link_to(api: &Api, said: &ToMember<'_>) -> Result<(), Problem> {
    tie(api, api.key(said.kind, said.value)?, said).await.map(|_| ())
}

async fn tie(api: &Api, key: Key, said: &ToMember<'_>) -> Result<Json<Value>, Problem> {
    let mut tx = api.db.begin().await?;
    people::changes(&mut tx).await?;
    if !consent::any(&consent::standing(&mut tx, said.member).await?, Purpose::Match) {
        return Err(not_granted());
    }
    let ToMember { kind, member, reason, source, .. } = *said;
    let claim = Claim { kind, key, member, source, reason, at: api.clock.now() };
    let verdict = graph::claim(&mut tx, &claim).await?;
    tx.commit().await?;
    match verdict {
        Attach::New => Ok(Json(json!({ "linked": true, "new": true }))),
        Attach::Already => Ok(Json(json!({ "linked": true, "new": false }))),
        Attach::OtherMember(_) => Err(Problem::new(
            StatusCode::CONFLICT,
            "cookie-of-another-member",
            "the cookie belongs to another member already; two persons are never joined, and the conflict is on record",
        )),
        Attach::TooMany => {
            Err(Problem::new(StatusCode::CONFLICT, "too-many-cookies", "the member has as many cookies as one person can have"))
        }
    }
}

/// The same words whether she is known or not.
fn not_granted() -> Problem {
    let detail = "linking needs a member who grants the purpose 'match'; nothing was stored";
    Problem::new(StatusCode::FORBIDDEN, "match-not-granted", detail)
}

impl Api {
    fn key(&self, kind: IdentifierKind, value: &str) -> Result<Key, Problem> {
        let region = self.config.borrow().phone_region.clone();
        let form =
            canonical(kind, value, &region).map_err(|e| Problem::bad("identifier", format!("{} cannot be used: {e}", kind.word())))?;
        Ok(self.keyring.identifier(kind, &form))
    }
}
