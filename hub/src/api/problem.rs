//! Errors as RFC 9457 asks for.

use std::time::Duration;

use axum::{
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{privacy::payload::unfit_body, store::StoreError};

/// An answer that says what is wrong and how to mend it. It never repeats an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
    /// When the same may be sent again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "send 'Authorization: Bearer' with a token that this hub knows")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "scope", "this token was made for other calls; the key `may` of hub.toml says for which")
    }

    pub(crate) fn too_often(wait: Duration) -> Self {
        let detail = "too many calls in a short time, nothing was done; wait as long as the header Retry-After says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).after(wait)
    }

    /// With the header `Retry-After`.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Refuses what is an image, by what it says it is or by its first bytes: no route takes one, and a face must not come near a log or a queue.
    pub(crate) fn refuse_image(content_type: &str, body: &[u8]) -> Result<(), Self> {
        match unfit_body(content_type, body) {
            Some(unfit) => Err(Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, unfit.code(), unfit.to_string())),
            None => Ok(()),
        }
    }

    /// Reads a JSON body. serde's own text is left out because it may quote a value.
    pub(crate) fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Self> {
        Self::refuse_image("", body)?;
        serde_json::from_slice(body).map_err(|e| {
            let class = if e.is_data() { "a field is missing, unknown or of the wrong kind" } else { "the body is not JSON" };
            Self::bad("malformed", format!("{class} (line {}, column {})", e.line(), e.column()))
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": format!("urn:passage:problem:{}", self.code),
            "title": title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        } else if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "an API call could not be served now");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", "nothing was stored; send the same again in a moment");
        }
        tracing::error!(%error, "an API call failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "nothing was stored; the hub's log says why")
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let status = rejection.into_response().status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(status, "too-large", "the body is larger than this call takes (1 MiB, 16 KiB under /v1/app); send several");
        }
        Self::bad("malformed", "the body could not be read to its end")
    }
}
