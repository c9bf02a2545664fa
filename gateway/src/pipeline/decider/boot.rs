//! A clock that nobody sets.

use std::time::Duration;

/// Time since the machine was booted, the time that it was suspended included.
#[cfg(target_os = "linux")]
pub(super) fn since() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Time since the first call; other systems have no clock that both goes on in suspend and can be read without `unsafe`.
#[cfg(not(target_os = "linux"))]
pub(super) fn since() -> Duration {
    use std::{sync::OnceLock, time::Instant};
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}
