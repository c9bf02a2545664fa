//! How much somebody may ask for: a bucket per caller that fills at a steady pace. Machine time, because load is of the machine; each hub counts for
//! itself.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Callers that are remembered at a time; whose bucket is full again is forgotten first.
const MOST_CALLERS: usize = 50_000;

/// So much at once, and so much a second in the long run: of calls, or of what calls bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// At once.
    pub burst: f64,
    /// Per second.
    pub per_second: f64,
}

/// What is left of a caller's burst, and since when.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Bucket {
    /// Takes a call at `now` that costs so much, or says how long to wait for the next. Whoever has one left may make any call and go into debt, so that
    /// none is too large for ever.
    fn take(&mut self, cost: f64, pace: Pace, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        *self = Self { left: (self.left + passed * pace.per_second).min(pace.burst), at: now };
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / pace.per_second));
        }
        self.left -= cost;
        Ok(())
    }

    fn is_full(&self, pace: Pace, now: Duration) -> bool {
        self.left + now.saturating_sub(self.at).as_secs_f64() * pace.per_second >= pace.burst
    }
}

/// The buckets of all callers of one kind of call.
#[derive(Debug)]
pub struct Limiter {
    begun: Instant,
    hasher: RandomState,
    buckets: Mutex<HashMap<u64, Bucket>>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { begun: Instant::now(), hasher: RandomState::new(), buckets: Mutex::default() }
    }
}

impl Limiter {
    /// One call of `caller`; an error says how long to wait.
    pub fn take(&self, caller: impl Hash, pace: Pace) -> Result<(), Duration> {
        self.spend(caller, 1, pace)
    }

    /// One call of `caller` that brings so much; an error says how long to wait.
    pub fn spend(&self, caller: impl Hash, cost: u32, pace: Pace) -> Result<(), Duration> {
        self.spend_at(self.hasher.hash_one(caller), cost, pace, self.begun.elapsed())
    }

    fn spend_at(&self, caller: u64, cost: u32, pace: Pace, now: Duration) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_CALLERS && !buckets.contains_key(&caller) {
            buckets.retain(|_, bucket| !bucket.is_full(pace, now));
        }
        buckets.entry(caller).or_insert(Bucket { left: pace.burst, at: now }).take(cost.into(), pace, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { burst: 3.0, per_second: 2.0 };

    #[test]
    fn a_burst_goes_through_and_then_the_pace_counts_for_each_caller_alone() {
        let limiter = Limiter::default();
        let at = |ms| Duration::from_millis(ms);
        assert!((0..3).all(|_| limiter.spend_at(1, 1, PACE, at(0)).is_ok()));
        assert_eq!(limiter.spend_at(1, 1, PACE, at(0)), Err(at(500)));
        assert!(limiter.spend_at(2, 1, PACE, at(0)).is_ok());
        assert!(limiter.spend_at(1, 1, PACE, at(500)).is_ok());
        assert_eq!(limiter.spend_at(1, 1, PACE, at(600)), Err(at(400)));
    }

    #[test]
    fn a_body_larger_than_what_is_left_passes_once_and_is_worked_off() {
        let limiter = Limiter::default();
        let at = |ms| Duration::from_millis(ms);
        assert!(limiter.spend_at(1, 10, PACE, at(0)).is_ok());
        assert_eq!(limiter.spend_at(1, 1, PACE, at(0)), Err(at(4000)));
        assert!(limiter.spend_at(1, 1, PACE, at(4000)).is_ok());
    }

    #[test]
    fn callers_that_have_rested_are_forgotten_when_there_are_too_many() {
        let limiter = Limiter::default();
        for caller in 0..=MOST_CALLERS as u64 {
            let _ = limiter.spend_at(caller, 1, PACE, Duration::from_secs(caller / 1000));
        }
        assert!(limiter.buckets.lock().unwrap().len() < MOST_CALLERS / 2);
    }
}
