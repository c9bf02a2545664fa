//! Passes a request on to the gateway whose turn it is.

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
        request::Parts,
    },
    response::{IntoResponse, Response},
};

/// Carried by a request that was passed on once, so that it is never passed on again.
pub(super) const PASSED_ON: HeaderName = HeaderName::from_static("x-passage-passed-on");
/// How long the other gateway may take. Machine time; the apps wait 30 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long connecting to it may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Speaks to the other gateways of the group.
#[derive(Debug, Clone)]
pub(super) struct Forward(reqwest::Client);

impl Forward {
    /// `None` when no client can be made on this machine.
    pub(super) fn new() -> Option<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).connect_timeout(CONNECT);
        client.redirect(reqwest::redirect::Policy::none()).build().ok().map(Self)
    }

    /// The other gateway's answer; `None` when it gave none in time, and then nothing is promised.
    pub(super) async fn pass(&self, address: &str, parts: &Parts, body: Bytes) -> Option<Response> {
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = self.0.post(format!("http://{address}{path}")).header(PASSED_ON, HeaderValue::from_static("1")).body(body);
        for name in [AUTHORIZATION, CONTENT_TYPE, USER_AGENT, HeaderName::from_static("x-limit-u")] {
            if let Some(value) = parts.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.ok()?;
        let status = StatusCode::from_u16(answer.status().as_u16()).ok()?;
        let kind = answer.headers().get(CONTENT_TYPE).cloned();
        let mut response = (status, answer.bytes().await.ok()?).into_response();
        if let Some(kind) = kind {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        Some(response)
    }
}
