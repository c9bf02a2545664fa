//! btsnoop files with HCI packets (H1, H4), or as `btmon -w` writes them.

use passage_protocol::Millis;

use super::{
    LATEST_SECS, RadioError,
    packet::Link,
    records::{Container, Frame, LONGEST_PACKET},
    window::Window,
};

/// First bytes of the file.
pub(super) const MAGIC: &[u8] = b"btsnoop\0";
const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 24;
/// Time stamps are microseconds; this one is 1970-01-01. (2000-01-01 is 0x00E03AB44A676000.)
pub(super) const EPOCH_US: i64 = 0x00dc_ddb3_0f2f_8000;

/// A btsnoop file, by what stands in its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Btsnoop {
    /// 1001: the flags tell direction and kind of packet.
    H1,
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

impl Btsnoop {
    /// Reads the header of the file.
    pub fn open(bytes: &mut Window) -> Result<Self, RadioError> {
        let refuse = |why: String| Err(RadioError::Format { why });
        let head = bytes.at_least(FILE_HEADER)?;
        let (Some(version), Some(link)) = (be32(head, 8), be32(head, 12)) else {
            return refuse("it ends inside the btsnoop header".to_owned());
        };
        let file = match (version, link) {
            (1, 1001) => Self::H1,
            (1, 1002) => Self::H4,
            (1, 2001) => Self::Monitor,
            (1, other) => {
                return refuse(format!("its btsnoop data link is {other}; 1001 (H1), 1002 (H4) and 2001 (Linux monitor) are read"));
            }
            (other, _) => return refuse(format!("it has btsnoop version {other}; version 1 is read")),
        };
        bytes.consume(FILE_HEADER);
        Ok(file)
    }

    fn link(self, header: &Header) -> Link {
        const RECEIVED_EVENT: u32 = 3;
        const MONITOR_EVENT: u32 = 3;
        match self {
            Self::H1 if header.flags & 3 == RECEIVED_EVENT => Link::Event,
            Self::Monitor if header.flags & 0xffff == MONITOR_EVENT => Link::Event,
            Self::H1 | Self::Monitor => Link::Other,
            Self::H4 => Link::H4,
        }
    }
}

impl Container for Btsnoop {
    const HEAD: usize = RECORD_HEADER;

    fn length(&self, head: &[u8]) -> Option<usize> {
        Some(RECORD_HEADER + Header::read(head)?.length)
    }

    fn open<'a>(&mut self, record: &'a [u8]) -> Result<Option<Frame<'a>>, &'static str> {
        let header = Header::read(record).ok_or("its header makes no sense")?;
        let packet = record.get(RECORD_HEADER..).unwrap_or_default();
        Ok(Some(Frame { at: header.at, link: self.link(&header), packet }))
    }

    fn recognise(&self, record: &[u8]) -> Option<Option<Millis>> {
        let header = Header::read(record)?;
        let is_known = match self {
            Self::H1 => header.flags <= 3,
            Self::H4 => header.flags <= 3 && Link::H4.is_plausible(record.get(RECORD_HEADER..)?),
            Self::Monitor => header.flags & 0xffff <= 0x20,
        };
        is_known.then_some(Some(header.at))
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
        let sane = length <= original && length <= LONGEST_PACKET && (0..LATEST_SECS).contains(&at.secs());
        sane.then_some(Self { length, flags, at })
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
#[path = "btsnoop_tests.rs"]
mod tests;
