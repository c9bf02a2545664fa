//! `passage-hub`: turns what gateways report into visits, offers and honest numbers.

fn main() {}
