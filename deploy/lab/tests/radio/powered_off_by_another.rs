//! Another program switches the adapter off.

use std::time::Instant;

use crate::support::{Lab, WALKERS, count};

#[test]
fn an_adapter_that_another_program_switches_off_is_switched_on_again_at_once() {
    let mut lab = Lab::start(WALKERS, &[], &["--restart-after-ms", "30000"]);
    let since = Instant::now();
    lab.fault("power_off");
    let line = lab.hears_again("powered_off_by_another, from the fault", since);
    assert!(since.elapsed().as_secs() < 25, "the notice is enough, the silence need not be waited for");
    assert_eq!(count(&line, "session"), 0, "{line}");
}
