//! bluetoothd dies and is started again. The kernel still runs the dead one's scan round, so that the first starts are refused.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Lab, WALKERS, count};

#[test]
fn a_daemon_that_is_killed_and_started_again_is_heard_again() {
    let mut lab = Lab::start(WALKERS, &[], &[]);
    lab.bluez.kill();
    lab.falls_silent();
    sleep(Duration::from_secs(2));
    lab.restart_bluez(&["--busy-ms", "4000"]);
    let line = lab.hears_again("daemon_killed, from its return, 4 s of them busy", Instant::now());
    assert_eq!((count(&line, "stop"), count(&line, "daemon")), (0, 0), "its busy time is waited out: {line}");
    lab.is_well();
}
