//! Consent and privacy: the record of consents, what a member may ask for, and her own page.

#[path = "../support/shop.rs"]
mod shop;
#[path = "../support/mod.rs"]
mod support;

mod doors;
mod ledger;
mod looks;
mod page;
mod quiet;
mod rights;
