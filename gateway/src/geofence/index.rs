//! Which slot somebody is in.
//!
//! Of 100,000 phones each is cold when its turn comes, so what counts is how often the processor waits for memory: nearly every question costs one
//! look into the table, and one at the record that it names.

/// Numbers of 32 bits by open addressing: a slot, and some bits of the hash, so that nobody else's record is looked at. The owner of the slots knows
/// the names and their hashes.
#[derive(Debug, Default)]
pub(super) struct Index {
    cells: Vec<u32>,
    len: usize,
    /// Cells that are not [`EMPTY`].
    used: usize,
}

/// Bits of a cell that are the slot.
const SLOT: u32 = (1 << 20) - 1;
const EMPTY: u32 = u32::MAX;
/// Somebody was here; who is asked for may stand behind.
const GONE: u32 = u32::MAX - 1;
/// The slots that can be told from the two marks.
pub(super) const MOST_SLOTS: u32 = SLOT - 1;

impl Index {
    /// How many are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot with this hash of which `is` is true.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is).map(|at| self.cells[at] & SLOT)
    }

    /// Reads where [`Self::find`] will begin.
    pub(super) fn call_for(&self, hash: u64) -> u32 {
        self.cells.get(self.first(hash)).copied().unwrap_or(EMPTY)
    }

    /// Adds a slot, below [`MOST_SLOTS`], that is not in it. `hash_of` gives the hash of any slot in it.
    pub(super) fn add(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 2 > self.cells.len() {
            self.grow(hash_of);
        }
        self.put(hash, slot);
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        if let Some(at) = self.place(hash, |other| other == slot) {
            self.cells[at] = GONE;
            self.len -= 1;
        }
    }

    fn place(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mut at = self.first(hash);
        while let Some(cell) = self.cells.get(at).copied().filter(|cell| *cell != EMPTY) {
            if (cell ^ tag(hash)) & !SLOT == 0 && cell != GONE && is(cell & SLOT) {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    fn put(&mut self, hash: u64, slot: u32) {
        let mut at = self.first(hash);
        while self.cells[at] < GONE {
            at = self.next(at);
        }
        self.used += usize::from(self.cells[at] == EMPTY);
        self.len += 1;
        self.cells[at] = tag(hash) | slot;
    }

    /// Makes room for half as many more at least, and leaves out those that are gone.
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let size = ((self.len + 1) * 3).next_power_of_two().max(16);
        let old = std::mem::replace(&mut self.cells, vec![EMPTY; size]);
        (self.len, self.used) = (0, 0);
        for slot in old.into_iter().filter(|cell| *cell < GONE).map(|cell| cell & SLOT) {
            self.put(hash_of(slot), slot);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits of a hash")]
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.cells.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }
}

/// The bits of a cell that are not the slot, of the high bits of a hash.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !SLOT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map: names come and go, and many share their hash.
        #[test]
        fn it_answers_as_a_map_does(steps in proptest::collection::vec((0_u32..300, any::<bool>()), 1..600), spread in prop_oneof![Just(1_u64), Just(0x9e37_79b9_7f4a_7c15)]) {
            let hash = |slot: u32| (u64::from(slot) / 3).wrapping_mul(spread) | (u64::from(slot % 2) << 63);
            let (mut index, mut map) = (Index::default(), BTreeMap::new());
            for (slot, comes) in steps {
                if !comes {
                    index.remove(hash(slot), slot);
                    map.remove(&slot);
                } else if map.insert(slot, ()).is_none() {
                    index.add(hash(slot), slot, hash);
                }
                prop_assert_eq!(index.len(), map.len());
            }
            for slot in 0..300 {
                prop_assert_eq!(index.find(hash(slot), |other| other == slot), map.get(&slot).map(|()| slot));
            }
        }
    }

    #[test]
    fn who_comes_and_goes_for_ever_takes_no_room() {
        let mut index = Index::default();
        for slot in (0..50).cycle().take(100_000) {
            index.add(u64::from(slot) << 7, slot, |slot| u64::from(slot) << 7);
            index.remove(u64::from(slot) << 7, slot);
        }
        assert!(index.len() == 0 && index.cells.len() <= 16, "{}", index.cells.len());
    }
}
