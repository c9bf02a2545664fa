//! Positions and reports of the app: OwnTracks over HTTP, and app events.

use std::fmt;

use passage_protocol::{InstallationId, Millis, Phase, StoreId};

/// One position of an installation. It lives and dies in the gateway's memory; Debug output hides it.
#[derive(Clone, PartialEq)]
pub struct Fix {
    /// Whose.
    pub installation: InstallationId,
    /// When the phone measured it.
    pub at: Millis,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// 68 % radius in metres; `None` when the app sent none or 0.
    pub accuracy_m: Option<f64>,
    /// km/h, when known.
    pub speed_kmh: Option<f64>,
}

impl fmt::Debug for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fix {{ at: {}, .. }}", self.at)
    }
}

/// The app's own word that it is in, or has left, a store: it was woken by the shop's beacon or by a region of the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEvent {
    /// Whose app.
    pub installation: InstallationId,
    /// Which store.
    pub store: StoreId,
    /// `enter` or `exit`.
    pub phase: Phase,
    /// When.
    pub at: Millis,
}
