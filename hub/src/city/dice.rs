//! Chance, from a seed: each question has its own dice, so that an answer does not depend on how many were asked before.

use std::time::Duration;

use crate::visit::stay::millis;

/// The dice of one question: SplitMix64, which is good enough for a made-up city and quick.
pub(super) struct Dice(u64);

impl Dice {
    /// Of the world's seed and what it is about.
    pub fn of(seed: u64, about: &str, number: usize) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in about.bytes().chain(number.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    /// True with this probability.
    pub fn chance(&mut self, p: f64) -> bool {
        self.share() < p
    }

    /// From `a` to below `b`.
    pub fn between(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.share()
    }

    /// From 0 to below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % n).unwrap_or(0)
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.share(), self.share());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// Exponential with this mean, in milliseconds.
    pub fn wait(&mut self, mean: Duration) -> i64 {
        whole(-real(millis(mean)) * (1.0 - self.share()).ln())
    }

    /// Log-normal with this median, in milliseconds.
    pub fn lognormal(&mut self, median: Duration, spread: f64) -> i64 {
        whole(real(millis(median)) * (spread * self.normal()).exp())
    }

    /// Poisson by exponential waits; for small means.
    pub fn poisson(&mut self, mean: f64) -> usize {
        let (mut n, mut at) = (0, 0.0);
        loop {
            at -= (1.0 - self.share()).ln();
            if at > mean || n > 10_000 {
                return n;
            }
            n += 1;
        }
    }
}

/// A time as a number.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of some weeks")]
pub(super) fn real(ms: i64) -> f64 {
    ms as f64
}

/// A number as a time.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds of some weeks")]
pub(super) fn whole(ms: f64) -> i64 {
    ms as i64
}
