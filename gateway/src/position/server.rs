//! The HTTP side: OwnTracks on any path, app events on `/v1/app/events`. It answers only after the commit, and logs nothing about anybody.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_TYPE, USER_AGENT, WWW_AUTHENTICATE},
        request::Parts,
    },
    response::{IntoResponse, Response},
    routing::post,
};
use futures::StreamExt;
use passage_protocol::{Clock, sign::Pinned};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Fate, app,
    desk::{Answer, Desk, Turn},
    door::Door,
    forward::{Forward, PASSED_ON},
};

/// Largest body that is read.
pub const MAX_BODY: usize = 256 * 1024;
/// What is swallowed above that, so that the client reads our answer instead of a broken connection.
const MAX_SWALLOWED: usize = 8 * MAX_BODY;
/// How long a body may take, unless somebody says otherwise. Machine time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Takes positions and app events over HTTP. Put TLS in front of it outside a trusted network.
#[derive(Debug)]
pub struct Server {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Keys of the hubs that sign position tokens.
    pub pinned: Pinned,
    /// Business time: expiry of tokens, time of arrival.
    pub clock: Clock,
    /// Where reports go.
    pub desk: Arc<Desk>,
    /// How long a body may take, see [`PATIENCE`].
    pub patience: Duration,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen for positions on {address}: {why}; choose another address in `position_listen` of gateway.toml, or stop the program that has it"
)]
pub struct ListenError {
    address: SocketAddr,
    why: std::io::Error,
}

/// A server that has its address.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// What every request needs.
pub(super) struct Hall {
    pub(super) door: Door,
    pub(super) clock: Clock,
    pub(super) desk: Arc<Desk>,
    forward: Option<Forward>,
    patience: Duration,
}

pub(super) type Shared = Arc<Hall>;

impl Server {
    /// Opens the address.
    pub async fn bind(self) -> Result<Bound, ListenError> {
        let fail = |why| ListenError { address: self.listen, why };
        let listener = TcpListener::bind(self.listen).await.map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        Ok(Bound { listener, address, router: self.router() })
    }

    /// The routes alone, to be put into another server.
    pub fn router(self) -> Router {
        let forward = self.desk.group.as_ref().and_then(|_| Forward::new());
        let door = Door::new(self.pinned, Arc::clone(&self.desk.denied));
        let hall = Hall { door, clock: self.clock, desk: self.desk, forward, patience: self.patience };
        Router::new().route("/v1/app/events", post(app::app_event)).fallback(owntracks_report).with_state(Arc::new(hall))
    }
}

impl Bound {
    /// The address that it has; tells the port when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; requests under way get a moment to end.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!(address = %self.address, "positions are taken here");
        let serve = axum::serve(self.listener, self.router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        };
        tokio::select! {
            result = serve => if let Err(why) = result {
                tracing::error!(%why, "positions are no longer taken");
            },
            () = overdue => {}
        }
    }
}

/// Any path: one OwnTracks object. Content that we do not want is answered like the rest, because the app would send it again for ever.
async fn owntracks_report(State(shared): State<Shared>, request: Request) -> Response {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let now = shared.clock.now();
    let Some(who) = shared.door.admit(request.headers(), request.uri(), now) else { return shared.denied() };
    let (parts, body) = request.into_parts();
    let body = match shared.read(body).await {
        Ok(body) if body.iter().all(u8::is_ascii_whitespace) => return accepted("[]".to_owned()),
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            shared.desk.count(Fate::Oversize);
            return accepted("[]".to_owned());
        }
        Err(Unread::Broken) => return shared.not_stored(),
    };
    match shared.desk.turn(&who) {
        Turn::Ours => {
            let answer = shared.desk.take(&body, &who, now, knows_removal(&parts.headers)).await;
            shared.respond(&answer, &who)
        }
        elsewhere => shared.pass_on(elsewhere, &parts, body).await,
    }
}

/// Android's app makes a region of whatever it is told.
fn knows_removal(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    agent.contains("darwin") || agent.contains("ios")
}

impl Hall {
    fn respond(&self, answer: &Answer, who: &passage_protocol::InstallationId) -> Response {
        self.desk.count(answer.fate);
        if answer.fate == Fate::Busy { unavailable() } else { accepted(self.desk.text(answer, who)) }
    }

    /// It is another gateway's turn. Whatever goes wrong, nothing was stored and the app sends it again: by then the broker has told who is there.
    pub(super) async fn pass_on(&self, turn: Turn, parts: &Parts, body: Bytes) -> Response {
        if let (Turn::Other(address), Some(forward), false) = (turn, &self.forward, parts.headers.contains_key(PASSED_ON)) {
            if let Some(answer) = forward.pass(&address, parts, body).await {
                self.desk.count(Fate::PassedOn);
                return answer;
            }
            tracing::warn!(
                "the position gateway at {address} is online but does not answer there; the apps will try again. Mend: look whether its address in \
                 `positions.group` is the one of its `position_listen`, and can be reached from here"
            );
        }
        self.not_stored()
    }

    /// Nothing was stored. Apps forget what is answered with 4xx, and send again what is answered so.
    pub(super) fn not_stored(&self) -> Response {
        self.desk.count(Fate::Busy);
        unavailable()
    }

    pub(super) async fn read(&self, body: Body) -> Result<Bytes, Unread> {
        timeout(self.patience, read_all(body)).await.unwrap_or(Err(Unread::Broken))
    }

    pub(super) fn denied(&self) -> Response {
        self.desk.count(Fate::Denied);
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"positions\"")], "user or password is wrong\n").into_response()
    }
}

fn unavailable() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// What OwnTracks takes for "delivered": a list of messages to the phone, usually an empty one.
fn accepted(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

pub(super) fn complaint(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "error": why }))).into_response()
}

/// Why there is no body.
pub(super) enum Unread {
    TooLarge,
    /// It did not arrive, or not in time.
    Broken,
}

async fn read_all(body: Body) -> Result<Bytes, Unread> {
    let mut chunks = body.into_data_stream();
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        length += chunk.len();
        if length <= MAX_BODY {
            kept.extend_from_slice(&chunk);
        } else if length > MAX_SWALLOWED {
            break;
        }
    }
    if length > MAX_BODY { Err(Unread::TooLarge) } else { Ok(kept.into()) }
}
