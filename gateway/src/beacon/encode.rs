//! What our beacons put on the air: the AD structures that the decoder reads. For virtual phones and tests.

use passage_config::Namespace;
use passage_protocol::{StaticBeacon, rid::RidPayload};

use super::{IBEACON_HEAD, ad};

/// Flags of an advertiser that is only Low Energy and is discoverable.
const LE_ONLY: &[u8] = &[0x06];

/// RID v1 in service data under the brand's 128-bit UUID, as an Android app advertises it: 31 bytes.
pub fn service_data(namespace: &Namespace, payload: RidPayload) -> Vec<u8> {
    let mut uuid = namespace.service_uuid;
    uuid.reverse();
    let mut data = Vec::with_capacity(31);
    ad::push(&mut data, ad::FLAGS, &[LE_ONLY]);
    ad::push(&mut data, ad::SERVICE_DATA_128, &[&uuid, &payload.to_bytes()]);
    data
}

/// RID v1 in an iBeacon: the brand's 11 bytes, the version and hint byte, the id; then the power byte. 30 bytes.
pub fn ibeacon_rid(namespace: &Namespace, payload: RidPayload) -> Vec<u8> {
    ibeacon(&[&namespace.ibeacon, &payload.to_bytes()])
}

/// A registered card or fob. `None` when its UUID is not 32 hex digits.
pub fn static_beacon(beacon: &StaticBeacon, tx_power: i8) -> Option<Vec<u8>> {
    Some(ibeacon(&[&super::static_bytes(beacon)?, &tx_power.to_be_bytes()]))
}

/// An iBeacon with these 20 bytes and its power byte.
fn ibeacon(parts: &[&[u8]]) -> Vec<u8> {
    let mut value: Vec<&[u8]> = vec![&IBEACON_HEAD];
    value.extend(parts);
    let mut data = Vec::with_capacity(30);
    ad::push(&mut data, ad::FLAGS, &[LE_ONLY]);
    ad::push(&mut data, ad::MANUFACTURER, &value);
    data
}
