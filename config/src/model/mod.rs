//! What the files mean once they are read and checked. Everything here is already valid; nothing here parses.

mod defaults;
mod fleet;
mod gateway;
mod hub;
mod identity;
mod mqtt;
mod offer;
mod profile;
mod site;
mod touch;
mod wake;
mod world;

pub use fleet::*;
pub use gateway::*;
pub use hub::*;
pub use identity::*;
pub use mqtt::*;
pub use offer::*;
pub use profile::*;
pub use site::*;
pub use touch::*;
pub use wake::*;
pub use world::*;
