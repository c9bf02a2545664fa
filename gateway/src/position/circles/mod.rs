//! The circles that a phone can watch by itself: `setWaypoints` with the geofences nearest to it.
//!
//! Phones know circles only, and iOS watches 20. A polygon or corridor of kind `store` becomes the largest circle that fits into it, so that the phone
//! never says "inside" of somebody who is outside; one of kind `nearby` becomes a circle around it, so that nobody who passes by is missed. One circle
//! each, because the phone would take the way from one circle to the next for a departure.

mod outline;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use geo::{Distance, Haversine, Point};
use passage_config::{Geofence, Site};
use passage_protocol::{FenceId, InstallationId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::outline::circle_of;

/// Regions that iOS watches for one app.
const MOST: usize = 20;
/// Smaller circles are of no use to a phone.
const LEAST_RADIUS_M: f64 = 10.0;
/// The nearest circles are looked up for squares of this side, in degrees, so that they do not change with every step.
const CELL: f64 = 0.01;
/// Squares whose answer is remembered.
const MOST_CELLS: usize = 8_192;
/// Installations whose last answer is remembered.
const MOST_GIVEN: usize = 200_000;
/// Circles that are kept, those that are drawn no more among them.
const MOST_CIRCLES: usize = 100_000;

/// The circles of a site, and what was given to whom.
pub(super) struct Circles {
    all: Vec<Circle>,
    /// Which of them are still drawn.
    drawn: Vec<bool>,
    cells: Mutex<HashMap<(i32, i32), Nearest>>,
    given: Mutex<HashMap<InstallationId, Nearest>>,
}

/// Indexes of [`Circles::all`], ascending.
type Nearest = Arc<[u32]>;

/// A circle as the apps know it.
#[derive(Debug, Clone, PartialEq)]
struct Circle {
    id: FenceId,
    centre: Point<f64>,
    radius_m: f64,
    /// The name of the region for Android.
    tst: i64,
}

impl Circles {
    pub(super) fn new(site: &Site) -> Self {
        let all = circles(site);
        Self { drawn: vec![true; all.len()], all, cells: Mutex::default(), given: Mutex::default() }
    }

    /// Other geofences. Those that changed get new numbers, and the old ones are kept, so that phones are told of both: what is new, and what is to go.
    pub(super) fn reload(&mut self, site: &Site) {
        let new = circles(site);
        if self.all.len() + new.len() > MOST_CIRCLES {
            // Whoever was given circles before is given all that count now, once more.
            return *self = Self::new(site);
        }
        let mut new: HashMap<FenceId, Circle> = new.into_iter().map(|c| (c.id.clone(), c)).collect();
        for (drawn, circle) in self.drawn.iter_mut().zip(&self.all) {
            *drawn = new.get(&circle.id) == Some(circle);
            if *drawn {
                new.remove(&circle.id);
            }
        }
        let mut added: Vec<Circle> = new.into_values().collect();
        added.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.drawn.resize(self.all.len() + added.len(), true);
        self.all.extend(added);
        self.cells = Mutex::default();
    }

    /// What a phone at this place must be told, if that is another thing than last time. `removes`: the app understands that a region is to go
    /// when its coordinates are none; Android's does not.
    pub(super) fn news(&self, who: &InstallationId, lat: f64, lon: f64, removes: bool) -> Option<Value> {
        if self.all.is_empty() {
            return None;
        }
        let is_kept = |i: &u32, nearest: &Nearest| nearest.iter().any(|n| self.all[*n as usize].id == self.all[*i as usize].id);
        let nearest = self.nearest(lat, lon);
        let before = self.give(who, &nearest)?;
        let gone = before.iter().flat_map(|b| b.iter()).filter(|i| removes && !is_kept(i, &nearest));
        let kept = nearest.iter().map(|i| self.all[*i as usize].waypoint());
        let waypoints: Vec<Value> = kept.chain(gone.map(|i| self.all[*i as usize].removal())).collect();
        Some(json!({ "_type": "cmd", "action": "setWaypoints", "waypoints": { "_type": "waypoints", "waypoints": waypoints } }))
    }

    /// Notes what is given to `who`; `None` when it was given before.
    fn give(&self, who: &InstallationId, nearest: &Nearest) -> Option<Option<Nearest>> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = given.get_mut(who) {
            return (before != nearest).then(|| Some(std::mem::replace(before, Arc::clone(nearest))));
        }
        if given.len() >= MOST_GIVEN {
            given.clear();
        }
        given.insert(who.clone(), Arc::clone(nearest));
        Some(None)
    }

    #[expect(clippy::cast_possible_truncation, reason = "degrees are small, and so is the number of geofences")]
    fn nearest(&self, lat: f64, lon: f64) -> Nearest {
        let cell = ((lat / CELL).floor() as i32, (lon / CELL).floor() as i32);
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cells.get(&cell) {
            return Arc::clone(known);
        }
        let middle = Point::new((f64::from(cell.1) + 0.5) * CELL, (f64::from(cell.0) + 0.5) * CELL);
        let mut by_distance: Vec<(f64, u32)> = (0..)
            .zip(&self.all)
            .filter(|(i, _)| self.drawn[*i as usize])
            .map(|(i, c)| (Haversine.distance(c.centre, middle) - c.radius_m, i))
            .collect();
        if by_distance.len() > MOST {
            by_distance.select_nth_unstable_by(MOST, |a, b| a.0.total_cmp(&b.0));
            by_distance.truncate(MOST);
        }
        let mut nearest: Vec<u32> = by_distance.into_iter().map(|(_, i)| i).collect();
        nearest.sort_unstable();
        if cells.len() >= MOST_CELLS {
            cells.clear();
        }
        let nearest: Nearest = nearest.into();
        cells.insert(cell, Arc::clone(&nearest));
        nearest
    }
}

fn circles(site: &Site) -> Vec<Circle> {
    let tst = times(site);
    let circle = |fence: &Geofence| {
        let (centre, radius_m) = circle_of(fence)?;
        Some(Circle { id: fence.id.clone(), centre, radius_m, tst: *tst.get(&fence.id)? })
    };
    site.geofences.values().filter_map(circle).filter(|c| c.radius_m >= LEAST_RADIUS_M).collect()
}

impl Circle {
    fn waypoint(&self) -> Value {
        let degrees = |d: f64| (d * 1e6).round() / 1e6;
        let (lat, lon) = (degrees(self.centre.y()), degrees(self.centre.x()));
        #[expect(clippy::cast_possible_truncation, reason = "at most 50 km")]
        let rad = self.radius_m.floor() as i64;
        json!({ "_type": "waypoint", "desc": self.id, "rid": self.id, "lat": lat, "lon": lon, "rad": rad, "tst": self.tst })
    }

    /// Coordinates that no place has take the region out of an iPhone.
    fn removal(&self) -> Value {
        json!({ "_type": "waypoint", "desc": self.id, "rid": self.id, "lat": -1_000_000, "lon": -1_000_000, "rad": 0, "tst": self.tst })
    }
}

/// The `tst` under which Android knows each geofence: made of its id, so that it stays the same when others come and go.
pub(super) fn times(site: &Site) -> BTreeMap<FenceId, i64> {
    let mut taken = BTreeSet::new();
    let time = |id: &FenceId| {
        let digest = Sha256::digest(id.as_str().as_bytes());
        let number = digest.iter().take(4).fold(0, |all, byte| (all << 8) | i64::from(*byte));
        let mut tst = 1_000_000_000 + number % 700_000_000;
        while !taken.insert(tst) {
            tst += 1;
        }
        (id.clone(), tst)
    };
    site.geofences.keys().map(time).collect()
}
