//! What to do about a radio that has fallen silent: one rung after the other. Pure: time comes in as the time since the source was opened.
//!
//! | silence | action | what its outcome means |
//! |---|---|---|
//! | `silence` | start the scan | done: listen. In progress: wait out a scan round that a dead daemon left in the chip, then stop |
//! | | stop the scan | done: start it. In progress again: the daemon is **wedged** |
//! | 2 x `silence` | a new connection with a new stream | done: listen. Refused: again, later and later |
//! | 3 x `silence` | restart the daemon | done: start the scan. Denied: tell a person |
//! | then | all of it again, each time after twice the wait | a closed shop is silent too |
//!
//! Only calls that fail for `give_up` end the process; silence alone never does. A restart of the daemon that has not helped doubles the time
//! until the next one, and a silence that is usual at this site is no reason for one: a quiet site is left alone.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// A scan round of the kernel. A daemon that was killed leaves its round behind; until it ends, a new one answers `InProgress`.
pub const ROUND: Duration = Duration::from_millis(10_240);
/// What is added to [`ROUND`] for the way there and back.
const SLACK: Duration = Duration::from_millis(760);
/// Between two questions whether a round has ended, and the first wait after a failure.
const MOMENT: Duration = Duration::from_secs(1);
/// Longest wait after a failure.
const FAILURE_WAIT: Duration = Duration::from_secs(30);
/// Longest wait between two rounds of the ladder on a quiet site.
const QUIET_WAIT: Duration = Duration::from_secs(3600);
/// A daemon that was restarted has so long to come back and hear something; only then the restart has helped.
const HELPED: Duration = Duration::from_secs(60);
/// A daemon is suspected only after so many times the longest silence that has ended by itself here.
const UNUSUAL: u32 = 3;
/// What is heard so soon after a loss was on its way before it.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// First distance between two restarts of a daemon that is proven to be wedged, and of one that is only silent.
const WEDGED_GAP: Duration = Duration::from_secs(60);
const SILENT_GAP: Duration = Duration::from_secs(900);
/// Longest distance between two restarts.
const LONGEST_GAP: Duration = Duration::from_secs(86_400);

/// How patient the ladder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Silence after which the next rung is taken, counted from the start of the scan.
    pub silence: Duration,
    /// Failing calls for so long end the process.
    pub give_up: Duration,
}

/// What the shell shall do next. It does one at a time and gives the outcome back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start the scan, and power the adapter on.
    Start,
    /// Stop the scan; the start follows.
    Stop,
    /// Leave the connection, open a new one with a new stream of events, start the scan.
    Session,
    /// Restart the daemon.
    Daemon,
    /// End the process.
    GiveUp,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// BlueZ says that it is still busy, and whether the adapter says that it scans.
    InProgress {
        /// `Discovering` of the adapter.
        discovering: bool,
    },
    /// BlueZ answers, but there is no such adapter.
    NoAdapter,
    /// No answer in time, no daemon, no bus, or any other refusal.
    Failed,
    /// The right to do it is missing.
    Denied,
}

/// What BlueZ and the bus tell unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The adapter was switched off.
    PoweredOff,
    /// The adapter was switched on.
    PoweredOn,
    /// The adapter is gone.
    AdapterGone,
    /// An adapter has come.
    AdapterBack,
    /// The daemon has left the bus.
    DaemonGone,
    /// The daemon has come to the bus.
    DaemonBack,
    /// The connection to the bus is over.
    BusGone,
    /// More is heard than the connection can take; what waits in it grows old.
    Overrun,
}

/// The state machine.
#[derive(Debug, Clone)]
pub struct Ladder {
    times: Times,
    /// What comes next, and when.
    next: Action,
    due: Duration,
    /// An action that has not come back yet.
    running: Option<Action>,
    /// The scan was started and nothing has ended it since, as far as is known.
    scanning: bool,
    /// The rung that a further silence leads to.
    rung: Action,
    busy_since: Option<Duration>,
    /// The scan was stopped already since something was in its way.
    stopped: bool,
    lost_at: Option<Duration>,
    failing_since: Option<Duration>,
    failures: u32,
    /// Rounds of the ladder since the last advert.
    rounds: u32,
    wedged: bool,
    denied: bool,
    restarted: Option<Duration>,
    useless_restarts: u32,
    last_heard: Duration,
    /// Nothing but silence has happened since then.
    only_silence: bool,
    /// The longest silence that has ended by itself.
    usual: Duration,
}

