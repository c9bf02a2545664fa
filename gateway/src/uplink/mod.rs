//! From the outbox to the hub over MQTT.
//!
//! A broker's PUBACK is not delivery: a broker that lost its sessions has acknowledged thousands of messages that nobody ever read. Rows leave the
//! outbox only on an [`Ack`](passage_protocol::Ack) that a pinned hub key signed. That makes the rest simple: whatever happens on a connection, the
//! next one begins again from the outbox, and what arrives twice is told apart by its seq.
//!
//! On each connection ([`session`] has its states): subscribe to our acks, our state and the hubs' states; say `online`; say `hello` and wait for the
//! answer; then send, live events before the backlog. A large backlog begins at a random moment, so that the gateways of a chain do not all begin at
//! once, and keeps to the rate that the hub grants. While no hub is online we hold, and try one envelope a minute in case its state is wrong.

pub mod commands;
pub mod downlink;
mod inbound;
pub(crate) mod link;
mod send;
mod session;
mod sieve;
pub mod window;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use passage_config::Mqtt;
use passage_protocol::{GatewayId, GatewayState, PositionCounters, RadioCounters, RadioRestarts, VERSION, sign::Pinned};
use tokio_util::sync::CancellationToken;

use crate::{clock::Keeper, health::Health, outbox::Outbox};
pub use downlink::Downlink;
use session::{End, Session};
use sieve::Sieve;

/// Longest pause between two tries to connect.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The same trouble with the broker is logged again after this.
const SAY_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Publishes what the outbox holds and applies the hubs' acks.
#[derive(Debug)]
pub struct Uplink {
    /// This gateway.
    pub id: GatewayId,
    /// Broker.
    pub mqtt: Mqtt,
    /// The hubs whose acks count.
    pub hub_keys: Pinned,
    /// Where the events are.
    pub outbox: Outbox,
    /// Longest time within which a backlog begins after a reconnection.
    pub spread: Duration,
    /// Business time, for `sent_at`; the hubs' acks set it when nobody else has.
    pub keeper: Keeper,
    /// Counters and flags.
    pub health: Arc<Health>,
    /// Random id of this run.
    pub boot: String,
    /// Start of this run; machine time counts from here.
    pub started: Instant,
    /// Where the site and commands go.
    pub down: Downlink,
    /// The site comes from the hub.
    pub site_from_hub: bool,
}

/// What was last said of a broker that cannot be reached, so that an outage of a night does not fill the log.
#[derive(Debug, Default)]
struct Told(Option<(String, Duration)>);

impl Told {
    /// True for another reason than last time, and when the same has lasted for long enough to be said again.
    fn is_news(&mut self, why: &str, now: Duration) -> bool {
        let is_news = self.0.as_ref().is_none_or(|(before, at)| before != why || now >= *at + SAY_AGAIN);
        if is_news {
            self.0 = Some((why.to_owned(), now));
        }
        is_news
    }
}

impl Uplink {
    /// Connects, and connects again, until `stop`; then says good-bye.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = Duration::from_millis(100);
        let mut told = Told::default();
        let mut sieve = Sieve::default();
        while !stop.is_cancelled() {
            let before = self.health.connections.load(Ordering::Relaxed);
            match Session::new(&self, &mut sieve).run(&stop).await {
                End::Stopped => return,
                End::Again => continue,
                End::Lost(why) => {
                    if self.health.connections.load(Ordering::Relaxed) > before {
                        pause = Duration::from_millis(100);
                        told = Told::default();
                    }
                    if told.is_news(&why, self.now()) {
                        tracing::warn!(
                            "no connection to the broker {}:{}: {why}; events are kept, and it is tried again. Mend: if this lasts, look whether the \
                             broker runs and whether [mqtt] in gateway.toml names it",
                            self.mqtt.host,
                            self.mqtt.port
                        );
                    }
                }
            }
            // Full jitter, so that the gateways of a chain do not come back in step.
            let wait = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            pause = (pause * 2).min(MAX_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Machine time since the start.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What we say of ourselves.
    async fn state(&self, online: bool) -> GatewayState {
        let now = self.keeper.clock().now();
        let backlog = self.outbox.ledger().held().count();
        let oldest = if backlog == 0 { None } else { self.outbox.oldest().await.ok().flatten() };
        GatewayState {
            v: VERSION,
            gateway: self.id.clone(),
            boot: self.boot.clone(),
            online,
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backlog,
            oldest_ms: oldest.map_or(0, |at| now.since(at).max(0)),
            site_revision: self.health.site_revision.load(Ordering::Relaxed),
            flags: self.health.flags(),
            commands: self.health.answers(),
        }
    }

    /// How we do, as the user properties of our state: our radio, if there is one, and the positions, if any came.
    fn counters(&self) -> Vec<(String, String)> {
        let positions = self.health.positions.told().and_then(|p| property(PositionCounters::PROPERTY, p.to_vec()));
        self.radio().into_iter().chain(positions).collect()
    }

    fn radio(&self) -> Option<(String, String)> {
        let look = self.health.radio.look()?;
        let counters = RadioCounters {
            adverts: look.adverts,
            adverts_10s: look.last_10_s,
            sightings: self.health.sightings.load(Ordering::Relaxed),
            sightings_10s: self.health.sightings_10s.load(Ordering::Relaxed),
            silent_ms: look.silent_ms,
            queued: look.queued,
            dropped: look.dropped,
            restarts: RadioRestarts { scan: look.starts, connection: look.sessions, daemon: look.daemons },
        };
        property(RadioCounters::PROPERTY, counters.to_vec())
    }
}

fn property(name: &str, json: Vec<u8>) -> Option<(String, String)> {
    String::from_utf8(json).ok().map(|text| (name.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_outage_is_told_now_and_then_and_another_reason_at_once() {
        let mut told = Told::default();
        let said: Vec<u64> = (0..1_800).filter(|s| told.is_news("refused", Duration::from_secs(*s))).collect();
        assert_eq!(said, [0, 600, 1_200]);
        assert!(told.is_news("not authorised", Duration::from_secs(1_800)));
    }
}
