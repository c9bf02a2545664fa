//! Positions and reports of the app: OwnTracks over HTTP and over MQTT, and app events.
//!
//! ```text
//! HTTP: server (door: token) --\
//!                               desk: decode, places, memory --> decider
//! MQTT: broker (sealing: key) -/   ^ group: whose turn   ^ deny: who has ended
//! ```

pub mod app;
mod broker;
mod circles;
mod counters;
mod deny;
mod desk;
mod door;
mod forward;
pub mod group;
mod intake;
mod memory;
pub mod owntracks;
mod places;
mod sealing;
mod server;
#[cfg(test)]
mod tests;
pub mod wakes;

use std::fmt;

use passage_protocol::{InstallationId, Millis, Phase, StoreId, Zone};

pub use self::{
    broker::Broker,
    counters::{Counters, Fate},
    deny::DenyBook,
    desk::{Desk, DeskParts},
    intake::{Admitted, Intake},
    server::{Bound, ListenError, MAX_BODY, PATIENCE, Server},
};

/// One position of an installation. It lives and dies in the gateway's memory; Debug output hides it.
#[derive(Clone, PartialEq)]
pub struct Fix {
    /// Whose.
    pub installation: InstallationId,
    /// When the phone measured it; when it arrived, if its clock was ahead then by more than clocks differ.
    pub at: Millis,
    /// By how much it was; 0 for all others.
    pub ahead_ms: u32,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// 68 % radius in metres; `None` when the app sent none or 0.
    pub accuracy_m: Option<f64>,
    /// km/h, when known.
    pub speed_kmh: Option<f64>,
    /// When the app last said that it is far from every store, if it did since this gateway started: somebody who came from afar was not
    /// "already inside". The far position itself is not kept.
    pub away: Option<Millis>,
    /// The first since another gateway looked after this installation, or might have: what was believed before is worth nothing.
    pub fresh: bool,
}

impl Fix {
    /// The time that the phone gave it.
    pub fn told_at(&self) -> Millis {
        Millis(self.at.0.saturating_add(self.ahead_ms.into()))
    }
}

impl fmt::Debug for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fix {{ at: {}, .. }}", self.at)
    }
}

/// The app's own word that it is in, or has left, a store or a geofence: it was woken by the shop's beacon or by a region of the phone.
/// Debug output hides whose.
#[derive(Clone, PartialEq, Eq)]
pub struct AppEvent {
    /// Whose app.
    pub installation: InstallationId,
    /// Which store.
    pub store: StoreId,
    /// [`Zone::In`] when the app speaks of the store, the geofence when the phone watched one of ours by itself.
    pub zone: Zone,
    /// `enter` or `exit`.
    pub phase: Phase,
    /// When.
    pub at: Millis,
    /// How loud the phone heard the shop's beacon, dBm, when it told it.
    pub rssi: Option<i8>,
}

impl fmt::Debug for AppEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppEvent {{ store: {}, zone: {}, phase: {:?}, at: {}, .. }}", self.store, self.zone, self.phase, self.at)
    }
}
