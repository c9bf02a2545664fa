//! The adapter is pulled out and plugged in again.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Lab, WALKERS};

#[test]
fn an_adapter_that_is_pulled_and_plugged_in_again_is_used_again() {
    let mut lab = Lab::start(WALKERS, &[], &["--adapter", "02:00:5E:00:53:01"]);
    lab.fault("adapter_gone");
    lab.falls_silent();
    sleep(Duration::from_secs(4));
    assert!(lab.probe.exit_code().is_none());
    lab.fault("adapter_back");
    lab.hears_again("adapter_pulled, from its return", Instant::now());
}
