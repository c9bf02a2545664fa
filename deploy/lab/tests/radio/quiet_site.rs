//! Nobody is near for a while. That is no fault of the radio.

use std::time::Instant;

use crate::support::{LONG, Lab, count};

const CLOSED: &str = r#"{
  "name": "a phone at closing time and one the next morning", "seed": 3,
  "phones": [
    {"id": "last", "payload": "020106 05ffffff0101", "interval_ms": 100, "stop_ms": 1000},
    {"id": "first", "repeat": 10, "payload": "020106 05ffffff0202", "interval_ms": 100, "start_ms": 16000}
  ]
}"#;

#[test]
fn a_closed_shop_restarts_the_daemon_at_most_once_and_ends_nothing() {
    let mut lab = Lab::start(CLOSED, &[], &["--restart-after-ms", "1000", "--exit-after-ms", "3000"]);
    lab.falls_silent();
    let line = lab.wait("the ladder has been climbed", LONG, |line| count(line, "daemon") == 1);
    assert_eq!(line["wedged"], false, "nothing is proven: {line}");
    let line = lab.hears_again("quiet_site", Instant::now());
    assert_eq!(count(&line, "daemon"), 1, "{line}");
    assert!(lab.probe.exit_code().is_none(), "silence alone never ends the process");
}
