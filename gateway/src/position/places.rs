//! Which positions matter: near a store that is open, or about to be, or was just now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono_tz::Tz;
use passage_config::{Shape, Site, Store, hours::Hours};
use passage_protocol::{FenceId, Millis, StoreId, Zone};

use super::{Fate, circles};
use crate::geofence::Containment;

/// Steps in which the hours around a position are looked up.
const STEP: Duration = Duration::from_secs(1800);
/// Opening hours are looked up once for each stretch of this length.
const STRETCH_MS: i64 = 300_000;
/// Cells in which a shop is listed: those of a reach of some five kilometres. Beyond it all shops are asked.
const MOST_CELLS: u64 = 200;

/// The stores and geofences of the site, for decoding.
pub(super) struct Places {
    site: Arc<Site>,
    shops: Vec<Shop>,
    /// What is near each of the shops, in their order.
    reach: Containment,
    /// Geofences by the `tst` that the phones know them by.
    made: HashMap<i64, FenceId>,
}

struct Shop {
    hours: Arc<Hours>,
    zone: Tz,
    /// Positions up to this long before opening and after closing matter.
    around: Duration,
    /// The last stretch that was looked up, and its answer.
    known: Mutex<Option<(i64, bool)>>,
}

impl Places {
    pub(super) fn new(site: Arc<Site>, far_m: f64, around: Duration) -> Self {
        let shop = |s: &Store| Shop { hours: Arc::clone(&s.hours), zone: s.timezone, around, known: Mutex::default() };
        let shops = site.stores.values().map(shop).collect();
        let circles: Vec<Shape> = site.stores.values().map(|s| Shape::Circle { centre: s.at, radius_m: far_m }).collect();
        let made = circles::times(&site).into_iter().map(|(id, tst)| (tst, id)).collect();
        Self { site, shops, reach: Containment::with_cells(&circles, MOST_CELLS), made }
    }

    /// Whether a position at this time may go on; else why not.
    pub(super) fn judge(&self, lat: f64, lon: f64, at: Millis) -> Result<(), Fate> {
        let mut near = self.reach.holders(lat, lon).peekable();
        if near.peek().is_none() {
            return Err(Fate::Far);
        }
        if near.any(|i| self.shops[i].is_lively(at)) { Ok(()) } else { Err(Fate::Closed) }
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
