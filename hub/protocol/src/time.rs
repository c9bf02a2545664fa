//! Business time. It comes from one [`Clock`] that is given at start; machine time (time-outs, back-off, keep-alive) is monotonic and never taken from here.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A point of business time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The point `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds from `earlier` to `self`; negative when `self` is the earlier one.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Millis {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Millis {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where business time comes from. Clones share one source.
///
/// Two processes whose configs hold equal `start`, `anchor` and `speed` agree on the time.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// Business time is `start` when the wall clock shows `anchor`, and runs `speed` times as fast.
    Scaled {
        /// Business time at the anchor.
        start: Millis,
        /// Wall time at which business time is `start`.
        anchor: Millis,
        /// Business milliseconds per wall millisecond.
        speed: f64,
    },
    /// The wall clock of a machine that may have no battery for it, unless its owner knows the time better.
    Corrected(Arc<Correction>),
    /// Time stands until [`Clock::set`] moves it. The demo's `--once` and tests step with it.
    Stepped(Arc<AtomicI64>),
}

impl Clock {
    /// A stepped clock that shows `start`.
    pub fn stepped(start: Millis) -> Self {
        Self::Stepped(Arc::new(AtomicI64::new(start.0)))
    }

    /// The business time now.
    pub fn now(&self) -> Millis {
        match self {
            Self::System => wall(),
            Self::Corrected(correction) => correction.now(),
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "business milliseconds stay far below 2^53")]
            Self::Scaled { start, anchor, speed } => Millis(start.0 + (wall().since(*anchor) as f64 * speed) as i64),
            Self::Stepped(at) => Millis(at.load(Ordering::SeqCst)),
        }
    }

    /// Moves a stepped clock forward to `to`; an earlier time and any other kind of clock are left alone.
    pub fn set(&self, to: Millis) {
        if let Self::Stepped(at) = self {
            at.fetch_max(to.0, Ordering::SeqCst);
        }
    }

    /// True for the machine's own clock, corrected or not. On any other clock, SMS providers outside loopback are refused.
    pub fn is_system(&self) -> bool {
        matches!(self, Self::System | Self::Corrected(_))
    }

    /// How long the machine has to wait until business time is `at`; `None` on a stepped clock, which only its driver moves.
    pub fn machine_time_until(&self, at: Millis) -> Option<Duration> {
        let ahead = u64::try_from(at.since(self.now()).max(0)).unwrap_or(0);
        match self {
            Self::System | Self::Corrected(_) => Some(Duration::from_millis(ahead)),
            #[expect(clippy::cast_precision_loss, reason = "a wait, not a time stamp")]
            Self::Scaled { speed, .. } => Some(Duration::from_secs_f64(ahead as f64 / 1000.0 / speed.max(1e-6))),
            Self::Stepped(_) => None,
        }
    }
}

/// What the time is when the wall clock cannot be trusted: it runs on from a point, and does not follow when somebody sets the wall clock.
#[derive(Debug)]
pub struct Correction {
    made: Instant,
    /// Business time at `made`; [`Correction::NONE`] while the wall clock holds.
    then: AtomicI64,
}

impl Correction {
    const NONE: i64 = i64::MIN;

    /// The wall clock holds.
    pub fn none() -> Self {
        Self { made: Instant::now(), then: AtomicI64::new(Self::NONE) }
    }

    /// It is `now`, and time runs on from there.
    pub fn set(&self, now: Millis) {
        self.then.store((now - self.made.elapsed()).0, Ordering::SeqCst);
    }

    /// The wall clock holds again.
    pub fn lift(&self) {
        self.then.store(Self::NONE, Ordering::SeqCst);
    }

    fn now(&self) -> Millis {
        match self.then.load(Ordering::SeqCst) {
            Self::NONE => wall(),
            then => Millis(then) + self.made.elapsed(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock for business time")]
fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
