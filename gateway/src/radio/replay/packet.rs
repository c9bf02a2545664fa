//! The packets in a capture's records to adverts, whatever they are wrapped in.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicU64},
};

use passage_protocol::Millis;

use super::{
    Advert, LeftOut,
    air::{self, Pdu},
    hci::Reports,
    parts::{Key, Part, Parts},
};

/// How a radio says that it could not measure the strength.
const RSSI_UNKNOWN: i8 = 127;
/// So many extended adverts are remembered by their id until the packet with their data comes.
const ANNOUNCED: usize = 16;

/// What the packets of a capture are wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// An HCI event without anything around it.
    Event,
    /// HCI H4: the first byte tells the kind of packet.
    H4,
    /// The same behind four bytes of direction.
    DirectedH4,
    /// The Linux monitor: adapter and kind of packet, big-endian.
    Monitor,
    /// From the air, access address first.
    Air,
    /// From the air, behind ten bytes of channel, strength and flags.
    MeasuredAir,
    /// From the air, as Nordic's sniffer wraps it.
    Nordic,
    /// Nothing that could hold an advert.
    Other,
}

impl Link {
    /// The link type of a pcap or pcapng file (<https://www.tcpdump.org/linktypes.html>).
    pub fn of_pcap(number: u16) -> Option<Self> {
        Some(match number {
            187 => Self::H4,
            201 => Self::DirectedH4,
            251 => Self::Air,
            254 => Self::Monitor,
            256 => Self::MeasuredAir,
            272 => Self::Nordic,
            _ => return None,
        })
    }

    /// True if bytes could be such a packet; for finding the way behind damage.
    pub(super) fn is_plausible(self, packet: &[u8]) -> bool {
        let at = |index: usize, wanted: std::ops::RangeInclusive<u8>| packet.get(index).is_some_and(|byte| wanted.contains(byte));
        match self {
            Self::H4 => at(0, 1..=5),
            Self::DirectedH4 => at(4, 1..=5),
            Self::Monitor => at(2, 0..=0) && at(3, 0..=0x20),
            Self::Air => packet.len() >= 6,
            Self::MeasuredAir => packet.len() >= 16,
            Self::Nordic => packet.len() >= 23,
            Self::Event | Self::Other => true,
        }
    }
}

/// What is known of a packet from the air beside its bytes.
struct Measured {
    rssi: Option<i8>,
    /// What the capture says of the checksum; `None` when it says nothing.
    is_whole: Option<bool>,
    coded: bool,
}

/// Makes adverts of packets. Only what is handed on is copied, so a stranger costs the bytes of its advert and nothing else.
#[derive(Debug, Default)]
pub struct Unpacker {
    parts: Parts,
    announced: VecDeque<(u16, [u8; 6])>,
    left_out: Arc<LeftOut>,
}

impl Unpacker {
    /// Counts what it leaves out.
    pub fn new(left_out: Arc<LeftOut>) -> Self {
        Self { left_out, ..Self::default() }
    }

