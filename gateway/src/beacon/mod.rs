//! Bytes of an advert to a sighting of one of our beacons, or nothing. A gateway holds no keys: it knows the brands' namespaces and the
//! registered cards and fobs, everything else is a stranger and leaves no trace here.

use std::collections::HashMap;

use passage_config::{Brand, Namespace, Site};
use passage_protocol::{Millis, StaticBeacon, Subject, rid::RidPayload};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::radio::Advert;

pub mod ad;
pub mod encode;

/// What every iBeacon starts with inside its manufacturer data: Apple's company id, type 2, length 21.
const IBEACON_HEAD: [u8; 4] = [0x4c, 0x00, 0x02, 0x15];
/// How a radio says that it could not measure the strength.
const RSSI_UNKNOWN: i8 = 127;

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

/// Recognises the beacons of the brands of a site.
pub struct Decoder {
    namespaces: Vec<Namespace>,
    registered: HashMap<[u8; 20], StaticBeacon>,
}

impl Decoder {
    /// A decoder for all brands of the site.
    pub fn new(site: &Site) -> Self {
        Self::of_brands(site.brands.values())
    }

    /// A decoder for these brands alone.
    pub fn of_brands<'a>(brands: impl IntoIterator<Item = &'a Brand>) -> Self {
        let mut decoder = Self { namespaces: Vec::new(), registered: HashMap::new() };
        for brand in brands {
            decoder.namespaces.push(brand.namespace);
            decoder.registered.extend(brand.beacons.iter().filter_map(|beacon| Some((static_bytes(beacon)?, beacon.clone()))));
        }
        decoder
    }

    /// The sighting in an advert; `None` for strangers, for broken structures and when the radio gave no strength.
    pub fn sighting(&self, advert: &Advert) -> Option<Sighting> {
        if advert.rssi == RSSI_UNKNOWN {
            return None;
        }
        let (subject, tx_power) = ad::structures(&advert.data).find_map(|(kind, value)| self.subject(kind, value))?;
        Some(Sighting { at: advert.at, subject, rssi: advert.rssi, tx_power })
    }

    fn subject(&self, kind: u8, value: &[u8]) -> Option<(Subject, i8)> {
        match kind {
            ad::SERVICE_DATA_128 => self.service_data(value.try_into().ok()?),
            ad::MANUFACTURER => self.ibeacon(value.strip_prefix(&IBEACON_HEAD)?.try_into().ok()?),
            _ => None,
        }
    }

    /// The Android carrier: the UUID, little-endian, and the 10 bytes of RID v1.
    fn service_data(&self, value: &[u8; 26]) -> Option<(Subject, i8)> {
        let (uuid, payload) = value.split_at(16);
        let mut uuid: [u8; 16] = uuid.try_into().ok()?;
        uuid.reverse();
        if self.in_namespace(|namespace| namespace.service_uuid.ct_eq(&uuid)) { rid(payload) } else { None }
    }

    /// The iBeacon carrier, or a registered card or fob: 20 bytes and the power byte.
    fn ibeacon(&self, value: &[u8; 21]) -> Option<(Subject, i8)> {
        let (brand, payload) = value.split_at(11);
        if self.in_namespace(|namespace| namespace.ibeacon[..].ct_eq(brand)) {
            return rid(payload);
        }
        let (id, power) = value.split_at(20);
        let beacon = self.registered.get(id)?;
        Some((Subject::Beacon(beacon.clone()), i8::from_be_bytes([*power.first()?])))
    }

    /// Compares with every namespace and never stops early, so that timing tells nothing about how much of one matched.
    fn in_namespace(&self, matches: impl Fn(&Namespace) -> Choice) -> bool {
        let mut any = 0u8;
        for namespace in &self.namespaces {
            any.conditional_assign(&1, matches(namespace));
        }
        any == 1
    }
}

/// RID v1 in the last 10 bytes of a carrier.
fn rid(payload: &[u8]) -> Option<(Subject, i8)> {
    let payload = RidPayload::from_bytes(payload.try_into().ok()?)?;
    Some((Subject::Rid { rid: payload.rid, hint: payload.hint }, payload.tx_power))
}

/// The 20 bytes that a registered beacon advertises. `None` when its UUID is not 32 hex digits.
fn static_bytes(beacon: &StaticBeacon) -> Option<[u8; 20]> {
    let StaticBeacon::IBeacon { uuid, major, minor } = beacon;
    let mut out = [0; 20];
    hex::decode_to_slice(uuid, &mut out[..16]).ok()?;
    out[16..18].copy_from_slice(&major.to_be_bytes());
    out[18..].copy_from_slice(&minor.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests;
