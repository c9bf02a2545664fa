//! A clock that nobody sets.

use std::time::Duration;

/// Time since the machine was booted, the time that it was suspended included.
#[cfg(target_os = "linux")]
pub fn since() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Time since the first call; other systems have no clock that both goes on in suspend and can be read without `unsafe`.
#[cfg(not(target_os = "linux"))]
pub fn since() -> Duration {
    use std::{sync::OnceLock, time::Instant};
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed()
}

/// Milliseconds of [`since`].
pub fn millis() -> i64 {
    i64::try_from(since().as_millis()).unwrap_or(i64::MAX)
}

/// Names this boot of the machine: two times of [`since`] can be compared only within one.
pub fn id() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id: String = told.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    if id.len() == 16 { id } else { hex::encode(rand::random::<[u8; 8]>()) }
}
