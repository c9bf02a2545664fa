//! Many phones at once.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use passage_config::Namespace;
use passage_protocol::{ChainKey, Millis, rid};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Carrier, Phone, Walk, stranger};
use crate::radio::Advert;

/// Adverts of one sender in the order of their time.
pub type Adverts = Box<dyn Iterator<Item = Advert> + Send>;

/// Puts the adverts of many senders, each in the order of its time, into one order.
pub fn merge(senders: impl IntoIterator<Item = Adverts>) -> impl Iterator<Item = Advert> + Send {
    let mut senders: Vec<_> = senders.into_iter().collect();
    let mut next = BinaryHeap::new();
    let mut ahead: Vec<Option<Advert>> = senders.iter_mut().map(Iterator::next).collect();
    next.extend(ahead.iter().enumerate().filter_map(|(index, advert)| Some(Reverse((advert.as_ref()?.at, index)))));
    std::iter::from_fn(move || {
        let Reverse((_, index)) = next.pop()?;
        let following = senders.get_mut(index)?.next();
        next.extend(following.as_ref().map(|advert| Reverse((advert.at, index))));
        std::mem::replace(ahead.get_mut(index)?, following)
    })
}

/// Phones with the app, each of which comes again and again for a while, and as many strangers.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Same seed, same day.
    pub seed: u64,
    /// How many with the app.
    pub phones: u32,
    /// The brand's.
    pub namespace: Namespace,
    /// When the first of them comes.
    pub start: Millis,
}

impl Crowd {
    /// The key of the `n`th phone on the day of the start, for whoever wants to enrol it.
    pub fn key(&self, n: u32) -> ChainKey {
        let mut key = [0; 32];
        ChaCha8Rng::seed_from_u64(self.seed_of(n)).fill_bytes(&mut key);
        ChainKey { day: rid::day_of(rid::window_at(self.start)), key }
    }

    /// What a gateway hears of all of them. It does not end.
    pub fn adverts(&self) -> impl Iterator<Item = Advert> + Send + use<> {
        let one = |n: u32| -> [Adverts; 2] {
            let seed = self.seed_of(n);
            let phone = Phone {
                seed,
                key: self.key(n),
                namespace: self.namespace,
                carrier: if n % 3 == 2 { Carrier::IBeacon } else { Carrier::ServiceData },
                tx_power: -59,
            };
            let ours = walks(seed, self.start).flat_map(move |walk| phone.adverts(&walk));
            let theirs = walks(!seed, self.start).flat_map(move |walk| stranger(!seed, &walk));
            [Box::new(ours), Box::new(theirs)]
        };
        merge((0..self.phones).flat_map(one).collect::<Vec<_>>())
    }

    fn seed_of(&self, n: u32) -> u64 {
        self.seed.rotate_left(24) ^ (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// One passer-by in three; stays of 3 to 30 minutes, and half an hour to two hours away in between.
fn walks(seed: u64, start: Millis) -> impl Iterator<Item = Walk> + Send {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut free = start + Duration::from_secs(rng.random_range(0..1800));
    std::iter::from_fn(move || {
        let arrives = free;
        let passes = rng.random_bool(1.0 / 3.0);
        let leaves = arrives + Duration::from_secs(if passes { rng.random_range(60..120) } else { rng.random_range(180..1800) });
        free = leaves + Duration::from_secs(rng.random_range(1800..7200));
        Some(if passes { Walk::pass_by(arrives, leaves) } else { Walk::visit(arrives, leaves) })
    })
}
