//! pcapng files, as Wireshark writes them. The blocks are read by the crate `pcap-parser`.

use passage_protocol::Millis;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock,
    pcapng::{
        parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    },
    traits::PcapNGPacketBlock as _,
};

use super::{
    LATEST_SECS,
    packet::Link,
    records::{Container, Frame, LONGEST_PACKET},
};

/// Type of the block that begins a file and each section; it reads the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Other blocks that are written by today's tools: simple packet (without a time), names, statistics, journal, secrets, custom.
const OTHERS: [u32; 8] = [2, 3, 4, 5, 9, 10, 0x0bad, 0x4000_0bad];
/// Type, length, and for a section the byte order.
const BLOCK_HEADER: usize = 12;
/// Longest block; the options of a packet are far shorter than the packet.
const LONGEST_BLOCK: usize = 4 * LONGEST_PACKET;
/// More interfaces are not read.
const INTERFACES: usize = 64;

/// A pcapng file: what its latest section says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Pcapng {
    is_big_endian: bool,
    interfaces: Vec<Interface>,
}

/// Where the packets of a section come from.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Link,
    /// Units of a time stamp in a second.
    per_second: u64,
    /// Seconds that are added to each time stamp.
    offset: i64,
}

impl Pcapng {
    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }

    /// The file in the byte order of the block that begins here: a section has its own.
    fn in_order_of(&self, head: &[u8]) -> Option<Self> {
        if !head.starts_with(&SECTION) {
            return Some(Self { is_big_endian: self.is_big_endian, interfaces: Vec::new() });
        }
        let order: [u8; 4] = head.get(8..12)?.try_into().ok()?;
        let is_big_endian = u32::from_be_bytes(order) == BYTE_ORDER;
        (is_big_endian || u32::from_le_bytes(order) == BYTE_ORDER).then_some(Self { is_big_endian, interfaces: Vec::new() })
    }

    fn packet<'a>(&self, block: &'a [u8]) -> Option<EnhancedPacketBlock<'a>> {
        let parse = if self.is_big_endian { parse_enhancedpacketblock_be } else { parse_enhancedpacketblock_le };
        parse(block).ok().map(|(_, packet)| packet)
    }

    fn interface(&self, block: &[u8]) -> Option<Interface> {
        let parse = if self.is_big_endian { parse_interfacedescriptionblock_be } else { parse_interfacedescriptionblock_le };
        let (_, block) = parse(block).ok()?;
        let link = u16::try_from(block.linktype.0).ok().and_then(Link::of_pcap).unwrap_or(Link::Other);
        let offset = if self.is_big_endian { block.if_tsoffset.swap_bytes() } else { block.if_tsoffset };
        Some(Interface { link, per_second: per_second(&block)?, offset })
    }

    fn time(&self, packet: &EnhancedPacketBlock<'_>) -> Option<(Millis, Link)> {
        let interface = self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
        let stamp = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
        let millis = i64::try_from(stamp * 1000 / u128::from(interface.per_second)).ok()?;
        let at = Millis(millis.checked_add(interface.offset.checked_mul(1000)?)?);
        (0..LATEST_SECS).contains(&at.secs()).then_some((at, interface.link))
    }
}

impl Container for Pcapng {
    const HEAD: usize = BLOCK_HEADER;

    fn length(&self, head: &[u8]) -> Option<usize> {
        let order = self.in_order_of(head)?;
        let length = usize::try_from(order.word(head, 4)?).ok()?;
        (length >= BLOCK_HEADER && length.is_multiple_of(4) && length <= LONGEST_BLOCK).then_some(length)
    }

    /// The length stands at the end of a block again.
    fn is_closed(&self, record: &[u8]) -> bool {
        let Some(order) = self.in_order_of(record) else { return false };
        record.len().checked_sub(4).and_then(|end| order.word(record, end)) == order.word(record, 4)
    }

    fn open<'a>(&mut self, record: &'a [u8]) -> Result<Option<Frame<'a>>, &'static str> {
        const UNREADABLE: &str = "the block cannot be read";
        if record.starts_with(&SECTION) {
            *self = self.in_order_of(record).ok_or(UNREADABLE)?;
            return Ok(None);
        }
        match self.word(record, 0) {
            Some(INTERFACE) => {
                let interface = self.interface(record).ok_or(UNREADABLE)?;
                if self.interfaces.len() < INTERFACES {
                    self.interfaces.push(interface);
                }
                Ok(None)
            }
            Some(PACKET) => {
                let packet = self.packet(record).ok_or(UNREADABLE)?;
                let (at, link) = self.time(&packet).ok_or("its interface is unknown or its time cannot be true")?;
                let length = usize::try_from(packet.caplen).unwrap_or(usize::MAX);
                Ok(Some(Frame { at, link, packet: packet.data.get(..length).ok_or(UNREADABLE)? }))
            }
            _ => Ok(None),
        }
    }

    fn recognise(&self, record: &[u8]) -> Option<Option<Millis>> {
        let order = self.in_order_of(record)?;
        match order.word(record, 0)? {
            PACKET => {
                let packet = self.packet(record)?;
                let (at, link) = self.time(&packet)?;
                link.is_plausible(packet.packet_data()).then_some(Some(at))
            }
            kind => (kind == INTERFACE || OTHERS.contains(&kind) || record.starts_with(&SECTION)).then_some(None),
        }
    }
}

/// Units of a time stamp in a second: a power of ten, or of two when the highest bit is set.
fn per_second(block: &InterfaceDescriptionBlock<'_>) -> Option<u64> {
    let exponent = u32::from(block.if_tsresol & 0x7f);
    if block.if_tsresol & 0x80 == 0 { 10u64.checked_pow(exponent) } else { 1u64.checked_shl(exponent) }
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
