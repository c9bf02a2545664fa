//! Leaves out single adverts whose time cannot be true. Time passes for the stays with every advert: one that claims to be heard tomorrow
//! would end them all, and on a clock that runs, everything behind it would wait until tomorrow.

use std::collections::VecDeque;

use passage_protocol::Millis;

use super::{Advert, RadioError};

/// A time that lies farther from its neighbours is looked at.
const LEAP_MS: i64 = 30_000;
/// So many items ahead decide whether the capture's clock went on from there or the time was a slip.
const AHEAD: usize = 16;

type Item = Result<Advert, RadioError>;

/// The items of a capture, each advert with a time that leaps away and comes back replaced by an error. A pause in the capture, and a clock
/// that was set, leap and do not come back: they stay.
pub(super) struct Steady<I> {
    items: I,
    ahead: VecDeque<Item>,
    number: u64,
    last: Option<Millis>,
}

impl<I: Iterator<Item = Item>> Steady<I> {
    pub fn new(items: I) -> Self {
        Self { items, ahead: VecDeque::new(), number: 0, last: None }
    }

    /// How far `at` has leapt, in milliseconds, if the adverts that follow show that it was a slip.
    fn slip(&mut self, at: Millis) -> Option<i64> {
        let leapt = self.last.map(|last| at.since(last));
        if leapt.is_some_and(|leapt| leapt.abs() <= LEAP_MS) {
            return None;
        }
        while self.ahead.len() < AHEAD {
            let Some(item) = self.items.next() else { break };
            self.ahead.push_back(item);
        }
        let following = || self.ahead.iter().filter_map(|item| item.as_ref().ok()).map(|advert| advert.at);
        match (leapt, self.last) {
            (Some(leapt), Some(last)) => following().any(|next| next.since(last).abs() <= LEAP_MS).then_some(leapt),
            // The first of all has nothing behind it; it is a slip when all that follow are earlier.
            _ => following().map(|next| at.since(next)).min().filter(|ahead| *ahead > LEAP_MS),
        }
    }
}

impl<I: Iterator<Item = Item>> Iterator for Steady<I> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let item = self.ahead.pop_front().or_else(|| self.items.next())?;
        self.number += 1;
        let Ok(advert) = &item else { return Some(item) };
        let at = advert.at;
        if let Some(leapt) = self.slip(at) {
            return Some(Err(RadioError::Time { number: self.number, seconds: leapt / 1000 }));
        }
        self.last = Some(at);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn play(seconds: &[i64]) -> Vec<Option<i64>> {
        let items = seconds.iter().map(|&at| Ok(Advert { at: Millis(at * 1000), address: [0; 6], rssi: -60, data: Vec::new() }));
        Steady::new(items).map(|item| item.ok().map(|advert| advert.at.secs())).collect()
    }

    #[test]
    fn one_time_stamp_that_leaps_is_left_out_wherever_it_stands() {
        assert_eq!(play(&[100, 101, 90_000, 102]), [Some(100), Some(101), None, Some(102)]);
        assert_eq!(play(&[100, 101, 2, 102]), [Some(100), Some(101), None, Some(102)]);
        assert_eq!(play(&[90_000, 100, 101]), [None, Some(100), Some(101)]);
        assert_eq!(play(&[100, 90_000, 90_000, 80_000, 101]), [Some(100), None, None, None, Some(101)]);
    }

    #[test]
    fn a_pause_and_a_clock_that_was_set_are_no_slips() {
        for times in [&[100, 101, 90_000, 90_001][..], &[100, 90_000, 180_000, 270_000], &[90_000, 90_001, 100, 101], &[100, 130, 101]] {
            assert_eq!(play(times), times.iter().copied().map(Some).collect::<Vec<_>>(), "{times:?}");
        }
    }

    #[test]
    fn the_error_says_which_and_how_far() {
        let items = [100, 4000, 101].map(|at| Ok(Advert { at: Millis(at * 1000), address: [0; 6], rssi: -60, data: Vec::new() }));
        let error = Steady::new(items.into_iter()).nth(1).unwrap().unwrap_err().to_string();
        assert_eq!(error, "advert 2 of the capture was left out: its time stamp lies 3900 s ahead of those around it");
    }

    proptest! {
        #[test]
        fn every_item_comes_out_once_and_in_its_place(seconds in prop::collection::vec(0i64..1_000, 0..60)) {
            let played = play(&seconds);
            prop_assert_eq!(played.len(), seconds.len());
            for (out, at) in played.iter().zip(&seconds) {
                prop_assert!(out.is_none_or(|out| out == *at));
            }
        }
    }
}
