//! bluetoothd stops answering for 10 s and then goes on.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Lab, WALKERS, count};

#[test]
fn a_daemon_that_hangs_for_ten_seconds_is_heard_again() {
    let mut lab = Lab::start(WALKERS, &[], &[]);
    lab.bluez.signal("STOP");
    lab.falls_silent();
    sleep(Duration::from_secs(9));
    let line = lab.now();
    assert!(count(&line, "start") >= 1, "the silence was noticed, and no call has blocked the watch: {line}");
    lab.bluez.signal("CONT");
    lab.hears_again("daemon_hangs, from its return", Instant::now());
    assert!(lab.probe.exit_code().is_none());
}
