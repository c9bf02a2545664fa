//! A web site says whose cookie it is. The past of the cookie becomes hers, because the person is looked up when touchpoints are read.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, Problem},
    identity::{IdentifierKind, Key, Purpose, graph::Attach, normalise::canonical},
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
    let body = body?;
    let body: Identify = Problem::json(&body)?;
    let cookie = api.key(IdentifierKind::Cookie, &body.cookie)?;
    let crm_id = api.key(IdentifierKind::CrmId, &body.crm_id)?;
    let reason = if body.reason.is_empty() { "login" } else { body.reason.as_str() };
    if reason.len() > 40 || !reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return Err(Problem::bad("reason", "reason is a word such as 'login', of at most 40 small letters and dashes"));
    }
    let now = api.clock.now();
    let mut tx = api.db.begin().await?;
    people::changes(&mut tx).await?;
    let Some(member) = graph::holder(&mut tx, IdentifierKind::CrmId, &crm_id).await? else { return Err(not_granted()) };
    if !consent::any(&consent::standing(&mut tx, member).await?, Purpose::Match) {
        return Err(not_granted());
    }
    let claim = Claim { kind: IdentifierKind::Cookie, key: cookie, member, source: &source, reason, at: now };
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
