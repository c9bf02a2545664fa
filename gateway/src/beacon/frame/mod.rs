//! The beacons in an advert, typed, whoever they belong to. Nothing is copied and nothing is allocated: a frame borrows the advert.
//!
//! What counts as a frame:
//! - A frame that is shorter than its format is none. Behind a whole one more bytes may stand (some fobs add a battery byte to their iBeacon).
//! - Reserved bytes are not looked at. Reserved codes make a URL unreadable, and it is none.
//! - A structure that runs past the end of the advert, and all behind it, is lost; what stands before it counts.
//! - An advert that lists 16-bit service UUIDs, but not Eddystone's, holds no Eddystone frame: the format asks for it. BlueZ hands on service
//!   data without the list, so an advert without any list is taken as it is.
//! - One advert may hold several frames; they come in the order of the air.

use super::ad;

pub mod eddystone;
mod proximity;

pub use eddystone::Eddystone;
pub use proximity::Proximity;

/// Apple's company id, and the type and length of an iBeacon.
pub(super) const IBEACON: [u8; 4] = [0x4c, 0x00, 0x02, 0x15];
/// What follows the company id in an AltBeacon.
pub(super) const ALTBEACON: [u8; 2] = [0xbe, 0xac];
/// 16-bit service UUID of the battery service, as on the air.
const BATTERY: [u8; 2] = [0x0f, 0x18];

/// One beacon frame. Its names and layouts are those of the formats' own specifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// iBeacon. RID v1 uses it as a carrier.
    IBeacon(Proximity<'a>),
    /// AltBeacon 1.0, of whatever company.
    AltBeacon {
        /// Bluetooth company id.
        company: u16,
        /// Who.
        beacon: Proximity<'a>,
        /// A byte that the company may use as it likes.
        reserved: u8,
    },
    /// Any Eddystone frame.
    Eddystone(Eddystone<'a>),
    /// Battery service (0x180F): percent.
    Battery(u8),
    /// Service data under a 128-bit UUID. RID v1 uses it as a carrier.
    ServiceData {
        /// As on the air: little-endian.
        uuid: &'a [u8; 16],
        /// What the service says.
        data: &'a [u8],
    },
    /// One 128-bit UUID of a list of services, as on the air: little-endian. RID v1 uses it as a carrier.
    ServiceUuid(&'a [u8; 16]),
}

/// All frames of an advert, legacy or extended, in the order of the air.
pub fn frames(data: &[u8]) -> Frames<'_> {
    Frames { data, rest: data, uuids: &[], listed: false }
}

/// The frames of one advert.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    data: &'a [u8],
    /// Structures that are not looked at yet.
    rest: &'a [u8],
    /// UUIDs of the present list that are not handed out yet.
    uuids: &'a [u8],
    /// A list that names Eddystone's service was passed.
    listed: bool,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        loop {
            if let Some((uuid, uuids)) = self.uuids.split_first_chunk() {
                self.uuids = uuids;
                return Some(Frame::ServiceUuid(uuid));
            }
            let (kind, value, rest) = ad::first(self.rest)?;
            self.rest = rest;
            match kind {
                ad::SERVICE_UUIDS_16_SOME | ad::SERVICE_UUIDS_16_ALL => self.listed |= lists_eddystone(value),
                ad::SERVICE_UUIDS_128_SOME | ad::SERVICE_UUIDS_128_ALL => self.uuids = value,
                _ => match frame(kind, value) {
                    None => {}
                    Some(Frame::Eddystone(_)) if !self.listed && !may_be_eddystone(self.data) => {}
                    found => return found,
                },
            }
        }
    }
}

#[inline]
fn frame(kind: u8, value: &[u8]) -> Option<Frame<'_>> {
    match kind {
        ad::MANUFACTURER => manufacturer(value),
        ad::SERVICE_DATA_16 => service_data(value),
        ad::SERVICE_DATA_128 => value.split_first_chunk().map(|(uuid, data)| Frame::ServiceData { uuid, data }),
        _ => None,
    }
}

fn manufacturer(value: &[u8]) -> Option<Frame<'_>> {
    if let Some(rest) = value.strip_prefix(&IBEACON) {
        return Some(Frame::IBeacon(Proximity::read(rest)?.0));
    }
    let (company, rest) = value.split_first_chunk()?;
    let (beacon, rest) = Proximity::read(rest.strip_prefix(&ALTBEACON)?)?;
    Some(Frame::AltBeacon { company: u16::from_le_bytes(*company), beacon, reserved: *rest.first()? })
}

fn service_data(value: &[u8]) -> Option<Frame<'_>> {
    let (service, data) = value.split_first_chunk()?;
    match *service {
        eddystone::SERVICE => Eddystone::read(data).map(Frame::Eddystone),
        BATTERY => data.first().filter(|percent| **percent <= 100).map(|percent| Frame::Battery(*percent)),
        _ => None,
    }
}

/// False if the advert lists its 16-bit services and Eddystone is not among them.
#[cold]
fn may_be_eddystone(data: &[u8]) -> bool {
    let is_list = |kind| matches!(kind, ad::SERVICE_UUIDS_16_SOME | ad::SERVICE_UUIDS_16_ALL);
    let mut lists = ad::structures(data).filter(|(kind, _)| is_list(*kind)).peekable();
    lists.peek().is_none() || lists.any(|(_, uuids)| lists_eddystone(uuids))
}

fn lists_eddystone(uuids: &[u8]) -> bool {
    uuids.as_chunks().0.contains(&eddystone::SERVICE)
}

#[cfg(test)]
mod tests;
