//! What the calls about touchpoints have in common: the writer, the counts, the rates, and compressed bodies.

use std::{borrow::Cow, io::Read, sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use passage_config::{HubConfig, Scope};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Api, Limiter, Pace, Problem},
    touchpoint::{
        Touchpoint,
        intake::Refusal,
        tally::{Counts, Tally, Told},
        writer::Writer,
    },
};

/// Largest body after decompression, in bytes.
const MOST_INFLATED: u64 = 8 * 1024 * 1024;
/// Seconds of its rate that a source may send at once.
const BURST: f64 = 10.0;
/// Machine time between two flushes of the counts.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// State of the calls about touchpoints.
#[derive(Debug)]
pub(super) struct Desk {
    pub api: Arc<Api>,
    pub tally: Tally,
    writer: Writer,
    rows: Limiter,
}

/// What became of one row.
#[derive(Debug)]
pub(super) enum Fate {
    Stored,
    Duplicate,
    Refused(Refusal),
}

impl Desk {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let writer = Writer::start(&api.db, &api.clock);
        Self { api, tally: Tally::default(), writer, rows: Limiter::default() }
    }

    /// The configuration of the moment.
    pub(super) fn config(&self) -> Arc<HubConfig> {
        self.api.config.borrow().clone()
    }

    /// The source that the request's token names, if it may make this kind of call.
    pub(super) fn source(&self, headers: &HeaderMap, scope: Scope) -> Result<String, Problem> {
        let source = self.api.source(headers)?;
        self.api.may(&source, scope)?;
        Ok(source)
    }

    /// Takes `rows` from what the source may send now, or tells it when to come again.
    pub(super) fn spend(&self, source: &str, rows: usize, per_second: u32) -> Result<(), Problem> {
        let pace = Pace { burst: f64::from(per_second) * BURST, per_second: per_second.into() };
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.rows.spend(source, rows, pace).map_err(|wait| {
            let detail = format!("this source may send {per_second} rows a second; nothing was stored, send the same again later");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-rows", detail).after(wait)
        })
    }

    /// Stores what was read, counts everything, and tells what became of each row.
    pub(super) async fn store(&self, source: &str, read: Vec<Result<Touchpoint, Refusal>>) -> Result<Vec<Fate>, Problem> {
        let (mut counts, mut fates) = (Counts::default(), Vec::with_capacity(read.len()));
        let mut good = Vec::with_capacity(read.len());
        for row in read {
            match row {
                Ok(touch) => {
                    good.push(touch);
                    fates.push(Fate::Duplicate);
                }
                Err(refusal) => {
                    counts.refused(refusal.code);
                    fates.push(Fate::Refused(refusal));
                }
            }
        }
        let told: Vec<Told> = good.iter().map(Told::of).collect();
        let new = if good.is_empty() { Vec::new() } else { self.writer.store(good).await? };
        let taken = fates.iter_mut().filter(|fate| matches!(fate, Fate::Duplicate));
        for ((fate, told), new) in taken.zip(told).zip(new) {
            counts.taken(told, new);
            if new {
                *fate = Fate::Stored;
            }
        }
        self.tally.add(source, self.api.clock.now(), counts);
        Ok(fates)
    }

    /// Adds the counts to the database every few seconds until `stop`, and then once more.
    pub(super) async fn flush(&self, stop: &CancellationToken) {
        loop {
            let ended = stop.run_until_cancelled(tokio::time::sleep(FLUSH_EVERY)).await.is_none();
            if let Err(error) = self.tally.flush(&self.api.db).await {
                tracing::warn!(%error, "the counts of touchpoints could not be stored; trying again");
            }
            if ended {
                return;
            }
        }
    }
}

/// The body as it was before `Content-Encoding: gzip`.
pub(super) fn inflated<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes().to_ascii_lowercase()) {
        None => Ok(Cow::Borrowed(body)),
        Some(encoding) if encoding == b"identity" => Ok(Cow::Borrowed(body)),
        Some(encoding) if encoding == b"gzip" => {
            let mut plain = Vec::with_capacity(body.len() * 4);
            let read = MultiGzDecoder::new(body).take(MOST_INFLATED + 1).read_to_end(&mut plain);
            read.map_err(|_| Problem::bad("malformed", "the body is not gzip"))?;
            if plain.len() as u64 > MOST_INFLATED {
                let detail = "a body has at most 8 MiB when it is unpacked; send several";
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
            }
            Ok(Cow::Owned(plain))
        }
        Some(_) => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", "send the body as it is, or with gzip")),
    }
}
