//! One record after the other out of a capture file, and on behind a damaged one. What a record looks like is the container's business.

use std::collections::VecDeque;

use passage_protocol::Millis;

use super::{
    Advert, RadioError,
    packet::{Link, Unpacker},
    window::Window,
};

/// No packet of a capture is longer.
pub(super) const LONGEST_PACKET: usize = 65_540;
/// Longest record that a search for the next good one believes in.
pub(super) const LONGEST_FOUND: usize = 2048;
/// Most time between a record and the one that a search finds behind it.
const FOUND_WITHIN_MS: i64 = 86_400_000;

/// A packet with its time, still in the bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub at: Millis,
    pub link: Link,
    pub packet: &'a [u8],
}

/// A format of capture files.
pub(super) trait Container: Send {
    /// So many bytes tell how long a record is.
    const HEAD: usize;

    /// Length of the record that begins with `head`, in bytes; `None` when that cannot be true. `head` has [`Self::HEAD`] bytes or more.
    fn length(&self, head: &[u8]) -> Option<usize>;

    /// False if the end of a record shows that its length is wrong.
    fn is_closed(&self, _record: &[u8]) -> bool {
        true
    }

    /// Reads a whole record. `None` for one that holds no packet.
    fn open<'a>(&mut self, record: &'a [u8]) -> Result<Option<Frame<'a>>, &'static str>;

    /// The time of the record if it looks like one of this capture; for finding the way behind damage. Records without a time give `None` inside.
    fn recognise(&self, record: &[u8]) -> Option<Option<Millis>>;
}

/// The adverts of a capture file, with an error in the place of each record that is broken.
pub(super) struct Records<C> {
    bytes: Window,
    container: C,
    /// Records begun so far.
    number: u64,
    last: Option<Millis>,
    unpacker: Unpacker,
    ready: VecDeque<Result<Advert, RadioError>>,
    ended: bool,
}

impl<C: Container> Records<C> {
    /// Reads on behind the header of the file.
    pub fn new(bytes: Window, container: C, unpacker: Unpacker) -> Self {
        Self { bytes, container, number: 0, last: None, unpacker, ready: VecDeque::new(), ended: false }
    }

    /// Reads one record into `ready`, or ends.
    fn record(&mut self) -> Result<(), RadioError> {
        let offset = self.bytes.offset;
        let ahead = self.bytes.at_least(C::HEAD)?;
        if ahead.is_empty() {
            self.ended = true;
            return Ok(());
        }
        self.number += 1;
        let number = self.number;
        if ahead.len() < C::HEAD {
            self.ended = true;
            return Err(RadioError::Truncated { number, offset });
        }
        let Some(length) = self.container.length(ahead) else {
            self.find_next()?;
            return Err(broken(number, offset, "its header makes no sense"));
        };
        let container = &self.container;
        let Some(record) = self.bytes.at_least(length)?.get(..length).filter(|record| container.is_closed(record)) else {
            // Either the file is cut here, or the length is damaged and good records follow.
            self.find_next()?;
            return Err(if self.ended {
                RadioError::Truncated { number, offset }
            } else {
                broken(number, offset, "it has a wrong length")
            });
        };
        let result = match self.container.open(record) {
            Ok(None) => Ok(()),
            Ok(Some(frame)) => {
                self.last = Some(frame.at);
                let ready = &mut self.ready;
                self.unpacker.unpack(frame.link, frame.packet, frame.at, |advert| ready.push_back(Ok(advert)))
            }
            Err(why) => Err(why),
        };
        self.bytes.consume(length);
        result.map_err(|why| broken(number, offset, why))
    }

    /// Moves behind a damaged record to the next byte where a good one begins, or to the end.
    fn find_next(&mut self) -> Result<(), RadioError> {
        loop {
            self.bytes.consume(1);
            let last = self.last;
            let ahead = self.bytes.at_least(2 * C::HEAD + LONGEST_FOUND)?;
            if ahead.len() < C::HEAD {
                let rest = ahead.len();
                self.bytes.consume(rest);
                self.ended = true;
                return Ok(());
            }
            if looks_good(&self.container, ahead, last) {
                return Ok(());
            }
        }
    }
}

/// True if a record that begins here is whole, of a known kind, near in time to `last`, and followed by another record or the end.
fn looks_good<C: Container>(container: &C, ahead: &[u8], last: Option<Millis>) -> bool {
    let Some(length) = container.length(ahead).filter(|length| *length <= C::HEAD + LONGEST_FOUND) else { return false };
    let Some((record, behind)) = ahead.split_at_checked(length) else { return false };
    let Some(at) = container.recognise(record).filter(|_| container.is_closed(record)) else { return false };
    let is_near = at.zip(last).is_none_or(|(at, last)| at.since(last).abs() <= FOUND_WITHIN_MS);
    is_near && (behind.len() < C::HEAD || container.length(behind).is_some())
}

impl<C: Container> Iterator for Records<C> {
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

fn broken(number: u64, offset: u64, why: &str) -> RadioError {
    RadioError::Record { number, offset, why: why.to_owned() }
}
