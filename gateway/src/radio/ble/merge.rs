//! The several events of one advert back to one advert. Pure.
//!
//! BlueZ tells an advert in one signal; btleplug makes of it up to four events, one after the other: strength, manufacturer data, service data,
//! new service UUIDs. Nothing ties them together but their order and their sender. An advert is therefore whole when another one begins: an
//! event of another sender, or one of a kind that it has already.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use passage_protocol::Millis;
use uuid::Uuid;

use super::{
    bytes,
    devices::{Device, Devices, UUIDS},
};
use crate::radio::Advert;

/// An advert to which nothing was added for so long is whole. The events of one signal come within a millisecond.
pub const SETTLED: Duration = Duration::from_millis(20);

/// One event of a sender, as btleplug tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Strength in dBm.
    Rssi(i16),
    /// Manufacturer data by company id.
    Manufacturer(HashMap<u16, Vec<u8>>),
    /// Service data by service.
    Service(HashMap<Uuid, Vec<u8>>),
    /// All service UUIDs that BlueZ knows of the sender, old ones too.
    Services(Vec<Uuid>),
}

/// What [`Merger`] makes of the events.
#[derive(Debug, PartialEq, Eq)]
pub enum Merged {
    /// A whole advert.
    Advert(Advert),
    /// An advert without manufacturer data, service data or a 128-bit service UUID: nothing that could be ours.
    Empty,
}

/// The advert that is not whole yet, and what is known of its sender and the others.
#[derive(Debug)]
pub struct Merger {
    open: Option<Open>,
    devices: Devices,
}

#[derive(Debug)]
struct Open {
    address: [u8; 6],
    at: Millis,
    touched: Instant,
    kinds: u8,
    data: Vec<u8>,
}

impl Part {
    fn kind(&self) -> u8 {
        match self {
            Self::Rssi(_) => 1,
            Self::Manufacturer(_) => 2,
            Self::Service(_) => 4,
            Self::Services(_) => 8,
        }
    }
}

impl Merger {
    /// Nothing has been heard yet.
    pub fn new(now: Instant) -> Self {
        Self { open: None, devices: Devices::new(now) }
    }

    /// Takes one event in; gives the advert before it when that is whole by this. `at` is the business time of its arrival.
    pub fn take(&mut self, address: [u8; 6], part: Part, at: Millis, now: Instant) -> Option<Merged> {
        let kind = part.kind();
        let fresh = match &part {
            Part::Services(told) => fresh(self.devices.of(address, now), told),
            _ => Vec::new(),
        };
        // Nothing new about the sender's services: no sign of an advert.
        if matches!(part, Part::Services(_)) && fresh.is_empty() {
            return None;
        }
        // The kinds come in one order; a kind that does not come behind the last one begins another advert.
        let goes_on = self.open.as_ref().is_some_and(|open| open.address == address && open.kinds < kind && !open.is_settled(now));
        let before = if goes_on { None } else { self.close(now) };
        let device = self.devices.of(address, now);
        match &part {
            Part::Rssi(rssi) => device.rssi = Some(strength(*rssi)),
            Part::Services(_) => remember(device, &fresh),
            _ => {}
        }
        let open = self.open.get_or_insert_with(|| Open { address, at, touched: now, kinds: 0, data: Vec::new() });
        open.kinds |= kind;
        open.touched = now;
        match part {
            Part::Rssi(_) => {}
            Part::Manufacturer(companies) => bytes::manufacturer_data(&mut open.data, &companies),
            Part::Service(services) => bytes::service_data(&mut open.data, &services),
            Part::Services(_) => bytes::services(&mut open.data, &fresh),
        }
        before
    }

    /// The answer to the question for a sender's first advert, which came without strength and payload.
    pub fn first(&mut self, address: [u8; 6], first: First, at: Millis, now: Instant) -> Option<Merged> {
        let device = self.devices.of(address, now);
        let told = fresh(device, &first.services);
        remember(device, &told);
        // Without a strength it is only remembered by BlueZ, not heard.
        let rssi = strength(first.rssi?);
        device.rssi = Some(rssi);
        let mut data = Vec::new();
        bytes::manufacturer_data(&mut data, &first.manufacturer);
        bytes::service_data(&mut data, &first.service);
        bytes::services(&mut data, &device.services);
        Some(merged(address, at, Some(rssi), data))
    }

    /// The open advert, when nothing was added to it for [`SETTLED`].
    pub fn settle(&mut self, now: Instant) -> Option<Merged> {
        if self.open.as_ref()?.is_settled(now) { self.close(now) } else { None }
    }

    /// True when an advert waits for its end.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The services that BlueZ remembers of a sender that was heard before this session.
    pub fn known(&mut self, address: [u8; 6], services: &[Uuid], now: Instant) {
        let device = self.devices.of(address, now);
        let told = fresh(device, services);
        remember(device, &told);
    }

    fn close(&mut self, now: Instant) -> Option<Merged> {
        let mut open = self.open.take()?;
        let device = self.devices.of(open.address, now);
        // BlueZ tells a service UUID only once; an advert that brings nothing else is the same advert again.
        if open.data.is_empty() {
            bytes::services(&mut open.data, &device.services);
        }
        Some(merged(open.address, open.at, device.rssi, open.data))
    }
}

/// What BlueZ knows of a sender at its first advert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First {
    /// Strength in dBm; `None` when it was heard before, not now.
    pub rssi: Option<i16>,
    /// Manufacturer data by company id.
    pub manufacturer: HashMap<u16, Vec<u8>>,
    /// Service data by service.
    pub service: HashMap<Uuid, Vec<u8>>,
    /// Service UUIDs.
    pub services: Vec<Uuid>,
}

impl Open {
    fn is_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.touched) >= SETTLED
    }
}

fn merged(address: [u8; 6], at: Millis, rssi: Option<i8>, data: Vec<u8>) -> Merged {
    match rssi {
        Some(rssi) if !data.is_empty() => Merged::Advert(Advert { at, address, rssi, data }),
        _ => Merged::Empty,
    }
}

fn strength(rssi: i16) -> i8 {
    i8::try_from(rssi.clamp(-128, 127)).unwrap_or(i8::MIN)
}

/// The services that BlueZ has not told of this sender before.
fn fresh(device: &Device, told: &[Uuid]) -> Vec<Uuid> {
    told.iter().filter(|service| !device.told.contains(service)).take(UUIDS).copied().collect()
}

fn remember(device: &mut Device, fresh: &[Uuid]) {
    if fresh.is_empty() {
        return;
    }
    device.told.extend(fresh);
    let excess = device.told.len().saturating_sub(UUIDS);
    device.told.drain(..excess);
    device.services = fresh.to_vec();
}

#[cfg(test)]
mod tests;
