//! Reading ahead: what the next fixes will need, fetched for all of them at once.
//!
//! Of 100,000 phones each is cold when its turn comes, and one fix needs several pieces of memory that are known only one after the other: cell, record,
//! fence, corners. Decided one by one, the processor waits for each. Here each piece is read a little for sixteen fixes in a row, which do not depend on
//! one another, so that it waits for all of them together. Nothing is changed, and a piece that was guessed wrongly costs only its time.

use std::hint::black_box;

use smallvec::SmallVec;

use super::{Geofences, people::Person};
use crate::position::Fix;

/// More fixes than this at once would push one another out of the nearest cache.
pub(super) const MOST_AHEAD: usize = 16;

type Several<T> = SmallVec<[T; MOST_AHEAD]>;

impl Geofences {
    /// How many fixes [`Self::call_for`] takes at once.
    pub const MOST_AHEAD: usize = MOST_AHEAD;

    /// Lets the processor fetch what deciding these fixes will read; the first [`Self::MOST_AHEAD`] count. Decides nothing: it only makes
    /// [`Self::fix`] quicker for many phones.
    pub fn call_for<'a>(&self, fixes: impl IntoIterator<Item = &'a Fix>) {
        let fixes: Several<&Fix> = fixes.into_iter().take(MOST_AHEAD).collect();
        if fixes.len() < 2 {
            return;
        }
        let hashes: Several<u64> = fixes.iter().map(|fix| self.people.call_for(&fix.installation)).collect();
        fixes.iter().for_each(|fix| self.world.grid.call_for(fix.lat, fix.lon));
        let people: Several<&Person> = hashes.iter().filter_map(|hash| self.people.likely(*hash)).collect();
        black_box(people.iter().fold(0, |sum, person| sum ^ person.call_for()));
        let near = || fixes.iter().flat_map(|fix| self.world.grid.near(fix.lat, fix.lon)).map(|i| &self.world.fences[i]);
        black_box(near().fold(0, |sum, fence| sum ^ fence.call_for()));
        black_box(people.iter().fold(0, |sum, person| sum ^ person.track.call_for()));
        black_box(near().fold(0, |sum, fence| sum ^ fence.area.call_for()));
    }
}