impl Ladder {
    /// A scan that was started just now, at time zero.
    pub fn new(times: Times) -> Self {
        Self {
            times,
            next: Action::Start,
            due: times.silence,
            running: None,
            scanning: true,
            rung: Action::Session,
            busy_since: None,
            stopped: false,
            lost_at: None,
            failing_since: None,
            failures: 0,
            rounds: 0,
            wedged: false,
            denied: false,
            restarted: None,
            useless_restarts: 0,
            last_heard: Duration::ZERO,
            only_silence: true,
            usual: Duration::ZERO,
        }
    }

    /// A scan whose first start has come out like this, at time zero.
    pub fn opened(times: Times, outcome: Outcome) -> Self {
        let mut ladder = Self { running: Some(Action::Start), ..Self::new(times) };
        ladder.outcome(outcome, Duration::ZERO);
        if outcome == Outcome::Done { Self::new(times) } else { ladder }
    }

    /// The action that is due now. Its outcome must come back before there is another one.
    pub fn poll(&mut self, now: Duration) -> Option<Action> {
        if self.running.is_some() {
            return None;
        }
        let action = if self.failing_since.is_some_and(|since| now.saturating_sub(since) >= self.times.give_up) {
            Action::GiveUp
        } else if now >= self.due {
            self.next
        } else {
            return None;
        };
        if action == Action::Daemon {
            self.restarted = Some(now);
            self.useless_restarts = self.useless_restarts.saturating_add(1);
        }
        self.running = Some(action);
        Some(action)
    }

    /// Something was heard on the air.
    pub fn heard(&mut self, now: Duration) {
        if self.lost_at.is_some_and(|at| now.saturating_sub(at) < ON_ITS_WAY) {
            return;
        }
        if self.restarted.is_some_and(|at| now.saturating_sub(at) <= HELPED) {
            self.useless_restarts = 0;
        } else if self.only_silence {
            self.usual = self.usual.max(now.saturating_sub(self.last_heard)).min(QUIET_WAIT);
        }
        self.last_heard = now;
        self.only_silence = true;
        self.lost_at = None;
        self.stopped = false;
        self.scanning = true;
        self.rung = Action::Session;
        self.busy_since = None;
        self.rounds = 0;
        self.wedged = false;
        self.denied = false;
        self.answered();
        self.plan(Action::Start, now + self.times.silence);
    }

    /// The action that [`Ladder::poll`] gave has come back.
    pub fn outcome(&mut self, outcome: Outcome, now: Duration) {
        let Some(action) = self.running.take() else { return };
        if action != Action::Daemon {
            match outcome {
                Outcome::Done | Outcome::InProgress { .. } => self.answered(),
                // A missing adapter does not come back by a new process.
                Outcome::NoAdapter => self.failing_since = None,
                Outcome::Failed | Outcome::Denied => {}
            }
        }
        match (action, outcome) {
            // There is nothing behind it.
            (Action::GiveUp, _) => self.running = Some(Action::GiveUp),
            (Action::Daemon, _) => self.after_restart(outcome, now),
            (Action::Stop, Outcome::InProgress { .. }) => self.wedge(now),
            // "No discovery started" is a refusal, and the best that can be: nothing is in the way of the start.
            (Action::Stop, Outcome::Done | Outcome::Failed) => self.plan(Action::Start, now),
            (_, Outcome::Done) => self.started(now),
            (_, Outcome::InProgress { discovering }) => self.busy(discovering, now),
            (_, Outcome::NoAdapter) => self.later(Action::Start, now),
            (_, Outcome::Failed | Outcome::Denied) => self.failed(now),
        }
    }

    /// BlueZ or the bus has told something.
    pub fn notice(&mut self, notice: Notice, now: Duration) {
        match notice {
            // An adapter that is pulled is switched off first: a moment later it is known which of the two it was.
            Notice::PoweredOff => self.lost(Action::Start, MOMENT / 4, now),
            Notice::AdapterGone => self.lost(Action::Start, FAILURE_WAIT, now),
            Notice::DaemonGone => {
                self.fails(now);
                self.lost(Action::Start, MOMENT, now);
            }
            Notice::BusGone => {
                self.fails(now);
                self.lost(Action::Session, MOMENT / 4, now);
            }
            Notice::Overrun => self.lost(Action::Session, Duration::ZERO, now),
            // Our own start switches the adapter on as well; that is nothing new.
            Notice::PoweredOn | Notice::DaemonBack if !self.scanning => self.plan(Action::Start, now),
            // It may have another number now.
            Notice::AdapterBack if !self.scanning => self.plan(Action::Session, now),
            Notice::PoweredOn | Notice::DaemonBack | Notice::AdapterBack => {}
        }
    }

