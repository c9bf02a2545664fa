//! Which positions matter: near a store that is open, or about to be, or was just now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono_tz::Tz;
use geo::{Distance, Haversine, Point};
use passage_config::{Site, hours::Hours};
use passage_protocol::{FenceId, Millis, StoreId, Zone};

use super::{Fate, circles};

/// Metres per degree of latitude, rounded down so that the first look lets too much pass rather than too little.
const METRES_PER_DEGREE: f64 = 110_000.0;
/// Steps in which the hours around a position are looked up.
const STEP: Duration = Duration::from_secs(1800);
/// Opening hours are looked up once for each stretch of this length.
const STRETCH_MS: i64 = 300_000;

/// The stores and geofences of the site, for decoding.
pub(super) struct Places {
    site: Arc<Site>,
    /// From south to north.
    stores: Vec<Shop>,
    far_m: f64,
    /// Geofences by the `tst` that the phones know them by.
    made: HashMap<i64, FenceId>,
}

struct Shop {
    at: Point<f64>,
    /// Cosine of its latitude.
    narrow: f64,
    hours: Arc<Hours>,
    zone: Tz,
    /// Positions up to this long before opening and after closing matter.
    around: Duration,
    /// The last stretch that was looked up, and its answer.
    known: Mutex<Option<(i64, bool)>>,
}

impl Places {
    pub(super) fn new(site: Arc<Site>, far_m: f64, around: Duration) -> Self {
        let shop = |s: &passage_config::Store| {
            let (hours, known) = (Arc::clone(&s.hours), Mutex::default());
            Shop { at: s.at, narrow: s.at.y().to_radians().cos(), hours, zone: s.timezone, around, known }
        };
        let mut stores: Vec<Shop> = site.stores.values().map(shop).collect();
        stores.sort_by(|a, b| a.at.y().total_cmp(&b.at.y()));
        let made = circles::times(&site).into_iter().map(|(id, tst)| (tst, id)).collect();
        Self { site, stores, far_m, made }
    }

    /// Whether a position at this time may go on; else why not.
    pub(super) fn judge(&self, lat: f64, lon: f64, at: Millis) -> Result<(), Fate> {
        let mut near = self.near(lat, lon).peekable();
        if near.peek().is_none() {
            return Err(Fate::Far);
        }
        if near.any(|s| s.is_lively(at)) { Ok(()) } else { Err(Fate::Closed) }
    }

    /// The shops within reach of a place.
    fn near(&self, lat: f64, lon: f64) -> impl Iterator<Item = &Shop> {
        let reach = self.far_m / METRES_PER_DEGREE;
        let from = self.stores.partition_point(|s| s.at.y() < lat - reach);
        let row = self.stores[from..].iter().take_while(move |s| s.at.y() <= lat + reach);
        let narrow = lat.to_radians().cos();
        let near =
            move |s: &&Shop| !s.is_far_aside(lon, narrow, self.far_m) && Haversine.distance(s.at, Point::new(lon, lat)) <= self.far_m;
        row.filter(near)
    }

    /// The store, or the geofence, that a phone or an app names by its id.
    pub(super) fn named(&self, name: &str) -> Option<(StoreId, Zone)> {
        // A leading '-' only tells the phone to wait a moment before it reports.
        let name = name.trim().trim_start_matches('-').trim();
        let store = name.parse::<StoreId>().ok().filter(|id| self.site.stores.contains_key(id));
        if let Some(id) = store {
            return Some((id, Zone::In));
        }
        self.fence(&name.parse::<FenceId>().ok()?)
    }

    /// The geofence that a phone knows by this `tst`, because we told it so.
    pub(super) fn made_at(&self, tst: i64) -> Option<(StoreId, Zone)> {
        self.fence(self.made.get(&tst)?)
    }

    fn fence(&self, id: &FenceId) -> Option<(StoreId, Zone)> {
        let fence = self.site.geofences.get(id)?;
        Some((fence.store.clone(), Zone::Fence(fence.id.clone())))
    }
}

impl Shop {
    /// True only if the way to the east or west alone is longer than `far_m`: at a price of which many shops can be asked. With the haversine h >=
    /// cos cos' sin^2(dlon / 2), the distance 2 R asin(sqrt h) >= 2 R sqrt(h), and sin x >= x - x^3 / 6. `narrow` is the cosine of the place's latitude.
    fn is_far_aside(&self, lon: f64, narrow: f64, far_m: f64) -> bool {
        /// Below the mean radius of the Earth by more than all rounding.
        const LEAST_DIAMETER_M: f64 = 2.0 * 6_371_000.0;
        let apart = (lon - self.at.x()).abs();
        let half = apart.min(360.0 - apart).to_radians() / 2.0;
        let sine = half - half * half * half / 6.0;
        narrow * self.narrow * (LEAST_DIAMETER_M * sine).powi(2) > far_m * far_m
    }

    /// Open at `at`, or as long before and after as the rules say; looked up in half hours, in stretches of five minutes.
    fn is_lively(&self, at: Millis) -> bool {
        let stretch = at.0.div_euclid(STRETCH_MS);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = known.filter(|(of, _)| *of == stretch) {
            return answer;
        }
        let from = Millis(stretch.saturating_mul(STRETCH_MS)) - self.around;
        let steps = u32::try_from((2 * self.around).as_secs() / STEP.as_secs()).unwrap_or(0);
        let answer = (0..=steps).any(|step| self.hours.is_open(from + STEP * step, self.zone));
        *known = Some((stretch, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shop(lat: f64, lon: f64) -> Shop {
        let hours = Arc::new(Hours::parse("24/7").unwrap());
        Shop { at: Point::new(lon, lat), narrow: lat.to_radians().cos(), hours, zone: Tz::UTC, around: STEP, known: Mutex::default() }
    }

    proptest! {
        #[test]
        fn the_cheap_look_turns_away_only_what_is_far(
            (lat, lon) in (-89.9..89.9_f64, -180.0..180.0_f64),
            (dlat, dlon) in (-0.05..0.05_f64, prop_oneof![-0.2..0.2_f64, -360.0..360.0_f64]),
            share in 0.5..1.5_f64,
        ) {
            let there = Point::new((lon + dlon + 540.0).rem_euclid(360.0) - 180.0, (lat + dlat).clamp(-90.0, 90.0));
            let shop = shop(lat, lon);
            let metres = Haversine.distance(shop.at, there);
            let cheap = |far_m: f64| shop.is_far_aside(there.x(), there.y().to_radians().cos(), far_m);
            prop_assert!(!cheap(metres), "turned away at its very distance");
            prop_assert!(!cheap(metres * share) || share < 1.0);
        }
    }

    #[test]
    fn the_cheap_look_turns_away_nearly_all_that_is_far() {
        let (shop, narrow) = (shop(48.85, 2.35), 48.85_f64.to_radians().cos());
        // 2 km are 0.02733 degrees there.
        assert!(shop.is_far_aside(2.35 + 0.0274, narrow, 2000.0) && shop.is_far_aside(2.35 - 0.0274, narrow, 2000.0));
        assert!(!shop.is_far_aside(2.35 + 0.0273, narrow, 2000.0));
    }
}
