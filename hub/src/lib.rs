//! Turns what gateways report into visits of consenting members, matches visits with the exposures that preceded them, and sends the offers that
//! marketers wrote. The modules stand in the order in which the data flows.

pub mod ingest;

pub mod fleet;

pub mod identity;

pub mod visit;

pub mod touchpoint;

pub mod offer;

pub mod sms;

pub mod attribution;

pub mod report;

pub mod console;

pub mod api;

pub mod store;

pub mod retention;

pub mod privacy;

pub mod health;

pub mod command;

pub mod notice;

pub mod pipeline;

#[cfg(feature = "city")]
pub mod city;
