//! The bus never comes back: only a new process is left to try, and systemd starts it.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{LONG, Lab, WALKERS};

#[test]
fn a_gateway_whose_bus_never_comes_back_ends_for_its_service_manager() {
    let mut lab = Lab::start(WALKERS, &[], &["--exit-after-ms", "4000"]);
    lab.bus.kill();
    let begun = Instant::now();
    let code = loop {
        if let Some(code) = lab.probe.exit_code() {
            break code;
        }
        assert!(begun.elapsed() < LONG);
        sleep(Duration::from_millis(50));
    };
    assert_eq!(code, 3);
    assert!(begun.elapsed() >= Duration::from_secs(3), "not at the first refusal");
}
