//! How the radio of a gateway does, and its positions: counters for people who look after the fleet. Nothing is decided by them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::WireError;

/// Counters of a radio. They travel with the retained state of their gateway, as the MQTT 5 user property [`RadioCounters::PROPERTY`] of that message.
///
/// They are no part of its payload, because who reads a state refuses keys that he does not know: a hub, or another position gateway, of before these
/// counters goes on reading the states of gateways that send them. A topic of their own would not do either: a broker whose rights are of before them
/// may end the connection of a gateway that writes there. For the same reasons unknown keys are passed over here, so that a later gateway can
/// count more. Counters begin anew with each opening of the radio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioCounters {
    /// Adverts of anybody that held what could be a beacon.
    pub adverts: u64,
    /// Those of the last full 10 s.
    pub adverts_10s: u64,
    /// Adverts of our own beacons, since the start of the gateway.
    pub sightings: u64,
    /// Those of the last full 10 s.
    pub sightings_10s: u64,
    /// Milliseconds since anything was heard; since the radio was opened, if nothing was.
    pub silent_ms: u64,
    /// Adverts that wait to be decided.
    pub queued: u64,
    /// Adverts that were dropped because the queue was full.
    pub dropped: u64,
    /// How often it was brought back.
    pub restarts: RadioRestarts,
}

/// How often a radio was brought back, by the means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioRestarts {
    /// The scan was started again.
    pub scan: u64,
    /// A new connection to the Bluetooth daemon.
    pub connection: u64,
    /// The Bluetooth daemon was restarted.
    pub daemon: u64,
}

impl RadioCounters {
    /// Name of the user property.
    pub const PROPERTY: &'static str = "radio";

    /// Reads the JSON form.
    ///
    /// # Errors
    /// It is not one.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        crate::read("radio counters", bytes)
    }

    /// The JSON form.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What became of the positions and app reports of a position gateway since its start: how many met which fate. Numbers only; they travel as
/// [`RadioCounters`] do, as the user property [`PositionCounters::PROPERTY`]; which fates there are is the gateway's business.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PositionCounters(pub BTreeMap<String, u64>);

impl PositionCounters {
    /// Name of the user property.
    pub const PROPERTY: &'static str = "positions";

    /// Reads the JSON form.
    ///
    /// # Errors
    /// It is not one.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        crate::read("position counters", bytes)
    }

    /// The JSON form.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
