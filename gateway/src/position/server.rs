//! The HTTP side: OwnTracks on any path, app events on `/v1/app/events`. It answers only after the commit, and logs nothing about anybody.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        Method, StatusCode,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use futures::StreamExt;
use passage_config::{GeofenceRules, Site};
use passage_protocol::{Clock, FenceId, InstallationId, Millis, Phase, StoreId, Zone, sign::Pinned};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    AppEvent, Counters, Fate, Fix,
    door::Door,
    memory::Memory,
    owntracks::{self, Report},
    places::Places,
};
use crate::pipeline::Input;

/// Largest body that is read.
pub const MAX_BODY: usize = 256 * 1024;
/// What is swallowed above that, so that the client reads our answer instead of a broken connection.
const MAX_SWALLOWED: usize = 8 * MAX_BODY;
/// How long a body may take, and a commit. Machine time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes positions and app events for the decider. Put TLS in front of it outside a trusted network.
pub struct Server {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Keys of the hubs that sign position tokens.
    pub pinned: Pinned,
    /// Business time: expiry of tokens, time of arrival.
    pub clock: Clock,
    /// Stores and geofences.
    pub site: Arc<Site>,
    /// Of these, `far_m` is used here.
    pub rules: GeofenceRules,
    /// The decider.
    pub inputs: mpsc::Sender<Input>,
    /// What became of the requests.
    pub counters: Arc<Counters>,
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

struct Shared {
    door: Door,
    clock: Clock,
    places: Places,
    memory: Memory,
    inputs: mpsc::Sender<Input>,
    counters: Arc<Counters>,
}

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
        let shared = Shared {
            door: Door::new(self.pinned),
            clock: self.clock,
            places: Places::new(self.site, self.rules.far_m),
            memory: Memory::default(),
            inputs: self.inputs,
            counters: self.counters,
        };
        Router::new().route("/v1/app/events", post(app_event)).fallback(owntracks_report).with_state(Arc::new(shared))
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
async fn owntracks_report(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let now = shared.clock.now();
    let Some(who) = shared.door.admit(request.headers(), now) else { return shared.denied() };
    let body = match read(request.into_body()).await {
        Ok(body) if body.iter().all(u8::is_ascii_whitespace) => return accepted(),
        Ok(body) => body,
        Err(Unread::TooLarge) => return shared.answer(Fate::Oversize),
        Err(Unread::Broken) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let fate = match owntracks::decode(&body, &who, now, &shared.places) {
        Ok(Report::Fix(fix)) => shared.take_fix(fix).await,
        Ok(Report::App(event)) => shared.take_event(event).await,
        Err(fate) => fate,
    };
    shared.answer(fate)
}

/// What an app of the brand posts when a region or the shop's beacon woke it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    store: StoreId,
    phase: WordPhase,
    /// Milliseconds since 1970; now when it is left out.
    at: Option<Millis>,
    /// One of our geofences that the phone watches; the shop as a whole when it is left out.
    geofence: Option<FenceId>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum WordPhase {
    Enter,
    Exit,
}

/// `POST /v1/app/events`. The app is ours, so a wrong body is told as such.
async fn app_event(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let now = shared.clock.now();
    let Some(who) = shared.door.admit(request.headers(), now) else { return shared.denied() };
    let body = match read(request.into_body()).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            shared.counters.count(Fate::Oversize);
            return complaint(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB");
        }
        Err(Unread::Broken) => return complaint(StatusCode::BAD_REQUEST, "the body did not arrive"),
    };
    let event = match shared.word(&body, who, now) {
        Ok(event) => event,
        Err((fate, why)) => {
            shared.counters.count(fate);
            return complaint(StatusCode::BAD_REQUEST, why);
        }
    };
    let fate = shared.take_event(event).await;
    shared.counters.count(fate);
    if fate == Fate::Busy { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

impl Shared {
    fn word(&self, body: &[u8], who: InstallationId, now: Millis) -> Result<AppEvent, (Fate, &'static str)> {
        const SHAPE: &str =
            "send {\"store\": id, \"phase\": \"enter\" or \"exit\", \"at\": milliseconds, if not now, \"geofence\": id, if one}";
        let word: Word = serde_json::from_slice(body).map_err(|_| (Fate::Poison, SHAPE))?;
        let name = word.geofence.as_ref().map_or(word.store.as_str(), FenceId::as_str);
        let known = self.places.named(name).filter(|(store, zone)| *store == word.store && (*zone == Zone::In) == word.geofence.is_none());
        let (store, zone) = known.ok_or((Fate::UnknownRegion, "no such store here, or the geofence is not one of that store"))?;
        let at = word.at.map_or(Ok(now), |at| owntracks::plausible(at, now));
        let at = at.map_err(|fate| (fate, "`at` is not within the last 3 days; it is milliseconds since 1970"))?;
        let phase = match word.phase {
            WordPhase::Enter => Phase::Enter,
            WordPhase::Exit => Phase::Exit,
        };
        Ok(AppEvent { installation: who, store, zone, phase, at })
    }

    /// Drops what does not matter, and hands on the rest.
    async fn take_fix(&self, mut fix: Fix) -> Fate {
        if let Err(fate) = self.places.judge(fix.lat, fix.lon, fix.at) {
            if fate == Fate::Far {
                self.memory.went_away(fix.installation, fix.at);
            }
            return fate;
        }
        let mark = self.memory.mark(&fix);
        if self.memory.has_taken(mark) {
            return Fate::Duplicate;
        }
        fix.away = self.memory.away(&fix.installation).filter(|away| *away <= fix.at);
        if self.submit(|done| Input::Fix(fix, done)).await {
            self.memory.take(mark);
            Fate::Fix
        } else {
            Fate::Busy
        }
    }

    async fn take_event(&self, event: AppEvent) -> Fate {
        if self.submit(|done| Input::App(event, done)).await { Fate::App } else { Fate::Busy }
    }

    /// Hands an input to the decider and waits for its commit. False: nothing is promised, the app must send again.
    async fn submit(&self, input: impl FnOnce(oneshot::Sender<()>) -> Input) -> bool {
        let (done, committed) = oneshot::channel();
        if self.inputs.try_send(input(done)).is_err() {
            return false;
        }
        matches!(timeout(PATIENCE, committed).await, Ok(Ok(())))
    }

    fn answer(&self, fate: Fate) -> Response {
        self.counters.count(fate);
        if fate == Fate::Busy { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { accepted() }
    }

    fn denied(&self) -> Response {
        self.counters.count(Fate::Denied);
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"positions\"")], "user or password is wrong\n").into_response()
    }
}

/// What OwnTracks takes for "delivered": an empty list of messages to the phone.
fn accepted() -> Response {
    ([(CONTENT_TYPE, "application/json")], "[]").into_response()
}

fn complaint(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "error": why }))).into_response()
}

enum Unread {
    TooLarge,
    Broken,
}

async fn read(body: Body) -> Result<Bytes, Unread> {
    timeout(PATIENCE, read_all(body)).await.unwrap_or(Err(Unread::Broken))
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
