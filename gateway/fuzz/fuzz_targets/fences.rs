#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| passage_gateway::fuzz::fences(bytes));
