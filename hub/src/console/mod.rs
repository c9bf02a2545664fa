//! Read-only pages for the people of the shop: overview, visits, messages, decisions. Members appear as codes and numbers are masked.
//!
//! There are no accounts yet, so the console answers on loopback only, and only to requests that name a loopback host: a page of another
//! site that resolves its name to 127.0.0.1 gets nothing.

mod page;
mod query;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use passage_config::HubConfig;
use passage_protocol::Clock;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::store::{Db, StoreError};

/// How long open requests may take after the stop.
const GRACE: Duration = Duration::from_secs(1);

/// The console, not yet listening.
#[derive(Debug, Clone)]
pub struct Console {
    /// What it shows.
    pub db: Db,
    /// Names of stores, and k.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Today.
    pub clock: Clock,
}

/// Why the console does not run.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The address is not of this machine's loopback.
    #[error("the console listens on loopback only, because it has no accounts; {0} is not a loopback address (use 127.0.0.1)")]
    NotLoopback(SocketAddr),
    /// The socket did not open.
    #[error("the console cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

impl Console {
    /// Opens the socket.
    pub async fn bind(address: SocketAddr) -> Result<TcpListener, ConsoleError> {
        if !address.ip().is_loopback() {
            return Err(ConsoleError::NotLoopback(address));
        }
        TcpListener::bind(address).await.map_err(|e| ConsoleError::Listen(address, e))
    }

    /// Answers until `stop`. A reader who is slow then does not hold the hub up.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let serve = axum::serve(listener, self.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = async { serve.await } => served,
            () = late => Ok(()),
        }
    }

    /// All pages.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(overview))
            .route("/visits", get(visits))
            .route("/messages", get(messages))
            .route("/decisions", get(decisions))
            .route("/decisions/{member}", get(decisions_of))
            .route("/matching", get(matching))
            .route("/gateways", get(gateways))
            .route("/replays", get(replays))
            .route("/style.css", get(style))
            .layer(middleware::from_fn(guard))
            .with_state(self)
    }
}

/// Refuses foreign host names and sets the headers that keep a page to itself.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    if !is_loopback_host(host) {
        return (StatusCode::MISDIRECTED_REQUEST, "the console answers to loopback names only").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "[::1]") || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// A page that could not be made. The reader sees that it is the database's fault, the log says which.
struct PageError;

impl From<StoreError> for PageError {
    fn from(e: StoreError) -> Self {
        tracing::error!("console: {e}");
        Self
    }
}

impl From<askama::Error> for PageError {
    fn from(e: askama::Error) -> Self {
        tracing::error!("console: {e}");
        Self
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made; the hub's log says why.").into_response()
    }
}

type Page = Result<Html<String>, PageError>;

async fn overview(State(console): State<Console>) -> Page {
    page::overview(&console).await
}

async fn visits(State(console): State<Console>) -> Page {
    page::visits(&console).await
}

async fn messages(State(console): State<Console>) -> Page {
    page::messages(&console).await
}

async fn decisions(State(console): State<Console>) -> Page {
    page::decisions(&console, None).await
}

async fn decisions_of(State(console): State<Console>, Path(member): Path<String>) -> Response {
    match crate::identity::MemberId::from_code(&member) {
        Some(member) => page::decisions_of(&console, member).await.into_response(),
        None => (StatusCode::NOT_FOUND, "This is no member code; one looks like K7Q2-M9XA.").into_response(),
    }
}

async fn matching(State(console): State<Console>) -> Page {
    page::matching(&console).await
}

async fn gateways(State(console): State<Console>) -> Page {
    page::gateways(&console).await
}

async fn replays(State(console): State<Console>) -> Page {
    page::replays(&console).await
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("templates/style.css"))
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_loopback_names_are_answered() {
        for host in ["localhost", "localhost:8081", "127.0.0.1:8081", "127.0.0.2", "[::1]:8081"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "10.0.0.1:8081", "localhost.evil.example:80"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
