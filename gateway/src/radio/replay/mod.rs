//! Captures: btsnoop as `btmon -w` writes it, pcap and pcapng with HCI or link-layer packets, or JSON lines
//! `{"at":ms,"address":"aabbccddeeff","rssi":-60,"data":"hex"}`.
//!
//! ```text
//! Window (bytes) -> Records (one record after the other, on behind damage) -> Unpacker (adverts) -> Steady (times) -> Capture
//!                    Btsnoop, Pcap, Pcapng                                      hci, air, parts
//! ```

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use passage_protocol::Clock;
use sha2::{Digest, Sha256};

use self::{
    btsnoop::Btsnoop,
    lines::Lines,
    packet::Unpacker,
    pcap::Pcap,
    pcapng::Pcapng,
    records::{Container, Records},
    steady::Steady,
    window::Window,
};
use super::{Advert, Paced, RadioError};

mod air;
mod btsnoop;
pub mod encode;
mod hci;
mod left_out;
mod lines;
pub mod packet;
mod parts;
mod pcap;
mod pcapng;
mod records;
mod steady;
mod window;

pub use left_out::LeftOut;

/// How much of a capture makes its id; the time stamp of the first record is in it.
const ID_BYTES: usize = 64;

/// 2100-01-01 in seconds; later time stamps are taken for damage.
const LATEST_SECS: i64 = 4_102_444_800;

/// A capture that plays at its own time stamps.
pub type Replay = Paced<Capture>;

/// The adverts of a capture and, at their place, what is broken in it. Reading goes on behind a broken record.
pub struct Capture {
    id: String,
    left_out: Arc<LeftOut>,
    records: Items,
}

impl Capture {
    /// Opens a capture file. The format is recognised by its first bytes.
    pub fn open(path: &Path) -> Result<Self, RadioError> {
        let file = File::open(path).map_err(|e| RadioError::File { path: path.to_owned(), why: e.to_string() })?;
        Self::read(file, path.to_owned())
    }

    /// Reads a capture from anywhere; errors name it `name`.
    pub fn read(bytes: impl Read + Send + 'static, name: PathBuf) -> Result<Self, RadioError> {
        let mut bytes = Window::new(bytes, name);
        let head = bytes.at_least(ID_BYTES)?;
        let id = hex::encode(Sha256::digest(&head[..head.len().min(ID_BYTES)]).as_slice().get(..8).unwrap_or_default());
        let left_out = Arc::new(LeftOut::default());
        let records = records(bytes, Unpacker::new(Arc::clone(&left_out)))?;
        Ok(Self { id, left_out, records: Box::new(Steady::new(records)) })
    }

    /// Tells this capture from others, so that a replay position of another one is not used: 16 hex digits, from its first bytes alone.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What was left out so far; it grows while the capture is read.
    pub fn left_out(&self) -> Arc<LeftOut> {
        Arc::clone(&self.left_out)
    }

    /// A source that plays the capture against `clock`.
    pub fn play(self, clock: Clock) -> Replay {
        Paced::replayed(self, clock)
    }
}

impl Iterator for Capture {
    type Item = Result<Advert, RadioError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.records.next()
    }
}

type Items = Box<dyn Iterator<Item = Result<Advert, RadioError>> + Send>;

/// The adverts in `bytes`, by the format that their beginning shows.
fn records(mut bytes: Window, unpacker: Unpacker) -> Result<Items, RadioError> {
    let head = bytes.at_least(ID_BYTES)?;
    if let Some(first) = head.get(..4).and_then(|first| <[u8; 4]>::try_from(first).ok()) {
        if first == pcapng::SECTION {
            return Ok(unpacked(bytes, Pcapng::default(), unpacker));
        }
        if pcap::MAGICS.contains(&first) {
            let pcap = Pcap::open(&mut bytes)?;
            return Ok(unpacked(bytes, pcap, unpacker));
        }
    }
    match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(RadioError::Format { why: "it is empty".to_owned() }),
        Some(b'{') => Ok(Box::new(Lines::new(bytes))),
        Some(_) if head.starts_with(head_of(btsnoop::MAGIC, head)) => {
            let btsnoop = Btsnoop::open(&mut bytes)?;
            Ok(unpacked(bytes, btsnoop, unpacker))
        }
        Some(_) => Err(RadioError::Format {
            why: "it starts neither like a btsnoop file (record one with `btmon -w FILE`) nor like pcap, pcapng or JSON lines".to_owned(),
        }),
    }
}

fn unpacked(bytes: Window, container: impl Container + 'static, unpacker: Unpacker) -> Items {
    Box::new(Records::new(bytes, container, unpacker))
}

/// As much of a magic number as a file that was cut has of it.
fn head_of<'a>(magic: &'a [u8], head: &[u8]) -> &'a [u8] {
    magic.get(..head.len().min(magic.len())).unwrap_or(magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(bytes: &'static [u8]) -> String {
        Capture::read(bytes, "x".into()).err().unwrap().to_string()
    }

    #[test]
    fn what_is_no_capture_is_refused_with_the_formats_that_are_read() {
        assert!(why(b"").contains("empty"));
        assert!(why(b"\n\n").contains("empty"));
        assert!(why(b"at,rssi\n1,2\n").contains("JSON lines"));
        assert!(why(b"PK\x03\x04 a zip file").contains("pcapng"));
        assert!(why(b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\0\0").contains("link type is 1;"));
        assert!(why(b"\xd4\xc3\xb2\xa1\x02").contains("pcap header"));
        assert!(why(b"btsnoop\0\0\0\0\x02\0\0\x03\xea").contains("version 2"));
        assert!(why(b"btsnoop\0\0\0\0\x01\0\0\x03\xeb").contains("1003"));
        assert!(why(b"btsnoop\0\0\0").contains("header"));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = Capture::open(Path::new("/nowhere/capture.btsnoop")).err().unwrap().to_string();
        assert!(error.contains("/nowhere/capture.btsnoop"), "{error}");
    }

    #[test]
    fn the_id_depends_on_the_beginning_alone() {
        let id = |bytes: Vec<u8>| Capture::read(std::io::Cursor::new(bytes), "x".into()).unwrap().id().to_owned();
        let line = br#"{"at":1700000000000,"address":"aabbccddeeff","rssi":-60,"data":"020106"}"#;
        let other = br#"{"at":1700000000001,"address":"aabbccddeeff","rssi":-60,"data":"020106"}"#;
        assert_eq!(id(line.to_vec()), id([&line[..], b"\n", other].concat()));
        assert_ne!(id(line.to_vec()), id(other.to_vec()));
    }
}
