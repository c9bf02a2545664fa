//! Adverts to the records that this folder reads: for `passage-gateway record`, and for tests.

use passage_protocol::Millis;

use super::{
    super::Advert,
    btsnoop::{EPOCH_US, MAGIC},
};

/// Most data in a legacy report.
const LEGACY_DATA: usize = 31;
/// Most data in one extended report.
const EXTENDED_DATA: usize = 229;

/// The advert as a JSON line, without its end.
pub fn line(advert: &Advert) -> String {
    let (address, data) = (hex::encode(advert.address), hex::encode(&advert.data));
    format!(r#"{{"at":{},"address":"{address}","rssi":{},"data":"{data}"}}"#, advert.at, advert.rssi)
}

/// The header of a btsnoop file of the Linux monitor.
pub fn btsnoop_header() -> Vec<u8> {
    [MAGIC, &1u32.to_be_bytes(), &2001u32.to_be_bytes()].concat()
}

/// One HCI event as a record of such a file, from the first adapter.
pub fn btsnoop_record(at: Millis, event: &[u8]) -> Vec<u8> {
    const MONITOR_EVENT: u32 = 3;
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes();
    let stamp = at.0.saturating_mul(1000).saturating_add(EPOCH_US).to_be_bytes();
    [&length[..], &length, &MONITOR_EVENT.to_be_bytes(), &[0; 4], &stamp, event].concat()
}

/// The advert as HCI events: one LE Advertising Report, or LE Extended Advertising Reports for what is longer than 31 bytes.
pub fn hci_events(advert: &Advert) -> Vec<Vec<u8>> {
    let mut address = advert.address;
    address.reverse();
    let rssi = advert.rssi.to_le_bytes();
    if let Some(length) = u8::try_from(advert.data.len()).ok().filter(|_| advert.data.len() <= LEGACY_DATA) {
        // Not connectable, random address.
        return vec![event(&[&[0x02, 1, 0x03, 1], &address, &[length], &advert.data, &rssi])];
    }
    let parts: Vec<&[u8]> = advert.data.chunks(EXTENDED_DATA).collect();
    let last = parts.len().saturating_sub(1);
    let part = |(index, data): (usize, &&[u8])| {
        let status = if index == last { 0x00 } else { 0x20 };
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        event(&[&[0x0d, 1, status, 0, 1], &address, &[1, 1, 0, 0x7f], &rssi, &[0; 9], &[length], data])
    };
    parts.iter().enumerate().map(part).collect()
}

/// An LE Meta event with these parameters.
fn event(parameters: &[&[u8]]) -> Vec<u8> {
    const LE_META: u8 = 0x3e;
    let parameters = parameters.concat();
    let mut event = vec![LE_META, u8::try_from(parameters.len()).unwrap_or(u8::MAX)];
    event.extend(parameters);
    event
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Capture, *};

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            at in 0i64..4_000_000_000_000, address: [u8; 6], rssi in -120i8..=20, data in prop::collection::vec(any::<u8>(), 0..600)
        ) {
            let advert = Advert { at: Millis(at), address, rssi, data };
            let events = hci_events(&advert).into_iter().flat_map(|event| btsnoop_record(advert.at, &event));
            let btsnoop: Vec<u8> = btsnoop_header().into_iter().chain(events).collect();
            for bytes in [btsnoop, line(&advert).into_bytes()] {
                let read: Vec<_> = Capture::read(std::io::Cursor::new(bytes), "x".into()).unwrap().collect();
                prop_assert_eq!(read, vec![Ok(advert.clone())]);
            }
        }
    }
}
