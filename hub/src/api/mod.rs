//! What apps and web sites say to the hub: enrolment of apps, touchpoints, and whose cookie is whose.
//!
//! | call | says |
//! |---|---|
//! | `POST /v1/app/installations` | a member consents in the app; the answer holds the key of her rotating id and a position token |
//! | `GET /v1/app/installations/{id}` | which purposes stand, and what time it is |
//! | `POST /v1/app/installations/{id}/refresh` | token and key again; with `{"revoke": true}` all older tokens are taken back |
//! | `POST /v1/app/installations/{id}/rotate` | the key may be in wrong hands: a new one, and the old one ends |
//! | `POST /v1/app/installations/{id}/purposes` | she grants or withdraws purposes in the app |
//! | `DELETE /v1/app/installations/{id}` | this phone shall not be detected any more |
//! | `POST /v1/app/installations/{id}/page` | the member wants to see her data; the answer is a link to her page |
//! | `POST /v1/touchpoints` | contacts with the brand: a JSON array, or one JSON object per line |
//! | `POST /v1/identify` | the holder of this cookie logged in as this customer |
//! | `POST /v1/track`, `/v1/page`, `/v1/batch`, ... | the same and more from site tags in the form of Segment's libraries |
//! | `POST /v1/webhooks/{name}` | calls and orders from systems that sign what they say |
//! | `GET /q/{code}`, `/r/{code}`, `/o/{code}.gif` | a printed code was scanned, a link followed, a mail opened |
//!
//! Every call carries `Authorization: Bearer` with one of the hub's API tokens, or with what an app got when it enrolled. Errors are
//! `application/problem+json` (RFC 9457) with a `code`; they never repeat an identifier.

mod app;
mod auth;
mod cors;
mod desk;
mod identify;
mod me;
mod problem;
mod rate;
mod redirect;
mod row;
mod tags;
mod touchpoints;
mod webhook;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use passage_config::HubConfig;
use passage_protocol::{Clock, sign::Signing};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    identity::{Keyring, Resolver},
    notice::Notices,
    store::Db,
};
use desk::Desk;
pub use problem::Problem;
pub use rate::{Limiter, Pace};

/// Largest body in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long open requests may take after the stop.
const GRACE: Duration = Duration::from_secs(5);

/// The API and what it needs.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where people and touchpoints are stored.
    pub db: Db,
    /// For keyed identifiers and sealed keys.
    pub keyring: Keyring,
    /// Brands, API tokens, the region of phone numbers.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Business time.
    pub clock: Clock,
    /// Signs position tokens.
    pub signing: Signing,
    /// Is refreshed after each enrolment, so that the phone is found at once.
    pub resolver: Arc<Resolver>,
    /// Who listens to what happens.
    pub notices: Notices,
    /// Enrolments of each source.
    pub enrolments: Arc<Limiter>,
    /// Calls about each installation.
    pub app_calls: Arc<Limiter>,
}

impl Api {
    /// All routes.
    fn router(self: Arc<Self>, desk: Arc<Desk>) -> Router {
        let touchpoints = Router::new()
            .route("/v1/touchpoints", post(touchpoints::take))
            .route("/v1/identify", post(tags::identify))
            .route("/v1/webhooks/{name}", post(webhook::take))
            .route("/v1/{call}", post(tags::take))
            .route("/q/{code}", get(redirect::scanned))
            .route("/r/{code}", get(redirect::clicked))
            .route("/o/{code}", get(redirect::opened))
            .with_state(desk);
        Router::new()
            .merge(app::routes())
            .with_state(Arc::clone(&self))
            .merge(touchpoints)
            .merge(me::router(Arc::clone(&self)))
            // After all routes, because it is set for those that are there.
            .fallback(|| async { Problem::not_found("there is nothing under this path") })
            .method_not_allowed_fallback(|| async { Problem::method() })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn(no_images))
            .layer(middleware::from_fn_with_state(self, cors::cors))
    }

    /// Opens the port. From then on callers wait and are not refused.
    pub async fn bind(addr: SocketAddr) -> Result<TcpListener, ApiError> {
        TcpListener::bind(addr).await.map_err(|source| ApiError { addr, source })
    }

    /// Serves until `stop`, then lets open requests end within 5 s.
    pub async fn run(self, socket: TcpListener, stop: CancellationToken) {
        let api = Arc::new(self);
        let desk = Arc::new(Desk::new(Arc::clone(&api)));
        let serve = axum::serve(socket, api.router(Arc::clone(&desk))).with_graceful_shutdown(stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let serve = async {
            tokio::select! {
                served = async { serve.await } => if let Err(error) = served {
                    tracing::error!(%error, "the API stopped serving");
                },
                () = late => tracing::info!("the API closed connections that were still busy {GRACE:?} after the stop"),
            }
        };
        // Calls that end within the grace are counted too.
        let served = CancellationToken::new();
        let serve = async {
            serve.await;
            served.cancel();
        };
        tokio::join!(serve, desk.flush(&served));
    }
}

/// Refuses what says that it is a picture or a film; a body that is one without saying so is refused where it is read.
async fn no_images(request: Request, next: Next) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match Problem::refuse_image(kind, &[]) {
        Err(problem) => problem.into_response(),
        Ok(()) => next.run(request).await,
    }
}

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot listen on {addr}: {source}; set another address as `api` in hub.toml")]
pub struct ApiError {
    /// Where.
    pub addr: SocketAddr,
    /// Why.
    pub source: io::Error,
}
