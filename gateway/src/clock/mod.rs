//! What time it is in a box that may have no battery for its clock.
//!
//! Until somebody sets such a clock, it shows the time of its image or of its last shutdown. So: time never runs back behind the last time that is on
//! the disk; the time that a hub signs with its ack is taken when nobody else has set the clock; and as soon as a time server has, the wall clock
//! holds. Events that were stamped before anybody knew the time are sent as such, and a hub corrects them by their age.

pub mod boot;
pub mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use passage_protocol::{Clock, Correction, Millis};

/// Differences below this are the time that a message takes.
const SLACK_MS: i64 = 2_000;

/// Who vouches for the time; who stands lower is believed more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Trust {
    /// Nobody so far.
    Nobody = 0,
    /// A hub, with its signature.
    Hub = 1,
    /// A time server has set the wall clock; or the time is made up and everybody agrees on it.
    Server = 2,
}

/// Keeps business time right; clones share it.
#[derive(Debug, Clone)]
pub struct Keeper {
    clock: Clock,
    correction: Option<Arc<Correction>>,
    trust: Arc<AtomicU8>,
}

impl Keeper {
    /// Keeps the machine's own clock; one that is made up (scaled, stepped) is right by definition.
    pub fn new(clock: Clock) -> Self {
        let correction = matches!(clock, Clock::System).then(|| Arc::new(Correction::none()));
        let trust = if correction.is_some() { Trust::Nobody } else { Trust::Server };
        let clock = correction.clone().map_or(clock, Clock::Corrected);
        Self { clock, correction, trust: Arc::new(AtomicU8::new(trust as u8)) }
    }

    /// Business time for everybody in the gateway.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Who vouches for it now.
    pub fn trust(&self) -> Trust {
        match self.trust.load(Ordering::SeqCst) {
            0 => Trust::Nobody,
            1 => Trust::Hub,
            _ => Trust::Server,
        }
    }

    /// True if what is stamped now needs no correction by a hub.
    pub fn is_trusted(&self) -> bool {
        self.trust() > Trust::Nobody
    }

    /// The last time on disk: it is not earlier now. Gives how far behind the clock was, in milliseconds.
    pub fn not_before(&self, last: Millis) -> Option<i64> {
        let behind = last.since(self.clock.now());
        let correction = self.correction.as_ref().filter(|_| behind > 0 && self.trust() != Trust::Server)?;
        correction.set(last);
        Some(behind)
    }

    /// The time that a hub signed. It is believed when no time server has spoken, and never for going back: an old ack can be played again.
    /// Gives by how much the time was moved, in milliseconds.
    pub fn hub_says(&self, at: Millis) -> Option<i64> {
        let correction = self.correction.as_ref().filter(|_| self.trust() != Trust::Server)?;
        let ahead = at.since(self.clock.now());
        if ahead > SLACK_MS {
            correction.set(at);
        }
        if ahead >= -SLACK_MS {
            self.trust.store(Trust::Hub as u8, Ordering::SeqCst);
        }
        (ahead > SLACK_MS).then_some(ahead)
    }

    /// A time server has set the wall clock: it holds from now on.
    pub fn server_says(&self) {
        if let Some(correction) = &self.correction {
            correction.lift();
            self.trust.store(Trust::Server as u8, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn time_never_runs_back_behind_the_last_time_on_disk() {
        let keeper = Keeper::new(Clock::System);
        let tomorrow = Clock::System.now() + DAY;
        assert!(keeper.not_before(tomorrow).is_some_and(|behind| behind > 86_000_000));
        assert!(keeper.clock().now() >= tomorrow);
        assert!(!keeper.is_trusted());
        assert_eq!(keeper.not_before(Clock::System.now()), None);
        assert!(keeper.clock().now() >= tomorrow);
    }

    #[test]
    fn a_hub_sets_the_clock_forward_and_never_back() {
        let keeper = Keeper::new(Clock::System);
        let tomorrow = Clock::System.now() + DAY;
        assert_eq!(keeper.hub_says(tomorrow - DAY - DAY), None);
        assert!(!keeper.is_trusted(), "a hub that says another time does not vouch for ours");
        assert!(keeper.hub_says(tomorrow).is_some());
        assert!(keeper.clock().now() >= tomorrow && keeper.trust() == Trust::Hub);
        assert_eq!(keeper.hub_says(tomorrow - DAY), None);
        assert!(keeper.clock().now() >= tomorrow);
    }

    #[test]
    fn a_time_server_has_the_last_word() {
        let keeper = Keeper::new(Clock::System);
        keeper.hub_says(Clock::System.now() + DAY);
        keeper.server_says();
        assert!(keeper.clock().now() < Clock::System.now() + DAY);
        assert_eq!(keeper.hub_says(Clock::System.now() + DAY), None);
        assert_eq!(keeper.not_before(Clock::System.now() + DAY), None);
        assert_eq!(keeper.trust(), Trust::Server);
    }

    #[test]
    fn a_time_that_is_made_up_is_right_by_definition() {
        let keeper = Keeper::new(Clock::stepped(Millis(5)));
        assert!(keeper.is_trusted());
        assert_eq!((keeper.hub_says(Millis(1_000_000)), keeper.clock().now()), (None, Millis(5)));
    }
}
