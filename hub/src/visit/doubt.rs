//! Stays of one member in several stores that cannot all be true: a copied beacon, a wrong position, a card that was lent, a wall that is thin.
//! Pure.

pub mod replay;

use std::collections::{BTreeMap, BTreeSet};

use passage_config::ContradictionRules;
use passage_protocol::StoreId;
use uuid::Uuid;

use crate::visit::{Reason, Stay, span::Span, stay::millis};

/// Mean radius of the Earth in metres (IUGG).
const EARTH_M: f64 = 6_371_008.8;

/// A stay inside a store, as far as stays elsewhere care.
#[derive(Debug, Clone)]
pub struct Placed<'a> {
    /// The visit.
    pub id: Uuid,
    /// Where.
    pub store: &'a StoreId,
    /// Latitude and longitude of the store in degrees.
    pub at: (f64, f64),
    /// First to last evidence inside.
    pub span: Span,
    /// By what.
    pub proof: Proof,
}

/// What speaks for a stay, from what proves least to what proves most. Her phone is her; a card may be lent, a position may be forged or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Positions alone.
    Position,
    /// The counter.
    Counter,
    /// The app's word.
    App,
    /// The shop's radio, with the loudest median in dBm.
    Radio(i8),
}

impl Proof {
    /// The best that a stay has.
    pub fn of(stay: &Stay) -> Self {
        if !stay.beacon.is_empty() {
            Self::Radio(stay.rssi.unwrap_or(i8::MIN))
        } else if !stay.app.is_empty() {
            Self::App
        } else if !stay.moments.is_empty() {
            Self::Counter
        } else {
            Self::Position
        }
    }

    /// Radio and app hear the same phone.
    fn rank(self) -> u8 {
        match self {
            Self::Position => 0,
            Self::Counter => 1,
            Self::App | Self::Radio(_) => 2,
        }
    }
}

/// What stays of one member say against each other. Stays without a doubt are left out.
pub fn doubts(stays: &[Placed<'_>], rules: &ContradictionRules) -> BTreeMap<Uuid, BTreeSet<Reason>> {
    let mut out: BTreeMap<Uuid, BTreeSet<Reason>> = BTreeMap::new();
    for (i, one) in stays.iter().enumerate() {
        for other in stays.iter().skip(i + 1).filter(|other| other.store != one.store) {
            for (id, reason) in doubt(one, other, rules) {
                out.entry(id).or_default().insert(reason);
            }
        }
    }
    out
}

/// What two stays say against each other.
fn doubt(one: &Placed<'_>, other: &Placed<'_>, rules: &ContradictionRules) -> Vec<(Uuid, Reason)> {
    let metres = metres(one.at, other.at);
    if metres <= f64::from(rules.next_door_m) {
        return next_door(one, other, rules).into_iter().map(|id| (id, Reason::NextDoor)).collect();
    }
    if metres <= f64::from(rules.distant_m) {
        return Vec::new();
    }
    let (first, then) = if one.span <= other.span { (one, other) } else { (other, one) };
    let clocks = millis(rules.clocks);
    let between = then.span.0.since(first.span.1);
    let reason = if between < -clocks {
        Reason::TwoStores
    } else if kmh(metres, between.max(0) + clocks) > f64::from(rules.fastest_kmh) {
        Reason::Teleport
    } else {
        return Vec::new();
    };
    let (a, b) = (one.proof.rank(), other.proof.rank());
    [(one, a <= b), (other, b <= a)].into_iter().filter(|(_, wrong)| *wrong).map(|(stay, _)| (stay.id, reason)).collect()
}

/// The one of two neighbours that heard her through the wall: at the same time for at least half of its stay, and clearly quieter.
fn next_door(one: &Placed<'_>, other: &Placed<'_>, rules: &ContradictionRules) -> Option<Uuid> {
    let (Proof::Radio(a), Proof::Radio(b)) = (one.proof, other.proof) else { return None };
    let (quiet, loud) = if a < b { (one, other) } else { (other, one) };
    let common = quiet.span.1.min(loud.span.1).since(quiet.span.0.max(loud.span.0));
    let clearly = u32::from(a.abs_diff(b)) >= rules.next_door_db;
    (clearly && common >= 0 && common * 2 >= quiet.span.length()).then_some(quiet.id)
}

/// Great-circle distance (haversine).
fn metres(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let (d_lat, d_lon) = (lat_b - lat_a, (b.1 - a.1).to_radians());
    let h = (d_lat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (d_lon / 2.0).sin().powi(2);
    2.0 * EARTH_M * h.sqrt().min(1.0).asin()
}

#[expect(clippy::cast_precision_loss, reason = "a time between two stays")]
fn kmh(metres: f64, ms: i64) -> f64 {
    metres / (ms.max(1) as f64) * 3600.0
}

#[cfg(test)]
mod tests;
