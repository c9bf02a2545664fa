//! Virtual phones: what a gateway hears of people who walk in and out. Seeded, so that the same plan gives the same adverts.

use std::time::Duration;

use passage_config::Namespace;
use passage_protocol::{ChainKey, Clock, Millis, rid, rid::RidPayload};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Advert, Paced, RadioError};
use crate::beacon::{ad, encode};

mod crowd;
mod walk;

pub use crowd::{Crowd, merge};
pub use walk::Walk;

/// Path loss exponent of a furnished room (field measurements give 2.7 to 3).
const PATH_LOSS: f64 = 2.7;
/// Standard deviation of the strength of single adverts in dB: fading, bodies, the three channels.
const NOISE_DB: f64 = 4.0;
/// Share of adverts that no receiver hears.
const LOSS: f64 = 0.1;
/// Weaker adverts are lost, dBm.
const SENSITIVITY: f64 = -100.0;
/// Mean time between adverts of an Android app in low-power mode.
const EVERY: Duration = Duration::from_secs(1);
/// Most seconds behind the edge of a window at which an app changes its id.
const LAG_SECS: i64 = 120;

/// How an app puts its id on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Service data under the brand's UUID: Android.
    ServiceData,
    /// iBeacon: an iPhone whose app is open.
    IBeacon,
}

/// A phone with the brand's app.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Same seed, same noise, same addresses.
    pub seed: u64,
    /// Key of its installation for the day of the walk or an earlier one.
    pub key: ChainKey,
    /// The brand's.
    pub namespace: Namespace,
    /// How it advertises.
    pub carrier: Carrier,
    /// RSSI in dBm at 1 m.
    pub tx_power: i8,
}

impl Phone {
    /// What a gateway hears of the phone on its walk, in the order of time. The id and the address change together, 0 to 120 s behind the
    /// edge of each window. Nothing is heard before the first day of the key.
    pub fn adverts(&self, walk: &Walk) -> impl Iterator<Item = Advert> + Send + use<> {
        let phone = self.clone();
        let mut on_air: Option<(i64, [u8; 6], Vec<u8>)> = None;
        Air::new(self.seed, self.tx_power, walk).filter_map(move |(at, rssi)| {
            let window = phone.window(at);
            if on_air.as_ref().is_none_or(|(of, ..)| *of != window) {
                on_air = Some((window, random_address(phone.seed, window), phone.data(window)?));
            }
            on_air.as_ref().map(|(_, address, data)| Advert { at, address: *address, rssi, data: data.clone() })
        })
    }

    /// The window whose id is on the air at a time.
    fn window(&self, at: Millis) -> i64 {
        let edge = rid::window_at(at);
        let lag = ChaCha8Rng::seed_from_u64(self.seed ^ edge.unsigned_abs()).random_range(0..=LAG_SECS);
        // In the first moments of the key's own day the app has no older id to stay with.
        rid::window_at(Millis(at.0 - lag * 1000)).max(self.key.day * rid::WINDOWS_PER_DAY).min(edge)
    }

    fn data(&self, window: i64) -> Option<Vec<u8>> {
        let id = self.key.for_day(rid::day_of(window))?.rid(window);
        let payload = RidPayload::new(window, id, self.tx_power);
        Some(match self.carrier {
            Carrier::ServiceData => encode::service_data(&self.namespace, payload),
            Carrier::IBeacon => encode::ibeacon_rid(&self.namespace, payload),
        })
    }
}

/// What a gateway hears of somebody who is none of ours: headphones, watches, other apps.
pub fn stranger(seed: u64, walk: &Walk) -> impl Iterator<Item = Advert> + Send + use<> {
    Air::new(seed, -59, walk).map(move |(at, rssi)| {
        let window = rid::window_at(at);
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(window.unsigned_abs()));
        let mut payload = [0; 12];
        rng.fill_bytes(&mut payload);
        let mut data = Vec::new();
        ad::push(&mut data, ad::FLAGS, &[&[0x1a]]);
        if seed.is_multiple_of(2) {
            ad::push(&mut data, ad::MANUFACTURER, &[&[0x4c, 0x00, 0x10, 0x0a], &payload]);
        } else {
            ad::push(&mut data, ad::SERVICE_DATA_16, &[&[0x6f, 0xfd], &payload]);
        }
        Advert { at, address: random_address(seed, window), rssi, data }
    })
}

/// A source of adverts that are made up as time goes by.
pub fn source<I: Iterator<Item = Advert> + Send>(
    adverts: I,
    clock: Clock,
) -> Paced<impl Iterator<Item = Result<Advert, RadioError>> + Send> {
    Paced::live(adverts.map(Ok), clock)
}

/// Times and strengths of the adverts of one sender that come through.
struct Air {
    rng: ChaCha8Rng,
    walk: Walk,
    tx_power: f64,
    at: Millis,
}

impl Air {
    fn new(seed: u64, tx_power: i8, walk: &Walk) -> Self {
        // Each walk of a phone has its own noise.
        let rng = ChaCha8Rng::seed_from_u64(seed ^ walk.arrives.0.unsigned_abs().rotate_left(17));
        Self { rng, walk: walk.clone(), tx_power: f64::from(tx_power), at: walk.arrives }
    }

    fn strength(&mut self) -> f64 {
        let metres = self.walk.distance_at(self.at).max(0.1);
        // The sum of twelve is nearly normal with standard deviation 1.
        let noise = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
        self.tx_power - 10.0 * PATH_LOSS * metres.log10() + NOISE_DB * noise
    }
}

impl Iterator for Air {
    type Item = (Millis, i8);
    fn next(&mut self) -> Option<(Millis, i8)> {
        loop {
            // The standard adds up to 10 ms to every interval, so that senders do not collide for ever.
            self.at = self.at + EVERY + Duration::from_millis(self.rng.random_range(0..=10));
            if self.at > self.walk.leaves {
                return None;
            }
            let strength = self.strength();
            let is_lost = self.rng.random_bool(LOSS) || strength < SENSITIVITY;
            #[expect(clippy::cast_possible_truncation, reason = "clamped to what a radio reports")]
            if !is_lost {
                return Some((self.at, strength.round().clamp(-100.0, 20.0) as i8));
            }
        }
    }
}

/// A resolvable-looking random address that changes with the window.
fn random_address(seed: u64, window: i64) -> [u8; 6] {
    let mut address = [0; 6];
    ChaCha8Rng::seed_from_u64(seed.rotate_left(32) ^ window.unsigned_abs()).fill_bytes(&mut address);
    if let Some(first) = address.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    address
}

#[cfg(test)]
mod tests;
