//! bluetoothd says that it scans, hears nothing, and answers `InProgress` to everything. Only a restart of it helps.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{LONG, Lab, WALKERS, count};

#[test]
fn a_wedged_daemon_is_recognised_and_restarted() {
    let mut lab = Lab::start(WALKERS, &[], &[]);
    let since = Instant::now();
    lab.fault("wedge");
    let line = lab.wait("systemd is asked", LONG, |line| count(line, "daemon") == 1);
    assert_eq!(line["wedged"], true);
    lab.hears_again("daemon_wedged, from the fault, with 2 s instead of 15 s of silence", since);
    lab.is_well();
    assert_eq!(lab.stats()["counts"]["restarts"], 1, "once is enough");
}

#[test]
fn a_wedged_daemon_that_may_not_be_restarted_is_told_and_listened_to_once_a_person_has_restarted_it() {
    let mut lab = Lab::start(WALKERS, &["--systemd", "deny"], &[]);
    lab.fault("wedge");
    lab.wait("the wedge is told", LONG, |line| line["wedged"] == true && line["silent"] == true && count(line, "errors") >= 1);
    assert_eq!(lab.stats()["counts"]["restarts"], 0);
    sleep(Duration::from_secs(1));
    assert!(lab.probe.exit_code().is_none(), "a new process could not mend it");
    lab.fault("daemon_kill");
    let since = Instant::now();
    lab.fault("daemon_start");
    lab.hears_again("daemon_wedged, from the restart by a person", since);
    lab.is_well();
}
