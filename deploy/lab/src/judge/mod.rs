//! Holds what a gateway decided against what the phones of a scenario did. Pure; `lab-judge` reads the files.

use std::{collections::BTreeMap, time::Duration};

use passage_protocol::{Event, Millis, Phase, Rid, Subject, Zone};

mod faults;
mod truth;
pub mod usage;

#[cfg(test)]
mod tests;

pub use faults::{Recovery, recoveries};
pub use truth::{OnAir, on_air};

/// Adverts that a stay needs before its enter is demanded. BlueZ merges signals under load, so that not each advert arrives.
const ENOUGH: usize = 8;
/// How patient the gateway and its chip are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The gateway's silence time-out.
    pub silence: Duration,
    /// Longest time by which an exit may be off the last advert on the air: BlueZ's delay, adverts lost at the end, and for a chip that filters
    /// duplicates a scan round.
    pub slack: Duration,
}

/// What was right and wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Ids that were heard well enough to be missed.
    pub stays: usize,
    /// Enters found of those.
    pub enters: usize,
    /// Stays that ended early enough for their exit to be decided.
    pub ended: usize,
    /// Exits found of those.
    pub exits: usize,
    /// What must not be, in words without ids.
    pub mistakes: Vec<String>,
    /// First advert on the air to the time of the enter, sorted.
    pub to_enter: Vec<Duration>,
    /// Distance of each exit from the last advert, sorted.
    pub exit_off: Vec<Duration>,
}

/// Judges the events of zone `in`. `end` is when the gateway was stopped.
pub fn judge(truth: &BTreeMap<Rid, OnAir>, events: &[Event], end: Millis, patience: Patience) -> Verdict {
    let mut verdict = Verdict::default();
    let mut decided: BTreeMap<Rid, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.zone == Zone::In && event.phase != Phase::Dwell) {
        match &event.subject {
            Subject::Rid { rid, .. } if truth.contains_key(rid) => decided.entry(*rid).or_default().push(event),
            _ => verdict.mistakes.push("an event of somebody who was not on the air".to_owned()),
        }
    }
    for (rid, on_air) in truth {
        verdict.stay(on_air, decided.get(rid).map(Vec::as_slice).unwrap_or_default(), end, patience);
    }
    verdict.to_enter.sort_unstable();
    verdict.exit_off.sort_unstable();
    verdict
}

impl Verdict {
    /// True when every stay was found and nothing else.
    pub fn is_right(&self) -> bool {
        self.mistakes.is_empty() && self.enters == self.stays && self.exits == self.ended && self.stays > 0
    }

    fn stay(&mut self, on_air: &OnAir, events: &[&Event], end: Millis, patience: Patience) {
        let alternates = events.iter().enumerate().all(|(n, event)| (event.phase == Phase::Enter) == (n % 2 == 0));
        if !alternates {
            self.mistakes.push("enters and exits of one id do not alternate".to_owned());
        }
        if events.iter().any(|event| event.first + Duration::from_secs(1) < on_air.first) {
            self.mistakes.push("an event whose evidence is older than the first advert".to_owned());
        }
        if on_air.adverts < ENOUGH {
            return;
        }
        self.stays += 1;
        if let Some(enter) = events.iter().find(|event| event.phase == Phase::Enter) {
            self.enters += 1;
            self.to_enter.push(between(on_air.first, enter.at));
        }
        if on_air.last + patience.silence + patience.slack > end {
            return;
        }
        self.ended += 1;
        match events {
            [] => {}
            [.., last] if last.phase == Phase::Exit => {
                let off = between(on_air.last, last.at);
                self.exits += usize::from(off <= patience.slack);
                self.exit_off.push(off);
                if events.len() > 2 {
                    self.mistakes.push("one stay was reported as several".to_owned());
                }
            }
            _ => {}
        }
    }
}

/// The distance of two moments, whichever is first.
fn between(a: Millis, b: Millis) -> Duration {
    Duration::from_millis(b.since(a).unsigned_abs())
}