    /// Hands the adverts in a packet to `each`. The error says what is wrong with the packet; adverts before that place were handed on.
    pub fn unpack(&mut self, link: Link, packet: &[u8], at: Millis, each: impl FnMut(Advert)) -> Result<(), &'static str> {
        const EVENT: u8 = 4;
        const MONITOR_EVENT: [u8; 2] = [0, 3];
        const SHORT: &str = "it is too short for its link type";
        let event = match link {
            Link::Event => Some(packet),
            Link::H4 => packet.strip_prefix(&[EVENT]),
            Link::DirectedH4 => packet.get(4..).ok_or(SHORT)?.strip_prefix(&[EVENT]),
            Link::Monitor => packet.get(2..).ok_or(SHORT)?.strip_prefix(&MONITOR_EVENT),
            Link::Other => None,
            Link::Air => return self.air(packet, &Measured { rssi: None, is_whole: None, coded: false }, at, each),
            Link::MeasuredAir => {
                let (head, packet) = packet.split_first_chunk().ok_or(SHORT)?;
                return self.air(packet, &measured(head), at, each);
            }
            Link::Nordic => {
                let (head, packet) = packet.split_first_chunk().ok_or(SHORT)?;
                return self.air(packet, &nordic(head), at, each);
            }
        };
        match event {
            Some(event) => self.event(event, at, each),
            None => {
                self.count(|left_out| &left_out.other);
                Ok(())
            }
        }
    }

    fn event(&mut self, event: &[u8], at: Millis, mut each: impl FnMut(Advert)) -> Result<(), &'static str> {
        let Some(mut reports) = Reports::of(event, at)? else {
            self.count(|left_out| &left_out.other);
            return Ok(());
        };
        for part in reports.by_ref() {
            self.hand_on(part, &mut each);
        }
        reports.error().map_or(Ok(()), Err)
    }

    fn air(&mut self, bytes: &[u8], measured: &Measured, at: Millis, mut each: impl FnMut(Advert)) -> Result<(), &'static str> {
        if measured.is_whole == Some(false) {
            self.count(|left_out| &left_out.bad_checksum);
            return Ok(());
        }
        let Some(packet) = air::packet(bytes, measured.coded)? else {
            self.count(|left_out| &left_out.other);
            return Ok(());
        };
        if measured.is_whole.is_none() && !packet.may_be_whole() {
            self.count(|left_out| &left_out.bad_checksum);
            return Ok(());
        }
        let Pdu::Advert { address, id, data, more } = packet.read().ok_or("the fields of the packet do not fit into it")? else {
            self.count(|left_out| &left_out.other);
            return Ok(());
        };
        if let (Some(id), Some(address)) = (id, address) {
            self.announce(id, address);
        }
        if data.is_empty() && id.is_some() {
            // It only says where the data will be.
            return Ok(());
        }
        let rssi = measured.rssi.unwrap_or(RSSI_UNKNOWN);
        let key = id.map_or_else(|| Key::Set(address.unwrap_or_default(), 0), Key::Air);
        // Without an address, it goes on an advert that has begun, or belongs to one that was announced, or its sender hides it.
        let address = address.or_else(|| self.parts.begun(key, at)).or_else(|| self.announced(id?)).unwrap_or_default();
        self.hand_on(Part { at, key, address, rssi, data, more }, &mut each);
        Ok(())
    }

    fn hand_on(&mut self, part: Part<'_>, each: &mut impl FnMut(Advert)) {
        if part.rssi == RSSI_UNKNOWN {
            self.count(|left_out| &left_out.no_strength);
        } else if let Some(advert) = self.parts.join(part) {
            each(advert);
        }
    }

    fn announce(&mut self, id: u16, address: [u8; 6]) {
        self.announced.retain(|(known, _)| *known != id);
        if self.announced.len() >= ANNOUNCED {
            self.announced.pop_front();
        }
        self.announced.push_back((id, address));
    }

    fn announced(&self, id: u16) -> Option<[u8; 6]> {
        self.announced.iter().find(|(known, _)| *known == id).map(|(_, address)| *address)
    }

    fn count(&self, counter: impl FnOnce(&LeftOut) -> &AtomicU64) {
        LeftOut::count(counter(&self.left_out));
    }
}

/// The ten bytes of `LINKTYPE_BLUETOOTH_LE_LL_WITH_PHDR`: channel, strength, noise, offenses, reference address, flags (little-endian).
fn measured(head: &[u8; 10]) -> Measured {
    const STRENGTH_VALID: u16 = 1 << 1;
    const CHECKED: u16 = 1 << 10;
    const VALID: u16 = 1 << 11;
    const PHY: u16 = 0b11 << 14;
    const CODED: u16 = 2 << 14;
    let &[_, strength, .., low, high] = head;
    let flags = u16::from_le_bytes([low, high]);
    Measured {
        rssi: (flags & STRENGTH_VALID != 0).then_some(i8::from_le_bytes([strength])),
        is_whole: (flags & CHECKED != 0).then_some(flags & VALID != 0),
        coded: flags & PHY == CODED,
    }
}

/// The 17 bytes of Nordic's sniffer: board, seven bytes of its line protocol, length, flags, channel, strength without its sign, event counter,
/// time. All versions that pcap files hold have these places.
fn nordic(head: &[u8; 17]) -> Measured {
    const WHOLE: u8 = 1;
    const PHY: u8 = 0b111 << 4;
    const CODED: u8 = 2 << 4;
    let &[_, _, _, _, _, _, _, _, flags, _, strength, ..] = head;
    Measured { rssi: i8::try_from(-i16::from(strength)).ok(), is_whole: Some(flags & WHOLE != 0), coded: flags & PHY == CODED }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
