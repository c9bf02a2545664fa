//! The radio side of the day: what the gateway of each shop hears of the phones that are near it.

use std::{collections::BTreeMap, iter::Peekable, sync::Arc, time::Duration};

use passage_config::Site;
use passage_gateway::radio::{
    Advert,
    simulate::{Carrier, Phone, Walk, stranger},
};
use passage_protocol::{ChainKey, Millis, StoreId};

use crate::day::{How, Outing, Where};

/// What one phone will send.
type Adverts = Box<dyn Iterator<Item = Advert> + Send>;

/// All phones that are or will be on the air.
pub struct Streets {
    site: Arc<Site>,
    phones: u64,
    waiting: BTreeMap<(Millis, u64), (StoreId, Adverts)>,
    on_air: Vec<(StoreId, Peekable<Adverts>)>,
}

impl std::fmt::Debug for Streets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streets({} waiting, {} on the air)", self.waiting.len(), self.on_air.len())
    }
}

impl Streets {
    /// Empty streets.
    pub fn new(site: Arc<Site>) -> Self {
        Self { site, phones: 0, waiting: BTreeMap::new(), on_air: Vec::new() }
    }

    /// A member's phone with the app on goes somewhere.
    pub fn walk(&mut self, outing: &Outing, key: &ChainKey) {
        let brand = self.site.stores.get(&outing.store).and_then(|s| self.site.brands.get(&s.brand));
        let Some(namespace) = brand.map(|b| b.namespace) else { return };
        let carrier = if outing.how == How::Ios { Carrier::IBeacon } else { Carrier::ServiceData };
        let phone = Phone { seed: self.next_seed(), key: key.clone(), namespace, carrier, tx_power: -59 };
        self.put(outing, Box::new(phone.adverts(&walk_of(outing))));
    }

    /// A phone that is none of ours goes somewhere.
    pub fn stranger(&mut self, outing: &Outing) {
        let seed = self.next_seed();
        self.put(outing, Box::new(stranger(seed, &walk_of(outing))));
    }

    fn next_seed(&mut self) -> u64 {
        self.phones += 1;
        self.phones
    }

    fn put(&mut self, outing: &Outing, adverts: Adverts) {
        self.waiting.insert((outing.at, self.phones), (outing.store.clone(), adverts));
    }

    /// When something is heard next, or somebody comes.
    pub fn next(&mut self) -> Option<Millis> {
        let on_air = self.on_air.iter_mut().filter_map(|(_, adverts)| adverts.peek().map(|a| a.at));
        on_air.chain(self.waiting.keys().next().map(|(at, _)| *at)).min()
    }

    /// What was heard up to `now` and not told yet, in the order of time.
    pub fn heard_until(&mut self, now: Millis) -> Vec<(StoreId, Advert)> {
        while let Some(entry) = self.waiting.first_entry().filter(|e| e.key().0 <= now) {
            let (store, adverts) = entry.remove();
            self.on_air.push((store, adverts.peekable()));
        }
        let mut heard = Vec::new();
        for (store, adverts) in &mut self.on_air {
            while let Some(advert) = adverts.next_if(|a| a.at <= now) {
                heard.push((store.clone(), advert));
            }
        }
        self.on_air.retain_mut(|(_, adverts)| adverts.peek().is_some());
        heard.sort_by_key(|(_, advert)| advert.at);
        heard
    }
}

fn walk_of(outing: &Outing) -> Walk {
    let leaves = outing.at + Duration::from_secs(u64::try_from(outing.minutes * 60).unwrap_or(0));
    match outing.place {
        Where::In => Walk::visit(outing.at, leaves),
        Where::Front | Where::Near => Walk::pass_by(outing.at, leaves),
    }
}
