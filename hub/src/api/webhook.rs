//! Signed calls of telephone and market-place systems: `POST /v1/webhooks/NAME`.
//!
//! `X-Passage-Timestamp` holds Unix seconds, `X-Passage-Signature` `sha256=` and the hex digits of HMAC-SHA256 over the time stamp, a dot and the body, with
//! the secret of that name in hub.toml. A call that is older than five minutes is refused; what is repeated within them has the same key and is stored once.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use hmac::{Hmac, KeyInit, Mac};
use passage_config::{HubConfig, Webhook, WebhookKind};
use passage_protocol::Millis;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    api::{
        Problem,
        desk::{Desk, Fate},
        row,
    },
    identity::phone,
    touchpoint::{
        TouchKind, Touchpoint,
        intake::{Intake, Refusal},
        row::RawTouch,
    },
};

/// How old or new a time stamp may be.
const WINDOW_MS: i64 = 5 * 60 * 1000;

/// A call to one of the numbers in the campaigns' files.
#[derive(Deserialize)]
struct Call {
    /// The system's own key.
    id: String,
    at: String,
    /// The number that was dialled.
    to: String,
    /// The caller. She is keyed; a caller who hides her number leaves no touchpoint.
    from: Option<String>,
    outcome: Option<String>,
    order: Option<String>,
    store: Option<String>,
}

/// `POST /v1/webhooks/{name}`
pub(super) async fn take(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let (config, now, body) = (desk.config(), desk.api.clock.now(), body?);
    let refused =
        || Problem::new(StatusCode::UNAUTHORIZED, "signature", "sign the call with the secret of this webhook, with the time of now");
    let webhook = config.web.webhooks.get(&name).ok_or_else(refused)?;
    if !is_signed(webhook, &headers, &body, now) {
        return Err(refused());
    }
    let (rows, hidden) = {
        let intake = Intake::new(&name, &desk.api.keyring, &config.phone_region, &config.site, now);
        match webhook.kind {
            WebhookKind::Calls => calls(&body, &config, &intake)?,
            WebhookKind::Orders => (orders(&body, &intake)?, Vec::new()),
        }
    };
    desk.spend(&name, rows.len() + hidden.len(), config.web.rate)?;
    for campaign in &hidden {
        let channel = config.site.campaigns.get(campaign).map_or("", |c| c.channel.as_str());
        desk.tally.add_total(&name, now, campaign, channel, TouchKind::Call);
    }
    let fates = desk.store(&name, rows).await?;
    let reasons: Vec<&str> =
        fates.iter().filter_map(|f| if let Fate::Refused(refusal) = f { Some(refusal.reason.as_str()) } else { None }).collect();
    let stored = fates.iter().filter(|fate| matches!(fate, Fate::Stored)).count();
    let mut answer = json!({ "stored": stored, "duplicate": fates.len() - stored - reasons.len(), "refused": reasons });
    if !hidden.is_empty() {
        answer["counted"] = hidden.len().into();
    }
    Ok(Json(answer))
}

fn is_signed(webhook: &Webhook, headers: &HeaderMap, body: &[u8], now: Millis) -> bool {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(stamp), Some(signature)) = (told("x-passage-timestamp"), told("x-passage-signature")) else { return false };
    let fresh = stamp.parse::<i64>().is_ok_and(|at| at.saturating_mul(1000).saturating_sub(now.0).abs() <= WINDOW_MS);
    let Some(signature) = signature.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok()) else { return false };
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(webhook.secret.0.as_bytes()) else { return false };
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&signature).is_ok() && fresh
}

/// What calls become: rows with their caller, and the campaigns of those who hid their number.
type Calls = (Vec<Result<Touchpoint, Refusal>>, Vec<String>);

/// One call, or a list of them. Of a caller who hides her number a total remains, of which a repeated call is one more.
fn calls(body: &[u8], config: &HubConfig, intake: &Intake<'_>) -> Result<Calls, Problem> {
    let all = match Problem::json(body)? {
        Value::Array(all) => all,
        one => vec![one],
    };
    let (mut rows, mut hidden) = Calls::default();
    for value in &all {
        match call(value, config) {
            Err(refusal) => rows.push(Err(refusal)),
            Ok((call, campaign)) if is_hidden(call.from.as_deref()) => hidden.push(campaign.to_owned()),
            Ok((call, campaign)) => rows.push(intake.read(&call.raw(campaign))),
        }
    }
    Ok((rows, hidden))
}

/// Reads a call and finds the campaign whose number was called.
fn call<'a>(value: &Value, config: &'a HubConfig) -> Result<(Call, &'a str), Refusal> {
    let call =
        Call::deserialize(value).map_err(|_| Refusal::new("form", "a call needs id, at and to as texts, and from unless it is hidden"))?;
    let line = phone::line(&call.to, &config.phone_region);
    let campaign = line.and_then(|line| config.site.touch.numbers.get(&line));
    let campaign = campaign.ok_or_else(|| Refusal::new("number", "to: the number is of no campaign"))?;
    Ok((call, campaign))
}

/// True for what telephone systems write in the place of a number that is not shown.
fn is_hidden(from: Option<&str>) -> bool {
    const WORDS: [&str; 9] = ["", "anonymous", "withheld", "private", "restricted", "unavailable", "unknown", "masqué", "inconnu"];
    from.is_none_or(|from| WORDS.contains(&from.trim().to_lowercase().as_str()))
}

impl Call {
    fn raw<'a>(&'a self, campaign: &'a str) -> RawTouch<'a> {
        RawTouch {
            key: Some(&self.id),
            at: Some(&self.at),
            kind: Some("call"),
            campaign: Some(campaign),
            outcome: self.outcome.as_deref(),
            order: self.order.as_deref(),
            store: self.store.as_deref(),
            identifier_kind: Some("phone"),
            identifier: self.from.as_deref(),
            ..RawTouch::default()
        }
    }
}

/// Rows as `POST /v1/touchpoints` takes them; they are orders if they do not say otherwise.
fn orders(body: &[u8], intake: &Intake<'_>) -> Result<Vec<Result<Touchpoint, Refusal>>, Problem> {
    let mut rows = Vec::new();
    let one = body.trim_ascii().starts_with(b"{") && !body.contains(&b'\n');
    let wrapped = if one { [b"[", body, b"]"].concat() } else { body.to_vec() };
    row::each(&wrapped, |row| {
        rows.push(row.and_then(|row| {
            let raw = row.raw();
            intake.read(&RawTouch { kind: raw.kind.or(Some("order")), ..raw })
        }));
    })?;
    Ok(rows)
}
