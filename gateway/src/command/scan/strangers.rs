//! How many strangers are about, without remembering one.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

/// Bits of the map; good for some 100,000 addresses.
const BITS: usize = 1 << 16;

/// Linear counting: each address sets one bit, chosen by a hash that only this process knows. How many bits are still free tells how many
/// addresses there were, and nothing tells which.
pub(super) struct Strangers {
    map: Vec<u64>,
    hash: RandomState,
    /// Their adverts.
    pub adverts: u64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { map: vec![0; BITS / 64], hash: RandomState::new(), adverts: 0 }
    }
}

impl Strangers {
    /// Counts an advert.
    pub fn hear(&mut self, address: [u8; 6]) {
        self.adverts += 1;
        let hash = usize::try_from(self.hash.hash_one(address) % (BITS as u64)).unwrap_or(0);
        if let Some(word) = self.map.get_mut(hash / 64) {
            *word |= 1 << (hash % 64);
        }
    }

    /// About how many addresses. A phone has a new one every 5 to 15 minutes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate between 0 and a million"
    )]
    pub fn about(&self) -> u64 {
        let taken: u32 = self.map.iter().map(|word| word.count_ones()).sum();
        let free = (BITS as f64 - f64::from(taken)).max(1.0);
        (BITS as f64 * (BITS as f64 / free).ln()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_addresses_is_estimated_and_repetitions_do_not_count() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.about(), 0);
        for n in 0..20_000u64 {
            let [.., a, b, c, d, e, f] = (n % 5_000).to_be_bytes();
            strangers.hear([a, b, c, d, e, f]);
        }
        assert_eq!(strangers.adverts, 20_000);
        assert!((4_800..=5_200).contains(&strangers.about()), "{}", strangers.about());
    }
}
