//! What BlueZ tells of a sender to adverts. Pure.
//!
//! One advert on the air is one signal of BlueZ, and one [`Report`]. What BlueZ leaves out because it has not changed is what the sender was
//! last heard with: its strength, and a service UUID, which is told only once.

use std::time::Instant;

use passage_protocol::Millis;
use uuid::Uuid;

use super::{
    bytes,
    devices::{Device, Devices, UUIDS},
    signal::Report,
};
use crate::radio::Advert;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// An advert.
    Advert(Advert),
    /// An advert without manufacturer data, service data or a 128-bit service UUID: nothing that could be ours.
    Empty,
}

/// The senders in reach, in bounded memory.
#[derive(Debug)]
pub struct Senders {
    devices: Devices,
}

impl Senders {
    /// Nobody has been heard yet.
    pub fn new(now: Instant) -> Self {
        Self { devices: Devices::new(now) }
    }

    /// Takes in what BlueZ tells; gives what was heard, if anything was. `at` is the business time of arrival.
    pub fn take(&mut self, report: Report, at: Millis, now: Instant) -> Option<Heard> {
        let device = self.devices.of(report.address, now);
        if report.is_new {
            // BlueZ had forgotten it: what it says now is all that the sender says now.
            *device = Device::default();
        }
        let fresh = fresh(device, &report.services);
        remember(device, &fresh);
        let brings_nothing = report.data.is_empty() && fresh.is_empty();
        let is_on_air = report.rssi.is_some() || !(report.is_new || brings_nothing);
        if !is_on_air {
            return None;
        }
        device.rssi = report.rssi.map(strength).or(device.rssi);
        let mut data = report.data;
        bytes::services(&mut data, &fresh);
        if data.is_empty() {
            bytes::services(&mut data, &device.services);
        }
        Some(match device.rssi {
            Some(rssi) if !data.is_empty() => Heard::Advert(Advert { at, address: report.address, rssi, data }),
            _ => Heard::Empty,
        })
    }
}

fn strength(rssi: i16) -> i8 {
    i8::try_from(rssi.clamp(-128, 127)).unwrap_or(i8::MIN)
}

/// The services that BlueZ has not told of this sender before.
fn fresh(device: &Device, told: &[Uuid]) -> Vec<Uuid> {
    told.iter().filter(|service| !device.told.contains(service)).take(UUIDS).copied().collect()
}

fn remember(device: &mut Device, fresh: &[Uuid]) {
    if fresh.is_empty() {
        return;
    }
    device.told.extend(fresh);
    let excess = device.told.len().saturating_sub(UUIDS);
    device.told.drain(..excess);
    device.services = fresh.to_vec();
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [0xaa; 6];
    const APPLE: [u8; 5] = [4, 0xff, 0x4c, 0, 9];

    /// Senders, and a clock that goes on by a second with each report.
    struct Bench {
        senders: Senders,
        start: Instant,
        s: i64,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self { senders: Senders::new(start), start, s: 0 }
        }

        fn take(&mut self, report: Report) -> Option<(i8, Vec<u8>)> {
            self.s += 1;
            let now = self.start + std::time::Duration::from_secs(self.s.unsigned_abs());
            match self.senders.take(report, Millis(self.s), now)? {
                Heard::Advert(advert) => {
                    assert_eq!((advert.address, advert.at), (A, Millis(self.s)));
                    Some((advert.rssi, advert.data))
                }
                Heard::Empty => Some((0, Vec::new())),
            }
        }
    }

    fn change(rssi: Option<i16>, data: &[u8], services: &[Uuid]) -> Report {
        Report { address: A, is_new: false, rssi, data: data.to_vec(), services: services.to_vec() }
    }

    fn new(rssi: Option<i16>, data: &[u8], services: &[Uuid]) -> Report {
        Report { is_new: true, ..change(rssi, data, services) }
    }

    fn uuid(n: u128) -> Uuid {
        Uuid::from_u128(0xabcd_0000_0000_0000_0000_0000_0000_0000 + n)
    }

    fn carrier(services: &[Uuid]) -> Vec<u8> {
        let mut data = Vec::new();
        bytes::services(&mut data, services);
        data
    }

    #[test]
    fn a_first_advert_is_heard_with_all_that_the_signal_brings() {
        let whole = [&APPLE[..], &carrier(&[uuid(1)])].concat();
        assert_eq!(Bench::new().take(new(Some(-55), &APPLE, &[uuid(1)])), Some((-55, whole)));
    }

    #[test]
    fn a_strength_that_has_not_changed_is_not_told_and_still_counts() {
        let mut bench = Bench::new();
        assert_eq!(bench.take(change(Some(-60), &APPLE, &[])), Some((-60, APPLE.to_vec())));
        assert_eq!(bench.take(change(None, &APPLE, &[])), Some((-60, APPLE.to_vec())));
    }

    #[test]
    fn data_of_a_sender_whose_strength_was_never_told_is_empty_and_so_is_a_strength_alone() {
        assert_eq!(Bench::new().take(change(None, &APPLE, &[])), Some((0, vec![])));
        assert_eq!(Bench::new().take(change(Some(-60), &[], &[])), Some((0, vec![])));
    }

    #[test]
    fn a_service_uuid_that_is_told_once_is_heard_with_every_later_strength() {
        let mut bench = Bench::new();
        let one = carrier(&[uuid(1)]);
        assert_eq!(bench.take(change(Some(-60), &[], &[uuid(1)])), Some((-60, one.clone())));
        assert_eq!(bench.take(change(Some(-61), &[], &[])), Some((-61, one.clone())));
        assert_eq!(bench.take(change(Some(-62), &[], &[uuid(1)])), Some((-62, one)));
    }

    #[test]
    fn a_rotated_service_uuid_takes_the_place_of_the_old_one() {
        let mut bench = Bench::new();
        bench.take(change(Some(-60), &[], &[uuid(1)]));
        let two = Some((-60, carrier(&[uuid(2)])));
        assert_eq!(bench.take(change(Some(-60), &[], &[uuid(1), uuid(2)])), two);
        assert_eq!(bench.take(change(Some(-60), &[], &[])), two);
    }

    #[test]
    fn a_memory_of_bluez_is_not_heard_and_its_services_are_no_news() {
        let mut bench = Bench::new();
        assert_eq!(bench.take(new(None, &APPLE, &[uuid(1)])), None);
        assert_eq!(bench.take(change(None, &[], &[uuid(1)])), None, "the same again");
        assert_eq!(bench.take(change(Some(-60), &[], &[uuid(1), uuid(2)])), Some((-60, carrier(&[uuid(2)]))));
    }

    #[test]
    fn a_sender_that_bluez_had_forgotten_is_what_it_says_now() {
        let mut bench = Bench::new();
        bench.take(new(Some(-60), &[], &[uuid(1)]));
        assert_eq!(bench.take(new(Some(-70), &[], &[uuid(2), uuid(1)])), Some((-70, carrier(&[uuid(2), uuid(1)]))));
    }

    #[test]
    fn what_is_no_advert_at_all_is_not_heard() {
        assert_eq!(Bench::new().take(change(None, &[], &[])), None, "a device was connected, say");
    }
}
