//! Small numbers for the places that stays are in, so that the state of an installation needs no texts.

use std::collections::{HashMap, HashSet};

use passage_config::Site;
use passage_protocol::{StoreId, Zone};

/// Number of a store's zone; lives as long as the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Spot(u32);

/// The zones that were ever drawn or named, and their numbers.
#[derive(Default)]
pub(super) struct Spots {
    names: Vec<(StoreId, Zone)>,
    numbers: HashMap<(StoreId, Zone), Spot>,
}

impl Spots {
    /// The number of a zone, a new one if need be.
    pub(super) fn number(&mut self, store: &StoreId, zone: &Zone) -> Spot {
        let key = (store.clone(), zone.clone());
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let spot = Spot(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(key.clone());
        self.numbers.insert(key, spot);
        spot
    }

    /// The zones that a site has no more: their geofence is not drawn, or their store is not listed.
    pub(super) fn vanished(&self, site: &Site) -> HashSet<Spot> {
        let is_there = |(store, zone): &(StoreId, Zone)| match zone {
            Zone::Fence(id) => site.geofences.get(id).is_some_and(|g| g.store == *store),
            Zone::In | Zone::Front => site.stores.contains_key(store),
        };
        (0..).zip(&self.names).filter(|(_, name)| !is_there(name)).map(|(number, _)| Spot(number)).collect()
    }

    /// The zone of a number that came from here.
    pub(super) fn name(&self, spot: Spot) -> &(StoreId, Zone) {
        &self.names[spot.index()]
    }
}

impl Spot {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
