//! Metrics for Prometheus: how much came in, how old it was, how long work waits, how the fleet does. Names and counts only, nothing about persons.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use passage_protocol::{Clock, GatewayId, Millis, PositionCounters, RadioCounters};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::store::{Db, StoreError, gateway, quarantine, replay, work};

/// Events that were stored for the first time.
pub(crate) const STORED: &str = "passage_events_stored_total";
/// Events that came again.
pub(crate) const AGAIN: &str = "passage_events_repeated_total";
/// Payloads that were put aside.
pub(crate) const ASIDE: &str = "passage_quarantined_total";
/// Seconds from a full batch to its commit.
pub(crate) const COMMIT: &str = "passage_commit_seconds";
/// Pieces of work that were done.
pub(crate) const WORKED: &str = "passage_work_done_total";
/// Acks to gateways.
pub(crate) const ACKS: &str = "passage_acks_total";
const DUE: &str = "passage_work_due";
const LAG: &str = "passage_work_lag_seconds";
const PARKED: &str = "passage_work_parked";
const QUARANTINE: &str = "passage_quarantine";
const REPLAYS: &str = "passage_replays";
const ONLINE: &str = "passage_gateway_online";
const BACKLOG: &str = "passage_gateway_backlog";
const MISSING: &str = "passage_gateway_missing";
const FORKED: &str = "passage_gateway_forked";
const HEARD: &str = "passage_gateway_heard_seconds";
const RADIO_ADVERTS: &str = "passage_gateway_radio_adverts_per_second";
const RADIO_SIGHTINGS: &str = "passage_gateway_radio_sightings_per_second";
const RADIO_SILENT: &str = "passage_gateway_radio_silent_seconds";
const RADIO_QUEUED: &str = "passage_gateway_radio_queued";
const RADIO_DROPPED: &str = "passage_gateway_radio_dropped";
const RADIO_RESTARTS: &str = "passage_gateway_radio_restarts";
const POSITIONS: &str = "passage_gateway_positions";

/// A gateway that names more fates than this is none of ours.
const MOST_FATES: usize = 64;

/// Replays that were noticed in the last so long are shown.
const REPLAYED_WITHIN: std::time::Duration = std::time::Duration::from_secs(48 * 3600);

const SECONDS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];

/// Why no metrics are served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The recorder.
    #[error("metrics cannot be recorded: {0}")]
    Recorder(#[from] BuildError),
    /// The socket.
    #[error("the metrics cannot listen on {0}: {1}. Mend: choose another address for `metrics` in hub.toml")]
    Listen(SocketAddr, std::io::Error),
}

/// Answers `GET /metrics`. What only the database knows is read when somebody asks.
#[derive(Clone)]
pub struct Health {
    db: Db,
    clock: Clock,
    recorder: Arc<PrometheusHandle>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

impl Health {
    /// Records from now on, for this whole process, and opens the socket.
    pub async fn open(address: SocketAddr, db: Db, clock: Clock) -> Result<(Self, TcpListener), HealthError> {
        let listener = TcpListener::bind(address).await.map_err(|e| HealthError::Listen(address, e))?;
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
        describe();
        Ok((Self { db, clock, recorder: Arc::new(recorder) }, listener))
    }

