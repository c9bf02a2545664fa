//! How often pages may be asked for. Machine time; each hub counts for itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Calls are counted over this long.
const WINDOW: Duration = Duration::from_secs(60);
/// Calls of one link in a window.
const PER_LINK: u32 = 60;
/// Calls with links that open nothing in a window, from everybody together: who guesses is slowed down, and nobody else is.
const MISSES: u32 = 600;
/// Links that are remembered at once.
const MOST: usize = 20_000;

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    since: Option<Instant>,
    links: HashMap<String, u32>,
    misses: u32,
}

impl Limit {
    /// Counts a call of a link; `false` if it was too many.
    pub(super) fn allows(&self, link: &str) -> bool {
        self.with(|c| {
            if c.links.len() >= MOST && !c.links.contains_key(link) {
                return true;
            }
            let calls = c.links.entry(link.to_owned()).or_default();
            *calls += 1;
            *calls <= PER_LINK
        })
    }

    /// Counts a call whose link opens nothing; `false` if there were too many.
    pub(super) fn allows_miss(&self) -> bool {
        self.with(|c| {
            c.misses += 1;
            c.misses <= MISSES
        })
    }

    fn with<T>(&self, count: impl FnOnce(&mut Counters) -> T) -> T {
        // Counters that a panic left behind are still counters.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            *counters = Counters { since: Some(Instant::now()), ..Counters::default() };
        }
        count(&mut counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_called_too_often_waits_and_the_others_do_not() {
        let limit = Limit::default();
        let calls = (0..PER_LINK + 5).filter(|_| limit.allows("one")).count();
        assert_eq!(calls, PER_LINK as usize);
        assert!(limit.allows("two"));
        let misses = (0..MISSES + 5).filter(|_| limit.allows_miss()).count();
        assert_eq!(misses, MISSES as usize);
    }
}
