//! Every fuzz target in one program, which `PASSAGE_FUZZ_TARGET` chooses: `deploy/fuzz` builds it upon what the tests have built already. `cargo fuzz` finds
//! a program for each in `gateway/fuzz`.

#![no_main]

use std::sync::LazyLock;

use passage_gateway::fuzz::TARGETS;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("PASSAGE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("PASSAGE_FUZZ_TARGET names no target: {name}")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
