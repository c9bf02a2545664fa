//! The latest sightings of one subject, four bytes each: 24 bits of time and 8 of strength.

use std::{collections::VecDeque, time::Duration};

use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

use super::millis;

/// Most sightings that are kept; at ten a second, those of the last 12 s.
const SAMPLES: usize = 128;
/// The time is kept modulo this, in milliseconds (4.66 h). A window is at most an hour, so it is never ambiguous.
const SPAN: i64 = 1 << 24;

/// Times and strengths, oldest first. The times count back from the last sighting, which the track knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Recent(VecDeque<u32>);

/// What the sightings of a window amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Median {
    /// The weaker of the two in the middle, dBm. They differ when their number is even.
    pub weaker: i8,
    /// The stronger of the two, dBm.
    pub stronger: i8,
    /// Sightings in the window.
    pub count: usize,
}

impl Median {
    /// Half way between the two, dBm.
    pub fn middle(&self) -> i8 {
        self.weaker.midpoint(self.stronger)
    }
}

impl Recent {
    /// Adds a sighting that is not older than `seen`, the one before, and forgets what is older than `keep`.
    pub fn push(&mut self, at: Millis, rssi: i8, seen: Millis, keep: Duration) {
        let keep = millis(keep).min(SPAN / 2 - 1);
        if at.since(seen) > keep {
            self.0.clear();
        }
        while self.0.len() >= SAMPLES || self.0.front().is_some_and(|&oldest| age(oldest, at) > keep) {
            self.0.pop_front();
        }
        self.0.push_back(pack(at, rssi));
    }

    /// The sightings of the last `window` up to `seen`, the newest one, from new to old.
    pub fn within(&self, window: Duration, seen: Millis) -> impl Iterator<Item = (Millis, i8)> + '_ {
        let window = millis(window);
        let aged = self.0.iter().rev().map(move |&sample| (age(sample, seen), strength(sample)));
        aged.take_while(move |(age, _)| *age <= window).map(move |(age, rssi)| (Millis(seen.0.saturating_sub(age)), rssi))
    }

    /// The strengths in the middle of those of the last `window`; of none at all, the weakest that there is.
    pub fn median(&self, window: Duration, seen: Millis) -> Median {
        let mut strengths = [i8::MIN; SAMPLES];
        let mut count = 0;
        for (slot, (_, rssi)) in strengths.iter_mut().zip(self.within(window, seen)) {
            *slot = rssi;
            count += 1;
        }
        let (below, &mut stronger, _) = strengths[..count.max(1)].select_nth_unstable(count / 2);
        let weaker = if count % 2 == 0 { below.iter().copied().max().unwrap_or(stronger) } else { stronger };
        Median { weaker, stronger, count }
    }

    /// Moves all times by `step` milliseconds.
    pub fn shift(&mut self, step: i64) {
        for sample in &mut self.0 {
            *sample = pack(Millis(time(*sample).saturating_add(step)), strength(*sample));
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }
}

fn pack(at: Millis, rssi: i8) -> u32 {
    let time = u32::try_from(at.0.rem_euclid(SPAN)).unwrap_or(0);
    time << 8 | u32::from(rssi.cast_unsigned())
}

fn time(sample: u32) -> i64 {
    i64::from(sample >> 8)
}

fn strength(sample: u32) -> i8 {
    let [.., rssi] = sample.to_be_bytes();
    rssi.cast_signed()
}

/// Milliseconds from the sample to `seen`.
fn age(sample: u32, seen: Millis) -> i64 {
    (seen.0.rem_euclid(SPAN) - time(sample)).rem_euclid(SPAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of whole times and strengths.
        #[test]
        fn four_bytes_a_sighting_lose_nothing(
            start in any::<i32>(), step in prop_oneof![Just(0i64), -1_000_000_000..1_000_000_000i64],
            sightings in prop::collection::vec((prop_oneof![9 => 0..20_000i64, 1 => 0..100_000_000i64], any::<i8>()), 1..100),
            window_ms in 0..3_600_000u64,
        ) {
            let (mut recent, mut all) = (Recent::default(), Vec::new());
            let (mut seen, window) = (Millis(i64::from(start)), Duration::from_millis(window_ms));
            for (after, rssi) in sightings {
                let at = Millis(seen.0 + after);
                recent.push(at, rssi, seen, window);
                all.push((at, rssi));
                seen = at;
            }
            recent.shift(step);
            let seen = Millis(seen.0 + step);
            let expected: Vec<(Millis, i8)> =
                all.into_iter().map(|(at, rssi)| (Millis(at.0 + step), rssi)).rev().take_while(|(at, _)| seen.since(*at) <= millis(window)).collect();
            prop_assert_eq!(recent.within(window, seen).collect::<Vec<_>>(), expected.clone());
            let mut strengths: Vec<i8> = expected.iter().map(|(_, rssi)| *rssi).collect();
            strengths.sort_unstable();
            let n = strengths.len();
            prop_assert_eq!(recent.median(window, seen), Median { weaker: strengths[(n - 1) / 2], stronger: strengths[n / 2], count: n });
        }
    }
}
