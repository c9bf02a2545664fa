//! Touchpoints over HTTP, each with its own verdict.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::HeaderMap,
};
use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

use crate::{
    api::{Api, Problem},
    store,
    touchpoint::{
        Touchpoint,
        row::{RawTouch, text},
    },
};

/// How far a source's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: Option<String>,
    at: Option<String>,
    kind: Option<String>,
    campaign: Option<String>,
    channel: Option<String>,
    sku: Option<String>,
    size: Option<String>,
    identifier_kind: Option<String>,
    identifier: Option<String>,
}

/// What became of all rows.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verdicts {
    stored: usize,
    duplicate: usize,
    refused: usize,
    rows: Vec<Verdict>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    /// Place in the request, from 1.
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `POST /v1/touchpoints`
pub(super) async fn take(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Verdicts>, Problem> {
    let source = api.source(&headers)?;
    let now = api.clock.now();
    let region = api.config.borrow().phone_region.clone();
    let mut verdicts = Verdicts::default();
    let (mut good, mut places) = (Vec::new(), Vec::new());
    for (i, row) in rows(&body?)?.into_iter().enumerate() {
        // A key that may not be stored may not be repeated either.
        let key = row.as_ref().ok().and_then(|r| text("key", r.key.as_deref()).ok().flatten());
        let read = row.and_then(|row| row.raw().read(&source, &api.keyring, &region)).and_then(|touch| not_ahead(touch, now));
        let (verdict, reason) = match read {
            Ok(touch) => {
                good.push(touch);
                places.push(i);
                ("duplicate", None)
            }
            Err(reason) => ("refused", Some(reason)),
        };
        verdicts.rows.push(Verdict { row: i + 1, key, verdict, reason });
    }
    if !good.is_empty() {
        let mut tx = api.db.begin().await?;
        let new = store::touchpoint::insert(&mut tx, &good, now).await?;
        tx.commit().await?;
        for (place, _) in places.into_iter().zip(new).filter(|(_, new)| *new) {
            verdicts.rows[place].verdict = "stored";
        }
    }
    let count = |word| verdicts.rows.iter().filter(|v| v.verdict == word).count();
    (verdicts.stored, verdicts.duplicate, verdicts.refused) = (count("stored"), count("duplicate"), count("refused"));
    Ok(Json(verdicts))
}

/// The rows of a JSON array, or of one JSON object per line. A row of the wrong form costs itself only; a broken array is no array.
fn rows(body: &[u8]) -> Result<Vec<Result<Row, String>>, Problem> {
    let form = |_| "a field is unknown or not a text".to_owned();
    let trimmed = body.trim_ascii();
    if trimmed.starts_with(b"[") {
        let values: Vec<serde_json::Value> = Problem::json(trimmed)?;
        return Ok(values.into_iter().map(|value| serde_json::from_value(value).map_err(form)).collect());
    }
    if trimmed.is_empty() {
        return Err(Problem::bad("malformed", "send a JSON array, or one JSON object per line"));
    }
    let lines = trimmed.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    Ok(lines
        .map(|line| serde_json::from_slice(line).map_err(|_| "not a JSON object, or a field is unknown or not a text".to_owned()))
        .collect())
}

fn not_ahead(touch: Touchpoint, now: Millis) -> Result<Touchpoint, String> {
    if touch.at > now + AHEAD { Err("at lies in the future".to_owned()) } else { Ok(touch) }
}

impl Row {
    fn raw(&self) -> RawTouch<'_> {
        RawTouch {
            key: self.key.as_deref().filter(|k| !k.trim().is_empty()),
            at: self.at.as_deref(),
            kind: self.kind.as_deref(),
            campaign: self.campaign.as_deref(),
            channel: self.channel.as_deref(),
            sku: self.sku.as_deref(),
            size: self.size.as_deref(),
            identifier_kind: self.identifier_kind.as_deref(),
            identifier: self.identifier.as_deref(),
        }
    }
}
