//! Which shop said it: the ids of all shops for the windows around a time, compared in constant time.

use std::collections::BTreeMap;

use passage_config::{Site, WakeCheck};
use passage_protocol::{Millis, StoreId, WakeId, WakeKey, rid};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Woken;

/// Windows whose ids are kept: three days of late reports, and some ahead.
const MOST_WINDOWS: usize = 300;

/// Who made an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This shop, in the window of that time or in one beside it.
    Store(StoreId),
    /// No shop that is known here.
    Nobody,
    /// More than one shop.
    Several,
}

/// The shops with their keys, and what they say in the windows that were asked for.
pub struct Verifier {
    shops: Vec<Shop>,
    windows: BTreeMap<i64, Vec<WakeId>>,
}

struct Shop {
    store: StoreId,
    uuid: [u8; 16],
    key: WakeKey,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier {{ shops: {}, .. }}", self.shops.len())
    }
}

impl Verifier {
    /// The shops whose brand has a wake UUID and whose key `check` holds.
    pub fn new(site: &Site, check: &WakeCheck) -> Self {
        let shops = site.stores.values().filter_map(|s| {
            let uuid = site.brands.get(&s.brand)?.wake_uuid?;
            Some(Shop { store: s.id.clone(), uuid, key: check.key(&s.id)? })
        });
        Self { shops: shops.collect(), windows: BTreeMap::new() }
    }

    /// Who made the id that an app heard at `at`. The id of the window before is still good, because the beacon changes late and phones keep
    /// what they heard; the id of the window after is good, because clocks differ. An id that is older than 30 min is nobody's.
    pub fn verify(&mut self, woken: &Woken, at: Millis) -> Verdict {
        let Some(id) = woken.id else { return Verdict::Nobody };
        let window = rid::window_at(at);
        let (mut found, mut count) = (0_u32, 0_u32);
        for offset in [-1, 0, 1] {
            self.know(window.saturating_add(offset));
        }
        let ids: Vec<&Vec<WakeId>> = self.windows.range(window.saturating_sub(1)..=window.saturating_add(1)).map(|(_, ids)| ids).collect();
        for (n, shop) in (0_u32..).zip(&self.shops) {
            let says = |ids: &&Vec<WakeId>| ids.get(n as usize).map_or(Choice::from(0), |said| said.0.ct_eq(&id.0));
            let said = ids.iter().map(says).fold(Choice::from(0), |a, b| a | b) & shop.uuid.ct_eq(&woken.uuid);
            found.conditional_assign(&n, said);
            count += u32::from(said.unwrap_u8());
        }
        match (count, self.shops.get(found as usize)) {
            (1, Some(shop)) => Verdict::Store(shop.store.clone()),
            (0, _) | (_, None) => Verdict::Nobody,
            _ => Verdict::Several,
        }
    }

    /// True when this is the UUID of one of our brands.
    pub fn knows(&self, uuid: &[u8; 16]) -> bool {
        self.shops.iter().any(|s| s.uuid == *uuid)
    }

    /// True when this is the UUID that the shop advertises.
    pub fn is_of(&self, store: &StoreId, uuid: &[u8; 16]) -> bool {
        self.shops.iter().any(|s| s.store == *store && s.uuid == *uuid)
    }

    /// Makes the ids of a window, once. When there are too many, the one farthest away is forgotten.
    fn know(&mut self, window: i64) {
        if self.windows.contains_key(&window) {
            return;
        }
        self.windows.insert(window, self.shops.iter().map(|s| s.key.id(window)).collect());
        if self.windows.len() > MOST_WINDOWS {
            let ends = [self.windows.first_key_value(), self.windows.last_key_value()];
            let farthest = ends.into_iter().flatten().map(|(w, _)| *w).max_by_key(|w| w.abs_diff(window));
            farthest.map(|w| self.windows.remove(&w));
        }
    }
}
