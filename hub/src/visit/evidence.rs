//! What speaks for a member being in or at a store, from gateways and from the counter.

use passage_config::{FenceKind, PresenceRules};
use passage_protocol::{GatewayId, Millis, Phase, Signal, Strength, Zone};
use serde::{Deserialize, Serialize};

use crate::{identity::member::words, visit::span::Span};

use std::str::FromStr;

words! {
    /// By what a visit is known.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Kind {
        /// The shop's radio heard her phone, card or fob.
        Beacon = "beacon",
        /// Her app said so, woken by the shop's beacon or by a region of the phone.
        App = "app",
        /// Her phone's position.
        Position = "position",
        /// A ticket of the till with one of her identifiers.
        Till = "till",
        /// Her loyalty card was read in the shop.
        Card = "card",
        /// She picked up an order.
        Pickup = "pickup",
        /// She tried something on, with her name on the ticket of the cabin.
        Fitting = "fitting",
    }
}

/// How well a piece of evidence proves that she is inside, as far as it was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// How much louder than the `enter_dbm` of the gateway the radio heard her, or her app the shop's beacon, dB; `None` when nobody said how loud.
    pub above_db: Option<i8>,
    /// A position whose radius is at most half that of the geofence.
    pub fine: bool,
}

/// Who says so.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// An event of a gateway.
    Gateway {
        /// Which one. Several may hang in one store.
        gateway: GatewayId,
        /// Radio zone or geofence.
        zone: Zone,
        /// Kind of the geofence; `None` for radio zones, app events, and geofences that no configuration knows any more.
        fence_kind: Option<FenceKind>,
        /// How it was noticed.
        signal: Signal,
        /// As the gateway measured it.
        strength: Strength,
    },
    /// Somebody at the counter had one of her identifiers in hand.
    Counter(Kind),
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Who says so.
    pub source: Source,
    /// How well it proves that she is inside.
    pub weight: Weight,
    /// Came, still there, left.
    pub phase: Phase,
    /// First evidence.
    pub first: Millis,
    /// Last evidence.
    pub last: Millis,
    /// Was inside when first seen.
    pub initial: bool,
    /// Came too late to be a reason for anything but the record.
    pub late: bool,
}

/// Where a piece of evidence puts the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Inside(Kind),
    Nearby,
    Front,
}

impl Evidence {
    /// A moment at the counter. It never triggers an offer: who pays is about to leave.
    pub fn counter(kind: Kind, at: Millis) -> Self {
        let source = Source::Counter(kind);
        Self { source, weight: Weight::default(), phase: Phase::Dwell, first: at, last: at, initial: false, late: true }
    }

    pub(crate) fn place(&self) -> Option<Place> {
        let (zone, signal, fence_kind) = match &self.source {
            Source::Counter(kind) => return Some(Place::Inside(*kind)),
            Source::Gateway { zone, signal, fence_kind, .. } => (zone, *signal, *fence_kind),
        };
        let by = |signal| match signal {
            Signal::Beacon => Kind::Beacon,
            Signal::App => Kind::App,
            Signal::Position => Kind::Position,
        };
        match (zone, signal, fence_kind) {
            (Zone::In, signal, _) => Some(Place::Inside(by(signal))),
            (_, Signal::App, Some(FenceKind::Store)) => Some(Place::Inside(Kind::App)),
            (_, _, Some(FenceKind::Store)) => Some(Place::Inside(Kind::Position)),
            (_, _, Some(FenceKind::Nearby)) => Some(Place::Nearby),
            (Zone::Front, ..) => Some(Place::Front),
            (Zone::Fence(_), _, None) => None,
        }
    }

    /// From the first to the last evidence.
    pub fn span(&self) -> Span {
        Span(self.first.min(self.last), self.first.max(self.last))
    }

    /// The stay at its gateway: the end of one at a gateway says nothing about those at others.
    pub(crate) fn watch(&self) -> Option<String> {
        match &self.source {
            Source::Gateway { gateway, zone, .. } => Some(format!("{gateway} {zone} {}", self.first)),
            Source::Counter(_) => None,
        }
    }

    /// The 68 % radius of a position, in metres.
    pub(crate) fn accuracy_m(&self) -> Option<f32> {
        match &self.source {
            Source::Gateway { strength: Strength::Position { accuracy_m, .. }, .. } => Some(*accuracy_m),
            _ => None,
        }
    }

    /// In how many words the app said how loud it heard the beacon; `None` when it did not say so.
    pub(crate) fn words(&self) -> Option<u32> {
        match &self.source {
            Source::Gateway { signal: Signal::App, strength: Strength::Radio { count, .. }, .. } => Some(*count),
            _ => None,
        }
    }

    /// The median strength at the radio, dBm.
    pub(crate) fn rssi(&self) -> Option<i8> {
        match &self.source {
            Source::Gateway { signal: Signal::Beacon, strength: Strength::Radio { rssi, .. }, .. } => Some(*rssi),
            _ => None,
        }
    }
}

/// Weighs an event of a gateway by the thresholds of its zone `in`. `radius_m` is that of the circle with the area of the geofence.
pub fn weigh(strength: &Strength, presence: &PresenceRules, radius_m: Option<f64>) -> Weight {
    match strength {
        Strength::Radio { rssi, .. } => Weight { above_db: Some(rssi.saturating_sub(presence.inside.enter_dbm)), fine: false },
        Strength::Position { accuracy_m, .. } => {
            let fine = radius_m.is_some_and(|radius| *accuracy_m > 0.0 && f64::from(*accuracy_m) <= radius / 2.0);
            Weight { above_db: None, fine }
        }
        Strength::App => Weight::default(),
    }
}
