//! Bytes of an advert to a sighting of one of our beacons, or nothing. A gateway holds no keys: it knows the brands' namespaces and the
//! registered cards and fobs, everything else is a stranger and leaves no trace here.

use std::collections::HashMap;

use passage_config::{Brand, Namespace, Site};
use passage_protocol::{Millis, StaticBeacon, Subject, rid::RidPayload};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use self::frame::{Eddystone, Frame, Proximity, eddystone, frames};
use crate::radio::Advert;

pub mod ad;
pub mod encode;
pub mod frame;

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
    registered: HashMap<Id, StaticBeacon>,
}

/// What a registered card or fob puts on the air.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    IBeacon([u8; 20]),
    AltBeacon([u8; 20]),
    EddystoneUid([u8; 10], [u8; 6]),
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
            decoder.registered.extend(brand.beacons.iter().filter_map(|beacon| Some((Id::of(beacon)?, beacon.clone()))));
        }
        decoder
    }

    /// True when no brand is known: every beacon is a stranger's.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// The first sighting in an advert; `None` for strangers, for broken structures and when the radio gave no strength.
    pub fn sighting(&self, advert: &Advert) -> Option<Sighting> {
        self.sightings(advert).next()
    }

    /// All sightings in an advert. A beacon that stands in it twice, such as an app on two carriers, is one sighting. Nothing is allocated
    /// before the first of ours is found.
    pub fn sightings<'a>(&'a self, advert: &'a Advert) -> impl Iterator<Item = Sighting> + 'a {
        let data: &[u8] = if advert.rssi == RSSI_UNKNOWN { &[] } else { &advert.data };
        let mut before = Vec::new();
        frames(data).filter_map(move |frame| {
            let (subject, tx_power) = self.known(&frame)?;
            if before.contains(&subject) {
                return None;
            }
            before.push(subject.clone());
            Some(Sighting { at: advert.at, subject, rssi: advert.rssi, tx_power })
        })
    }

    /// Who of ours sends this frame, and the RSSI at 1 m that it claims.
    pub fn known(&self, frame: &Frame<'_>) -> Option<(Subject, i8)> {
        match *frame {
            Frame::IBeacon(beacon) => self.ibeacon(&beacon),
            Frame::AltBeacon { beacon, .. } => self.registered(&Id::AltBeacon(*beacon.id), beacon.power_1m),
            Frame::Eddystone(Eddystone::Uid { power_0m, namespace, instance }) => {
                self.registered(&Id::EddystoneUid(*namespace, *instance), eddystone::power_at_1m(power_0m))
            }
            Frame::ServiceData { uuid, data } => self.service_data(uuid, data.try_into().ok()?),
            Frame::ServiceUuid(uuid) => self.service_uuid(uuid),
            Frame::Eddystone(_) | Frame::Battery(_) => None,
        }
    }

    /// The carrier of an Android phone: the 10 bytes behind the brand's UUID.
    fn service_data(&self, uuid: &[u8; 16], payload: &[u8; 10]) -> Option<(Subject, i8)> {
        let uuid = written(uuid);
        if self.in_namespace(|namespace| namespace.service_uuid.ct_eq(&uuid)) { rid(payload) } else { None }
    }

    /// The carrier of an app that may only list services: 6 brand bytes and the 10 bytes are the UUID.
    fn service_uuid(&self, uuid: &[u8; 16]) -> Option<(Subject, i8)> {
        let uuid = written(uuid);
        let (brand, payload) = uuid.split_first_chunk::<6>()?;
        let ours = |namespace: &Namespace| namespace.uuid_prefix.map_or(Choice::from(0), |prefix| prefix.ct_eq(brand));
        if self.in_namespace(ours) { rid(payload.try_into().ok()?) } else { None }
    }

    /// The iBeacon carrier, whose last byte is the power byte, or a registered card or fob.
    fn ibeacon(&self, beacon: &Proximity<'_>) -> Option<(Subject, i8)> {
        let (brand, rest) = beacon.id.split_first_chunk::<11>()?;
        if !self.in_namespace(|namespace| namespace.ibeacon.ct_eq(brand)) {
            return self.registered(&Id::IBeacon(*beacon.id), beacon.power_1m);
        }
        let mut payload = [0; 10];
        payload[..9].copy_from_slice(rest);
        payload[9..].copy_from_slice(&beacon.power_1m.to_be_bytes());
        rid(&payload)
    }

    fn registered(&self, id: &Id, power_1m: i8) -> Option<(Subject, i8)> {
        self.registered.get(id).map(|beacon| (Subject::Beacon(beacon.clone()), power_1m))
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

impl Id {
    /// `None` when an id is not made of the hex digits of its kind.
    fn of(beacon: &StaticBeacon) -> Option<Self> {
        Some(match beacon {
            StaticBeacon::IBeacon { uuid, major, minor } => Self::IBeacon(proximity(uuid, *major, *minor)?),
            StaticBeacon::AltBeacon { uuid, major, minor } => Self::AltBeacon(proximity(uuid, *major, *minor)?),
            StaticBeacon::EddystoneUid { namespace, instance } => Self::EddystoneUid(bytes(namespace)?, bytes(instance)?),
        })
    }
}

/// A UUID in the order in which it is written; on the air it is little-endian.
fn written(uuid: &[u8; 16]) -> [u8; 16] {
    let mut uuid = *uuid;
    uuid.reverse();
    uuid
}

/// RID v1 in the 10 bytes of a carrier.
fn rid(payload: &[u8; 10]) -> Option<(Subject, i8)> {
    let payload = RidPayload::from_bytes(payload)?;
    Some((Subject::Rid { rid: payload.rid, hint: payload.hint }, payload.tx_power))
}

fn proximity(uuid: &str, major: u16, minor: u16) -> Option<[u8; 20]> {
    let mut id = [0; 20];
    id[..16].copy_from_slice(&bytes::<16>(uuid)?);
    id[16..18].copy_from_slice(&major.to_be_bytes());
    id[18..].copy_from_slice(&minor.to_be_bytes());
    Some(id)
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests;
