//! Hears beacons and watches geofences in a shop, and reports enter, dwell and exit. The modules stand in the order in which the data flows.

pub mod clock;

pub mod radio;

pub mod beacon;

pub mod presence;

pub mod position;

pub mod wake;

pub mod geofence;

pub mod change;

pub mod site;

pub mod outbox;

pub mod uplink;

pub mod enrol;

pub mod command;

pub mod health;

pub mod pipeline;

pub mod fleet;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;

pub use change::{Change, SavedState};
