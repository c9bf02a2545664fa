//! What our beacons put on the air: the AD structures that the decoder reads. For virtual phones and tests.

use passage_config::Namespace;
use passage_protocol::{StaticBeacon, rid::RidPayload};

use super::{
    Id, ad,
    frame::{self, eddystone},
    written,
};

/// Flags of an advertiser that is only Low Energy and is discoverable.
const LE_ONLY: &[u8] = &[0x06];
/// Company id of an AltBeacon whose maker has none.
const NO_COMPANY: [u8; 2] = [0xff, 0xff];

/// RID v1 in service data under the brand's 128-bit UUID, as an Android app advertises it: 31 bytes.
pub fn service_data(namespace: &Namespace, payload: RidPayload) -> Vec<u8> {
    advert(ad::SERVICE_DATA_128, &[&written(&namespace.service_uuid), &payload.to_bytes()])
}

/// RID v1 in an iBeacon: the brand's 11 bytes, the version and hint byte, the id; then the power byte. 30 bytes.
pub fn ibeacon_rid(namespace: &Namespace, payload: RidPayload) -> Vec<u8> {
    ibeacon(&[&namespace.ibeacon, &payload.to_bytes()])
}

/// RID v1 as the UUID of a service: 21 bytes. `None` for a brand that does not use this carrier.
pub fn service_uuid(namespace: &Namespace, payload: RidPayload) -> Option<Vec<u8>> {
    let uuid = payload.to_uuid(&namespace.uuid_prefix?);
    Some(advert(ad::SERVICE_UUIDS_128_ALL, &[&written(&uuid)]))
}

/// A registered card or fob with this strength at 1 m. `None` when its ids are not made of the hex digits of its kind.
pub fn static_beacon(beacon: &StaticBeacon, power_1m: i8) -> Option<Vec<u8>> {
    let power = power_1m.to_be_bytes();
    Some(match Id::of(beacon)? {
        Id::IBeacon(id) => ibeacon(&[&id, &power]),
        Id::AltBeacon(id) => advert(ad::MANUFACTURER, &[&NO_COMPANY, &frame::ALTBEACON, &id, &power, &[0]]),
        Id::EddystoneUid(namespace, instance) => eddystone_uid(&namespace, &instance, power_1m),
    })
}

fn eddystone_uid(namespace: &[u8; 10], instance: &[u8; 6], power_1m: i8) -> Vec<u8> {
    let mut data = advert(ad::SERVICE_UUIDS_16_ALL, &[&eddystone::SERVICE]);
    let power = eddystone::power_at_0m(power_1m).to_be_bytes();
    ad::push(&mut data, ad::SERVICE_DATA_16, &[&eddystone::SERVICE, &[0x00], &power, namespace, instance, &[0, 0]]);
    data
}

/// An iBeacon with these 20 bytes and its power byte.
fn ibeacon(parts: &[&[u8]]) -> Vec<u8> {
    let mut value: Vec<&[u8]> = vec![&frame::IBEACON];
    value.extend(parts);
    advert(ad::MANUFACTURER, &value)
}

/// The flags and one structure.
fn advert(kind: u8, value: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::with_capacity(31);
    ad::push(&mut data, ad::FLAGS, &[LE_ONLY]);
    ad::push(&mut data, kind, value);
    data
}
