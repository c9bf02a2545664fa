//! A stand-in for BlueZ on a message bus of its own.
//!
//! btleplug, libdbus, dbus-daemon and the messages are the real ones; only bluetoothd is played, as version 5.66 was seen to behave: one
//! adapter, an object for each sender that is heard and not silent for 30 s, discovery for each client, advertising, and the faults that a real
//! one has. Not played: connections, filters by UUID or strength, the chip's own filter of duplicates, and signals that are merged under load.
//!
//! `model` is BlueZ's memory and what it sends, `calls` what it answers, `stand` the process around it.

pub mod advertising;
pub mod bus;
mod calls;
pub mod control;
mod device;
mod model;
pub mod props;
mod stand;

pub use bus::PrivateBus;
pub use stand::{Options, Systemd, run};
