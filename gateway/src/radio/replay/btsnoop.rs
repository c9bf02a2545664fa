//! btsnoop files with HCI (H4) packets, or as `btmon -w` writes them.

use std::collections::VecDeque;

use passage_protocol::Millis;

use super::{
    Advert, LATEST_SECS, RadioError,
    hci::{self, Parts},
    window::Window,
};

const MAGIC: &[u8] = b"btsnoop\0";
const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 24;
/// Time stamps are microseconds; this one is 1970-01-01. (2000-01-01 is 0x00E03AB44A676000.)
const EPOCH_US: i64 = 0x00dc_ddb3_0f2f_8000;
/// No HCI packet is longer.
const LONGEST: usize = 65_540;
/// Longest record that a search for the next good one believes in.
const LONGEST_FOUND: usize = 2048;
/// Most time between a record and the one that a search finds behind it.
const FOUND_WITHIN_MS: i64 = 86_400_000;

/// What stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// 1002: the first byte tells the kind of packet.
    H4,
    /// 2001: the low 16 bits of the flags tell the kind of packet.
    Monitor,
}

struct Header {
    length: usize,
    flags: u32,
    at: Millis,
}

/// The adverts of a btsnoop file.
pub(super) struct Btsnoop {
    bytes: Window,
    link: Link,
    /// Records begun so far.
    number: u64,
    last: Option<Millis>,
    parts: Parts,
    ready: VecDeque<Result<Advert, RadioError>>,
    ended: bool,
}

impl Btsnoop {
    pub fn new(mut bytes: Window) -> Result<Self, RadioError> {
        let refuse = |why: String| Err(RadioError::Format { why });
        let head = bytes.at_least(FILE_HEADER)?;
        if !head.starts_with(MAGIC.get(..head.len().min(MAGIC.len())).unwrap_or_default()) {
            return refuse("it starts neither like a btsnoop file (record one with `btmon -w FILE`) nor like JSON lines".to_owned());
        }
        let (Some(version), Some(link)) = (be32(head, 8), be32(head, 12)) else {
            return refuse("it ends inside the btsnoop header".to_owned());
        };
        let link = match (version, link) {
            (1, 1002) => Link::H4,
            (1, 2001) => Link::Monitor,
            (1, other) => return refuse(format!("its btsnoop data link is {other}; 1002 (H4) and 2001 (Linux monitor) are read")),
            (other, _) => return refuse(format!("it has btsnoop version {other}; version 1 is read")),
        };
        bytes.consume(FILE_HEADER);
        Ok(Self { bytes, link, number: 0, last: None, parts: Parts::default(), ready: VecDeque::new(), ended: false })
    }

    /// Reads one record into `ready`, or ends.
    fn record(&mut self) -> Result<(), RadioError> {
        let offset = self.bytes.offset;
        let ahead = self.bytes.at_least(RECORD_HEADER)?;
        if ahead.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let is_cut = ahead.len() < RECORD_HEADER;
        let header = Header::read(ahead);
        self.number += 1;
        let number = self.number;
        let Some(header) = header else {
            if is_cut {
                self.ended = true;
                return Err(RadioError::Truncated { number, offset });
            }
            self.find_next()?;
            return Err(broken(number, offset, "its header makes no sense"));
        };
        let end = RECORD_HEADER + header.length;
        let ahead = self.bytes.at_least(end)?;
        let Some(packet) = ahead.get(RECORD_HEADER..end) else {
            // Either the file is cut here, or the length is damaged and good records follow.
            self.find_next()?;
            return Err(if self.ended {
                RadioError::Truncated { number, offset }
            } else {
                broken(number, offset, "it has a wrong length")
            });
        };
        let event = event_of(self.link, &header, packet);
        let (reports, why) = event.map_or((Vec::new(), None), hci::reports);
        self.bytes.consume(end);
        self.last = Some(header.at);
        for report in reports.into_iter().filter_map(|report| self.parts.join(report)) {
            self.ready.push_back(Ok(Advert { at: header.at, address: report.address, rssi: report.rssi, data: report.data }));
        }
        why.map_or(Ok(()), |why| Err(broken(number, offset, why)))
    }

    /// Moves behind a damaged record to the next byte where a good one begins, or to the end.
    fn find_next(&mut self) -> Result<(), RadioError> {
        loop {
            self.bytes.consume(1);
            let (link, last) = (self.link, self.last);
            let ahead = self.bytes.at_least(2 * RECORD_HEADER + LONGEST_FOUND)?;
            if ahead.len() < RECORD_HEADER {
                let rest = ahead.len();
                self.bytes.consume(rest);
                self.ended = true;
                return Ok(());
            }
            if looks_good(ahead, link, last) {
                return Ok(());
            }
        }
    }
}

impl Iterator for Btsnoop {
    type Item = Result<Advert, RadioError>;
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.record() {
                self.ended |= matches!(error, RadioError::File { .. });
                self.ready.push_back(Err(error));
            }
        }
    }
}

impl Header {
    /// `None` when it is cut or cannot be true.
    fn read(bytes: &[u8]) -> Option<Self> {
        let original = usize::try_from(be32(bytes, 0)?).ok()?;
        let length = usize::try_from(be32(bytes, 4)?).ok()?;
        let flags = be32(bytes, 8)?;
        let stamp = i64::from_be_bytes(bytes.get(16..RECORD_HEADER)?.try_into().ok()?);
        let at = Millis(stamp.checked_sub(EPOCH_US)?.div_euclid(1000));
        let sane = length <= original && length <= LONGEST && (0..LATEST_SECS).contains(&at.secs());
        sane.then_some(Self { length, flags, at })
    }
}

/// True if a record that begins here is whole, of a known kind, near in time to `last`, and followed by another header or the end.
fn looks_good(ahead: &[u8], link: Link, last: Option<Millis>) -> bool {
    let Some(header) = Header::read(ahead) else { return false };
    let Some(packet) = ahead.get(RECORD_HEADER..RECORD_HEADER + header.length) else { return false };
    let near = last.is_none_or(|last| header.at.since(last).abs() <= FOUND_WITHIN_MS);
    let known = match link {
        Link::H4 => header.flags <= 3 && packet.first().is_some_and(|kind| (1..=5).contains(kind)),
        Link::Monitor => header.flags & 0xffff <= 0x20,
    };
    let behind = ahead.get(RECORD_HEADER + header.length..).unwrap_or_default();
    let follows = behind.len() < RECORD_HEADER || Header::read(behind).is_some();
    near && known && header.length <= LONGEST_FOUND && follows
}

/// The HCI event packet in a record, if it holds one.
fn event_of<'a>(link: Link, header: &Header, packet: &'a [u8]) -> Option<&'a [u8]> {
    const H4_EVENT: u8 = 4;
    const MONITOR_EVENT: u32 = 3;
    match link {
        Link::H4 => packet.strip_prefix(&[H4_EVENT]),
        Link::Monitor => (header.flags & 0xffff == MONITOR_EVENT).then_some(packet),
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn broken(number: u64, offset: u64, why: &str) -> RadioError {
    RadioError::Record { number, offset, why: why.to_owned() }
}

#[cfg(test)]
#[path = "btsnoop_tests.rs"]
mod tests;
