//! A phone with the brand's app: it advertises RID v1. Written from the description of the format, not with the gateway's own encoder, so that
//! the two check each other.

use std::time::Duration;

use passage_protocol::{
    ChainKey, Millis, Rid,
    rid::{self, RidPayload},
};

const FLAGS: &[u8] = &[0x02, 0x01, 0x06];
/// Apple's company id, then the type and length of an iBeacon.
const IBEACON: &[u8] = &[0x4c, 0x00, 0x02, 0x15];

/// An app on a phone.
#[derive(Clone)]
pub struct App {
    pub(super) key: [u8; 32],
    /// UTC day that the key is for; `None` is the day on which the scenario starts.
    pub(super) day: Option<i64>,
    /// Where its adverts are recognised.
    pub brand: Brand,
    /// How the id is carried.
    pub carrier: Carrier,
    /// RSSI in dBm at 1 m, as the payload says.
    pub tx_power: i8,
    /// How long after the edge of a window the id changes.
    pub lag: Duration,
}

/// The namespace of a brand, of which a carrier needs one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brand {
    /// 128-bit UUID of the service data, in the order of its text.
    pub service_uuid: [u8; 16],
    /// The 11 fixed bytes of the iBeacon carrier.
    pub ibeacon: [u8; 11],
    /// The 6 fixed bytes of the carrier by service UUID.
    pub uuid_prefix: [u8; 6],
}

/// How an app puts its id on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Service data under the brand's UUID: Android.
    ServiceData,
    /// iBeacon: an iPhone whose app is open.
    Ibeacon,
    /// A service UUID of 6 brand bytes and the payload.
    ServiceUuid,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App {{ carrier: {:?}, key: .. }}", self.carrier)
    }
}

impl App {
    /// The key of an instance for the day of the scenario's start: that of the file with the number of the instance in its last 4 bytes (XOR).
    pub fn key(&self, instance: u32, start: Millis) -> ChainKey {
        let mut key = self.key;
        for (byte, n) in key[28..].iter_mut().zip(instance.to_be_bytes()) {
            *byte ^= n;
        }
        ChainKey { day: self.day.unwrap_or_else(|| rid::day_of(rid::window_at(start))), key }
    }

    /// The window whose id is on the air at a business time. Right after midnight of the key's own day there is no older id to lag with.
    pub fn window(&self, at: Millis, key: &ChainKey) -> i64 {
        rid::window_at(at - self.lag).max(key.day.saturating_mul(rid::WINDOWS_PER_DAY))
    }

    /// The id of a window; `None` before the key's day.
    pub fn rid(key: &ChainKey, window: i64) -> Option<Rid> {
        Some(key.for_day(rid::day_of(window))?.rid(window))
    }

    /// The advertising data of a window; empty before the key's day, when the app has nothing to say.
    pub fn data(&self, key: &ChainKey, window: i64) -> Vec<u8> {
        let Some(id) = Self::rid(key, window) else { return Vec::new() };
        let payload = RidPayload::new(window, id, self.tx_power).to_bytes();
        match self.carrier {
            Carrier::ServiceData => structure(0x21, &[&reversed(self.brand.service_uuid), &payload]),
            Carrier::Ibeacon => structure(0xff, &[IBEACON, &self.brand.ibeacon, &payload]),
            Carrier::ServiceUuid => {
                let mut uuid = [0; 16];
                uuid[..6].copy_from_slice(&self.brand.uuid_prefix);
                uuid[6..].copy_from_slice(&payload);
                structure(0x07, &[&reversed(uuid)])
            }
        }
    }
}

/// UUIDs are little-endian on the air.
fn reversed(mut uuid: [u8; 16]) -> [u8; 16] {
    uuid.reverse();
    uuid
}

/// The flags and one AD structure.
fn structure(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let mut data = FLAGS.to_vec();
    data.extend(u8::try_from(value.len() + 1));
    data.push(kind);
    data.extend(value);
    data
}
