//! Bytes of an advert to a sighting of one of our beacons, or nothing.

use passage_protocol::{Millis, Subject};

/// An advert of one of our beacons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Business time of arrival.
    pub at: Millis,
    /// Who.
    pub subject: Subject,
    /// dBm.
    pub rssi: i8,
    /// RSSI at 1 m that the beacon claims.
    pub tx_power: i8,
}
