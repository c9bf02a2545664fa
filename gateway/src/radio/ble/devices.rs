//! What is remembered of each sender between two adverts, for a bounded time and in bounded memory. Pure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// Most senders that are remembered. With phones that change their address every 15 min, this is a crowd of thousands.
pub const MOST: usize = 8192;
/// A silent sender is forgotten after 120 to 240 s; BlueZ itself forgets it after 30 s.
const LIFE: Duration = Duration::from_secs(240);

/// What is known of one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its last strength in dBm. BlueZ may leave out one that has not changed.
    pub rssi: Option<i8>,
    /// The service UUIDs that its last advert with new ones brought. BlueZ tells a UUID once, then never again.
    pub services: Vec<Uuid>,
    /// All service UUIDs that BlueZ has told of it, newest last; at most [`UUIDS`].
    pub told: Vec<Uuid>,
}

/// Most service UUIDs that are remembered of a sender.
pub const UUIDS: usize = 16;

/// The senders in two generations. A sender that is heard moves to the young one. When the young one is full or half a life old, the old one
/// is forgotten and the young one takes its place: no list to sort, and each step is cheap.
#[derive(Debug)]
pub struct Devices {
    young: HashMap<[u8; 6], Device>,
    old: HashMap<[u8; 6], Device>,
    turned: Instant,
}

impl Devices {
    /// Nobody is known.
    pub fn new(now: Instant) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), turned: now }
    }

    /// The sender, as it was left, or an unknown one.
    pub fn of(&mut self, address: [u8; 6], now: Instant) -> &mut Device {
        self.age(now);
        let known = self.old.remove(&address);
        self.young.entry(address).or_insert_with(|| known.unwrap_or_default())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// True when nobody is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn age(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.turned);
        if passed >= LIFE {
            self.old.clear();
        }
        if passed >= LIFE / 2 || self.young.len() >= MOST / 2 {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> [u8; 6] {
        let [a, b, c, d] = n.to_be_bytes();
        [0x40, 0, a, b, c, d]
    }

    #[test]
    fn a_hundred_thousand_rotating_addresses_cost_bounded_memory() {
        let now = Instant::now();
        let mut devices = Devices::new(now);
        for n in 0..100_000 {
            devices.of(address(n), now).rssi = Some(-60);
            assert!(devices.len() <= MOST, "{}", devices.len());
        }
        assert_eq!(devices.of(address(99_999), now).rssi, Some(-60), "the last ones are still known");
        assert_eq!(devices.of(address(0), now).rssi, None, "the first ones are not");
    }

    #[test]
    fn a_sender_is_known_while_it_is_heard_and_forgotten_240_s_after() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut devices = Devices::new(start);
        devices.of(address(1), at(0)).rssi = Some(-50);
        devices.of(address(2), at(0)).rssi = Some(-50);
        for s in (0..1000).step_by(100) {
            assert_eq!(devices.of(address(1), at(s)).rssi, Some(-50), "after {s} s");
        }
        assert_eq!(devices.of(address(2), at(1000)).rssi, None);
        assert_eq!(devices.of(address(1), at(1300)).rssi, None);
    }

    #[test]
    fn somebody_who_is_always_there_survives_a_crowd_of_strangers() {
        let now = Instant::now();
        let mut devices = Devices::new(now);
        for n in 1..50_000 {
            devices.of(address(n), now).rssi = Some(-90);
            if n % 100 == 1 {
                let here = devices.of(address(0), now);
                assert!(n == 1 || here.rssi == Some(-40), "at {n}");
                here.rssi = Some(-40);
            }
        }
    }
}
