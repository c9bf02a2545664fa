//! pcap files, as sniffers and `tcpdump` write them. The bytes are read by the crate `pcap-parser`.

use passage_protocol::Millis;
use pcap_parser::pcap::{LegacyPcapBlock, PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::{
    LATEST_SECS, RadioError,
    packet::Link,
    records::{Container, Frame, LONGEST_PACKET},
    window::Window,
};

/// First bytes of the file: microseconds and nanoseconds, in both byte orders.
pub(super) const MAGICS: [[u8; 4]; 4] =
    [[0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0xc3, 0xd4], [0x4d, 0x3c, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d]];
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// A pcap file.
#[derive(Debug, Clone)]
pub(super) struct Pcap {
    link: Link,
    is_big_endian: bool,
    /// Units of the fraction in a second.
    per_second: u32,
}

impl Pcap {
    /// Reads the header of the file.
    pub fn open(bytes: &mut Window) -> Result<Self, RadioError> {
        let head = bytes.at_least(FILE_HEADER)?;
        let Ok((_, header)) = parse_pcap_header(head) else {
            return Err(RadioError::Format { why: "it ends inside the pcap header".to_owned() });
        };
        let file = Self {
            link: link(&header).map_err(unread)?,
            is_big_endian: header.is_bigendian(),
            per_second: if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 },
        };
        bytes.consume(FILE_HEADER);
        Ok(file)
    }

    fn frame<'a>(&self, record: &'a [u8]) -> Option<LegacyPcapBlock<'a>> {
        let parse = if self.is_big_endian { parse_pcap_frame_be } else { parse_pcap_frame };
        parse(record).ok().map(|(_, block)| block)
    }

    fn time(&self, seconds: u32, fraction: u32) -> Option<Millis> {
        let millis = i64::from(seconds) * 1000 + i64::from(fraction / (self.per_second / 1000));
        (fraction < self.per_second && i64::from(seconds) < LATEST_SECS).then_some(Millis(millis))
    }

    fn word(&self, bytes: &[u8], index: usize) -> Option<u32> {
        let word = bytes.get(4 * index..4 * index + 4)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }
}

impl Container for Pcap {
    const HEAD: usize = RECORD_HEADER;

    fn length(&self, head: &[u8]) -> Option<usize> {
        let word = |index| self.word(head, index);
        self.time(word(0)?, word(1)?)?;
        let (length, original) = (word(2)?, word(3)?);
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_PACKET && word(2) <= Some(original))?;
        Some(RECORD_HEADER + length)
    }

    fn open<'a>(&mut self, record: &'a [u8]) -> Result<Option<Frame<'a>>, &'static str> {
        let block = self.frame(record).ok_or("it cannot be read")?;
        let at = self.time(block.ts_sec, block.ts_usec).ok_or("its header makes no sense")?;
        Ok(Some(Frame { at, link: self.link, packet: block.data }))
    }

    fn recognise(&self, record: &[u8]) -> Option<Option<Millis>> {
        let block = self.frame(record)?;
        if !self.link.is_plausible(block.data) {
            return None;
        }
        self.time(block.ts_sec, block.ts_usec).map(Some)
    }
}

/// The link type is in the low 16 bits; the others tell of checksums that Bluetooth captures do not have.
fn link(header: &PcapHeader) -> Result<Link, u16> {
    let [low, high, ..] = header.network.0.to_le_bytes();
    let number = u16::from_le_bytes([low, high]);
    Link::of_pcap(number).ok_or(number)
}

/// Why a link type is refused.
pub(super) fn unread(number: u16) -> RadioError {
    RadioError::Format {
        why: format!(
            "its link type is {number}; 187 and 201 (HCI H4), 251 and 256 (LE link layer), 254 (Linux monitor) and 272 (nRF sniffer) are read"
        ),
    }
}

#[cfg(test)]
#[path = "pcap_tests.rs"]
mod tests;
