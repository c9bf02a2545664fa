//! Since when this machine has been listening without a break: who is first heard right after that was perhaps there before.

use std::time::Duration;

use passage_protocol::Millis;
use serde::{Deserialize, Serialize};

/// The beginning of an unbroken time of listening, over restarts.
#[derive(Default)]
pub(super) struct Start {
    /// `None` before anything was heard.
    begun: Option<Millis>,
    before: Option<Saved>,
    pub changed: bool,
    /// What is heard can be played again, so a restart misses nothing.
    pub gapless: bool,
}

/// What a restart needs of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    begun: Millis,
    /// Heard up to here; `None` while the gateway runs, and so after a crash.
    until: Option<Millis>,
    gapless: bool,
}

impl Start {
    /// Notes the first time that this run is told. A short break, in which nobody inside stays unheard, is none.
    pub fn begin(&mut self, at: Millis, short: Duration) {
        let unbroken = |before: &Saved| before.gapless || before.until.is_some_and(|until| until <= at && at <= until + short);
        let begun = self.before.take().filter(unbroken).map_or(at, |before| before.begun);
        self.begun = Some(begun);
        self.changed = true;
    }

    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// True if who is first heard at `at` may have been there before.
    pub fn is_early(&self, at: Millis, settle: Duration) -> bool {
        self.begun.is_some_and(|begun| at < begun + settle)
    }

    pub fn shift(&mut self, step: i64) {
        if let Some(begun) = &mut self.begun {
            begun.0 = begun.0.saturating_add(step);
            self.changed = true;
        }
    }

    pub fn restore(&mut self, saved: Saved) {
        self.before = Some(saved);
    }

    /// What is to be saved; `until` at an orderly stop.
    pub fn save(&mut self, until: Option<Millis>) -> Option<Saved> {
        self.changed = false;
        self.begun.map(|begun| Saved { begun, until, gapless: self.gapless })
    }
}
