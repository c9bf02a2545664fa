//! Touchpoints over HTTP, each with its own verdict.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::HeaderMap,
};
use passage_config::Scope;
use serde::Serialize;

use crate::{
    api::{
        Problem,
        desk::{Desk, Fate, inflated},
        row,
    },
    touchpoint::{intake::Intake, row::text},
};

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
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Verdicts>, Problem> {
    let source = desk.source(&headers, Scope::Touchpoints)?;
    let config = desk.config();
    let (mut keys, mut read) = (Vec::new(), Vec::new());
    {
        let body = body?;
        let body = inflated(&headers, &body)?;
        let intake = Intake::new(&source, &desk.api.keyring, &config.phone_region, &config.site, desk.api.clock.now());
        row::each(&body, |row| {
            // A key that may not be stored may not be repeated either.
            keys.push(row.as_ref().ok().and_then(|row| text("key", row.raw().key).ok().flatten()));
            read.push(row.and_then(|row| intake.read(&row.raw())));
        })?;
    }
    desk.spend(&source, read.len(), config.web.rate)?;
    let mut verdicts = Verdicts::default();
    for (i, (fate, key)) in desk.store(&source, read).await?.into_iter().zip(keys).enumerate() {
        verdicts.add(i + 1, key, fate);
    }
    Ok(Json(verdicts))
}

impl Verdicts {
    fn add(&mut self, row: usize, key: Option<String>, fate: Fate) {
        let (count, verdict, reason) = match fate {
            Fate::Stored => (&mut self.stored, "stored", None),
            Fate::Duplicate => (&mut self.duplicate, "duplicate", None),
            Fate::Refused(refusal) => (&mut self.refused, "refused", Some(refusal.reason)),
        };
        *count += 1;
        self.rows.push(Verdict { row, key, verdict, reason });
    }
}
