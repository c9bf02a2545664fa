//! How long each fault kept the gateway deaf.

use std::time::Duration;

use passage_protocol::{Event, Millis};

use crate::scenario::{Act, Action};

/// One fault and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// What happened.
    pub fault: Act,
    /// How long after the fault the cause was gone, if something removed it.
    pub mended: Option<Duration>,
    /// How long nobody was heard; `None` when nobody was heard any more.
    pub deaf: Option<Duration>,
}

/// The faults among the actions, each with the longest silence between it and the next fault. Phones must come and go all the time, so that
/// silence means deafness; `start` is the business time of the scenario's start, and `end` that of its end.
pub fn recoveries(actions: &[Action], events: &[Event], start: Millis, end: Millis) -> Vec<Recovery> {
    let mut evidence: Vec<Millis> = events.iter().flat_map(|event| [event.first, event.last]).collect();
    evidence.sort_unstable();
    let faults: Vec<&Action> = actions.iter().filter(|action| is_fault(action.what)).collect();
    let until = |n: usize| faults.get(n + 1).map_or(end, |next| start + next.at);
    let recovery = |(n, fault): (usize, &&Action)| {
        let mend = actions.iter().find(|action| action.at >= fault.at && Some(action.what) == mend_of(fault.what));
        Recovery {
            fault: fault.what,
            mended: mend.map(|mend| mend.at - fault.at),
            deaf: longest_silence(&evidence, start + fault.at, until(n)),
        }
    };
    faults.iter().enumerate().map(recovery).collect()
}

/// The longest silence between two moments, unless it lasts until the second.
fn longest_silence(evidence: &[Millis], from: Millis, until: Millis) -> Option<Duration> {
    let mut heard: Vec<Millis> = vec![from];
    heard.extend(evidence.iter().filter(|at| (from..until).contains(at)));
    heard.push(until);
    let silences = heard.windows(2).filter_map(|pair| Some((pair.get(1)?.since(*pair.first()?), *pair.get(1)?)));
    let (silence, end) = silences.max_by_key(|(silence, _)| *silence)?;
    (end < until).then(|| Duration::from_millis(silence.unsigned_abs()))
}

fn is_fault(act: Act) -> bool {
    matches!(act, Act::DaemonKill | Act::AdapterGone | Act::PowerOff | Act::Freeze | Act::BusKill | Act::Wedge)
}

fn mend_of(fault: Act) -> Option<Act> {
    match fault {
        Act::DaemonKill => Some(Act::DaemonStart),
        Act::AdapterGone => Some(Act::AdapterBack),
        Act::Freeze => Some(Act::Thaw),
        Act::BusKill => Some(Act::BusStart),
        _ => None,
    }
}
