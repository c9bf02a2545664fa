//! From 64 random bits to a slot, in 9 bytes an entry. Pure.
//!
//! Open addressing with linear probing. The high bits of an id choose the cell where its search begins, its low bits stand in the cell beside the slot:
//! with 10 M slots 40 of them, so about 60 of the 64 bits are compared. Ids are outputs of HMAC or of a keyed hash, so nobody can aim at one cell.

/// No more room, or a slot number that does not fit: the index must be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// What stands under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// One slot.
    Slot(u32),
    /// Nothing, or several that cannot be told apart.
    Nothing,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    /// Low bits of the id above, slot field below. 0: empty.
    cells: Vec<u64>,
    slot_bits: u32,
    /// Cells that are not empty.
    used: usize,
    most: usize,
}

impl Index {
    /// An index for so many slots and a sixteenth more.
    pub(super) fn with_room_for(slots: usize) -> Self {
        let most = slots + slots / 16 + 64;
        // Slot fields run from 1; the two highest have a meaning of their own.
        let slot_bits = usize::BITS - (most + 3).leading_zeros();
        Self { cells: vec![0; most + most / 9], slot_bits, used: 0, most }
    }

    /// Bytes of an index that was made for so many slots.
    pub(super) fn bytes(slots: usize) -> usize {
        let most = slots + slots / 16 + 64;
        (most + most / 9) * 8
    }

    /// Puts a slot under an id. A second slot under the same id makes both unfindable.
    pub(super) fn insert(&mut self, id: u64, slot: u32) -> Result<(), Full> {
        let field = u64::from(slot) + 1;
        if field >= self.ambiguous() || self.used >= self.most {
            return Err(Full);
        }
        let mut reusable = None;
        for cell in self.path(id) {
            let found = self.cells[cell];
            if found == 0 {
                let place = reusable.unwrap_or_else(|| {
                    self.used += 1;
                    cell
                });
                self.cells[place] = self.written(id, field);
                return Ok(());
            }
            if self.field(found) == self.dead() {
                reusable = reusable.or(Some(cell));
            } else if self.is_of(found, id) {
                if self.field(found) != field {
                    self.cells[cell] = self.written(id, self.ambiguous());
                }
                return Ok(());
            }
        }
        Err(Full)
    }

    /// The slot under an id.
    pub(super) fn find(&self, id: u64) -> Found {
        match self.cell_of(id).map(|cell| self.field(self.cells[cell])) {
            Some(field) if field != self.ambiguous() => Found::Slot(u32::try_from(field - 1).unwrap_or(u32::MAX)),
            _ => Found::Nothing,
        }
    }

    /// Takes a slot away from under an id. Where two stood, none is found afterwards either.
    pub(super) fn remove(&mut self, id: u64, slot: u32) {
        if let Some(cell) = self.cell_of(id)
            && self.field(self.cells[cell]) == u64::from(slot) + 1
        {
            self.cells[cell] = self.written(id, self.dead());
        }
    }

    fn cell_of(&self, id: u64) -> Option<usize> {
        for cell in self.path(id) {
            let found = self.cells[cell];
            if found == 0 {
                return None;
            }
            if self.is_of(found, id) && self.field(found) != self.dead() {
                return Some(cell);
            }
        }
        None
    }

    /// All cells, from the one where the search for an id begins.
    fn path(&self, id: u64) -> impl Iterator<Item = usize> + use<> {
        let cells = self.cells.len();
        let home = usize::try_from((u128::from(id) * cells as u128) >> 64).unwrap_or(0);
        (home..cells).chain(0..home)
    }

    fn written(&self, id: u64, field: u64) -> u64 {
        (id << self.slot_bits) | field
    }

    fn is_of(&self, cell: u64, id: u64) -> bool {
        (cell ^ (id << self.slot_bits)) >> self.slot_bits == 0
    }

    fn field(&self, cell: u64) -> u64 {
        cell & self.dead()
    }

    fn dead(&self) -> u64 {
        (1 << self.slot_bits) - 1
    }

    fn ambiguous(&self) -> u64 {
        self.dead() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_takes_what_it_was_made_for_and_a_little_more_and_then_says_so() {
        let mut index = Index::with_room_for(1000);
        let id = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..1000 {
            index.insert(id(n), n).unwrap();
        }
        assert!((0..1000).all(|n| index.find(id(n)) == Found::Slot(n)));
        let refused = (1000..3000).find(|n| index.insert(id(*n), *n) == Err(Full)).unwrap();
        assert!(refused > 1050 && refused < 1200, "{refused}");
        assert!(Index::bytes(10_000_000) < 96_000_000);
    }

    proptest! {
        /// Ids from a small set, so that they meet, and cells that overflow into each other.
        #[test]
        fn it_answers_as_a_map_does(steps in prop::collection::vec((0_u64..40, 0_u32..60, prop::bool::weighted(0.3)), 0..200)) {
            let mut index = Index::with_room_for(64);
            let mut model: HashMap<u64, Option<u32>> = HashMap::new();
            for (n, slot, remove) in steps {
                let id = (n % 4) << 62 | n;
                if remove {
                    index.remove(id, slot);
                    if model.get(&id) == Some(&Some(slot)) {
                        model.remove(&id);
                    }
                } else {
                    index.insert(id, slot).unwrap();
                    model.entry(id).and_modify(|known| if *known != Some(slot) { *known = None }).or_insert(Some(slot));
                }
                for n in 0..40 {
                    let id = (n % 4) << 62 | n;
                    let expected = model.get(&id).copied().flatten().map_or(Found::Nothing, Found::Slot);
                    prop_assert_eq!(index.find(id), expected);
                }
            }
        }
    }
}
