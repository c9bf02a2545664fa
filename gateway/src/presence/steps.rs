//! Tells when the wall clock was set, by a clock that nobody sets.

use std::time::Duration;

use passage_protocol::Millis;

/// A smaller difference is slewing, or the time between two looks; the machine takes it as it comes.
const SLACK_MS: i64 = 5_000;

/// The distance between business time and the time since the machine's boot. As long as it stays the same, nobody has set the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// Business time less time since boot, in milliseconds.
    distance: Option<i64>,
    /// Business time at the last step; what was stamped before it is on a time that is no more.
    floor: Option<Millis>,
    now: Millis,
}

impl Steps {
    /// Looks at both clocks; gives by how many milliseconds the wall clock was set since the last look, if it was.
    pub fn note(&mut self, now: Millis, since_boot: Duration) -> Option<i64> {
        let distance = now.0.saturating_sub(super::millis(since_boot));
        let step = distance.saturating_sub(self.distance.unwrap_or(distance));
        self.distance = Some(distance);
        self.now = now;
        if step.saturating_abs() < SLACK_MS {
            return None;
        }
        self.floor = Some(now);
        Some(step)
    }

    /// A stamp that was waiting in a queue, on the time of now: not after it, and not before the clock was set.
    pub fn on_time(&self, stamp: Millis) -> Millis {
        self.floor.map_or(stamp, |floor| stamp.max(floor)).min(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(steps: &mut Steps, now: i64, boot: u64) -> Option<i64> {
        steps.note(Millis::from_secs(now), Duration::from_secs(boot))
    }

    #[test]
    fn a_step_in_either_direction_is_told_once() {
        let mut steps = Steps::default();
        assert_eq!(note(&mut steps, 1_000, 10), None, "the first look has nothing to compare with");
        assert_eq!(note(&mut steps, 1_001, 11), None);
        assert_eq!(note(&mut steps, 11_802, 12), Some(10_800_000));
        assert_eq!(note(&mut steps, 11_803, 13), None);
        assert_eq!(note(&mut steps, 1_004, 14), Some(-10_800_000));
        assert_eq!(note(&mut steps, 1_005, 15), None);
    }

    #[test]
    fn a_night_without_a_look_and_slow_drift_are_no_steps() {
        let mut steps = Steps::default();
        note(&mut steps, 0, 0);
        assert_eq!(note(&mut steps, 50_000, 50_000), None);
        for second in 1..10_000 {
            let drifted = Millis(50_000_000 + i64::try_from(second).unwrap() * 1_400);
            assert_eq!(steps.note(drifted, Duration::from_secs(50_000 + second)), None);
        }
    }

    #[test]
    fn stamps_of_the_time_before_a_step_are_taken_as_the_moment_of_the_step() {
        let mut steps = Steps::default();
        note(&mut steps, 1_000, 10);
        note(&mut steps, 11_801, 11);
        assert_eq!(steps.on_time(Millis::from_secs(1_001)), Millis::from_secs(11_801));
        note(&mut steps, 1_002, 12);
        assert_eq!(steps.on_time(Millis::from_secs(11_802)), Millis::from_secs(1_002));
        note(&mut steps, 1_003, 13);
        assert_eq!(steps.on_time(Millis(1_002_500)), Millis(1_002_500));
    }
}
