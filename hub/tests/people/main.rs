//! Members, consents, links and touchpoints, on both engines.

#[path = "../support/shop.rs"]
mod shop;
#[path = "../support/mod.rs"]
mod support;

mod hub;
mod links;
mod members;
mod phones;
