//! The filter for duplicates of a chip: it reports an advertiser once in a scan round, as long as it remembers it. The kernel asks for it, and
//! starts a new round every 10.24 s; so a phone next to such a chip is heard once in 10 s.

use std::collections::{HashSet, VecDeque};

use crate::Address;

/// The last advertisers, as many as fit.
#[derive(Debug)]
pub(super) struct Duplicates {
    capacity: usize,
    known: HashSet<Address>,
    order: VecDeque<Address>,
}

impl Duplicates {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, known: HashSet::new(), order: VecDeque::new() }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn forget(&mut self) {
        self.known.clear();
        self.order.clear();
    }

    /// True for an advertiser that is not remembered. It is now, in the place of the oldest.
    pub fn is_new(&mut self, address: Address) -> bool {
        if self.capacity == 0 {
            return true;
        }
        if !self.known.insert(address) {
            return false;
        }
        self.order.push_back(address);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