    /// Nothing is heard and starting again has not helped, or calls fail: a person should look.
    pub fn is_silent(&self) -> bool {
        self.rounds > 0 || self.failures >= 3 || self.wedged
    }

    /// The daemon is proven to have lost track of its scan.
    pub fn is_wedged(&self) -> bool {
        self.wedged
    }

    /// The daemon should be restarted, and the right is missing.
    pub fn is_denied(&self) -> bool {
        self.denied
    }

    fn plan(&mut self, action: Action, at: Duration) {
        self.next = action;
        self.due = at;
    }

    fn without_scan(&mut self, next: Action, at: Duration) {
        self.scanning = false;
        self.only_silence = false;
        self.plan(next, at);
    }

    fn lost(&mut self, next: Action, wait: Duration, now: Duration) {
        self.lost_at = Some(now);
        self.without_scan(next, now + wait);
    }

    fn answered(&mut self) {
        self.failing_since = None;
        self.failures = 0;
    }

    fn fails(&mut self, now: Duration) {
        self.failing_since.get_or_insert(now);
    }

    /// Twice the wait after each failure in a row.
    fn later(&mut self, action: Action, now: Duration) {
        let wait = doubled(MOMENT, self.failures, FAILURE_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.without_scan(action, now + wait);
    }

    fn failed(&mut self, now: Duration) {
        self.fails(now);
        self.later(Action::Session, now);
    }

    /// The scan runs, as BlueZ says. If it stays silent, the next rung is due.
    fn started(&mut self, now: Duration) {
        self.scanning = true;
        self.lost_at = None;
        self.busy_since = None;
        self.stopped = false;
        let wait = doubled(self.times.silence, self.rounds, QUIET_WAIT.max(self.times.silence));
        match self.rung {
            Action::Session => {
                self.rung = Action::Daemon;
                self.plan(Action::Session, now + wait);
            }
            _ => self.suspect(now, wait),
        }
    }

    /// A new connection is as silent as the old one: a wedged daemon, or a quiet site. Nothing tells them apart but a restart.
    fn suspect(&mut self, now: Duration, wait: Duration) {
        self.rung = Action::Session;
        self.rounds = self.rounds.saturating_add(1);
        let at = (now + wait).max(self.last_heard + self.usual * UNUSUAL);
        if at >= self.next_restart(SILENT_GAP) {
            self.plan(Action::Daemon, at);
        } else {
            self.plan(Action::Start, at + wait);
        }
    }

    fn busy(&mut self, discovering: bool, now: Duration) {
        let since = *self.busy_since.get_or_insert(now);
        // An adapter that scans is busy with our own scan, or believes so; one that does not is busy with what a dead daemon left behind.
        if !discovering && now.saturating_sub(since) < ROUND + SLACK {
            self.without_scan(Action::Start, now + MOMENT);
        } else if self.stopped {
            self.busy_since = None;
            self.stopped = false;
            self.later(Action::Session, now);
        } else {
            self.stopped = true;
            self.plan(Action::Stop, now);
        }
    }

    fn wedge(&mut self, now: Duration) {
        self.wedged = true;
        let at = self.next_restart(WEDGED_GAP).max(now);
        self.plan(Action::Daemon, at);
    }

    fn after_restart(&mut self, outcome: Outcome, now: Duration) {
        self.denied = outcome != Outcome::Done;
        self.busy_since = None;
        self.stopped = false;
        self.scanning = false;
        // The daemon says itself when it is back; this is for the case that it does not.
        let wait = if self.denied { doubled(self.times.silence, self.rounds, QUIET_WAIT.max(self.times.silence)) } else { MOMENT * 3 };
        self.plan(Action::Start, now + wait);
    }

    /// The earliest time of the next restart of the daemon. Each one that has not helped doubles the distance.
    fn next_restart(&self, first: Duration) -> Duration {
        match self.restarted {
            Some(at) => at + doubled(first, self.useless_restarts.saturating_sub(1), LONGEST_GAP),
            None => Duration::ZERO,
        }
    }
}

/// `first`, doubled so many times, and at most `most`.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(most)
}
