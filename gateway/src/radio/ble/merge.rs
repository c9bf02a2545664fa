//! btleplug's maps and half adverts to whole ones. Pure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::beacon::ad;

/// Most senders whose last strength is remembered.
const SENDERS: usize = 4096;
/// A strength belongs to payloads that come within this; BlueZ forgets a silent sender after the same time.
const FRESH: Duration = Duration::from_secs(30);
/// Where the 32 free bits of a short UUID stand in the Bluetooth base UUID.
const BASE: u128 = 0x0000_0000_0000_1000_8000_0080_5f9b_34fb;

/// The last strength of each sender. BlueZ tells it before the payload, and only when it has changed.
#[derive(Debug, Default)]
pub struct Strengths {
    last: HashMap<[u8; 6], (i8, Instant)>,
}

impl Strengths {
    /// A sender was heard with this strength.
    pub fn heard(&mut self, address: [u8; 6], rssi: i16, now: Instant) {
        if self.last.len() >= SENDERS && !self.last.contains_key(&address) {
            self.last.retain(|_, (_, at)| now.duration_since(*at) < FRESH);
            if self.last.len() >= SENDERS {
                self.last.clear();
            }
        }
        let rssi = i8::try_from(rssi.clamp(-128, 127)).unwrap_or(i8::MIN);
        self.last.insert(address, (rssi, now));
    }

    /// The strength of a payload that came now; `None` when none was told lately.
    pub fn of(&mut self, address: [u8; 6], now: Instant) -> Option<i8> {
        let (rssi, at) = self.last.get_mut(&address)?;
        if now.duration_since(*at) >= FRESH {
            return None;
        }
        *at = now;
        Some(*rssi)
    }
}

/// The AD structures of manufacturer data, by company id.
pub fn manufacturer_data(companies: &HashMap<u16, Vec<u8>>) -> Vec<u8> {
    let mut data = Vec::new();
    for (company, value) in companies {
        ad::push(&mut data, ad::MANUFACTURER, &[&company.to_le_bytes(), value]);
    }
    data
}

/// The AD structures of service data, by service.
pub fn service_data(services: &HashMap<Uuid, Vec<u8>>) -> Vec<u8> {
    let mut data = Vec::new();
    for (service, value) in services {
        match short(*service) {
            Some(short) => ad::push(&mut data, ad::SERVICE_DATA_16, &[&short.to_le_bytes(), value]),
            None => ad::push(&mut data, ad::SERVICE_DATA_128, &[&service.as_u128().to_le_bytes(), value]),
        }
    }
    data
}

/// The 16-bit form of a UUID that has one.
fn short(uuid: Uuid) -> Option<u16> {
    let bits = uuid.as_u128();
    if bits & !(0xffff_u128 << 96) == BASE { u16::try_from(bits >> 96).ok() } else { None }
}

/// The address at the end of a BlueZ device path, `hci0/dev_AA_BB_CC_DD_EE_FF`.
pub fn address(device: &str) -> Option<[u8; 6]> {
    let digits: String = device.rsplit("dev_").next()?.split('_').collect();
    let mut address = [0; 6];
    hex::decode_to_slice(digits, &mut address).ok()?;
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

    #[test]
    fn a_payload_takes_the_strength_that_was_told_last() {
        let (mut strengths, now) = (Strengths::default(), Instant::now());
        assert_eq!(strengths.of(A, now), None);
        strengths.heard(A, -60, now);
        strengths.heard(A, -61, now);
        assert_eq!(strengths.of(A, now), Some(-61));
        assert_eq!(strengths.of(A, now + Duration::from_secs(20)), Some(-61), "an unchanged strength is not told again");
        assert_eq!(strengths.of(A, now + Duration::from_secs(45)), Some(-61));
        assert_eq!(strengths.of(A, now + Duration::from_secs(80)), None);
    }

    #[test]
    fn ever_new_addresses_cost_bounded_memory() {
        let (mut strengths, now) = (Strengths::default(), Instant::now());
        for n in 0..20_000u32 {
            let [a, b, c, d] = n.to_be_bytes();
            strengths.heard([0, 0, a, b, c, d], -60, now);
            assert!(strengths.last.len() <= SENDERS);
        }
    }

    #[test]
    fn maps_become_the_structures_that_were_on_the_air() {
        let apple = HashMap::from([(0x004c, vec![2, 0x15])]);
        assert_eq!(manufacturer_data(&apple), [5, 0xff, 0x4c, 0x00, 2, 0x15]);
        let battery = HashMap::from([(Uuid::from_u128(0x0000_180f_0000_1000_8000_0080_5f9b_34fb), vec![99])]);
        assert_eq!(service_data(&battery), [4, 0x16, 0x0f, 0x18, 99]);
        let ours = HashMap::from([(Uuid::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]), vec![0x1c])]);
        assert_eq!(service_data(&ours), [18, 0x21, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0x1c]);
        assert!(manufacturer_data(&HashMap::from([(1, vec![0; 300])])).is_empty(), "no advert is that long");
    }

    #[test]
    fn the_address_is_read_from_the_path() {
        assert_eq!(address("hci0/dev_AA_BB_CC_DD_EE_FF"), Some(A));
        assert_eq!(address("hci0"), None);
        assert_eq!(address("hci0/dev_AA_BB"), None);
    }
}
