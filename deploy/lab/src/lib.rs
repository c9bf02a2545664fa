//! Virtual phones for the radio: scenarios, a stand-in for BlueZ on a private bus, and a virtual controller for a real one.

pub mod address;
pub mod air;
pub mod bluez;
pub mod judge;
pub mod scenario;

pub use address::Address;
pub use scenario::{Scenario, ScenarioError};
