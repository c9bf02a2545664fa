//! The events of a made-up gateway: everybody comes in, dwells twice and leaves, and then comes again.

use passage_protocol::{GatewayId, InstallationId, Millis, Phase, Rid, Signal, StoreId, Strength, Subject, Zone};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::Change;

/// Strangers that come and go when nobody is named.
const STRANGERS: usize = 500;
const PHASES: [Phase; 4] = [Phase::Enter, Phase::Dwell, Phase::Dwell, Phase::Exit];

/// An endless day in one store. Two stories of one gateway are the same.
#[derive(Debug)]
pub(super) struct Story {
    store: StoreId,
    people: Vec<(Subject, Millis)>,
    told: usize,
}

impl Story {
    /// Of `subjects`, or of strangers when there are none. Gateways begin with different people.
    pub fn new(gateway: &GatewayId, store: StoreId, subjects: &[InstallationId]) -> Self {
        let seed = gateway.as_str().bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut people: Vec<Subject> = subjects.iter().cloned().map(Subject::Installation).collect();
        if people.is_empty() {
            people = (0..STRANGERS).map(|_| Subject::Rid { rid: Rid(random.random()), hint: random.random_range(0..16) }).collect();
        }
        let first = random.random_range(0..people.len());
        people.rotate_left(first);
        Self { store, people: people.into_iter().map(|subject| (subject, Millis(0))).collect(), told: 0 }
    }

    /// What happens next, at `at`.
    pub fn next(&mut self, at: Millis, late: bool) -> Change {
        let (round, turn) = (self.told / self.people.len(), self.told % self.people.len());
        self.told += 1;
        let phase = PHASES[round % PHASES.len()];
        let (subject, came) = &mut self.people[turn];
        if phase == Phase::Enter {
            *came = at;
        }
        let (signal, strength) = match subject {
            Subject::Installation(_) => (Signal::App, Strength::App),
            _ => (Signal::Beacon, Strength::Radio { rssi: -60, count: 12 }),
        };
        Change {
            store: self.store.clone(),
            zone: Zone::In,
            subject: subject.clone(),
            signal,
            phase,
            at,
            first: *came,
            last: at,
            strength,
            initial: false,
            late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_comes_dwells_and_leaves_in_this_order() {
        let people = ["anna-1", "bert-1"].map(|id| id.parse().unwrap());
        let mut story = Story::new(&"gw-1".parse().unwrap(), "lyon".parse().unwrap(), &people);
        let told: Vec<Change> = (0..10).map(|n| story.next(Millis(1000 + n), false)).collect();
        let of_first: Vec<Phase> = told.iter().filter(|c| c.subject == told[0].subject).map(|c| c.phase).collect();
        assert_eq!(of_first, [Phase::Enter, Phase::Dwell, Phase::Dwell, Phase::Exit, Phase::Enter]);
        assert!(told.iter().all(|c| c.first <= c.last && c.last == c.at));
    }
}
