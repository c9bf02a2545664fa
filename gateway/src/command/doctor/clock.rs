//! The clock: events carry its time, and rotating ids are resolved by it.

use std::path::Path;

use passage_protocol::{Clock, Millis};

use super::finding::Finding;
use crate::clock::server::has_set_the_clock;

/// 2025-01-01; this program is younger.
const OLDEST: Millis = Millis::from_secs(1_735_689_600);
/// 2100-01-01
const LATEST: Millis = Millis::from_secs(4_102_444_800);

/// What the machine knows of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub now: Millis,
    /// Set by a time server; `None` when nobody tells.
    pub is_synchronised: Option<bool>,
    /// The gateway runs on this clock and not on one that is made up.
    pub is_used: bool,
}

/// Looks for the mark of systemd-timesyncd at `mark`, and else asks `timedatectl`, which knows of every time service.
pub(super) fn gather(mark: &Path, clock: &Clock) -> Facts {
    Facts { now: Clock::System.now(), is_synchronised: has_set_the_clock(mark), is_used: clock.is_system() }
}

/// Judges the clock.
pub(super) fn judge(facts: &Facts) -> Finding {
    const CHECK: &str = "clock";
    const MEND: &str = "run `timedatectl set-ntp true`, and let UDP port 123 or the time server of the shop's network through";
    if !facts.is_used {
        return Finding::warning(
            CHECK,
            "gateway.toml has a `clock` that is made up, as the demo uses it",
            "take `clock` out of gateway.toml in a real shop",
        );
    }
    if !(OLDEST..LATEST).contains(&facts.now) {
        let year = 1970 + facts.now.secs() / 31_556_952;
        return Finding::wrong(CHECK, format!("this machine believes that it is the year {year}"), MEND);
    }
    match facts.is_synchronised {
        Some(true) => Finding::ok(CHECK, "set by a time server"),
        Some(false) => Finding::wrong(CHECK, "not set by a time server; members are not recognised when it is wrong by minutes", MEND),
        None => Finding::warning(CHECK, "it is unknown whether a time server sets it", MEND),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn a_clock_must_be_real_sane_and_set_by_a_time_server() {
        let now = Millis(1_795_165_200_000);
        let cases = [
            (now, Some(true), true, State::Ok, "set by"),
            (now, Some(false), true, State::Wrong, "not set"),
            (now, None, true, State::Warning, "unknown"),
            (Millis(0), Some(true), true, State::Wrong, "the year 1970"),
            (Millis::from_secs(4_200_000_000), None, true, State::Wrong, "the year 2103"),
            (now, Some(true), false, State::Warning, "made up"),
        ];
        for (now, is_synchronised, is_used, state, what) in cases {
            let finding = judge(&Facts { now, is_synchronised, is_used });
            assert!(finding.state == state && finding.what.contains(what), "{finding}");
        }
    }

    #[test]
    fn the_mark_of_the_time_service_is_enough() {
        let mark = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(gather(mark.path(), &Clock::System).is_synchronised, Some(true));
    }
}
