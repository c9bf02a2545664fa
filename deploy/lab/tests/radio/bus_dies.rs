//! The message bus itself dies, and later comes back with a new bluetoothd on it.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Lab, WALKERS, count};

#[test]
fn a_bus_that_dies_and_comes_back_is_listened_to_again() {
    let mut lab = Lab::start(WALKERS, &[], &[]);
    lab.bus.kill();
    lab.falls_silent();
    sleep(Duration::from_secs(2));
    lab.bus.restart().unwrap();
    lab.restart_bluez(&[]);
    let line = lab.hears_again("bus_dies, from its return", Instant::now());
    assert!(count(&line, "session") >= 1, "{line}");
}
