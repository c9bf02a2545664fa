//! The calls of site tags in the form of Segment's libraries, so that tags that are on a site already can point at the hub.
//!
//! The API token is the write key: user of `Authorization: Basic`, or `writeKey` in the body, as the library in the browser sends it. As with the
//! originals the answer is `{"success": true}` as soon as everything is stored or refused; what was refused is counted by reason
//! (`passage-hub report completeness`), because no library reads an answer.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use passage_config::Scope;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{
        Problem,
        desk::{Desk, inflated},
        identify::{self, Link},
    },
    identity::IdentifierKind,
    touchpoint::{
        intake::{Intake, Refusal},
        tags::Message,
    },
};

/// Most messages of one body.
const MOST: usize = 5_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    write_key: Option<String>,
    batch: Option<Vec<Value>>,
}

/// `POST /v1/track`, `/v1/page`, `/v1/screen`, `/v1/batch`, and the one-letter names that the library in the browser uses.
pub(super) async fn take(
    State(desk): State<Arc<Desk>>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let kind = match call.as_str() {
        "track" | "t" => "track",
        "page" | "p" => "page",
        "screen" | "s" => "screen",
        "identify" | "i" => "identify",
        "batch" | "b" | "import" => "batch",
        _ => return Err(Problem::not_found("there is nothing under this path")),
    };
    messages(&desk, kind, &headers, &body?).await
}

/// `POST /v1/identify`: of a library, if it shows its token as a write key; else as described in [`identify`].
pub(super) async fn identify(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let bearer = headers.get(header::AUTHORIZATION).is_some_and(|v| v.as_bytes().to_ascii_lowercase().starts_with(b"bearer "));
    if bearer {
        return Ok(identify::identify(State(Arc::clone(&desk.api)), headers, body).await?.into_response());
    }
    Ok(messages(&desk, "identify", &headers, &body?).await?.into_response())
}

async fn messages(desk: &Desk, kind: &str, headers: &HeaderMap, body: &[u8]) -> Result<Json<Value>, Problem> {
    let body = inflated(headers, body)?;
    let whole: Value = Problem::json(&body)?;
    let Body { write_key, batch } = Body::deserialize(&whole).map_err(|_| Problem::bad("malformed", "the body is not a message"))?;
    let source = write_key_of(headers).or(write_key).ok_or_else(Problem::unauthorized)?;
    let source = desk.api.source_of(&source)?;
    desk.api.may(&source, Scope::Tags)?;
    let all = if kind == "batch" { batch.unwrap_or_default() } else { vec![whole] };
    if all.len() > MOST {
        return Err(Problem::bad("too-many", format!("a batch has at most {MOST} messages")));
    }
    desk.spend(&source, all.len(), desk.config().web.rate)?;
    let (rows, links) = read(desk, &source, kind, &all);
    desk.store(&source, rows).await?;
    for link in links {
        link_cookie(desk, &source, &link).await?;
    }
    Ok(Json(json!({ "success": true })))
}

/// Whose cookie it is, as a message said.
struct Login {
    cookie: String,
    crm_id: String,
}

fn read(desk: &Desk, source: &str, kind: &str, all: &[Value]) -> (Vec<Result<crate::touchpoint::Touchpoint, Refusal>>, Vec<Login>) {
    let (config, now) = (desk.config(), desk.api.clock.now());
    let domain = config.web.grants.get(source).and_then(|grant| grant.domain.as_deref());
    let intake = Intake::new(source, &desk.api.keyring, &config.phone_region, &config.site, now);
    let (mut rows, mut links) = (Vec::new(), Vec::new());
    for value in all {
        let Ok(message) = Message::deserialize(value) else {
            rows.push(Err(Refusal::new("form", "not a message")));
            continue;
        };
        let kind = if kind == "batch" { message.kind.as_deref().unwrap_or_default() } else { kind };
        if kind != "identify" {
            rows.push(message.touchpoint(kind, domain, &config.site.touch.events, &intake, now));
            continue;
        }
        match (message.cookie(domain), &message.user_id) {
            (Ok(cookie), Some(user)) => links.push(Login { cookie, crm_id: user.clone() }),
            // A visitor who only told her traits; none of them is kept.
            (Ok(_), None) => {}
            (Err(refusal), _) => rows.push(Err(refusal)),
        }
    }
    (rows, links)
}

/// Links the cookie if she allows it. A visitor who does not is no mistake of the site.
async fn link_cookie(desk: &Desk, source: &str, login: &Login) -> Result<(), Problem> {
    let (cookie, crm_id) = (login.cookie.as_str(), login.crm_id.as_str());
    let link = Link { kind: IdentifierKind::Cookie, value: cookie, crm_id, company: None, reason: "login", variant: None, source };
    match identify::link(&desk.api, &link).await {
        Err(problem) if problem.status.is_server_error() => Err(problem),
        _ => Ok(()),
    }
}

/// The user of `Authorization: Basic`.
fn write_key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, coded) = value.split_once(' ')?;
    let plain = STANDARD.decode(coded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    String::from_utf8(plain).ok()?.split(':').next().map(str::to_owned)
}