    /// Serves until `stop`.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new().route("/metrics", get(metrics)).with_state(self);
        tokio::select! {
            served = async { axum::serve(listener, router).await } => if let Err(error) = served {
                tracing::error!(%error, "the metrics are not served any more");
            },
            () = stop.cancelled() => {}
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        number(gauge!(DUE), work::due_count(&self.db, now).await?);
        let oldest = work::next_due(&self.db).await?;
        seconds(gauge!(LAG), oldest.map_or(0, |due| now.since(due).max(0)));
        number(gauge!(PARKED), work::parked_count(&self.db).await?);
        number(gauge!(QUARANTINE), i64::try_from(quarantine::count(&self.db).await?).unwrap_or(i64::MAX));
        number(gauge!(REPLAYS), replay::count(&self.db, now - REPLAYED_WITHIN).await?);
        for g in gateway::all(&self.db).await? {
            tell(&g, now);
        }
        Ok(())
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    match health.look().await {
        Ok(()) => (StatusCode::OK, health.recorder.render()),
        Err(error) => {
            tracing::warn!(%error, "metrics could not be read from the database");
            (StatusCode::SERVICE_UNAVAILABLE, "# the database does not answer\n".to_owned())
        }
    }
}

/// The gauges of a gateway. One that has several lines shows the last of them, which is the oldest epoch that lacks something.
fn tell(g: &gateway::Gateway, now: Millis) {
    let id = g.gateway.to_string();
    let state = g.state.as_ref();
    number(gauge!(ONLINE, "gateway" => id.clone()), i64::from(state.is_some_and(|s| s.online)));
    number(gauge!(BACKLOG, "gateway" => id.clone()), state.map_or(0, |s| i64::try_from(s.backlog).unwrap_or(i64::MAX)));
    number(gauge!(MISSING, "gateway" => id.clone()), i64::try_from(g.missing()).unwrap_or(i64::MAX));
    number(gauge!(FORKED, "gateway" => id.clone()), i64::from(g.epoch.as_ref().is_some_and(|e| e.forked)));
    if let Some(at) = g.heard_at() {
        seconds(gauge!(HEARD, "gateway" => id.clone()), now.since(at).max(0));
    }
    if let Some(radio) = &g.radio {
        tell_radio(&id, radio);
    }
}

/// The gauges of its radio. Its counters begin anew with it, so they are gauges here.
fn tell_radio(id: &str, radio: &RadioCounters) {
    let of = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let gateway = || id.to_owned();
    // What 10 s have brought is a tenth of it each second, as milliseconds are a thousandth.
    seconds(gauge!(RADIO_ADVERTS, "gateway" => gateway()), of(radio.adverts_10s).saturating_mul(100));
    seconds(gauge!(RADIO_SIGHTINGS, "gateway" => gateway()), of(radio.sightings_10s).saturating_mul(100));
    seconds(gauge!(RADIO_SILENT, "gateway" => gateway()), of(radio.silent_ms));
    number(gauge!(RADIO_QUEUED, "gateway" => gateway()), of(radio.queued));
    number(gauge!(RADIO_DROPPED, "gateway" => gateway()), of(radio.dropped));
    for (means, times) in [("scan", radio.restarts.scan), ("connection", radio.restarts.connection), ("daemon", radio.restarts.daemon)] {
        number(gauge!(RADIO_RESTARTS, "gateway" => gateway(), "means" => means), of(times));
    }
}

/// What became of the positions of a gateway since its start. Every hub hears every state, so this is not kept.
pub(crate) fn tell_positions(gateway: &GatewayId, positions: &PositionCounters) {
    for (fate, count) in positions.0.iter().take(MOST_FATES) {
        let gauge = gauge!(POSITIONS, "gateway" => gateway.to_string(), "fate" => fate.clone());
        number(gauge, i64::try_from(*count).unwrap_or(i64::MAX));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count, far below 2^53")]
fn number(gauge: metrics::Gauge, value: i64) {
    gauge.set(value as f64);
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, far below 2^53")]
fn seconds(gauge: metrics::Gauge, ms: i64) {
    gauge.set(ms as f64 / 1e3);
}

fn describe() {
    describe_counter!(STORED, "events that were stored for the first time");
    describe_counter!(AGAIN, "events that came again and were stored before");
    describe_counter!(ASIDE, "payloads that could not be used");
    describe_counter!(WORKED, "pieces of work that were done or parked");
    describe_counter!(ACKS, "acks to gateways");
    describe_histogram!(COMMIT, "seconds from a full batch to its commit, waits for the database included");
    describe_gauge!(DUE, "pieces of work that are due now");
    describe_gauge!(LAG, "seconds that the oldest due work waits");
    describe_gauge!(PARKED, "pieces of work that failed and wait for a person");
    describe_gauge!(QUARANTINE, "payloads and events in quarantine");
    describe_gauge!(REPLAYS, "rotating ids that were noticed in two distant stores in the last 48 h of business time");
    describe_gauge!(ONLINE, "1 while the gateway is online");
    describe_gauge!(BACKLOG, "events in the gateway's outbox, by its last word");
    describe_gauge!(MISSING, "seqs below the highest that are neither stored nor gone");
    describe_gauge!(FORKED, "1 while two outboxes wrote an epoch and nobody released it");
    describe_gauge!(HEARD, "seconds of business time since the gateway was heard");
    describe_gauge!(RADIO_ADVERTS, "adverts of anybody that the gateway's radio heard each second, by its last word");
    describe_gauge!(RADIO_SIGHTINGS, "adverts of our own beacons each second, by its last word");
    describe_gauge!(RADIO_SILENT, "seconds since the radio heard anything, by its last word");
    describe_gauge!(RADIO_QUEUED, "adverts that waited to be decided, by its last word");
    describe_gauge!(RADIO_DROPPED, "adverts that were dropped because the queue was full, since the radio was opened");
    describe_gauge!(RADIO_RESTARTS, "how often the radio was brought back, by the means, since it was opened");
    describe_gauge!(
        POSITIONS,
        "positions and reports of apps by what became of them, and geofences that lay between two positions, since the gateway started"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_positions_of_a_gateway_are_shown_by_their_fate() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let positions = PositionCounters([("ahead".to_owned(), 3), ("crossed".to_owned(), 7)].into());
        metrics::with_local_recorder(&recorder, || tell_positions(&"gw-position".parse().unwrap(), &positions));
        let shown = recorder.handle().render();
        assert!(shown.contains(r#"passage_gateway_positions{gateway="gw-position",fate="crossed"} 7"#), "{shown}");
        assert!(shown.contains(r#"fate="ahead"} 3"#), "{shown}");
    }
}
