//! The agreed rate: a token bucket that slows down when the SMSC says "throttled" and recovers slowly. Pure; machine time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds of undisturbed sending after which the full rate is back.
const RECOVERY_S: f64 = 30.0;

/// Tokens for submits; holds at most a second's worth.
#[derive(Debug)]
pub struct Bucket {
    full: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
    halved: Option<Instant>,
}

impl Bucket {
    /// A bucket for `rate` submits a second, at least one.
    pub fn new(rate: u32, now: Instant) -> Self {
        let full = f64::from(rate.max(1));
        Self { full, rate: full, tokens: 1.0, at: now, halved: None }
    }

    /// Takes a token, or says how long to wait before asking again.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.rate = (self.rate + passed * self.full / RECOVERY_S).min(self.full);
        self.tokens = (self.tokens + passed * self.rate).min(self.rate.max(1.0));
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate))
    }

    /// The SMSC had too much: half the rate, at most once a second because a full window of refusals is one event.
    pub fn throttled(&mut self, now: Instant) {
        if self.halved.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(1)) {
            return;
        }
        self.halved = Some(now);
        self.rate = (self.rate / 2.0).max(1.0);
        self.tokens = self.tokens.min(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_within(bucket: &mut Bucket, from: Instant, length: Duration) -> u32 {
        let (mut now, mut sent) = (from, 0);
        while now < from + length {
            match bucket.take(now) {
                Ok(()) => sent += 1,
                Err(wait) => now += wait.max(Duration::from_micros(100)),
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50, start);
        let sent = sent_within(&mut bucket, start, Duration::from_secs(10));
        assert!((495..=505).contains(&sent), "{sent}");
    }

    #[test]
    fn throttling_halves_the_rate_once_a_second_and_it_recovers() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, start);
        bucket.throttled(start);
        bucket.throttled(start);
        let slow = sent_within(&mut bucket, start, Duration::from_secs(1));
        assert!((45..=55).contains(&slow), "{slow}");
        let later = start + Duration::from_secs(60);
        let _ = bucket.take(later);
        let full = sent_within(&mut bucket, later, Duration::from_secs(2));
        assert!((195..=305).contains(&full), "{full}");
    }
}
